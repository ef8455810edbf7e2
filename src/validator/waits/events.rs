//! Waits for events other than a lock: a message, space in a channel, the other threads at a
//! barrier.

use std::panic::Location;

use crate::{
    finding::{Detail, FindingKind, WaitKind},
    validator::{
        Context, Entry, ThreadState,
        found::{Found, capture, own_edge, submit},
    },
};

/// Called when a thread is about to wait for an event of a channel or barrier, represented by
/// `wanted`.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(crate) fn about_to_wait_for(context: &'static Context, wanted: &Entry, kind: WaitKind) {
    if context.held.is_empty()
        || context.is(ThreadState::Allowing)
        || context.is(ThreadState::Confirming)
    {
        return;
    }
    context.settle_released_elsewhere();
    if context.held.is_empty() {
        return;
    }
    let found = {
        let _inside = context.enter(ThreadState::InValidator);
        wait_while_holding(context, wanted, wanted.site, kind)
    };
    if let Some(found) = found {
        submit(context, vec![found]);
    }
}

/// Returns the finding for a wait of the calling thread, if it holds locks. Runs
/// [`InValidator`](ThreadState::InValidator).
#[inline(always)]
pub(in crate::validator) fn wait_while_holding(
    context: &Context,
    wanted: &Entry,
    named_at: &'static Location<'static>,
    kind: WaitKind,
) -> Option<Found> {
    let backtrace = capture();
    let edge = |held| own_edge(context, &held, wanted, named_at, &backtrace);
    // A main loop owes its event while it waits for requests, which are sent before any thread
    // waits for the event.
    let held = context.held.iter().filter(|held| !held.kind().is_event());
    let cycle: Vec<_> = held.map(edge).collect();
    let detail = Detail::Wait(kind);
    (!cycle.is_empty()).then_some(Found { kind: FindingKind::WaitWhileHolding, cycle, detail })
}
