//! One source of tests, compiled against `std::sync` and against `lockdep::sync`, in checked builds
//! and in others.

/// The tests, over the `sync` in scope of the module around them.
macro_rules! behaviour {
    ($($name:ident is $sync:path;)*) => {$(
        mod $name {
            use $sync as sync;

            mod auto_traits { use super::sync; include!("auto_traits.rs"); }
            mod barrier { use super::sync; include!("barrier.rs"); }
            mod condvar { use super::sync; include!("condvar.rs"); }
            mod lazy { use super::sync; include!("lazy.rs"); }
            mod mpsc { use super::sync; include!("mpsc.rs"); }
            mod mutex { use super::sync; include!("mutex.rs"); }
            mod once { use super::sync; include!("once.rs"); }
            mod rwlock { use super::sync; include!("rwlock.rs"); }
        }
    )*};
}

behaviour! {
    std_sync is std::sync;
    lockdep_sync is lockdep::sync;
}
