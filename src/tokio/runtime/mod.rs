//! [`tokio::runtime`], with tasks that lockdep knows.
//!
//! ```
//! use lockdep::tokio::runtime::Runtime;
//!
//! let runtime = Runtime::new().unwrap();
//! let task = runtime.spawn(async { 1 + 2 });
//! assert_eq!(runtime.block_on(task).unwrap(), 3);
//! ```

mod builder;
mod handle;
#[allow(clippy::module_inception, reason = "as tokio's")]
mod runtime;

pub use ::tokio::runtime::*;

pub use self::{builder::Builder, handle::Handle, runtime::Runtime};
