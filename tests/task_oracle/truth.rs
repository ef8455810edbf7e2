//! The actual state of a running program: which task holds what, which one waits for it, and what
//! follows what in the text.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use crate::program::{PERMITS, POOL};

/// The position of an action in a task: its branch in each enclosing block.
pub(crate) type Path = Vec<(u64, Branching)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branching {
    /// One of those that are polled concurrently.
    Beside(usize),
    /// After one of them is done, while the other is not polled.
    Then,
}

/// Returns `true` if the action at `first` is before that at `second`, in one task.
fn is_before(first: &Path, second: &Path) -> bool {
    let parting = first.iter().zip(second).find(|(first, second)| first != second);
    parting.is_none_or(|((_, _), (_, second))| *second == Branching::Then)
}

/// The origin of an action.
#[derive(Clone)]
pub(crate) struct Doer {
    pub(crate) task: usize,
    pub(crate) path: Path,
    /// Its guards and futures may leave the task, as far as the library can know.
    pub(crate) is_loose: bool,
}

/// How much of a lock a guard has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Exclusive,
    Shared,
    /// So many permits of the semaphore.
    Permits(u32),
}

impl Share {
    pub(crate) fn of(is_shared: bool) -> Self {
        if is_shared { Self::Shared } else { Self::Exclusive }
    }

    fn permits(self) -> u32 {
        match self {
            Self::Permits(permits) => permits,
            Self::Exclusive | Self::Shared => 0,
        }
    }
}

struct Hold {
    key: u64,
    lock: usize,
    share: Share,
    /// `None` while the guard is being sent to another task.
    by: Option<Doer>,
}

struct Want {
    key: u64,
    lock: usize,
    share: Share,
    by: Doer,
}

/// An edge from a held lock to a wanted one.
pub(crate) type Edge = (usize, usize);

#[derive(Default)]
pub(crate) struct Truth {
    next: Cell<u64>,
    holds: RefCell<Vec<Hold>>,
    /// In the order of the locks' queues.
    wants: RefCell<Vec<Want>>,
    /// Between locks that one task acquires one after the other.
    edges: RefCell<BTreeSet<Edge>>,
    /// Those by guards and futures that cannot have left it.
    firm_edges: RefCell<BTreeSet<Edge>>,
}

/// A task's wait for a lock.
pub(crate) struct Wait {
    pub(crate) waiter: usize,
    /// The tasks that have to continue before it is free. `None` for a guard that is being sent.
    pub(crate) blockers: Vec<Option<usize>>,
    /// Any of them ends it: it is for a permit.
    pub(crate) is_for_permit: bool,
    /// Some of the permits are in no guard: they were granted, or are kept for who waits for more.
    pub(crate) is_partial: bool,
}

impl Wait {
    /// Returns `true` if it lasts for ever, given that these tasks never continue.
    pub(crate) fn is_for_ever(&self, stuck: &BTreeSet<usize>) -> bool {
        let mut are_stuck =
            self.blockers.iter().map(|it| it.is_some_and(|blocker| stuck.contains(&blocker)));
        if self.is_for_permit { are_stuck.all(|it| it) } else { are_stuck.any(|it| it) }
    }
}

impl Truth {
    pub(crate) fn key(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    pub(crate) fn hold(&self, lock: usize, share: Share, by: Doer) -> u64 {
        let key = self.key();
        self.holds.borrow_mut().push(Hold { key, lock, share, by: Some(by) });
        key
    }

    pub(crate) fn give(&self, hold: u64, to: Option<Doer>) {
        let mut holds = self.holds.borrow_mut();
        holds.iter_mut().find(|it| it.key == hold).expect("it is held").by = to;
    }

    pub(crate) fn release(&self, hold: u64) {
        self.holds.borrow_mut().retain(|it| it.key != hold);
    }

    /// Records that a lock is wanted, until the result is dropped.
    pub(crate) fn want(&self, lock: usize, share: Share, by: Doer) -> Wanting<'_> {
        for hold in &*self.holds.borrow() {
            let Some(holder) = &hold.by else { continue };
            // The semaphore is not part of the order.
            if [hold.lock, lock].contains(&POOL) {
                continue;
            }
            if holder.task == by.task && hold.lock != lock && is_before(&holder.path, &by.path) {
                self.edges.borrow_mut().insert((hold.lock, lock));
                if !holder.is_loose {
                    self.firm_edges.borrow_mut().insert((hold.lock, lock));
                }
            }
        }
        let key = self.key();
        self.wants.borrow_mut().push(Want { key, lock, share, by });
        Wanting { truth: self, key }
    }

    /// Records that the task has started another one, to which its guards and futures may have
    /// moved.
    pub(crate) fn loosen(&self, task: usize) {
        let mut holds = self.holds.borrow_mut();
        let mut wants = self.wants.borrow_mut();
        let holders = holds.iter_mut().filter_map(|it| it.by.as_mut());
        let all = holders.chain(wants.iter_mut().map(|it| &mut it.by));
        all.filter(|it| it.task == task).for_each(|it| it.is_loose = true);
    }

    pub(crate) fn edges(&self) -> BTreeSet<Edge> {
        self.edges.borrow().clone()
    }

    pub(crate) fn firm_edges(&self) -> BTreeSet<Edge> {
        self.firm_edges.borrow().clone()
    }

    /// Returns the waits for locks that were not granted, once nothing happens any more. Each lock
    /// has one queue, in order.
    pub(crate) fn waits(&self) -> Vec<Wait> {
        let holds = self.holds.borrow();
        let mut held: Vec<(usize, Share, Option<&Doer>)> =
            holds.iter().map(|it| (it.lock, it.share, it.by.as_ref())).collect();
        let in_guards: u32 = holds.iter().map(|it| it.share.permits()).sum();
        let (mut free, is_partial) = (PERMITS - in_guards, in_guards < PERMITS);
        let mut waiting: Vec<&Want> = Vec::new();
        let mut waits = Vec::new();
        for want in &*self.wants.borrow() {
            let is_for_permit = want.lock == POOL;
            let are_both_shared = |share| share == Share::Shared && want.share == Share::Shared;
            let holders = held
                .iter()
                .filter(|(lock, share, _)| *lock == want.lock && !are_both_shared(*share));
            let ahead = waiting.iter().filter(|it| !is_for_permit && it.lock == want.lock);
            let queue = ahead.map(|it| Some(&it.by));
            let blockers: Vec<Option<&Doer>> = holders.map(|it| it.2).chain(queue).collect();
            let is_granted =
                if is_for_permit { want.share.permits() <= free } else { blockers.is_empty() };
            let kept = want.share.permits().min(free);
            free -= kept;
            if is_granted || kept > 0 {
                // It was granted, but its task has not been polled since. Or the permits that are free are kept for it.
                held.push((want.lock, want.share, Some(&want.by)));
            }
            if is_granted {
                continue;
            }
            waits.push(Wait {
                waiter: want.by.task,
                blockers: blockers.into_iter().map(|it| Some(it?.task)).collect(),
                is_for_permit,
                is_partial: is_for_permit && is_partial,
            });
            waiting.push(want);
        }
        waits
    }
}

/// A wanted lock.
pub(crate) struct Wanting<'a> {
    truth: &'a Truth,
    key: u64,
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.truth.wants.borrow_mut().retain(|it| it.key != self.key);
    }
}
