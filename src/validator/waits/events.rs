//! Waits for events other than a lock: a message, space in a channel, the other threads at a
//! barrier.

use std::panic::Location;

use crate::{
    finding::{Detail, FindingKind, WaitKind},
    validator::{
        acquire::{about_to_block, unjudged},
        context::{Context, State as ThreadState, held::Entry},
        found::{Found, capture, own_edge, submit},
        graph::Acquisition,
        tasks,
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
    tasks::settle_released_elsewhere(context);
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

/// Called when a thread is about to wait on a condition variable. It has released the mutex of the
/// acquisition and will reacquire it.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(crate) fn about_to_wait(context: &'static Context, acquisition: &Acquisition<'_>) {
    if context.held.is_empty() || context.is(ThreadState::Allowing) {
        return;
    }
    if let Some(key) = unjudged(context, context.held.any_place_for(acquisition.wanted.tag)) {
        about_to_block(context, acquisition, key);
    }
    let found = {
        let _inside = context.enter(ThreadState::InValidator);
        let Acquisition { wanted, named_at, .. } = acquisition;
        wait_while_holding(context, wanted, named_at, WaitKind::Condvar)
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
