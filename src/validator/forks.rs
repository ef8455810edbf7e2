//! Forks: the child has one thread, and no other ever finishes what it was in the middle of.
//!
//! Before a fork all our locks are taken, so that what they guard is whole; afterwards the parent
//! gives them back, and the child makes them new: whoever queued for them is not there, and would be
//! handed them. Locks that are waited for with patience alone, and those of scripts, are left out.
#![allow(unsafe_code, reason = "`pthread_atfork` is, and so is what a lock is made new by")]

use std::cell::Cell;

use super::{Context, ThreadState, current_if_attached, deadlock, knowledge, leaks, threads};
use crate::{ledger, render, renewable::Renewable};

thread_local! {
    /// Whether the calling thread has taken them.
    static TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// All of ours, always in this order. No thread takes one while it holds another, but for those
/// of contexts, which come last.
fn locks() -> impl Iterator<Item = &'static dyn Renewable> {
    let ours = [knowledge::itself(), leaks::lock(), deadlock::lock()];
    let below = render::locks().into_iter().chain(ledger::locks());
    below.chain(ours).chain(threads::locks())
}

/// Watches the forks of this process.
pub(super) fn watch() {
    // SAFETY: none of the handlers unwinds.
    unsafe {
        libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child));
    }
}

extern "C" fn before() {
    // An allocator that forks, while we allocate: its child has to be content with what there is.
    let is_inside = |context: &Context| context.is(ThreadState::Inside);
    if !current_if_attached().is_some_and(is_inside) {
        TAKEN.set(true);
        locks().for_each(Renewable::take);
    }
}

extern "C" fn in_parent() {
    if TAKEN.replace(false) {
        // SAFETY: taken by this thread, before.
        locks().for_each(|lock| unsafe { lock.give_back() });
    }
}

extern "C" fn in_child() {
    if TAKEN.replace(false) {
        // SAFETY: taken by this thread, before, and there is no other.
        locks().for_each(|lock| unsafe { lock.renew() });
    }
    threads::abandon_others(current_if_attached());
}
