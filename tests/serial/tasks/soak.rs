//! All features at once, used correctly. `LOCKDEP_SOAK_SECONDS` sets the duration.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockdep::{
    Level,
    tokio::{
        join,
        runtime::Builder,
        select,
        sync::{Mutex, RwLock},
        task::JoinSet,
        time::{sleep, timeout},
    },
};

use super::alone;

const TASKS: u64 = 60;
const ROUNDS: u64 = 20;

async fn add(lock: Arc<Mutex<u64>>, micros: u64) {
    let mut sum = lock.lock().await;
    sleep(Duration::from_micros(micros)).await;
    *sum += 1;
}

async fn look(lock: Arc<RwLock<u64>>, micros: u64) {
    let _sum = lock.read().await;
    sleep(Duration::from_micros(micros)).await;
}

/// Joins, futures that are left and polled again, timeouts, readers and writers, and many locks in
/// one poll. Only the last lock is acquired while another is held.
async fn work(
    task: u64,
    locks: [Arc<Mutex<u64>>; 4],
    last: Arc<Mutex<u64>>,
    rwlock: Arc<RwLock<u64>>,
) {
    for round in 0..ROUNDS {
        let lock = |at: u64| locks[usize::try_from(at % 4).unwrap()].clone();
        let (a, b) = (lock(task + round), lock(task * 7 + round));
        join!(add(a.clone(), 50), add(b.clone(), 80), look(rwlock.clone(), 20));
        if task % 10 == round % 10 {
            *rwlock.write().await += 1;
        }
        for _ in 0..20 {
            *b.lock().await += 1;
        }
        let mut left = Box::pin(add(a, 100));
        select! {
            () = &mut left => continue,
            () = sleep(Duration::from_micros(30)) => {
                let _ = timeout(Duration::from_millis(2), add(last.clone(), 10)).await;
            }
        }
        left.await;
    }
}

#[test]
fn nothing_is_said_of_what_is_correct() {
    let seconds = std::env::var("LOCKDEP_SOAK_SECONDS")
        .map_or(3, |seconds| seconds.parse().expect("a number of seconds"));
    let found = alone(Level::Deny, || {
        let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            runtime.block_on(async {
                let locks: [Arc<Mutex<u64>>; 4] = Default::default();
                let (last, rwlock) = (Arc::default(), Arc::new(RwLock::new(0)));
                let mut tasks = JoinSet::new();
                for task in 0..TASKS {
                    tasks.spawn(work(task, locks.clone(), Arc::clone(&last), rwlock.clone()));
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
                assert_eq!(*rwlock.read().await, TASKS * ROUNDS / 10);
            });
        }
        runtime.shutdown_timeout(Duration::from_secs(10));
    });
    assert_eq!(found, []);
}
