//! The threads that take locks, from a thread's first lock to its end.
//!
//! Contexts are never freed but used again, so that any thread may look at any other's at any
//! time, without a lock; there are as many as threads have been alive at once. A lock is taken
//! when a thread starts or ends.

use std::sync::atomic::{Ordering::SeqCst, fence};

use once_cell::race::OnceRef;
use parking_lot::Mutex;

use super::{Context, held::Tag};

/// The list of all contexts, in use or not: read without a lock, as it only grows.
static FIRST: OnceRef<'static, Context> = OnceRef::new();

/// What is needed when a thread starts or ends.
struct Pool {
    unused: Vec<&'static Context>,
    /// The end of the list.
    last: Option<&'static Context>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { unused: Vec::new(), last: None });

/// A context that no thread has, of one that has ended or new.
pub(in crate::validator) fn take_up() -> &'static Context {
    let unused = POOL.lock().unused.pop();
    unused.unwrap_or_else(|| enlist(Box::leak(Box::new(Context::new()))))
}

/// The thread of a context has ended, and held nothing: another may have it.
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

/// This is a fork, and has the thread of this context: the others are not there. Their contexts
/// are used no more.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn abandon_others(own: Option<&'static Context>) {
    let is_own = |context: &Context| own.is_some_and(|own| std::ptr::eq(context, own));
    all().filter(|context| !is_own(context)).for_each(Context::abandon);
    if let Some(own) = own {
        own.note_os_thread();
    }
}

/// The lock around the pool, without which no context is added.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn pool() -> &'static dyn crate::fork_lock::ForkLock {
    &POOL
}

/// The locks of each context.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn locks_of_contexts()
-> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    all().flat_map(Context::locks)
}

/// A lock is released by a thread that did not take it: finds the one that did, and notes it there. Returns
/// `false` if there is none.
pub(in crate::validator) fn released_elsewhere(tag: Tag) -> bool {
    let holds = |context: &Context| context.held.iter().any(|entry| entry.tag == tag);
    let Some(context) = all().find(|context| holds(context)) else { return false };
    context.note_released_elsewhere(tag);
    // A task that has come to rest meanwhile may have looked at its notes before this one.
    fence(SeqCst);
    holds(context) || !context.forget_released_elsewhere(tag)
}

/// The contexts of all threads that have taken a lock, and of threads to come, which hold
/// nothing and wait for nothing.
pub(in crate::validator) fn all() -> impl Iterator<Item = &'static Context> {
    std::iter::successors(FIRST.get(), |context| context.next.get())
}
