//! Hands findings to the ledger, and panics if it says so.

use std::panic::Location;

use super::{
    context::{Context, State as ThreadState, held::Entry},
    graph, handed_over,
};
use crate::{
    finding::{Detail, Edge, FindingKind, Level, LockInfo, Site},
    ledger::{self, Backtraces, Panic, Verdict},
    stack::{RawStack, exit},
    upstream,
};

/// A finding for the ledger.
pub(super) struct Found {
    pub(super) kind: FindingKind,
    pub(super) cycle: Vec<Edge>,
    pub(super) detail: Detail,
}

impl Found {
    pub(super) fn new(kind: FindingKind, cycle: Vec<Edge>) -> Self {
        Self { kind, cycle, detail: Detail::None }
    }
}

/// Describes an edge that the calling thread is creating now, outside the graph.
pub(super) fn own_edge(
    context: &Context,
    held: &Entry,
    wanted: &Entry,
    named_at: &'static Location<'static>,
    backtrace: &RawStack,
) -> Edge {
    let graph = graph::lock();
    Edge {
        held: graph.lock_of(held, held.site),
        held_mode: held.tag.mode(),
        held_at: held.site.into(),
        held_backtrace: context.trace_of(held.tag),
        wanted: graph.lock_of(wanted, named_at),
        wanted_mode: wanted.tag.mode(),
        acquired_at: wanted.site.into(),
        backtrace: backtrace.into(),
        thread: context.info(),
        is_queued: false,
        is_granted: false,
        may_have_left: false,
        waited: None,
    }
}

/// Returns `true` if it is not known who holds one of the held locks, because such guards change hands.
pub(super) fn may_be_elsewhere(cycle: &[Edge]) -> bool {
    cycle.iter().any(|edge| is_handed_over(&edge.held, &edge.held_at))
}

/// Returns `true` if it is not known who holds a lock that was acquired here, because such guards change hands.
pub(super) fn is_handed_over(held: &LockInfo, acquired_at: &Site) -> bool {
    held.kind.is_outside() && handed_over::is_noted(held.class(), acquired_at)
}

// Inlined so that no frame of the stack is spent on it.
#[inline(always)]
pub(super) fn capture() -> RawStack {
    match ledger::settings().backtraces {
        Backtraces::Off => RawStack::EMPTY,
        Backtraces::NewEdges | Backtraces::Full => RawStack::capture(),
    }
}

/// Hands findings to the ledger, and panics if it says so. Returns `true` if all of them are
/// suppressed, so that they need not be checked again.
#[track_caller]
pub(super) fn submit(context: &'static Context, found: Vec<Found>) -> bool {
    match report(context, found) {
        Verdict::Proceed => false,
        Verdict::Silenced | Verdict::NoClasses => true,
        Verdict::Panic(panic) => {
            let message = &panic.message;
            if upstream::retakes_locks(Location::caller().file()) {
                ledger::print_past_capture(&format!(
                    "{message}\nlockdep: no panic here, because lock_api is reacquiring a lock for a \
                     guard that still exists: this thread continues, and may hang"
                ));
                return true;
            }
            let is_ending = {
                let _reporting = context.enter(ThreadState::Reporting);
                let is_ending = exit::thread_is_ending();
                if !is_ending {
                    panic.remember();
                }
                is_ending
            };
            if is_ending {
                ledger::print(&format!(
                    "{message}\nlockdep: no panic here, because it would abort the process in the \
                     destructor of a thread-local: this thread continues, and may hang"
                ));
                return true;
            }
            context.begin_unwinding();
            panic.throw();
        }
    }
}

/// Hands findings to the ledger. Combines its verdicts.
pub(super) fn report(context: &'static Context, found: Vec<Found>) -> Verdict {
    let _reporting = context.enter(ThreadState::Reporting);
    let scope = context.info().scope;
    let (mut thrown, mut all_silenced) = (None::<Box<Panic>>, true);
    for Found { kind, cycle, detail } in found {
        // `confirm` forces the deadlock on purpose, so it must not hang or abort, whatever the
        // level.
        let certainly = context.is(ThreadState::Confirming).then_some(Level::Deny);
        let classes = detail.classes().map(|(numbers, _)| numbers);
        match ledger::submit(kind, cycle, detail, scope, certainly) {
            Verdict::Proceed => all_silenced = false,
            Verdict::Silenced => {}
            Verdict::NoClasses => {
                if let Some(classes) = classes {
                    graph::lock().settle_classes(classes);
                }
            }
            Verdict::Panic(panic) => match &mut thrown {
                Some(first) => first.append(&panic),
                None => thrown = Some(panic),
            },
        }
    }
    match thrown {
        Some(panic) => Verdict::Panic(panic),
        None if all_silenced => Verdict::Silenced,
        None => Verdict::Proceed,
    }
}
