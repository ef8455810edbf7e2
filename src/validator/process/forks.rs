//! Forks: the child has one thread, and no other thread completes what it was doing.
//!
//! Before a fork, the handler takes all locks of lockdep, so that their contents are consistent.
//! Afterwards the parent releases them. The child resets them, because the threads that queued for
//! them do not exist there. Locks that are only acquired with a timeout, and those of controllers,
//! are left out.
//!
//! What the parent's other threads held is [orphaned](crate::validator::context::orphans) in the
//! child.
#![allow(unsafe_code, reason = "`pthread_atfork` is, and so is what a lock is made new by")]

use std::cell::Cell;

use crate::{
    fork_lock::ForkLock,
    ledger,
    stack::symbols,
    validator::{
        context::{
            Context, State as ThreadState, awaited_calls, current::current_if_attached, job_log,
            leaks, obligations, registry,
        },
        deadlock, graph, helpers,
        lock_id::creation_sites,
        pools, tasks,
    },
};

thread_local! {
    /// `true` while the calling thread holds them for a fork.
    static TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// Returns the internal locks except those of contexts and creation sites, in a fixed order. A
/// thread that holds one of these takes only those two kinds, which come last. While the pool is
/// locked, no context is added.
fn locks() -> impl Iterator<Item = &'static dyn ForkLock> {
    let ours = [
        graph::itself(),
        obligations::lock(),
        job_log::lock(),
        awaited_calls::lock(),
        leaks::lock(),
        deadlock::lock(),
        registry::pool(),
    ];
    let tables = tasks::locks().chain(pools::locks());
    [symbols::lock()].into_iter().chain(ledger::locks()).chain(tables).chain(ours)
}

/// Returns all locks that `before` has taken, in the order of their release. The locks of contexts
/// come before the pool's: otherwise the locks of a context that another thread adds meanwhile
/// would be released as well.
fn taken() -> impl Iterator<Item = &'static dyn ForkLock> {
    [creation_sites::lock()].into_iter().chain(registry::locks_of_contexts()).chain(locks())
}

/// Registers handlers for the forks of this process.
pub(in crate::validator) fn watch() {
    // SAFETY: none of the handlers unwinds.
    unsafe {
        libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child));
    }
}

extern "C" fn before() {
    // If an allocator forks while lockdep allocates, or a signal handler does, this thread may
    // already hold some of them. Then none is taken, and the child inherits them as they are.
    let is_inside = |context: &Context| context.is(ThreadState::InValidator);
    if !current_if_attached().is_some_and(is_inside) && !creation_sites::is_assigning() {
        TAKEN.set(true);
        locks().for_each(ForkLock::take);
        registry::locks_of_contexts().for_each(ForkLock::take);
        creation_sites::lock().take();
    }
}

extern "C" fn in_parent() {
    if TAKEN.replace(false) {
        // SAFETY: `before` has locked it in this thread.
        taken().for_each(|lock| unsafe { lock.give_back() });
    }
}

extern "C" fn in_child() {
    let own = current_if_attached();
    let is_consistent = TAKEN.replace(false);
    if is_consistent {
        // SAFETY: `before` has locked it in this thread, which is the only one.
        taken().for_each(|lock| unsafe { lock.renew() });
        graph::recorded::forget_recorded();
    }
    // What this thread holds outside of the task that it polls is in another context, which looks
    // like that of another thread.
    let is_in_task = own.is_some_and(Context::is_of_task);
    registry::abandon_others(own, is_consistent && !is_in_task);
    helpers::forget_all();
}

#[cfg(test)]
mod tests {
    use std::{
        hint,
        sync::{Barrier, PoisonError},
        thread,
        time::Duration,
    };

    use super::*;
    use crate::{
        finding::{LockKind, LockOf, Role},
        sync::Mutex,
    };

    /// Tests that take all locks would delay a fork.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    /// Another thread adds a block of ids while this one forks. The child then adds one as well.
    #[test]
    fn a_child_can_give_ids_to_locks_of_a_new_creation_site() {
        static KIND: LockKind = LockKind { wrapper: "new", of: LockOf::Nothing, role: Role::Lock };
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // Fork handlers are registered with the first context.
        let _own = crate::validator::current();
        let is_held = Barrier::new(2);
        let status = thread::scope(|scope| {
            scope.spawn(|| {
                let adding = creation_sites::lock();
                adding.take();
                is_held.wait();
                // Gives the fork time to begin.
                (0..1_000_000).for_each(|_| hint::spin_loop());
                // SAFETY: locked by this thread.
                unsafe { adding.give_back() }
            });
            is_held.wait();
            // SAFETY: the child takes an id and ends. `alarm` ends it if it hangs.
            unsafe {
                match libc::fork() {
                    0 => {
                        libc::alarm(20);
                        let id = creation_sites::next_id(None, &KIND, None);
                        libc::_exit(i32::from(!std::ptr::eq(
                            creation_sites::of(id).0,
                            &raw const KIND,
                        )))
                    }
                    pid => {
                        let mut status = 0;
                        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
                        status
                    }
                }
            }
        });
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status}");
    }

    /// A thread that waits for its first context while all locks are taken gets it before all are
    /// released.
    #[test]
    fn locks_that_were_not_taken_are_not_released() {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let _own = crate::validator::current();
        // Leaves no unused context for the new thread.
        let unused: Vec<_> = (0..100).map(|_| registry::take_up()).collect();
        let others = registry::locks_of_contexts().count();
        before();
        let taken_before = taken().count();
        let comes = thread::spawn(|| registry::give_back(registry::take_up()));
        let mut given_back = 0;
        for lock in taken() {
            // SAFETY: `before` has locked it in this thread.
            unsafe { lock.give_back() };
            given_back += 1;
            // Lets the thread proceed if the pool's lock is not the last. The list being iterated
            // is the only sign that it has added its context.
            thread::sleep(Duration::from_micros(200));
        }
        TAKEN.set(false);
        comes.join().unwrap();
        unused.into_iter().for_each(registry::give_back);
        // Only now: a failed assertion with all locks taken would hang.
        assert!(taken_before >= others);
        assert_eq!(given_back, taken_before);
    }
}
