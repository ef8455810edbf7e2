//! The points of a build without the feature `interleave`: nothing happens at them.

use std::task::{Context, Poll};

use crate::validator::{Entry, tasks::Task};

mod event;

pub(crate) use self::event::SyncEvent;

/// Returns `false`: no thread has anything to do at a point.
#[inline]
pub(crate) const fn are_active() -> bool {
    false
}

pub(crate) fn arrive(_: &SyncEvent<'_>) -> bool {
    false
}

pub(crate) fn come_by(_: &SyncEvent<'_>) {}

pub(crate) fn passed(_: &SyncEvent<'_>) {}

pub(crate) fn contended(_: &Entry, _try_again: &mut dyn FnMut() -> bool) -> bool {
    false
}

pub(crate) fn acquired(_: Entry) {}

pub(crate) fn releasing(_: Entry) {}

pub(crate) fn released() {}

/// The end of a release.
#[derive(Debug)]
#[must_use]
pub struct Released;

/// As with points, so that a value of it is no statement without effect.
impl Drop for Released {
    #[inline]
    fn drop(&mut self) {}
}

/// A future on its way through a point.
pub(crate) enum Passing {}

impl Passing {
    pub(crate) fn acquire(_: Entry) -> Option<Box<Self>> {
        None
    }

    pub(crate) fn poll(&mut self, _: &Context<'_>) -> Poll<()> {
        match *self {}
    }

    pub(crate) fn wait(&mut self, _: &Context<'_>) {
        match *self {}
    }
}

/// The calling thread's participant, while a task's replaces it.
pub(crate) struct SuspendedParticipant;

pub(crate) fn begin_task(_task: &Task) -> SuspendedParticipant {
    SuspendedParticipant
}

pub(crate) fn task_rests() {}

pub(crate) fn end_task(_task: &Task, _is_over: bool, _suspended: Option<SuspendedParticipant>) {}
