//! The contexts of all threads that take locks.
//!
//! Contexts are reused but never freed, so any thread may read any other's at any time without a
//! lock. There are as many as threads were ever alive at once. A lock is taken when a thread starts
//! or ends.

use std::sync::atomic::{
    Ordering::{Relaxed, SeqCst},
    fence,
};

use once_cell::race::OnceRef;
use parking_lot::Mutex;

use super::{Context, held::Tag, orphans};
use crate::validator::chain_cache;

/// The list of all contexts, used or not. It only grows, so it is read without a lock.
static FIRST: OnceRef<'static, Context> = OnceRef::new();

/// The state for starting and ending threads.
struct Pool {
    unused: Vec<&'static Context>,
    /// The last element of the list.
    last: Option<&'static Context>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { unused: Vec::new(), last: None });

/// Returns an unused context: that of a thread that has ended, or a new one.
pub(in crate::validator) fn take_up() -> &'static Context {
    let unused = POOL.lock().unused.pop();
    unused.unwrap_or_else(|| enlist(Box::leak(Box::new(Context::new()))))
}

/// Returns a context to the pool. Its thread has ended and held nothing.
pub(in crate::validator) fn give_back(context: &'static Context) {
    context.end();
    POOL.lock().unused.push(context);
}

/// Adds a new context to the list of all.
fn enlist(context: &'static Context) -> &'static Context {
    let mut pool = POOL.lock();
    let end = pool.last.map_or(&FIRST, |last| &last.next);
    end.set(context).expect("the list grows under the pool's lock");
    pool.last = Some(context);
    context
}

/// Called in a fork, which has only the thread of this context. The contexts of other threads are
/// not used again. Those that hold locks become [orphans](mod@orphans) if `keeps_holds`.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn abandon_others(own: Option<&'static Context>, keeps_holds: bool) {
    let is_own = |context: &Context| own.is_some_and(|own| std::ptr::eq(context, own));
    for context in all().filter(|context| !is_own(context)) {
        if keeps_holds && !context.held.is_empty() {
            orphans::add(context);
        } else {
            context.abandon();
        }
    }
    if let Some(own) = own {
        own.note_os_thread();
    }
}

/// Returns the lock around the pool, without which no context is added.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn pool() -> &'static dyn crate::fork_lock::ForkLock {
    &POOL
}

/// Returns the locks of each context.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn locks_of_contexts()
-> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    every().flat_map(Context::locks)
}

/// Called when a thread that did not acquire a lock has released it. Finds the thread that did, and
/// tells it. Returns `false` if there is none.
pub(in crate::validator) fn released_elsewhere(tag: Tag) -> bool {
    let holds = |context: &Context| context.held.iter().any(|entry| entry.tag == tag);
    // If a thread holds the lock for reading as well, it is uncertain which of the two ended.
    let was_orphan = orphans::are_any() && orphans::released(tag);
    let Some(context) = all().find(|context| holds(context)) else { return was_orphan };
    context.note_released_elsewhere(tag);
    // A task that has come to rest meanwhile may have read its list before this was added.
    fence(SeqCst);
    holds(context) || !context.forget_released_elsewhere(tag)
}

/// Forgets every chain, in all threads.
pub(in crate::validator) fn forget_chains() {
    chain_cache::forget_all();
    all().for_each(|context| context.recent.clear());
}

/// Returns the contexts of all threads of this process. Those without a thread hold nothing and
/// wait for nothing.
pub(in crate::validator) fn all() -> impl Iterator<Item = &'static Context> {
    every().filter(|context| !context.is_orphan.load(Relaxed))
}

/// Returns the contexts of threads that held locks when this process was forked, and do not exist in
/// it.
pub(super) fn orphans() -> impl Iterator<Item = &'static Context> {
    every().filter(|context| context.is_orphan.load(Relaxed))
}

/// Returns all contexts, whether or not their threads exist.
pub(in crate::validator) fn every() -> impl Iterator<Item = &'static Context> {
    std::iter::successors(FIRST.get(), |context| context.next.get())
}
