//! Executors other than tokio, and the lifetime of their wakers.
#![allow(unsafe_code, reason = "wakers are made by hand")]

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    ptr,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
    thread,
    time::{Duration, Instant},
};

use lockdep::{
    as_task,
    tokio::sync::{Mutex, oneshot},
};

/// Waits for up to two seconds.
fn until(is_true: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(2);
    while !is_true() && Instant::now() < end {
        thread::yield_now();
    }
    is_true()
}

static IS_ALIVE: AtomicBool = AtomicBool::new(false);
static IS_IN_USE: AtomicBool = AtomicBool::new(false);
static USED_LATE: AtomicUsize = AtomicUsize::new(0);
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// A borrowed waker like tokio's `waker_ref`, which lives as long as the poll.
static BORROWED: RawWakerVTable = RawWakerVTable::new(
    |_| RawWaker::new(ptr::from_ref(&CLONED_DATA).cast(), &CLONED),
    |_| unreachable!("it is borrowed"),
    |_| {
        IS_IN_USE.store(true, SeqCst);
        // The waker is in use as long as this runs.
        until(|| !IS_ALIVE.load(SeqCst));
        if !IS_ALIVE.load(SeqCst) {
            USED_LATE.fetch_add(1, SeqCst);
        }
    },
    |_| {},
);
static CLONED_DATA: u8 = 0;
static CLONED: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &CLONED),
    |_| {},
    |_| {},
    // Code of a runtime, which may take some time.
    |_| {
        if IS_OVER.load(SeqCst) {
            until(|| IS_IN_USE.load(SeqCst));
        }
    },
);

/// A waker that was passed to a poll is not used afterwards.
#[test]
fn a_borrowed_waker_is_not_used_after_its_poll() {
    let _alone = crate::alone();
    let slot = Arc::new(StdMutex::new(None::<Waker>));
    let is_ready = Arc::new(AtomicBool::new(false));
    let mut future = Box::pin(as_task({
        let (slot, is_ready) = (slot.clone(), is_ready.clone());
        poll_fn(move |cx| {
            if is_ready.load(SeqCst) {
                return Poll::Ready(());
            }
            *slot.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
    }));
    // SAFETY: the functions of the table do not use the data.
    let waker = unsafe { Waker::new(ptr::dangling(), &BORROWED) };
    let mut poll = || {
        IS_ALIVE.store(true, SeqCst);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        IS_ALIVE.store(false, SeqCst);
        polled
    };
    assert!(poll().is_pending());
    let kept = slot.lock().unwrap().take().unwrap();
    is_ready.store(true, SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| {
            until(|| IS_OVER.load(SeqCst));
            // Another thread wakes the task while it ends.
            let end = Instant::now() + Duration::from_secs(1);
            while !IS_IN_USE.load(SeqCst) && Instant::now() < end {
                kept.wake_by_ref();
            }
        });
        IS_OVER.store(true, SeqCst);
        assert!(poll().is_ready());
    });
    assert_eq!(USED_LATE.load(SeqCst), 0, "the waker of a poll was used after the poll");
}

/// A waker without data, like `Waker::noop`, is cloned by another thread while the task is polled.
#[test]
fn a_borrowed_waker_without_data_is_not_cloned_after_its_poll() {
    let _alone = crate::alone();
    static IS_ALIVE: AtomicBool = AtomicBool::new(false);
    static IS_IN_USE: AtomicBool = AtomicBool::new(false);
    static IS_SECOND: AtomicBool = AtomicBool::new(false);
    static USED_LATE: AtomicUsize = AtomicUsize::new(0);
    static BORROWED: RawWakerVTable = RawWakerVTable::new(
        |_| {
            if IS_SECOND.load(SeqCst) {
                IS_IN_USE.store(true, SeqCst);
                until(|| !IS_ALIVE.load(SeqCst));
                if !IS_ALIVE.load(SeqCst) {
                    USED_LATE.fetch_add(1, SeqCst);
                }
            }
            RawWaker::new(ptr::null(), &CLONED)
        },
        |_| unreachable!("it is borrowed"),
        |_| {},
        |_| {},
    );
    static CLONED: RawWakerVTable =
        RawWakerVTable::new(|_| RawWaker::new(ptr::null(), &CLONED), |_| {}, |_| {}, |_| {});
    let slot = Arc::new(StdMutex::new(None::<Waker>));
    let mut future = Box::pin(as_task({
        let slot = slot.clone();
        poll_fn(move |cx| {
            if IS_SECOND.load(SeqCst) {
                // The task's other thread clones its waker.
                until(|| IS_IN_USE.load(SeqCst));
                return Poll::Ready(());
            }
            *slot.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        })
    }));
    // SAFETY: the functions of the table do not use the data.
    let waker = unsafe { Waker::new(ptr::null(), &BORROWED) };
    assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let kept = slot.lock().unwrap().take().unwrap();
    IS_ALIVE.store(true, SeqCst);
    IS_SECOND.store(true, SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(1);
            while !IS_IN_USE.load(SeqCst) && Instant::now() < end {
                drop(kept.clone());
            }
        });
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        IS_ALIVE.store(false, SeqCst);
    });
    assert_eq!(USED_LATE.load(SeqCst), 0, "the waker of a poll was cloned after the poll");
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Polls its job inside `wake`, on the calling thread.
struct Inline {
    job: StdMutex<Option<Job>>,
    is_woken: AtomicBool,
    is_polled: AtomicBool,
    left: Arc<AtomicUsize>,
}

impl std::task::Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, SeqCst);
        while self.is_woken.load(SeqCst) && !self.is_polled.swap(true, SeqCst) {
            while self.is_woken.swap(false, SeqCst) {
                let waker = Waker::from(self.clone());
                let mut job = self.job.lock().unwrap();
                let Some(future) = job.as_mut() else { break };
                if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    *job = None;
                    self.left.fetch_sub(1, SeqCst);
                }
            }
            self.is_polled.store(false, SeqCst);
        }
    }
}

/// Tasks that are polled inside the release of a lock.
#[test]
fn tasks_that_are_polled_within_their_wakers() {
    let _alone = crate::alone();
    let before = super::all_held();
    let locks: Arc<Vec<Mutex<u64>>> = Arc::new((0..4).map(|_| Mutex::new(0)).collect());
    let left = Arc::new(AtomicUsize::new(0));
    let mut all = Vec::new();
    for at in 0..30_usize {
        left.fetch_add(1, SeqCst);
        let locks = locks.clone();
        let job: Job = Box::pin(as_task(async move {
            for round in 0..20 {
                let from = (at + round) % 3;
                let mut one = locks[from].lock().await;
                if round % 2 == 0 {
                    let (sender, receiver) = oneshot::channel();
                    thread::spawn(move || sender.send(()).unwrap());
                    receiver.await.unwrap();
                }
                let mut other = locks[3].lock().await;
                *one += 1;
                *other += 1;
                drop(one);
            }
        }));
        all.push(Arc::new(Inline {
            job: StdMutex::new(Some(job)),
            is_woken: AtomicBool::new(false),
            is_polled: AtomicBool::new(false),
            left: left.clone(),
        }));
    }
    for one in &all {
        std::task::Wake::wake(one.clone());
    }
    let end = Instant::now() + Duration::from_secs(20);
    while left.load(SeqCst) > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(left.load(SeqCst), 0, "a wake was lost");
    assert_eq!(*locks[3].try_lock().unwrap(), 30 * 20);
    assert_eq!(super::all_held(), before);
}

/// A future that is polled once and then awaited by a thread that parks.
#[test]
fn a_task_that_is_polled_by_several_executors() {
    let _alone = crate::alone();
    use futures::FutureExt;
    let lock = Arc::new(Mutex::new(()));
    for _ in 0..200 {
        let guard = lock.try_lock().unwrap();
        let (sender, receiver) = oneshot::channel::<()>();
        let mut task = Box::pin(as_task({
            let lock = lock.clone();
            async move {
                drop(lock.lock().await);
                receiver.await.unwrap();
            }
        }));
        assert!((&mut task).now_or_never().is_none());
        let waiting = thread::spawn(move || futures::executor::block_on(task));
        thread::sleep(Duration::from_micros(200));
        drop(guard);
        thread::sleep(Duration::from_micros(200));
        sender.send(()).unwrap();
        assert!(until(|| waiting.is_finished()), "a wake was lost");
        waiting.join().unwrap();
    }
}
