//! What the release of a resource shows: that it was held for longer than its lease, so that another process may have
//! had it as well; or that its guard has changed hands.

use std::{panic::Location, time::Duration};

use super::{
    attach::current,
    context::current::inside,
    context::{
        State as ThreadState,
        held::{Entry, Tag},
    },
    found::{Found, capture, own_edge, report},
    graph, handed_over,
};
use crate::{
    finding::{Detail, FindingKind},
    ledger::{self, Verdict},
};

/// Called when a resource is released that was acquired here, and held for longer than its lease. Never panics, because this is in a destructor.
#[cold]
pub(crate) fn held_too_long(
    tag: Tag,
    acquired_at: &'static Location<'static>,
    held_for: Duration,
    lease: Duration,
) {
    let Some(context) =
        current().filter(|context| !context.is_suspended() && !context.is(ThreadState::Allowing))
    else {
        return;
    };
    let found = {
        let _inside = context.enter(ThreadState::InValidator);
        let held = Entry { tag, site: acquired_at };
        let cycle = vec![own_edge(context, &held, &held, acquired_at, &capture())];
        let detail = Detail::HeldFor(held_for, lease);
        Found { kind: FindingKind::ExpiredLease, cycle, detail }
    };
    if let Verdict::Panic(panic) = report(context, vec![found]) {
        ledger::print(&panic.message);
    }
}

/// Called when a resource of this class is released that another thread or task had acquired here. Never panics.
#[cold]
pub(crate) fn changed_hands(
    tag: Tag,
    class: Option<&str>,
    acquired_at: &'static Location<'static>,
) {
    if handed_over::note(class, &acquired_at.into()) && ledger::records() {
        let lock = inside(|| graph::lock().lock_of(&Entry { tag, site: acquired_at }, acquired_at));
        ledger::record_released_elsewhere(&lock, &acquired_at.into());
    }
}
