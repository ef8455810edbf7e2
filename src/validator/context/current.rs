//! The calling thread's context, once it has one, and what a thread without a context holds.

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
    ledger,
    validator::{interrupted, lock_id::LockId},
};

thread_local! {
    /// Has no destructor, so that destructors of other thread-locals can read it.
    static CONTEXT: Cell<Option<&'static Context>> = const { Cell::new(None) };
    static ATTACHING: Cell<bool> = const { Cell::new(false) };
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

/// Gives the calling thread, which is [kept unattached](stay_unattached), a context.
pub(in crate::validator) fn attach(info: ThreadInfo) -> &'static Context {
    let context = registry::take_up();
    context.begin(info, take_exit());
    context.begin_tracing();
    context.set(State::Directed, DIRECTS.load(Relaxed));
    UNATTACHED.attach(context);
    interrupted::here();
    CONTEXT.set(Some(context));
    interrupted::here();
    context
}

/// Takes the calling thread's context away from it.
pub(in crate::validator) fn detach() -> Option<&'static Context> {
    CONTEXT.take()
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

/// Returns the exit of the calling thread, if it has no context that has it.
pub(in crate::validator) fn take_exit() -> Option<Arc<ThreadExit>> {
    EXIT.try_with(RefCell::take).ok().flatten()
}

/// Called when the calling thread is about to spawn another, whose exit this is, or to send something
/// to any.
pub(crate) fn may_give_guards_away(to: Option<&Arc<ThreadExit>>) {
    match current_if_attached() {
        Some(context) if context.has_nothing_to_give() || context.is_suspended() => {}
        Some(context) => inside(|| context.gives_away(to)),
        None => {
            let _ = EXIT.try_with(|exit| exit.borrow().as_ref().map(|exit| exit.pass_on()));
        }
    }
}

/// Prevents the calling thread, which belongs to lockdep, from ever being attached.
pub(crate) fn ignore_this_thread() {
    ATTACHING.set(true);
}

/// Prevents the calling thread, which has no context, from getting one until the guard is dropped.
/// So locks of its signal handlers are not tracked. `None` if another guard does so
/// already.
pub(in crate::validator) fn stay_unattached() -> Option<Flag> {
    Flag::raise(&ATTACHING)
}

/// Runs lockdep's own code. The program's locks are not checked meanwhile, including those that a
/// signal handler takes: this thread may hold a lock of lockdep.
#[inline]
pub(crate) fn inside<R>(body: impl FnOnce() -> R) -> R {
    let context = current_if_attached();
    let _inside = context.map(|context| context.enter(State::InValidator));
    let _unattached = context.is_none().then(stay_unattached);
    body()
}

/// Raises a thread-local flag until it is dropped.
pub(in crate::validator) struct Flag(&'static LocalKey<Cell<bool>>);

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
