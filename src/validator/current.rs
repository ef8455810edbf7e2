//! The calling thread: its context, which it gets with its first lock and gives back at its end.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::LocalKey,
};

use super::{
    blocking,
    context::{Context, State},
    threads,
};
use crate::{
    finding::ThreadInfo,
    ledger::{self, Backtraces},
};

thread_local! {
    /// Without a destructor, so that it can be read in those of others.
    static CONTEXT: Cell<Option<&'static Context>> = const { Cell::new(None) };
    static ATTACHING: Cell<bool> = const { Cell::new(false) };
    static REAPER: Reaper = const { Reaper };
}

/// Whether threads start [`State::Directed`].
static DIRECTS: AtomicBool = AtomicBool::new(false);

/// Has threads that come to be known start [`State::Directed`], or no longer.
pub(crate) fn direct_new_threads(on: bool) {
    DIRECTS.store(on, Relaxed);
}

/// The calling thread's context. `None` if nothing is to be checked: `LOCKDEP` is
/// `off`, or the thread's locals are already destroyed.
#[inline]
pub(crate) fn current() -> Option<&'static Context> {
    current_if_attached().or_else(attach)
}

/// The calling thread's context, if it has one.
#[inline(always)]
pub(crate) fn current_if_attached() -> Option<&'static Context> {
    // `CONTEXT.get()`, in fewer calls where nothing is optimized.
    #[allow(clippy::manual_unwrap_or_default, reason = "another call")]
    match CONTEXT.try_with(Cell::get) {
        Ok(context) => context,
        Err(_) => None,
    }
}

#[cold]
fn attach() -> Option<&'static Context> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    static BEGUN: AtomicBool = AtomicBool::new(false);
    // All of this may allocate, and the allocator may take a lock that is
    // checked: that one is not looked at.
    let _attaching = Flag::raise(&ATTACHING)?;
    if let Some(context) = CONTEXT.get() {
        // A signal handler was faster.
        return Some(context);
    }
    if ledger::settings().off || REAPER.try_with(|_| ()).is_err() {
        return None;
    }
    let info = ThreadInfo {
        number: NUMBER.fetch_add(1, Relaxed),
        name: std::thread::current().name().map(Arc::from),
        scope: None,
    };
    let context = threads::take_up();
    context.begin(info);
    context.set(State::Tracing, ledger::settings().backtraces == Backtraces::Full);
    context.set(State::Directed, DIRECTS.load(Relaxed));
    CONTEXT.set(Some(context));
    if !BEGUN.swap(true, Relaxed) {
        super::inside(super::process_begins);
    }
    Some(context)
}

/// Keeps the calling thread from ever being looked at: it is one of ours.
pub(crate) fn ignore_this_thread() {
    ATTACHING.set(true);
}

/// Keeps the calling thread, which has no context, from getting one while this lives: a signal handler's
/// locks are not looked at.
pub(super) fn stay_unattached() -> impl Drop {
    struct Unattached(#[expect(dead_code, reason = "it is lowered at the end")] Option<Flag>);
    impl Drop for Unattached {
        fn drop(&mut self) {}
    }
    Unattached(Flag::raise(&ATTACHING))
}

/// A thread-local flag that is up for a while.
struct Flag(&'static LocalKey<Cell<bool>>);

impl Flag {
    /// Nothing if it is up already.
    fn raise(flag: &'static LocalKey<Cell<bool>>) -> Option<Self> {
        (!flag.replace(true)).then(|| Self(flag))
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Gives a thread's context back when the thread ends.
struct Reaper;

impl Drop for Reaper {
    fn drop(&mut self) {
        let Some(context) = CONTEXT.take() else { return };
        blocking::thread_ends(context);
        threads::give_back(context);
    }
}
