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

/// All of ours but those of contexts, always in this order. No thread takes one while it holds another,
/// but for those of contexts, which come last. With that around the pool, there are no more contexts.
fn locks() -> impl Iterator<Item = &'static dyn Renewable> {
    let ours = [knowledge::itself(), leaks::lock(), deadlock::lock(), threads::pool()];
    render::locks().into_iter().chain(ledger::locks()).chain(ours)
}

/// All that were taken, in the order in which they are given back: those of contexts first, or it
/// would be given what a thread that has come meanwhile never lost.
fn taken() -> impl Iterator<Item = &'static dyn Renewable> {
    threads::locks_of_contexts().chain(locks())
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
        threads::locks_of_contexts().for_each(Renewable::take);
    }
}

extern "C" fn in_parent() {
    if TAKEN.replace(false) {
        // SAFETY: taken by this thread, before.
        taken().for_each(|lock| unsafe { lock.give_back() });
    }
}

extern "C" fn in_child() {
    if TAKEN.replace(false) {
        // SAFETY: taken by this thread, before, and there is no other.
        taken().for_each(|lock| unsafe { lock.renew() });
        knowledge::recorded::forget_recorded();
    }
    threads::abandon_others(current_if_attached());
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use super::*;

    /// A thread that waits for its first context while all is taken has it before all is given back.
    #[test]
    fn what_was_not_taken_is_not_given_back() {
        let _own = super::super::current();
        // No context is left for the thread that comes.
        let unused: Vec<_> = (0..100).map(|_| threads::take_up()).collect();
        let others = threads::locks_of_contexts().count();
        before();
        let taken_before = taken().count();
        let comes = thread::spawn(|| threads::give_back(threads::take_up()));
        let mut given_back = 0;
        for lock in taken() {
            // SAFETY: taken by this thread, before.
            unsafe { lock.give_back() };
            given_back += 1;
            // For the thread to come in between, were the pool's lock not the last: nothing tells when it
            // has added its context but the list that is being walked.
            thread::sleep(Duration::from_micros(200));
        }
        TAKEN.set(false);
        comes.join().unwrap();
        unused.into_iter().for_each(threads::give_back);
        // Only now: what fails with all of it taken would hang.
        assert!(taken_before >= others);
        assert_eq!(given_back, taken_before);
    }
}
