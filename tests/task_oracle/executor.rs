//! A runtime with one thread and a simulated clock, which runs tasks in a chosen order.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    panic::Location,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use lockdep::__private::validator::{root_poll, tasks};

/// A task as its runtime sees it.
trait Spawned {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A future in one allocation.
struct Root<F> {
    task: Arc<tasks::Task>,
    future: Pin<Box<Option<F>>>,
}

impl<F: Future<Output = ()>> Spawned for Root<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        root_poll::poll(&self.task, self.future.as_mut(), cx)
    }
}

impl<F> Drop for Root<F> {
    fn drop(&mut self) {
        root_poll::end(&self.task, self.future.as_mut());
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

struct Slot {
    number: u64,
    /// `None` while it is polled, and once it is done.
    spawned: Option<Box<dyn Spawned>>,
    woken: Arc<Woken>,
    is_done: bool,
}

/// Chooses one of several options.
pub(crate) trait Choose {
    fn choose(&mut self, among: usize) -> usize;
}

/// The tasks and timers of one run.
#[derive(Default)]
pub(crate) struct Executor {
    slots: RefCell<Vec<Slot>>,
    now: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    next_timer: Cell<u64>,
}

impl Executor {
    pub(crate) fn new() -> Rc<Self> {
        tasks::believe_at_once();
        Rc::default()
    }

    /// Adds a task, and returns its index.
    #[track_caller]
    pub(crate) fn spawn<F: Future<Output = ()> + 'static>(&self, future: F) -> usize {
        let task = tasks::Task::new(Location::caller(), size_of::<F>());
        let number = number(&task);
        let spawned: Box<dyn Spawned> = Box::new(Root { task, future: Box::pin(Some(future)) });
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let mut slots = self.slots.borrow_mut();
        slots.push(Slot { number, spawned: Some(spawned), woken, is_done: false });
        slots.len() - 1
    }

    /// Polls a task, whether it was woken or not.
    pub(crate) fn poll(&self, at: usize) {
        let (mut spawned, woken) = {
            let slot = &mut self.slots.borrow_mut()[at];
            let Some(spawned) = slot.spawned.take() else { return };
            (spawned, Arc::clone(&slot.woken))
        };
        woken.0.store(false, SeqCst);
        let waker = Waker::from(woken);
        let is_done = spawned.poll(&mut Context::from_waker(&waker)).is_ready();
        let mut slots = self.slots.borrow_mut();
        slots[at].is_done = is_done;
        slots[at].spawned = Some(spawned);
    }

    /// Drops a task.
    pub(crate) fn abort(&self, at: usize) {
        let gone = self.slots.borrow_mut()[at].spawned.take();
        drop(gone);
    }

    fn ready(&self) -> Vec<usize> {
        let slots = self.slots.borrow();
        let is_ready = |slot: &Slot| slot.spawned.is_some() && slot.woken.0.load(SeqCst);
        (0..slots.len()).filter(|&at| !slots[at].is_done && is_ready(&slots[at])).collect()
    }

    /// Polls woken tasks and advances the clock until nothing is left to happen.
    pub(crate) fn run(&self, choice: &mut impl Choose) {
        loop {
            let ready = self.ready();
            let has_timer = !self.timers.borrow().is_empty();
            match ready.len() + usize::from(has_timer) {
                0 => return,
                count => match ready.get(choice.choose(count)) {
                    Some(&at) => self.poll(at),
                    None => self.fire(),
                },
            }
        }
    }

    fn fire(&self) {
        let first = self.timers.borrow_mut().pop_first();
        if let Some(((time, _), waker)) = first {
            self.now.set(time);
            waker.wake();
        }
    }

    pub(crate) fn is_done(&self, at: usize) -> bool {
        self.slots.borrow()[at].is_done
    }

    /// Returns the task that reports call by this number.
    pub(crate) fn with_number(&self, number: u64) -> Option<usize> {
        self.slots.borrow().iter().position(|slot| slot.number == number)
    }

    /// Drops all tasks.
    pub(crate) fn shut_down(&self) {
        let count = self.slots.borrow().len();
        (0..count).for_each(|at| self.abort(at));
    }

    pub(crate) fn sleep(self: &Rc<Self>, time: u64) -> Sleep {
        Sleep { executor: Rc::clone(self), until: self.now.get() + time, key: None }
    }
}

fn number(task: &tasks::Task) -> u64 {
    let text = format!("{task:?}");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a task shows its number")
}

/// A timer.
pub(crate) struct Sleep {
    executor: Rc<Executor>,
    until: u64,
    key: Option<(u64, u64)>,
}

impl Sleep {
    fn cancel(&mut self) {
        if let Some(key) = self.key.take() {
            let gone = self.executor.timers.borrow_mut().remove(&key);
            drop(gone);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let executor = Rc::clone(&self.executor);
        let mut timers = executor.timers.borrow_mut();
        if let Some(waker) = self.key.and_then(|key| timers.get_mut(&key)) {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        if self.key.is_some() || self.until <= executor.now.get() {
            self.key = None;
            return Poll::Ready(());
        }
        let key = (self.until, executor.next_timer.replace(executor.next_timer.get() + 1));
        timers.insert(key, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}
