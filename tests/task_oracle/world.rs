//! Runs the tasks of a program on the library's locks.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use lockdep::{
    __private::validator::tasks,
    sync::Mutex as StdMutex,
    tokio::sync::{Mutex, OwnedMutexGuard, RwLock, Semaphore},
};

use crate::{
    executor::Executor,
    program::{EVENTS, LOCKS, PERMITS, POOL, Program, Step},
    truth::{Branching, Doer, Path, Share, Truth},
};

/// The line of the first lock. Each lock has its own line.
pub(crate) const FIRST_LINE: u32 = line!() + 5;

#[rustfmt::skip]
fn locks() -> [Lock; LOCKS] {
    [
        Lock::Mutex(Arc::new(Mutex::new(()))),
        Lock::Mutex(Arc::new(Mutex::new(()))),
        Lock::Mutex(Arc::new(Mutex::new(()))),
        Lock::RwLock(RwLock::new(())),
        Lock::RwLock(RwLock::new(())),
    ]
}

enum Lock {
    Mutex(Arc<Mutex<()>>),
    RwLock(RwLock<()>),
}

/// The tasks that wait for the same thing.
#[derive(Default)]
struct Queue(RefCell<Vec<(u64, usize, Waker)>>);

impl Queue {
    fn wake(&self) {
        let woken = self.0.take();
        for (_, _, waker) in woken {
            waker.wake();
        }
    }

    fn has(&self, task: usize) -> bool {
        self.0.borrow().iter().any(|&(_, of, _)| of == task)
    }
}

/// A place in a queue.
struct Place<'w> {
    queue: &'w Queue,
    key: u64,
    task: usize,
}

impl Place<'_> {
    fn wait(&self, cx: &Context<'_>) {
        let mut queue = self.queue.0.borrow_mut();
        match queue.iter_mut().find(|(key, _, _)| *key == self.key) {
            Some((_, _, waker)) => waker.clone_from(cx.waker()),
            None => queue.push((self.key, self.task, cx.waker().clone())),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.0.borrow_mut().retain(|&(key, _, _)| key != self.key);
    }
}

/// The state that the tasks of one run share.
pub(crate) struct World {
    pub(crate) executor: Rc<Executor>,
    pub(crate) truth: Truth,
    program: Program,
    locks: [Lock; LOCKS],
    pool: Semaphore,
    std: [StdMutex<()>; LOCKS],
    signals: [(Cell<bool>, Queue); EVENTS],
    sent: RefCell<VecDeque<(usize, OwnedMutexGuard<()>, u64)>>,
    receivers: Queue,
    /// The index of each task in the executor, once it has started.
    started: RefCell<Vec<Option<usize>>>,
    /// Decides which of two branches is polled first.
    coin: Cell<u64>,
}

impl World {
    pub(crate) fn new(program: &Program, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            executor: Executor::new(),
            truth: Truth::default(),
            program: program.clone(),
            locks: locks(),
            pool: Semaphore::new(PERMITS as usize),
            std: Default::default(),
            signals: Default::default(),
            sent: RefCell::default(),
            receivers: Queue::default(),
            started: RefCell::new(vec![None; program.tasks.len()]),
            coin: Cell::new(seed),
        })
    }

    /// Starts a task, unless it was started before.
    pub(crate) fn start(self: &Rc<Self>, task: usize) {
        if self.started.borrow()[task].is_some() {
            return;
        }
        let world = Rc::clone(self);
        let at = self.executor.spawn(async move {
            let branch = Branch::new(&world, task);
            outer(&branch, &world.program.tasks[task]).await;
        });
        self.started.borrow_mut()[task] = Some(at);
    }

    /// Returns the index of a task in the executor.
    pub(crate) fn started(&self, task: usize) -> Option<usize> {
        self.started.borrow()[task]
    }

    /// Returns `true` if something other than a lock can wake the task.
    pub(crate) fn has_unknown_waker(&self, task: usize) -> bool {
        self.receivers.has(task) || self.signals.iter().any(|(_, queue)| queue.has(task))
    }

    /// Drops everything that is left.
    pub(crate) fn shut_down(&self) {
        self.executor.shut_down();
        self.sent.borrow_mut().clear();
    }

    fn flip(&self) -> bool {
        self.coin.set(self.coin.get().wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1));
        self.coin.get() >> 63 == 1
    }
}

/// A guard that can only be dropped, or sent.
enum Inner<'w> {
    #[expect(dead_code, reason = "it is only dropped")]
    Borrowed(Box<dyn Opaque + 'w>),
    Owned(OwnedMutexGuard<()>),
}

trait Opaque {}

impl<T> Opaque for T {}

/// A guard with its bookkeeping.
struct Guard<'w> {
    world: &'w World,
    lock: usize,
    hold: u64,
    /// `None` once it is sent.
    inner: Option<Inner<'w>>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.world.truth.release(self.hold);
        }
    }
}

/// One of the futures that a task consists of.
struct Branch<'w> {
    world: &'w Rc<World>,
    task: usize,
    path: Path,
    is_boxed: bool,
    guards: RefCell<Vec<Guard<'w>>>,
}

impl<'w> Branch<'w> {
    fn new(world: &'w Rc<World>, task: usize) -> Self {
        Self { world, task, path: Vec::new(), is_boxed: false, guards: RefCell::default() }
    }

    /// Returns the branch for the steps that follow in a nested block.
    fn next(&self, is_boxed: bool) -> Self {
        let (world, task, path) = (self.world, self.task, self.path.clone());
        Self { world, task, path, is_boxed: self.is_boxed || is_boxed, guards: RefCell::default() }
    }

    fn part(&self, block: u64, branching: Branching) -> Self {
        let mut part = self.next(false);
        part.path.push((block, branching));
        part
    }

    fn doer(&self, is_loose: bool) -> Doer {
        let is_loose = is_loose || self.is_boxed;
        Doer { task: self.task, path: self.path.clone(), is_loose }
    }

    fn keep(&self, lock: usize, is_shared: bool, inner: Inner<'w>, is_loose: bool) {
        let hold = self.world.truth.hold(lock, Share::of(is_shared), self.doer(is_loose));
        self.keep_as(hold, lock, inner);
    }

    fn keep_as(&self, hold: u64, lock: usize, inner: Inner<'w>) {
        let guard = Guard { world: self.world, lock, hold, inner: Some(inner) };
        self.guards.borrow_mut().push(guard);
    }

    async fn wait_in(&self, queue: &Queue, mut is_over: impl FnMut() -> bool) {
        let place = Place { queue, key: self.world.truth.key(), task: self.task };
        poll_fn(|cx| {
            if is_over() {
                return Poll::Ready(());
            }
            place.wait(cx);
            Poll::Pending
        })
        .await;
    }

    fn keep_borrowed(&self, lock: usize, is_shared: bool, guard: impl Sized + 'w) {
        self.keep(lock, is_shared, Inner::Borrowed(Box::new(guard)), false);
    }

    async fn lock(&self, lock: usize) {
        let wanting = self.world.truth.want(lock, Share::Exclusive, self.doer(false));
        match &self.world.locks[lock] {
            Lock::Mutex(mutex) => {
                let guard = mutex.lock().await;
                drop(wanting);
                self.keep_borrowed(lock, false, guard);
            }
            Lock::RwLock(rwlock) => {
                let guard = rwlock.write().await;
                drop(wanting);
                self.keep_borrowed(lock, false, guard);
            }
        }
    }

    async fn read(&self, lock: usize) {
        let Lock::RwLock(rwlock) = &self.world.locks[lock] else { panic!("it has no readers") };
        let wanting = self.world.truth.want(lock, Share::Shared, self.doer(false));
        let guard = rwlock.read().await;
        drop(wanting);
        self.keep_borrowed(lock, true, guard);
    }

    async fn lock_owned(&self, lock: usize) {
        let Lock::Mutex(mutex) = &self.world.locks[lock] else { panic!("it is a mutex") };
        let wanting = self.world.truth.want(lock, Share::Exclusive, self.doer(false));
        let guard = Arc::clone(mutex).lock_owned().await;
        drop(wanting);
        self.keep(lock, false, Inner::Owned(guard), true);
    }

    async fn acquire(&self, permits: u32) {
        let share = Share::Permits(permits);
        let wanting = self.world.truth.want(POOL, share, self.doer(false));
        let guard = self.world.pool.acquire_many(permits).await.expect("it is open");
        drop(wanting);
        let hold = self.world.truth.hold(POOL, share, self.doer(false));
        self.keep_as(hold, POOL, Inner::Borrowed(Box::new(guard)));
    }

    fn try_lock(&self, lock: usize) {
        let guard: Option<Box<dyn Opaque>> = match &self.world.locks[lock] {
            Lock::Mutex(mutex) => mutex.try_lock().ok().map(|guard| Box::new(guard) as _),
            Lock::RwLock(rwlock) => rwlock.try_write().ok().map(|guard| Box::new(guard) as _),
        };
        if let Some(guard) = guard {
            self.keep(lock, false, Inner::Borrowed(guard), true);
        }
    }

    fn unlock(&self, lock: usize) {
        let at = self.guards.borrow().iter().rposition(|guard| guard.lock == lock);
        let guard = at.map(|at| self.guards.borrow_mut().remove(at));
        drop(guard);
    }

    fn send(&self) {
        let is_owned = |guard: &Guard<'_>| matches!(guard.inner, Some(Inner::Owned(_)));
        let at = self.guards.borrow().iter().rposition(is_owned);
        let Some(mut guard) = at.map(|at| self.guards.borrow_mut().remove(at)) else { return };
        if let Some(Inner::Owned(inner)) = guard.inner.take() {
            self.world.truth.give(guard.hold, None);
            self.world.sent.borrow_mut().push_back((guard.lock, inner, guard.hold));
            self.world.receivers.wake();
        }
    }

    async fn receive(&self) {
        let received = RefCell::new(None);
        let is_over = || {
            received.replace(self.world.sent.borrow_mut().pop_front());
            received.borrow().is_some()
        };
        self.wait_in(&self.world.receivers, is_over).await;
        if let Some((lock, inner, hold)) = received.take() {
            self.world.truth.give(hold, Some(self.doer(true)));
            let inner = Some(Inner::Owned(inner));
            self.guards.borrow_mut().push(Guard { world: self.world, lock, hold, inner });
        }
    }

    /// Performs a step that is no block.
    async fn step(&self, step: &Step) {
        match *step {
            Step::Lock(lock) => self.lock(lock).await,
            Step::Read(lock) => self.read(lock).await,
            Step::LockOwned(lock) => self.lock_owned(lock).await,
            Step::TryLock(lock) => self.try_lock(lock),
            Step::Acquire(permits) => self.acquire(permits).await,
            Step::Unlock(lock) => self.unlock(lock),
            Step::Std(lock) => drop(self.world.std[lock].lock()),
            Step::Sleep(time) => self.world.executor.sleep(time).await,
            Step::Yield => yield_by_ref().await,
            Step::Signal(event) => {
                let (is_set, queue) = &self.world.signals[event];
                is_set.set(true);
                queue.wake();
            }
            Step::Wait(event) => {
                let (is_set, queue) = &self.world.signals[event];
                self.wait_in(queue, || is_set.get()).await;
            }
            Step::Spawn(task) => {
                self.world.start(task);
                self.world.truth.loosen(self.task);
            }
            Step::Send => self.send(),
            Step::Receive => self.receive().await,
            _ => panic!("blocks are not this deep"),
        }
    }
}

async fn yield_by_ref() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls both futures until both are done.
async fn both(world: &World, one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    if world.flip() {
        tokio::join!(one, other);
    } else {
        tokio::join!(other, one);
    }
}

/// Polls both futures until one is done, and returns which one.
async fn either(
    world: &World,
    one: Pin<&mut impl Future<Output = ()>>,
    other: Pin<&mut impl Future<Output = ()>>,
) -> usize {
    if world.flip() {
        tokio::select! { biased; () = one => 0, () = other => 1 }
    } else {
        tokio::select! { biased; () = other => 1, () = one => 0 }
    }
}

/// Polls a future until a timer fires, whose waker is known to be that of a timeout.
async fn within(world: &Rc<World>, time: u64, work: impl Future<Output = ()>) {
    let mut timer = pin!(world.executor.sleep(time));
    let time_out = poll_fn(|cx| match tasks::of_timeout(cx.waker()) {
        Some(waker) => timer.as_mut().poll(&mut Context::from_waker(&waker)),
        None => timer.as_mut().poll(cx),
    });
    tokio::select! { biased; () = work => {}, () = time_out => {} }
}

/// Performs steps, of which blocks perform theirs with `$inner`.
macro_rules! steps {
    ($name:ident, $inner:path) => {
        async fn $name(branch: &Branch<'_>, steps: &[Step]) {
            let world = branch.world;
            for step in steps {
                match step {
                    Step::Timeout(time, steps) => {
                        let inner = branch.next(false);
                        within(world, *time, $inner(&inner, steps)).await;
                    }
                    Step::Boxed(steps) => {
                        let inner = branch.next(true);
                        Box::pin($inner(&inner, steps)).await;
                    }
                    Step::Join([one, other]) => {
                        let block = world.truth.key();
                        let [a, b] = [0, 1].map(|at| branch.part(block, Branching::Beside(at)));
                        both(world, $inner(&a, one), $inner(&b, other)).await;
                    }
                    Step::Select { branches: [one, other], then, resumes } => {
                        let block = world.truth.key();
                        let [a, b] = [0, 1].map(|at| branch.part(block, Branching::Beside(at)));
                        let (mut one, mut other) = (pin!($inner(&a, one)), pin!($inner(&b, other)));
                        let over = either(world, one.as_mut(), other.as_mut()).await;
                        let handler = branch.part(block, Branching::Then);
                        $inner(&handler, then).await;
                        match over {
                            _ if !resumes => {}
                            0 => other.await,
                            _ => one.await,
                        }
                    }
                    step => branch.step(step).await,
                }
            }
            // As at the end of an async block.
            let guards = branch.guards.take();
            drop(guards);
        }
    };
}

async fn innermost(branch: &Branch<'_>, steps: &[Step]) {
    for step in steps {
        branch.step(step).await;
    }
    let guards = branch.guards.take();
    drop(guards);
}

steps!(inner, innermost);
steps!(outer, inner);
