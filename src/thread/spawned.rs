//! What is known of a thread by who has started it. Nothing, so far.

use std::{panic::Location, thread::Result};

/// A thread that was started here.
pub(super) struct Spawned;

impl Spawned {
    /// A thread that is about to be started, and what it is to run.
    #[track_caller]
    pub(super) fn new<T>(body: impl FnOnce() -> T) -> (Option<Self>, impl FnOnce() -> T) {
        (None, body)
    }
}

/// The caller's place in the source.
#[track_caller]
pub(super) fn here() -> &'static Location<'static> {
    Location::caller()
}

/// Waits for a thread's end.
#[track_caller]
pub(super) fn join<T>(
    _spawned: Option<&Spawned>,
    _is_finished: bool,
    wait: impl FnOnce() -> Result<T>,
) -> Result<T> {
    wait()
}

/// The threads of a scope.
#[derive(Default)]
pub(super) struct Children;

impl Children {
    pub(super) fn add(&self, _spawned: Option<&Spawned>) {}

    /// Waits for all that were not joined.
    pub(super) fn wait(&self, _end: &'static Location<'static>) {}

    /// They have ended.
    pub(super) fn joined(&self) {}
}
