//! One source of tests, compiled against `tokio::sync` and against `lockdep::tokio::sync`, in
//! checked builds and in others.
#![cfg(feature = "tokio")]

mod auto_traits;

/// Runs a future on a runtime of tokio's own.
fn run_plain<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// As above, on a runtime whose tasks are known, so that their locks are checked.
fn run_known<F: Future>(future: F) -> F::Output {
    use lockdep::tokio::runtime::Builder;
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The tests, over the `sync` and `run` in scope of the module around them.
macro_rules! behaviour {
    ($($name:ident is $sync:path, $run:path;)*) => {$(
        mod $name {
            use $run as run;
            use $sync as sync;

            mod mutex { use super::{run, sync}; include!("mutex.rs"); }
            mod once_cell { use super::{run, sync}; include!("once_cell.rs"); }
            mod rwlock { use super::{run, sync}; include!("rwlock.rs"); }
            mod semaphore { use super::{run, sync}; include!("semaphore.rs"); }
        }
    )*};
}

behaviour! {
    tokio_sync is tokio::sync, super::run_plain;
    lockdep_sync is lockdep::tokio::sync, super::run_known;
    lockdep_sync_unknown is lockdep::tokio::sync, super::run_plain;
}
