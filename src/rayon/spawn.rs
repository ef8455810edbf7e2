//! [`spawn`] and [`spawn_fifo`], and the panics of such jobs, which no call waits for.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use super::pool;
use crate::validator::jobs::{Spawning, handles_panics, is_finding};

/// As `rayon_core::spawn`.
///
/// If a finding at [`Level::Deny`](crate::Level::Deny) ends the job, it goes to the pool's panic
/// handler. Without one, it ends only the job; any other panic aborts the process, as with rayon.
#[track_caller]
pub fn spawn<F>(func: F)
where
    F: FnOnce() + Send + 'static,
{
    pool::ensure_global();
    let (job, handles) = (Spawning::begin(), handles_panics(pool::current()));
    ::rayon_core::spawn(move || run(&job, handles, func));
}

/// As `rayon_core::spawn_fifo`. See [`spawn`].
#[track_caller]
pub fn spawn_fifo<F>(func: F)
where
    F: FnOnce() + Send + 'static,
{
    pool::ensure_global();
    let (job, handles) = (Spawning::begin(), handles_panics(pool::current()));
    ::rayon_core::spawn_fifo(move || run(&job, handles, func));
}

/// Runs a detached job.
pub(super) fn run(job: &Spawning, handles_panics: bool, body: impl FnOnce()) {
    if handles_panics {
        job.run(body);
    } else {
        job.run(|| contain(body));
    }
}

/// Ends a panic for a finding, which was reported already. rayon would abort the process.
pub(super) fn contain(body: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
        resume_unless_finding(panic);
    }
}

#[cold]
fn resume_unless_finding(panic: Box<dyn Any + Send>) {
    if !is_finding(&*panic) {
        resume_unwind(panic);
    }
}
