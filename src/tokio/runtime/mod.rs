//! [`tokio::runtime`], with tasks that are known.

mod builder;
mod handle;
#[allow(clippy::module_inception, reason = "as tokio's")]
mod runtime;

pub use ::tokio::runtime::*;

pub use self::{builder::Builder, handle::Handle, runtime::Runtime};
