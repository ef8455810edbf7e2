//! The calling thread and its context, from its first lock to its end.
//!
//! Attaching a context allocates and asks std for the thread's name. A signal handler may do
//! neither: it may have interrupted the allocator, and std aborts if somebody asks for the handle
//! of a thread before std has set it. A handler may only try locks, so an attempt attaches the
//! thread only if no signal is blocked, which shows that this is no handler. Otherwise what it
//! takes goes to [`UNATTACHED`], and from there to the context once the thread waits for a lock.

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
    interrupted, registry,
    thread_exit::ThreadExit,
    unattached::Unattached,
};
use crate::{
    finding::ThreadInfo,
    ledger::{self, Backtraces},
    validator::{deadlock::blocking, graph, lock_id::LockId, monitor::watchdog, tasks},
};

thread_local! {
    /// Without a destructor, so that it can be read in those of others.
    static CONTEXT: Cell<Option<&'static Context>> = const { Cell::new(None) };
    static ATTACHING: Cell<bool> = const { Cell::new(false) };
    static REAPER: Reaper = const { Reaper };
    /// The exit of a thread that the mirror of `std::thread` has spawned, until it gets a context.
    static EXIT: RefCell<Option<Arc<ThreadExit>>> = const { RefCell::new(None) };
}

/// What threads without a context hold, where they may have been running a signal handler.
static UNATTACHED: Unattached = Unattached::new();

/// `true` if threads start [`State::Directed`].
static DIRECTS: AtomicBool = AtomicBool::new(false);

/// Sets whether new contexts start [`State::Directed`].
pub(crate) fn direct_new_threads(on: bool) {
    DIRECTS.store(on, Relaxed);
}

/// The calling thread's context. `None` if `LOCKDEP` is `off`, or if the thread's locals are
/// already destroyed.
#[inline]
pub(crate) fn current() -> Option<&'static Context> {
    current_if_attached().or_else(attach)
}

/// The calling thread's context for an operation that does not wait. A thread without one gets it
/// now, unless it may be running a signal handler.
#[inline]
pub(crate) fn current_unless_in_handler() -> Option<&'static Context> {
    CONTEXT.get().or_else(attach_unless_in_handler)
}

#[cold]
fn attach_unless_in_handler() -> Option<&'static Context> {
    if ledger::is_known_off() || blocks_signals() { None } else { attach() }
}

/// Returns `true` if the calling thread blocks any signal, as it does in a signal handler that was
/// not installed with `SA_NODEFER`.
#[cfg(unix)]
#[allow(unsafe_code, reason = "`pthread_sigmask` is")]
fn blocks_signals() -> bool {
    // For other numbers, `sigismember` writes `errno`, which the interrupted code may be about to read.
    let last = if cfg!(target_os = "linux") { 64 } else { 31 };
    // SAFETY: without a new mask, `pthread_sigmask` only writes the old one; `sigismember` reads
    // that, which is initialized.
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

/// Records a lock that was taken by a thread without a context.
pub(crate) fn acquired_unattached(entry: Entry) {
    // While it attaches or runs our code, nothing is recorded: what its handlers take, they
    // release before it is done.
    if !ATTACHING.get() && !ledger::is_known_off() {
        UNATTACHED.push(entry);
    }
}

/// Records a release of what this thread, or another, took when it had no context. Returns `true`
/// if one did.
pub(crate) fn released_unattached(tag: Tag) -> bool {
    !ATTACHING.get() && UNATTACHED.remove(tag)
}

/// Records that a lock which the thread took when it had no context is now held in another mode.
pub(crate) fn change_mode_unattached(from: Tag, to: Tag) {
    UNATTACHED.turn(from, to);
}

/// Forgets a lock that is destroyed, though a thread without a context holds it.
pub(in crate::validator) fn destroyed_unattached(lock: LockId) {
    UNATTACHED.purge(lock);
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
    static BEGUN: AtomicBool = AtomicBool::new(false);
    // All of this may allocate, and the allocator may take a checked lock. That one is not tracked.
    let _attaching = Flag::raise(&ATTACHING)?;
    interrupted::here();
    if let Some(context) = CONTEXT.get() {
        // A signal handler was faster.
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

/// A number that no thread and no task has had.
pub(in crate::validator) fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Relaxed)
}

/// Switches the calling thread to another context. Returns the one it had.
#[inline]
pub(in crate::validator) fn act_in(context: Option<&'static Context>) -> Option<&'static Context> {
    CONTEXT.replace(context)
}

/// Gives the calling thread, which has just been spawned, its exit.
pub(crate) fn set_exit(exit: Arc<ThreadExit>) {
    let _ = EXIT.try_with(|it| it.replace(Some(exit)));
}

/// The calling thread no longer holds its exit, though it has not ended yet.
pub(crate) fn release_exit() {
    let _ = EXIT.try_with(RefCell::take);
    if let Some(context) = current_if_attached() {
        // What it noted is entered as what it did before.
        crate::validator::inside(|| drop(graph::lock()));
        context.release_exit();
    }
}

/// Keeps the calling thread from ever being attached, because it belongs to this crate.
pub(crate) fn ignore_this_thread() {
    ATTACHING.set(true);
}

/// Keeps the calling thread, which has no context, from getting one until the guard is dropped, so
/// that the locks of its signal handlers are not tracked.
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
    /// `None` if it is up already.
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
