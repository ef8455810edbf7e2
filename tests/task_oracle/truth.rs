//! The actual state of a running program: which task holds what, which one waits for it, and what
//! follows what in the text.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

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

struct Hold {
    key: u64,
    lock: usize,
    is_shared: bool,
    /// `None` while the guard is being sent to another task.
    by: Option<Doer>,
}

struct Want {
    key: u64,
    lock: usize,
    is_shared: bool,
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
}

impl Truth {
    pub(crate) fn key(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    pub(crate) fn hold(&self, lock: usize, is_shared: bool, by: Doer) -> u64 {
        let key = self.key();
        self.holds.borrow_mut().push(Hold { key, lock, is_shared, by: Some(by) });
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
    pub(crate) fn want(&self, lock: usize, is_shared: bool, by: Doer) -> Wanting<'_> {
        for hold in &*self.holds.borrow() {
            let Some(holder) = &hold.by else { continue };
            if holder.task == by.task && hold.lock != lock && is_before(&holder.path, &by.path) {
                self.edges.borrow_mut().insert((hold.lock, lock));
                if !holder.is_loose {
                    self.firm_edges.borrow_mut().insert((hold.lock, lock));
                }
            }
        }
        let key = self.key();
        self.wants.borrow_mut().push(Want { key, lock, is_shared, by });
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
        let mut held: Vec<(usize, bool, Option<&Doer>)> =
            holds.iter().map(|it| (it.lock, it.is_shared, it.by.as_ref())).collect();
        let mut waiting: Vec<&Want> = Vec::new();
        let mut waits = Vec::new();
        for want in &*self.wants.borrow() {
            let holders = held.iter().filter(|(lock, is_shared, _)| {
                *lock == want.lock && !(*is_shared && want.is_shared)
            });
            let queue = waiting.iter().filter(|it| it.lock == want.lock).map(|it| Some(&it.by));
            let blockers: Vec<Option<&Doer>> = holders.map(|it| it.2).chain(queue).collect();
            if blockers.is_empty() {
                // It was granted, but its task has not been polled since.
                held.push((want.lock, want.is_shared, Some(&want.by)));
                continue;
            }
            waits.push(Wait {
                waiter: want.by.task,
                blockers: blockers.into_iter().map(|it| Some(it?.task)).collect(),
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
