//! Waits for events other than a lock.

use std::panic::Location;

use super::Tracked;
use crate::{
    finding::{LockKind, Mode, Until, WaitKind},
    validator::{self, Entry, Tag, Waited},
};

impl Tracked {
    /// Publishes a wait at this channel or barrier, and blocks.
    #[cold]
    #[track_caller]
    pub(crate) fn wait_for<R>(
        &self,
        kind: &'static LockKind,
        event: WaitKind,
        wait: impl FnOnce() -> R,
    ) -> R {
        let _waited = self.begin_event(kind, event, Until::Happened(event));
        wait()
    }

    /// As `wait_for`, with a timeout.
    #[cold]
    #[track_caller]
    pub(crate) fn wait_in_time<R>(
        &self,
        kind: &'static LockKind,
        event: WaitKind,
        wait: impl FnOnce() -> R,
    ) -> R {
        let _waited = self.begin_event(kind, event, Until::HappenedInTime(event));
        wait()
    }

    #[track_caller]
    fn begin_event(
        &self,
        kind: &'static LockKind,
        event: WaitKind,
        until: Until,
    ) -> Option<Waited> {
        let context = validator::current().filter(|context| !context.is_suspended())?;
        let tag = Tag::new(self.number(kind), Mode::Exclusive);
        let wanted = Entry { tag, site: Location::caller() };
        validator::about_to_wait_for(context, &wanted, event);
        Some(validator::begin_wait(context, self.identity(), &wanted, until))
    }
}
