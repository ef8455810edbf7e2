//! Branches of a task that are independent of each other.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use futures::{FutureExt, StreamExt, stream};
use lockdep::tokio::{
    self, join, select, spawn,
    sync::{Mutex, Notify, RwLock, mpsc},
    task::yield_now,
    time::{sleep, timeout},
};

use super::{Lock, MS, in_order, is_correct, leaked};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A branch checks a flag that its sibling sets, and needs no waker because both are polled
/// together.
#[test]
fn a_branch_that_looks_at_a_flag() {
    is_correct(|| async {
        let (a, b, flag) = (leaked(), leaked(), AtomicBool::new(false));
        join!(
            biased;
            async {
                poll_fn(|_| if flag.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }).await;
                drop(a.lock().await);
            },
            async {
                flag.store(true, SeqCst);
                let _b = b.lock().await;
                sleep(MS(5)).await;
            }
        );
        in_order(a, b).await;
    });
}

/// A branch holds a lock for some time, with a timeout around a future that never completes.
#[test]
fn a_branch_that_waits_until_a_timeout() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        join!(
            async {
                let _b = b.lock().await;
                let _ = timeout(MS(40), pending::<()>()).await;
            },
            async {
                sleep(MS(10)).await;
                drop(a.lock().await);
            }
        );
        in_order(a, b).await;
    });
}

/// Acquires the lock twice, with pauses.
async fn twice(lock: &Mutex<()>, late: u64) {
    sleep(MS(late)).await;
    {
        let _first = lock.lock().await;
        sleep(MS(4)).await;
    }
    sleep(MS(1)).await;
    let _second = lock.lock().await;
    sleep(MS(4)).await;
}

/// Two jobs are polled alternately, each with a timeout.
#[test]
fn jobs_that_get_some_time_in_turn() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        for round in 0..8 {
            let late = [[0, 6], [6, 0]][round % 2];
            let mut jobs = [Box::pin(twice(a, late[0])), Box::pin(twice(b, late[1]))];
            let mut done = [false; 2];
            while done != [true; 2] {
                for at in 0..2 {
                    if !done[at] {
                        done[at] = timeout(MS(1), &mut jobs[at]).await.is_ok();
                    }
                }
            }
        }
    });
}

/// The same with `select!`, and a function around the job.
#[test]
fn jobs_that_get_some_time_in_a_select() {
    async fn drive(job: &mut Boxed) {
        job.await;
    }
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        for round in 0..8 {
            let late = [[0, 6], [6, 0]][round % 2];
            let mut jobs: [Boxed; 2] = [Box::pin(twice(a, late[0])), Box::pin(twice(b, late[1]))];
            let mut done = [false; 2];
            for at in [0, 1].into_iter().cycle() {
                if done == [true; 2] {
                    break;
                }
                if !done[at] {
                    select! {
                        () = drive(&mut jobs[at]) => done[at] = true,
                        () = sleep(MS(1)) => {}
                    }
                }
            }
        }
    });
}

/// A closure polls a list of jobs, as `join_all` does.
#[test]
fn a_list_of_jobs_that_a_closure_polls() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        for round in 0..8 {
            let late = [[0, 6], [6, 0]][round % 2];
            let mut jobs = [Box::pin(twice(a, late[0])), Box::pin(twice(b, late[1]))];
            let mut done = [false; 2];
            poll_fn(|cx| {
                for at in 0..2 {
                    if !done[at] {
                        done[at] = jobs[at].as_mut().poll(cx).is_ready();
                    }
                }
                if done == [true; 2] { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    });
}

/// Two requests share one future. One of them abandons it.
#[test]
fn a_shared_future_with_a_limit() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let fetch = async move {
            let _b = b.lock().await;
            sleep(MS(40)).await;
        };
        let fetch = fetch.boxed().shared();
        let go_on = std::sync::Arc::new(Notify::new());
        let other = spawn({
            let (fetch, go_on) = (fetch.clone(), go_on.clone());
            async move {
                go_on.notified().await;
                fetch.await;
            }
        });
        yield_now().await;
        assert!(timeout(MS(5), fetch).await.is_err());
        go_on.notify_one();
        drop(a.lock().await);
        other.await.unwrap();
        in_order(a, b).await;
    });
}

/// A task waits for a lock held by a shared future that another task drives to completion.
#[test]
fn a_shared_future_and_its_lock() {
    is_correct(|| async {
        let b = leaked();
        let fetch = async move {
            let _b = b.lock().await;
            sleep(MS(20)).await;
            sleep(MS(500)).await;
        };
        let fetch = fetch.boxed().shared();
        let go_on = std::sync::Arc::new(Notify::new());
        let other = spawn({
            let (fetch, go_on) = (fetch.clone(), go_on.clone());
            async move {
                go_on.notified().await;
                fetch.await;
            }
        });
        assert!(timeout(MS(5), fetch).await.is_err());
        go_on.notify_one();
        drop(b.lock().await);
        other.await.unwrap();
    });
}

/// A branch that is not always polled.
#[test]
fn a_branch_that_comes_later() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let mut job: Boxed = Box::pin(async move {
            let _b = b.lock().await;
            sleep(MS(20)).await;
            let _ = timeout(MS(20), pending::<()>()).await;
        });
        let mut count = 0;
        loop {
            select! {
                biased;
                () = async { drop(a.lock().await); pending().await }, if count > 0 => {}
                () = &mut job => break,
                () = tokio::time::sleep(MS(3)) => count += 1,
            }
        }
        in_order(a, b).await;
    });
}

/// A branch that is only present in some configurations.
#[test]
fn an_optional_branch_within_a_limit() {
    async fn recv(receiver: &mut Option<mpsc::Receiver<u32>>) -> Option<u32> {
        match receiver {
            Some(receiver) => receiver.recv().await,
            None => pending().await,
        }
    }
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let mut commands = None;
        let flush = async {
            for _ in 0..5 {
                let _buffer = a.lock().await;
                let _ = timeout(MS(5), recv(&mut commands)).await;
            }
        };
        let report = async {
            for _ in 0..5 {
                sleep(MS(3)).await;
                let _log = b.lock().await;
            }
        };
        join!(flush, report);
        in_order(b, a).await;
    });
}

/// Two branches of one task pass a turn to each other through shared state, because neither is
/// polled alone.
#[test]
fn branches_that_take_turns() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let turn = AtomicUsize::new(0);
        let end = |own: usize, lock: &'static Mutex<()>| {
            let turn = &turn;
            async move {
                for _ in 0..5 {
                    poll_fn(|cx| {
                        if turn.load(SeqCst) % 2 == own {
                            return Poll::Ready(());
                        }
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    })
                    .await;
                    let _lock = lock.lock().await;
                    turn.fetch_add(1, SeqCst);
                    yield_now().await;
                }
            }
        };
        join!(end(0, a), end(1, b));
        let (one, two) = (pin!(end(0, a)), pin!(end(1, b)));
        futures::future::join(one, two).await;
        let _ = Cell::new(());
    });
}

/// Concurrent requests of one connection, each of which may be cancelled.
#[test]
fn a_connection_with_requests_at_once() {
    is_correct(|| async {
        let (state, log) = (Arc::new(RwLock::new(0_u64)), Lock::default());
        let (sender, mut requests) = mpsc::channel::<u64>(4);
        let client = spawn(async move {
            for at in 0..200 {
                sender.send(at).await.unwrap();
                if at % 7 == 0 {
                    sleep(MS(1)).await;
                }
            }
        });
        let request = |at: u64| {
            let (state, log) = (state.clone(), log.clone());
            async move {
                match at % 4 {
                    0 => {
                        let state = state.read().await;
                        sleep(MS(at % 3)).await;
                        let _log = log.lock().await;
                        yield_now().await;
                        drop(state);
                    }
                    1 => {
                        let _log = log.lock().await;
                        sleep(MS(1)).await;
                    }
                    2 => {
                        let _ = timeout(MS(1), async {
                            let mut state = state.write().await;
                            *state += 1;
                            sleep(MS(at % 3)).await;
                        })
                        .await;
                    }
                    _ => *state.write().await += 1,
                }
            }
        };
        let mut running = stream::FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !running.is_empty() {
            select! {
                next = requests.recv(), if is_open && running.len() < 8 => match next {
                    Some(at) => running.push(request(at)),
                    None => is_open = false,
                },
                Some(()) = running.next(), if !running.is_empty() => {}
            }
        }
        client.await.unwrap();
    });
}
