//! Waiting lock operations.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{
            AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::{
    Task,
    hands::{self, Whereabouts},
    polled, stacks, wakers,
};
use crate::{
    finding::Mode,
    stack::Stack,
    validator::{
        clock::Moment,
        context::{current::inside, held::Entry},
        lock_id::LockId,
    },
};

/// A lock operation that waits, or was granted its lock and not polled since.
pub(super) struct Op {
    pub(super) wanted: Entry,
    /// `true` if it wants to write a lock that also has readers.
    is_writer: bool,
    /// Its position in the lock's queue, less than that of any later operation. Assigned while the
    /// queue is locked, when the semaphore clones the waker.
    pub(super) place: u64,
    /// The address of its future.
    future: usize,
    pub(super) since: Moment,
    pub(super) stack: Stack,
    /// A [`Grant`]. A change from granted is made under the lock of its [hands].
    grant: AtomicU8,
    /// A [`Whereabouts`].
    whereabouts: AtomicU8,
    polled_by: Mutex<PolledBy>,
}

/// The state of an operation's grant since it was last polled.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Grant {
    No,
    /// The lock was granted, and the task is about to be woken.
    UnderWay,
    Given,
    /// The future is gone, or has the lock.
    Over,
}

/// The task and waker of the last poll.
#[derive(Default)]
struct PolledBy {
    task: Option<Arc<Task>>,
    /// The waker that it was polled with, if that is not its task's, for example that of a
    /// `FuturesUnordered`.
    other: Option<Arc<Waker>>,
}

impl Op {
    pub(super) fn new(wanted: Wanted, future: usize, waker: &Waker) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let Wanted { entry: wanted, is_writer } = wanted;
        let operation = Arc::new(Self {
            wanted,
            is_writer,
            place: NEXT.fetch_add(1, Relaxed),
            future,
            since: Moment::now(),
            stack: stacks::of_operation(),
            grant: AtomicU8::new(Grant::No as u8),
            whereabouts: AtomicU8::new(Whereabouts::Unknown as u8),
            polled_by: Mutex::default(),
        });
        if is_writer {
            hands::queue_writer(&operation);
        }
        operation.begin_poll(waker);
        operation
    }

    /// Returns the lock as it is held after the grant.
    pub(super) fn held(&self) -> Entry {
        Entry { tag: self.wanted.tag.once_held(), ..self.wanted }
    }

    /// Returns `true` if others may hold the lock at the same time, or may already.
    pub(super) fn has_readers(&self) -> bool {
        self.is_writer || self.wanted.tag.mode() != Mode::Exclusive
    }

    pub(super) fn lock(&self) -> LockId {
        self.wanted.tag.lock()
    }

    pub(super) fn is_granted(&self) -> bool {
        self.grant.load(SeqCst) != Grant::No as u8
    }

    /// Returns `true` if the lock was granted, but the task may not know that yet.
    pub(super) fn is_grant_under_way(&self) -> bool {
        self.grant.load(SeqCst) == Grant::UnderWay as u8
    }

    /// Marks it as granted. Returns `false` if it already was, or is over. Under the lock of its
    /// [hands].
    pub(super) fn begin_grant(&self) -> bool {
        let (no, under_way) = (Grant::No as u8, Grant::UnderWay as u8);
        self.grant.compare_exchange(no, under_way, SeqCst, SeqCst).is_ok()
    }

    /// Called when its task is awake.
    fn give_grant(&self) {
        let (under_way, given) = (Grant::UnderWay as u8, Grant::Given as u8);
        let _ = self.grant.compare_exchange(under_way, given, SeqCst, SeqCst);
    }

    /// Ends it if it was not granted, so that it never will be. Returns `false` if it was.
    fn end_ungranted(&self) -> bool {
        let (no, over) = (Grant::No as u8, Grant::Over as u8);
        self.grant.compare_exchange(no, over, SeqCst, SeqCst).is_ok()
    }

    /// Forgets a grant. Under the lock of its [hands].
    pub(super) fn forget_grant(&self, is_over: bool) {
        let next = if is_over { Grant::Over } else { Grant::No };
        self.grant.store(next as u8, SeqCst);
    }

    /// Returns `true` if its grant wakes its task, rather than another waker.
    pub(super) fn wakes_task(&self) -> bool {
        self.polled_by.lock().other.is_none()
    }

    /// Returns the task that polled it last.
    pub(super) fn task(&self) -> Option<Arc<Task>> {
        self.polled_by.lock().task.clone()
    }

    /// Returns its whereabouts, provided that the task that polled it last has it.
    pub(super) fn whereabouts(&self) -> Whereabouts {
        Whereabouts::from_number(self.whereabouts.load(Relaxed))
    }

    /// If it is in a box, makes its whereabouts unknown until it is polled again.
    pub(super) fn loosen(&self) {
        if self.whereabouts() != Whereabouts::Task {
            self.whereabouts.store(Whereabouts::Unknown as u8, Relaxed);
        }
    }

    /// Called when it is about to be polled with this waker.
    fn begin_poll(self: &Arc<Self>, waker: &Waker) {
        self.end_grant();
        let own = wakers::task_of(waker);
        if let Some(own) = &own {
            own.runtime.keep();
        }
        let other = if own.is_some() { None } else { Some(self.known_or_cloned(waker)) };
        let task = own.or_else(polled);
        let in_memory = task.as_ref().is_some_and(|task| task.contains(self.future));
        let whereabouts = if in_memory { Whereabouts::Task } else { Whereabouts::Box };
        self.whereabouts.store(whereabouts as u8, Relaxed);
        let next = PolledBy { task: task.clone(), other };
        let before = mem::replace(&mut *self.polled_by.lock(), next);
        let is_same = match (&before.task, &task) {
            (Some(before), Some(task)) => Arc::ptr_eq(before, task),
            (before, task) => before.is_none() && task.is_none(),
        };
        if !is_same {
            if let Some(before) = &before.task {
                before.remove(self);
            }
            if let Some(task) = task {
                task.add(self);
            }
        }
    }

    /// Returns the waker to store for the grant. Its code is the program's, so no lock is held.
    fn known_or_cloned(&self, waker: &Waker) -> Arc<Waker> {
        let known = self.polled_by.lock().other.clone();
        known.filter(|known| known.will_wake(waker)).unwrap_or_else(|| Arc::new(waker.clone()))
    }

    /// Called when the lock is granted or closed.
    ///
    /// The semaphore inside tokio's locks calls this once the operation has all of its permits. An
    /// operation with an exhausted cooperative budget is woken as well, so "granted" means that it
    /// may have the lock. That is enough: it adds a holder to a lock, and never removes one.
    pub(super) fn wake(self: &Arc<Self>) {
        // Until then, the lock has neither a holder nor a grant, so no census considers a task
        // stuck on it.
        inside(|| hands::grant(self));
        let (task, other) = {
            let polled_by = self.polled_by.lock();
            (polled_by.task.clone(), polled_by.other.clone())
        };
        match (other, task) {
            (None, Some(task)) => {
                // A census that sees the grant must see that the task was woken.
                task.note_wake();
                self.give_grant();
                task.runtime.wake();
            }
            (Some(other), task) => {
                self.give_grant();
                other.wake_by_ref();
                if let Some(task) = task {
                    task.wake_if_forgotten();
                }
            }
            (None, None) => self.give_grant(),
        }
    }

    fn end_grant(self: &Arc<Self>) {
        if self.is_granted() {
            hands::end_grant(self);
        }
    }

    /// Called when its future has the lock, or is dropped.
    fn end(self: &Arc<Self>) {
        if !self.end_ungranted() || self.is_writer {
            hands::end(self, self.is_writer);
        }
        let before = mem::take(&mut *self.polled_by.lock());
        if let Some(task) = before.task {
            task.remove(self);
        }
    }
}

impl Task {
    fn add(self: &Arc<Self>, operation: &Arc<Op>) {
        let mut operations = self.operations.lock();
        operations.push(Arc::clone(operation));
        self.pending.store(operations.len(), Relaxed);
        if operations.len() == 1 {
            WAITING.fetch_add(1, SeqCst);
            waiting(self.number).lock().insert(self.number, Arc::clone(self));
        }
    }

    fn remove(&self, operation: &Arc<Op>) {
        let mut operations = self.operations.lock();
        operations.retain(|other| !Arc::ptr_eq(other, operation));
        self.pending.store(operations.len(), Relaxed);
        if operations.is_empty() {
            WAITING.fetch_sub(1, SeqCst);
            // The caller has the task as well, so nothing is dropped under the lock.
            waiting(self.number).lock().remove(&self.number);
        }
    }
}

/// The number of tasks with waiting operations.
static WAITING: AtomicUsize = AtomicUsize::new(0);

type Shard = Mutex<HashMap<u64, Arc<Task>, FxBuildHasher>>;

/// These tasks by number, in enough shards that threads rarely contend for one.
static TASKS: [Shard; 16] = [const { Mutex::new(HashMap::with_hasher(FxBuildHasher)) }; 16];

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
fn waiting(task: u64) -> &'static Shard {
    &TASKS[task as usize % TASKS.len()]
}

pub(super) fn are_any_waiting() -> bool {
    WAITING.load(SeqCst) != 0
}

/// Returns the tasks with waiting operations.
pub(in crate::validator) fn all_waiting() -> Vec<Arc<Task>> {
    TASKS.iter().flat_map(|tasks| tasks.lock().values().cloned().collect::<Vec<_>>()).collect()
}

/// Returns the locks of all shards, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn locks() -> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    TASKS.iter().map(|tasks| tasks as &dyn crate::fork_lock::ForkLock)
}

/// A lock that an operation wants.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) entry: Entry,
    /// `true` for a write of a lock that also has readers.
    pub(crate) is_writer: bool,
}

/// The state of a lock operation between two of its polls: nothing, unless it had to wait.
#[derive(Default)]
pub(crate) struct Operation(Option<Arc<Op>>);

impl Operation {
    /// Returns `true` if it had to wait.
    #[inline]
    pub(crate) fn has_waited(&self) -> bool {
        self.0.is_some()
    }

    /// Polls the wrapped operation, which is part of the future at this address.
    #[inline]
    pub(crate) fn poll<R>(
        &mut self,
        wanted: Wanted,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        if let Some(operation) = &self.0 {
            inside(|| operation.begin_poll(cx.waker()));
            let waker = wakers::of_operation(operation);
            return poll(&mut Context::from_waker(&waker));
        }
        let future = std::ptr::from_ref(self).addr();
        let stub = wakers::Stub::new(cx.waker(), wanted, future);
        let polled = poll(&mut Context::from_waker(&stub.waker()));
        self.0 = stub.into_operation();
        polled
    }
}

impl Drop for Operation {
    #[inline]
    fn drop(&mut self) {
        if let Some(operation) = self.0.take() {
            inside(|| operation.end());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        future::poll_fn,
        panic::Location,
        pin::{Pin, pin},
    };

    use super::*;
    use crate::{
        finding::{LockKind, LockOf, Mode, Role},
        validator::{context::held::Tag, identity::Identity, root_poll},
    };

    static KIND: LockKind = LockKind {
        wrapper: "Mutex",
        of: LockOf::Awaited(std::any::type_name::<()>),
        role: Role::Lock,
    };

    fn wanted() -> Wanted {
        let lock = Identity::new().id(&KIND, None);
        let tag = Tag::new(lock, Mode::Exclusive);
        Wanted { entry: Entry { tag, site: Location::caller() }, is_writer: false }
    }

    /// Polls an operation in a task, with a lock that returns `result`. Returns its waker.
    fn poll(operation: &mut Operation, wanted: Wanted, result: Poll<()>) -> Option<Waker> {
        let mut waker = None;
        let future = poll_fn(|cx| {
            operation.poll(wanted, cx, |cx| {
                waker = Some(cx.waker().clone());
                result
            })
        });
        let task = Task::new(Location::caller(), size_of_val(&future));
        let mut root: Pin<&mut Option<_>> = pin!(Some(future));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(root_poll::poll(&task, root.as_mut(), &mut cx), result);
        root_poll::end(&task, root);
        waker
    }

    /// A lock chooses an operation and wakes it later. The operation may have taken the lock
    /// meanwhile.
    #[test]
    fn a_late_wake_leaves_no_grant() {
        let wanted = wanted();
        let mut operation = Operation::default();
        let waker = poll(&mut operation, wanted, Poll::Pending).unwrap();
        poll(&mut operation, wanted, Poll::Ready(()));
        drop(operation);
        waker.wake();
        assert!(hands::of(wanted.entry.tag.lock()).granted.is_empty());
    }

    #[test]
    fn a_grant_stands_until_the_next_poll() {
        let wanted = wanted();
        let granted = || hands::of(wanted.entry.tag.lock()).granted.len();
        let mut operation = Operation::default();
        let waker = poll(&mut operation, wanted, Poll::Pending).unwrap();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert_eq!(granted(), 1);
        poll(&mut operation, wanted, Poll::Pending);
        assert_eq!(granted(), 0);
        waker.wake();
        assert_eq!(granted(), 1);
        drop(operation);
        assert_eq!(granted(), 0);
    }
}
