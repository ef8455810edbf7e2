//! The preludes, with the printing macros.

macro_rules! preludes {
    ($($name:ident)*) => {$(
        #[doc = concat!("As `std::prelude::", stringify!($name), "`.")]
        pub mod $name {
            pub use ::std::prelude::$name::*;

            pub use crate::{eprint, eprintln, print, println};
        }
    )*};
}

preludes!(v1 rust_2015 rust_2018 rust_2021 rust_2024);
