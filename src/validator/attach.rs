//! The life of a thread: it gets a context with its first lock, which another thread may reuse after its
//! end.
//!
//! Attaching a context allocates and asks std for the thread's name. A signal handler may do
//! neither: it may have interrupted the allocator, and std aborts if the handle of a thread is
//! requested before std has set it. A handler may only try locks, so an attempt attaches the thread
//! only if no signal is blocked, which proves that this is no handler. Otherwise the lock goes to a
//! [table](super::context::unattached), and moves from there to the context when the thread waits
//! for a lock.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{
    context::{
        self, Context,
        current::{current_if_attached, detach, inside, next_number, stay_unattached, take_exit},
        held::Entry,
        job, leaks, registry,
    },
    destroyed,
    found::{Found, own_edge, report},
    graph, interrupted,
    lock_id::known_locks,
    monitor::watchdog,
    process::begin::process_begins,
    signal_mask::blocks_signals,
    tasks,
};
use crate::{
    finding::{FindingKind, ThreadInfo},
    ledger::{self, Verdict},
    stack::{RawStack, exit},
};

thread_local! {
    static REAPER: Reaper = const { Reaper };
}

/// Returns the calling thread's context. `None` if `LOCKDEP` is `off`, or if the thread's locals
/// are already destroyed.
#[inline]
pub(crate) fn current() -> Option<&'static Context> {
    current_if_attached().or_else(attach)
}

/// Returns the calling thread's context, for an operation that does not wait. A thread without one
/// gets one now, unless it may be running a signal handler.
#[inline]
pub(crate) fn current_unless_in_handler() -> Option<&'static Context> {
    current_if_attached().or_else(attach_unless_in_handler)
}

#[cold]
fn attach_unless_in_handler() -> Option<&'static Context> {
    if ledger::is_known_off() || blocks_signals() { None } else { attach() }
}

#[cold]
fn attach() -> Option<&'static Context> {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    // All of this may allocate, and the allocator may take a checked lock, which is not tracked
    // then.
    let _attaching = stay_unattached()?;
    interrupted::here();
    if let Some(context) = current_if_attached() {
        // A signal handler has attached the thread meanwhile.
        return Some(context);
    }
    if ledger::settings().off || REAPER.try_with(|_| ()).is_err() {
        return None;
    }
    let number = next_number();
    let name = std::thread::current().name().map(Arc::from);
    let info = ThreadInfo { number, name, ..ThreadInfo::default() };
    let context = context::current::attach(info);
    if job::is_recording() {
        context.held.set_logged(true);
    }
    if !BEGUN.swap(true, Relaxed) {
        inside(process_begins);
    }
    if watchdog::is_awaited() {
        inside(|| watchdog::note_thread(number));
    }
    Some(context)
}

/// Releases the calling thread's exit before the thread has ended.
pub(crate) fn release_exit() {
    drop(take_exit());
    if let Some(context) = current_if_attached() {
        // Enters the thread's pending edges while they still count as made before its exit was
        // released.
        inside(|| drop(graph::lock()));
        context.release_exit();
    }
}

/// Returns a thread's context to the pool when the thread ends.
struct Reaper;

impl Drop for Reaper {
    fn drop(&mut self) {
        tasks::thread_ends();
        let Some(context) = detach() else { return };
        report_leaks(context);
        registry::give_back(context);
    }
}

/// Called when a thread ends. Reports the locks that it still holds, which no thread will release.
fn report_leaks(context: &'static Context) {
    // Enters its leaves while it still has its name.
    if known_locks::are_leaves() {
        inside(|| drop(graph::lock()));
    }
    let is_exiting = !context.held.is_empty() && exit::process_is_exiting();
    if !is_exiting {
        destroyed::settle(context);
    }
    if context.held.is_empty() {
        return;
    }
    let held: Vec<Entry> = context.holds().into_iter().map(|(held, _)| held).collect();
    let left: Vec<Entry> = context.held.iter().collect();
    for entry in left {
        context.held.remove(entry.tag);
    }
    if is_exiting {
        return;
    }
    // A guard that can be sent may still exist in another thread.
    let leaked = || held.iter().filter(|entry| !entry.kind().guards_can_be_sent());
    let leak = |held: &Entry| {
        let edge = own_edge(context, held, held, held.site, &RawStack::EMPTY);
        Found::new(FindingKind::LeakedGuard, vec![edge])
    };
    let found: Vec<Found> = leaked().map(leak).collect();
    for entry in leaked() {
        leaks::add(*entry, context.info());
    }
    if !found.is_empty()
        && let Verdict::Panic(panic) = report(context, found)
    {
        // A panic in the destructor of a thread-local would abort the process.
        ledger::print(&panic.message);
    }
}
