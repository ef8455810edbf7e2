//! One source of tests, compiled against `tokio` and against `lockdep::tokio`, in checked builds
//! and in others.
#![cfg(feature = "tokio")]
#![allow(clippy::useless_conversion, reason = "on one of the sides")]

/// The tests, over the `tokio` in scope of the module around them.
macro_rules! behaviour {
    ($($name:ident is $tokio:path;)*) => {$(
        mod $name {
            use $tokio as tokio;

            mod attributes { use super::tokio; include!("attributes.rs"); }
            mod libraries { use super::tokio; include!("libraries.rs"); }
            mod macros { use super::tokio; include!("macros.rs"); }
            mod runtime { use super::tokio; include!("runtime.rs"); }
            mod task { use super::tokio; include!("task.rs"); }
        }
    )*};
}

behaviour! {
    real_tokio is ::tokio;
    lockdep_tokio is lockdep::tokio;
}
