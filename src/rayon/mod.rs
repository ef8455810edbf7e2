//! [rayon-core](https://docs.rs/rayon-core), checked: everything that it holds, under the same names.
//!
//! A worker that waits in [`join()`], [`scope()`] or another call of rayon runs other jobs of its pool
//! meanwhile. So it waits for every lock that one of them acquires. If it holds such a lock, the job
//! waits for a thread that waits for the job:
//!
//! ```should_panic
//! use lockdep::{rayon, sync::Mutex};
//!
//! static CACHE: Mutex<Vec<u64>> = Mutex::new(Vec::new());
//!
//! fn add(number: u64) {
//!     let mut cache = CACHE.lock().unwrap();
//!     let (half, rest) = rayon::join(|| number / 2, || number % 2);
//!     cache.push(half + rest);
//! }
//!
//! let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
//! # assert!(lockdep::ENABLED); // if it is not, this may hang
//! pool.join(|| add(1), || add(2)); // panics: a worker holds `CACHE` while it waits for jobs
//! ```
//!
//! A job that acquires a lock is an edge from its pool, and a call that waits is one to the pool. lockdep
//! knows which jobs can run at once: the order of calls counts, whichever worker ran them. `docs/waits.md` has the rules.
//!
//! The parallel iterators of `rayon` call rayon-core itself, not this mirror. `cargo lockdep` replaces
//! rayon-core below them.

#![allow(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "rayon's have none, and programs may deny warnings"
)]

mod broadcast;
mod builder;
mod join;
mod pool;
mod scope;
mod spawn;

pub use ::rayon_core::{
    BroadcastContext, FnContext, ThreadPoolBuildError, Yield, current_thread_has_pending_tasks,
    current_thread_index, max_num_threads,
};

#[allow(deprecated, reason = "rayon-core has it")]
pub use self::builder::{Configuration, initialize};
pub use self::{
    broadcast::{broadcast, spawn_broadcast},
    builder::{ThreadBuilder, ThreadPoolBuilder},
    join::{join, join_context},
    pool::{ThreadPool, current_num_threads, yield_local, yield_now},
    scope::{Scope, ScopeFifo, in_place_scope, in_place_scope_fifo, scope, scope_fifo},
    spawn::{spawn, spawn_fifo},
};
