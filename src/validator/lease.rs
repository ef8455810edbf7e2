//! Locks outside of the process that were held for longer than their lease, so that another process may have had them
//! as well.

use std::{panic::Location, time::Duration};

use super::{
    attach::current,
    context::{
        State as ThreadState,
        held::{Entry, Tag},
    },
    found::{Found, capture, own_edge, report},
};
use crate::{
    finding::{Detail, FindingKind},
    ledger::{self, Verdict},
};

/// Called when such a lock is released that was acquired here. Never panics, because this is in a destructor.
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
