//! [`once_cell::sync`](::once_cell::sync), checked: everything that it holds, under the same
//! names. Initializers count as held while they run, as in [`lockdep::sync`](crate::sync).
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is*
//! `once_cell::sync`.
//!
//! ```
//! use lockdep::once_cell::sync::{Lazy, OnceCell}; // was: use once_cell::sync::{Lazy, OnceCell};
//!
//! static CONFIG: OnceCell<String> = OnceCell::new();
//! static LENGTH: Lazy<usize> = Lazy::new(|| CONFIG.wait().len());
//!
//! CONFIG.set("read".to_owned()).unwrap();
//! assert_eq!(*LENGTH, 4);
//! ```

mod lazy;
mod once_cell;

pub use self::{lazy::Lazy, once_cell::OnceCell};
