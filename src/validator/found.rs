//! From what a check has found to the ledger, and what the thread that found it has to do.

use std::{ffi::OsStr, panic::Location, path::Path};

use super::{
    context::{Context, State as ThreadState, held::Entry},
    graph,
    process::exit,
};
use crate::{
    finding::{Detail, Edge, FindingKind, Level},
    ledger::{self, Backtraces, Verdict},
    stack::RawStack,
};

/// What is to be handed to the ledger.
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

/// An edge that the calling thread makes right now, outside the graph.
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

// Inlined, not to waste one of the stack's frames.
#[inline(always)]
pub(super) fn capture() -> RawStack {
    match ledger::settings().backtraces {
        Backtraces::Off => RawStack::EMPTY,
        Backtraces::NewEdges | Backtraces::Full => RawStack::capture(),
    }
}

/// Hands findings to the ledger, and does what it says. Whether none of them is to be looked at
/// again.
#[track_caller]
pub(super) fn submit(context: &'static Context, found: Vec<Found>) -> bool {
    match report(context, found) {
        Verdict::Proceed => false,
        Verdict::Silenced => true,
        Verdict::Panic(message) => {
            if is_retaken(Location::caller().file()) {
                ledger::print_past_capture(&format!(
                    "{message}\nlockdep: nothing is thrown here, where lock_api takes a lock again \
                     for a guard that lives on: this thread goes on, or hangs"
                ));
                return true;
            }
            let is_ending = {
                let _reporting = context.enter(ThreadState::Reporting);
                exit::thread_is_ending()
            };
            if is_ending {
                ledger::print(&format!(
                    "{message}\nlockdep: nothing is thrown here, in a destructor of a thread-local, \
                     where a panic would abort the process: this thread goes on, or hangs"
                ));
                return true;
            }
            context.begin_unwinding();
            panic!("{message}");
        }
    }
}

/// Hands findings to the ledger. What comes of all of them.
pub(super) fn report(context: &'static Context, found: Vec<Found>) -> Verdict {
    let _reporting = context.enter(ThreadState::Reporting);
    let scope = context.info().scope;
    let (mut messages, mut all_silenced) = (Vec::new(), true);
    for Found { kind, cycle, detail } in found {
        // What is only waited for must neither hang nor abort, whatever its level.
        let certainly = context.is(ThreadState::Confirming).then_some(Level::Deny);
        match ledger::submit(kind, cycle, detail, scope, certainly) {
            Verdict::Proceed => all_silenced = false,
            Verdict::Silenced => {}
            Verdict::Panic(message) => messages.push(message),
        }
    }
    match &messages[..] {
        [] if all_silenced => Verdict::Silenced,
        [] => Verdict::Proceed,
        _ => Verdict::Panic(messages.join("\n")),
    }
}

/// Whether `unlocked` of lock_api takes a lock again, in this file of its own. The guard lives on
/// and would unlock what it does not hold, were it not taken: nothing can be thrown.
pub(crate) fn is_retaken(file: &str) -> bool {
    let path = Path::new(file);
    let is_lock_api = |folder: &Path| {
        let name = folder.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name == "lock_api" || name.starts_with("lock_api-"))
    };
    (path.ends_with("src/mutex.rs") || path.ends_with("src/rwlock.rs"))
        && path.ancestors().nth(2).is_some_and(is_lock_api)
}
