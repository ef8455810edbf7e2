//! The calling thread's context, from its first lock to its end.
//!
//! Attaching a context allocates and asks std for the thread's name. A signal handler may do
//! neither: it may have interrupted the allocator, and std aborts if the handle of a thread is
//! requested before std has set it. A handler may only try locks, so an attempt attaches the thread
//! only if no signal is blocked, which proves that this is no handler. Otherwise the lock goes to
//! [`UNATTACHED`], and moves from there to the context when the thread waits for a lock.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::LocalKey,
};

use super::{
    Context, State,
    held::{Entry, Tag},
    registry,
    thread_exit::ThreadExit,
    unattached::Unattached,
};
use crate::{
    finding::ThreadInfo,
    ledger::{self, Backtraces},
    validator::{graph, interrupted, lock_id::LockId, monitor::watchdog, tasks, waits::blocking},
};

thread_local! {
    /// Has no destructor, so that destructors of other thread-locals can read it.
    static CONTEXT: Cell<Option<&'static Context>> = const { Cell::new(None) };
    static ATTACHING: Cell<bool> = const { Cell::new(false) };
    static REAPER: Reaper = const { Reaper };
    /// The exit of a thread spawned through the mirror of `std::thread`, until it gets a context.
    static EXIT: RefCell<Option<Arc<ThreadExit>>> = const { RefCell::new(None) };
}

/// The locks held by threads without a context, which may have been running a signal handler.
static UNATTACHED: Unattached = Unattached::new();

/// `true` if new contexts start in [`State::Directed`].
static DIRECTS: AtomicBool = AtomicBool::new(false);

/// Sets whether new contexts start in [`State::Directed`].
pub(crate) fn direct_new_threads(on: bool) {
    DIRECTS.store(on, Relaxed);
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
    CONTEXT.get().or_else(attach_unless_in_handler)
}

#[cold]
fn attach_unless_in_handler() -> Option<&'static Context> {
    if ledger::is_known_off() || blocks_signals() { None } else { attach() }
}

/// Returns `true` if the calling thread blocks any signal, as in a signal handler that was
/// installed without `SA_NODEFER`.
#[cfg(unix)]
#[allow(unsafe_code, reason = "`pthread_sigmask` is")]
fn blocks_signals() -> bool {
    // For invalid numbers, `sigismember` sets `errno`, which the interrupted code may be about to
    // read.
    let last = if cfg!(target_os = "linux") { 64 } else { 31 };
    // SAFETY: without a new mask, `pthread_sigmask` only writes the old one, which is initialized
    // then; `sigismember` reads that.
    unsafe {
        let mut blocked = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut blocked);
        (1..=last).any(|signal| libc::sigismember(&raw const blocked, signal) == 1)
    }
}

#[cfg(not(unix))]
fn blocks_signals() -> bool {
    false
}

/// Records a lock that was acquired by a thread without a context.
pub(crate) fn acquired_unattached(entry: Entry) {
    // Nothing is recorded while the thread attaches or runs lockdep's code: its handlers release
    // what they take before it continues.
    if !ATTACHING.get() && !ledger::is_known_off() {
        UNATTACHED.push(entry);
    }
}

/// Records the release of a lock that this thread, or another, took without a context. Returns
/// `true` if there was one.
pub(crate) fn released_unattached(tag: Tag) -> bool {
    !ATTACHING.get() && UNATTACHED.remove(tag)
}

/// Records that a lock acquired without a context is now held in another mode.
pub(crate) fn change_mode_unattached(from: Tag, to: Tag) {
    UNATTACHED.turn(from, to);
}

/// Forgets a destroyed lock that a thread without a context holds.
pub(in crate::validator) fn destroyed_unattached(lock: LockId) {
    UNATTACHED.purge(lock);
}

/// Returns the calling thread's context, if it has one.
#[inline(always)]
pub(crate) fn current_if_attached() -> Option<&'static Context> {
    // As `CONTEXT.get()`, with fewer calls in an unoptimized build.
    #[allow(clippy::manual_unwrap_or_default, reason = "another call")]
    match CONTEXT.try_with(Cell::get) {
        Ok(context) => context,
        Err(_) => None,
    }
}

#[cold]
fn attach() -> Option<&'static Context> {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    // All of this may allocate, and the allocator may take a checked lock, which is not tracked
    // then.
    let _attaching = Flag::raise(&ATTACHING)?;
    interrupted::here();
    if let Some(context) = CONTEXT.get() {
        // A signal handler has attached the thread meanwhile.
        return Some(context);
    }
    if ledger::settings().off || REAPER.try_with(|_| ()).is_err() {
        return None;
    }
    let number = next_number();
    let name = std::thread::current().name().map(Arc::from);
    let info = ThreadInfo { number, name, ..ThreadInfo::default() };
    let context = registry::take_up();
    context.begin(info, EXIT.try_with(RefCell::take).ok().flatten());
    context.set(State::Tracing, ledger::settings().backtraces == Backtraces::Full);
    context.set(State::Directed, DIRECTS.load(Relaxed));
    UNATTACHED.attach(context);
    interrupted::here();
    CONTEXT.set(Some(context));
    interrupted::here();
    if !BEGUN.swap(true, Relaxed) {
        crate::validator::inside(crate::validator::process_begins);
    }
    if watchdog::is_awaited() {
        crate::validator::inside(|| watchdog::note_thread(number));
    }
    Some(context)
}

/// Returns a number that no thread or task has had.
pub(in crate::validator) fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Relaxed)
}

/// Switches the calling thread to another context. Returns the previous one.
#[inline]
pub(in crate::validator) fn act_in(context: Option<&'static Context>) -> Option<&'static Context> {
    CONTEXT.replace(context)
}

/// Assigns the calling thread, which was just spawned, its exit.
pub(crate) fn set_exit(exit: Arc<ThreadExit>) {
    let _ = EXIT.try_with(|it| it.replace(Some(exit)));
}

/// Releases the calling thread's exit before the thread has ended.
pub(crate) fn release_exit() {
    let _ = EXIT.try_with(RefCell::take);
    if let Some(context) = current_if_attached() {
        // Enters the thread's pending edges while they still count as made before its exit was
        // released.
        crate::validator::inside(|| drop(graph::lock()));
        context.release_exit();
    }
}

/// Prevents the calling thread, which belongs to lockdep, from ever being attached.
pub(crate) fn ignore_this_thread() {
    ATTACHING.set(true);
}

/// Prevents the calling thread, which has no context, from getting one until the guard is dropped.
/// So locks of its signal handlers are not tracked.
pub(in crate::validator) fn stay_unattached() -> impl Drop {
    struct Unattached(#[expect(dead_code, reason = "it is lowered at the end")] Option<Flag>);
    impl Drop for Unattached {
        fn drop(&mut self) {}
    }
    Unattached(Flag::raise(&ATTACHING))
}

/// Raises a thread-local flag until it is dropped.
struct Flag(&'static LocalKey<Cell<bool>>);

impl Flag {
    /// Returns `None` if the flag is already raised.
    fn raise(flag: &'static LocalKey<Cell<bool>>) -> Option<Self> {
        (!flag.replace(true)).then(|| Self(flag))
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Returns a thread's context to the pool when the thread ends.
struct Reaper;

impl Drop for Reaper {
    fn drop(&mut self) {
        tasks::thread_ends();
        let Some(context) = CONTEXT.take() else { return };
        blocking::thread_ends(context);
        registry::give_back(context);
    }
}
