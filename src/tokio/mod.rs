//! [tokio] with checked locks, and with the tasks that take them: threads and tasks share one lock
//! order.
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is* the
//! crate `tokio`.
//!
//! # Swapping it
//!
//! Add one import to each file that mentions `tokio`. Keep your dependency on tokio, since it
//! selects tokio's features.
//!
//! ```toml
//! [dependencies]
//! tokio = { version = "1", features = ["full"] }
//! lockdep = { version = "0.1", features = ["tokio"] }
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use lockdep::tokio; // new
//! use tokio::sync::Mutex; // as before
//!
//! #[tokio::main]
//! async fn main() {
//!     let stock = Arc::new(Mutex::new(10));
//!     let order = tokio::spawn({
//!         let stock = Arc::clone(&stock);
//!         async move { *stock.lock().await -= 1 }
//!     });
//!     order.await.unwrap();
//!     assert_eq!(*stock.lock().await, 9);
//! }
//! ```
//!
//! `#[tokio::main]` and `#[tokio::test]` expand to code that names `tokio::runtime`. Below the
//! import, that is this module's. Without the import, name the crate: `#[lockdep::tokio::main(crate
//! = "lockdep::tokio")]`. An attribute that builds a runtime of tokio's own compiles as well, but
//! its future is not [known](self#known-tasks).
//!
//! A module with `use super::*;` needs the import as well: rustc calls `tokio` ambiguous there.
//!
//! To swap a whole workspace without a change to its source, let your own package take the name
//! `tokio`:
//!
//! ```toml
//! # checked/tokio/Cargo.toml
//! [package]
//! name = "tokio"
//! version = "1.999.0"
//! edition = "2024"
//! publish = false
//!
//! [features]
//! full = [] # and what else your members ask for
//!
//! [dependencies]
//! lockdep = { version = "0.1", features = ["tokio"] }
//! real = { package = "tokio", version = "1", features = ["full"] }
//! ```
//!
//! ```
//! // checked/tokio/src/lib.rs
//! pub use lockdep::tokio::*;
//! ```
//!
//! ```toml
//! [workspace.dependencies]
//! tokio = { path = "checked/tokio" } # was: tokio = "1"
//! ```
//!
//! Your dependencies keep the real tokio.
//!
//! # What is checked
//!
//! The locks of [`sync`], with all their guards:
//!
//! | lock | checked as |
//! |---|---|
//! | [`Mutex`](sync::Mutex) | a lock |
//! | [`RwLock`](sync::RwLock) | a lock whose readers wait behind a waiting writer |
//! | [`Semaphore`](sync::Semaphore) | a part of the lock order if it has one permit, and a pool if it has several |
//! | [`OnceCell`](sync::OnceCell) | a lock that is held while an initializer runs |
//!
//! A task is checked like a thread. It keeps what it holds over an `.await`, whichever threads poll
//! it, and a lock of `std` or of parking_lot that it takes counts for it as well. A finding at
//! [`Level::Deny`](crate::Level::Deny) panics in the task, at its `.await`: its `JoinHandle`
//! returns the error, its guards are released, and the other tasks go on.
//!
//! # Known tasks
//!
//! To distinguish futures that run concurrently from futures that run one after the other, lockdep
//! must poll the task itself. It does that for everything that is spawned or run through this
//! module:
//!
//! | by | is checked as |
//! |---|---|
//! | [`spawn`], [`task::spawn_local`], [`task::LocalSet::spawn_local`], [`task::JoinSet`], [`runtime::Runtime::spawn`], [`runtime::Handle::spawn`] | a task |
//! | [`runtime::Runtime::block_on`], [`runtime::Handle::block_on`], [`task::LocalSet::block_on`], `#[tokio::main]`, `#[tokio::test]` | part of the calling thread, which keeps its own locks meanwhile |
//! | [`task::LocalSet::run_until`], [`time::timeout`], `select!`, `join!` | part of the task that awaits it |
//! | `task::block_in_place` | part of the task |
//! | [`task::spawn_blocking`] | a thread |
//!
//! Libraries spawn with tokio's own `spawn`: the handlers of hyper and axum run in such tasks.
//! There, locks that are awaited are neither tracked nor reported. Wrap the future in
//! [`as_task`](crate::as_task()) to have it checked; with axum, one layer is enough for all
//! handlers. `cargo lockdep` knows all tasks, without a change to the program.
//!
//! The same holds for a future that is run by tokio's `LocalRuntime`, or by a runtime from the
//! chained call of an unstable setting of [`Builder`](runtime::Builder).
//!
//! # tokio's own types
//!
//! Everything else is re-exported: [`JoinHandle`](::tokio::task::JoinHandle),
//! [`AbortHandle`](::tokio::task::AbortHandle), `net`, `io`, the macros. Pass a library that wants
//! tokio's own type a reference, `&runtime`, `&handle`, `&local_set` or `&mut join_set`, which all
//! dereference to that type. `.into()` converts a [`Runtime`](runtime::Runtime) or a
//! [`Handle`](runtime::Handle) in both directions. All of this compiles on both sides of the
//! [switch](crate#the-switch).

mod root;
pub mod runtime;
pub mod sync;
pub mod task;
pub mod time;

pub use ::tokio::*;

pub(crate) use self::root::as_task;
pub use self::task::spawn;
