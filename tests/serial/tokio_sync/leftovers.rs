//! Nothing is left of futures that are dropped, tasks that are aborted, and guards that leave their
//! task.

use std::{sync::Arc, time::Duration};

use lockdep::tokio::{
    self,
    sync::{Mutex, Notify, OnceCell, RwLock, Semaphore, mpsc},
    task::yield_now,
};

use super::{found, kinds};

/// One lock of each kind.
struct All {
    mutex: Arc<Mutex<u8>>,
    rwlock: Arc<RwLock<u8>>,
    semaphore: Arc<Semaphore>,
    pool: Arc<Semaphore>,
    cell: Arc<OnceCell<u8>>,
}

impl All {
    fn new() -> Arc<Self> {
        let all = Self {
            mutex: Arc::default(),
            rwlock: Arc::default(),
            semaphore: Arc::new(Semaphore::new(1)),
            pool: Arc::new(Semaphore::new(2)),
            cell: Arc::default(),
        };
        lockdep::name(&*all.mutex, "one of all: mutex");
        lockdep::name(&*all.rwlock, "one of all: rwlock");
        lockdep::name(&*all.semaphore, "one of all: semaphore");
        lockdep::name(&*all.pool, "one of all: pool");
        lockdep::name(&*all.cell, "one of all: cell");
        Arc::new(all)
    }

    /// Acquires one of them, and releases it.
    async fn acquire(&self, which: u8) {
        match which {
            0 => drop(self.mutex.lock().await),
            1 => drop(self.mutex.clone().lock_owned().await),
            2 => drop(self.rwlock.read().await),
            3 => drop(self.rwlock.write().await),
            4 => drop(self.rwlock.clone().read_owned().await),
            5 => drop(self.rwlock.clone().write_owned().await),
            6 => drop(self.semaphore.acquire().await),
            7 => drop(self.semaphore.clone().acquire_owned().await),
            8 => drop(self.pool.acquire_many(2).await),
            9 => drop(self.pool.clone().acquire_owned().await),
            _ => _ = self.cell.get_or_try_init(async || Err::<u8, _>(())).await,
        }
    }

    /// Holds all of them while a future runs.
    async fn hold(&self, meanwhile: impl Future<Output = ()>) {
        let _permits = (self.semaphore.acquire().await, self.pool.acquire_many(2).await);
        let _guards = (self.mutex.lock().await, self.rwlock.write().await);
        let initialize = async || {
            meanwhile.await;
            Err::<u8, _>(())
        };
        _ = self.cell.get_or_try_init(initialize).await;
    }

    /// Returns how many of them the table of held locks shows.
    fn held() -> usize {
        lockdep::held().to_string().matches("one of all").count()
    }
}

#[test]
fn futures_that_are_dropped_leave_nothing() {
    let found = found(|| async {
        let all = All::new();
        let (start, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let holder = {
            let (all, start, end) = (all.clone(), start.clone(), end.clone());
            tokio::spawn(async move {
                let meanwhile = async {
                    start.notify_one();
                    end.notified().await;
                };
                all.hold(meanwhile).await;
            })
        };
        start.notified().await;
        assert_eq!(All::held(), 5);
        for which in 0..=10 {
            let late = tokio::time::timeout(Duration::from_millis(1), all.acquire(which)).await;
            assert!(late.is_err(), "{which} was acquired");
        }
        end.notify_one();
        holder.await.unwrap();
        for which in 0..=10 {
            all.acquire(which).await;
        }
        assert_eq!(All::held(), 0);
        // Aborted while it holds everything.
        let holder = {
            let (all, start) = (all.clone(), start.clone());
            tokio::spawn(async move {
                let meanwhile = async {
                    start.notify_one();
                    std::future::pending::<()>().await;
                };
                all.hold(meanwhile).await;
            })
        };
        start.notified().await;
        holder.abort();
        assert!(holder.await.unwrap_err().is_cancelled());
        for which in 0..=10 {
            all.acquire(which).await;
        }
        assert_eq!(All::held(), 0);
    });
    assert_eq!(kinds(&found), []);
}

#[test]
fn many_tasks_that_time_out() {
    let found = found(|| async {
        let all = All::new();
        let tasks = (0_u8..40).map(|number| {
            let all = all.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let which = number.wrapping_mul(7).wrapping_add(round * 5) % 12;
                    let limit = Duration::from_micros(u64::from(number) * 40);
                    let acquire = async {
                        match which {
                            11 => all.hold(yield_now()).await,
                            _ => all.acquire(which).await,
                        }
                    };
                    _ = tokio::time::timeout(limit, acquire).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(All::held(), 0);
        assert_eq!((all.semaphore.available_permits(), all.pool.available_permits()), (1, 2));
        for which in 0..=10 {
            all.acquire(which).await;
        }
    });
    assert_eq!(kinds(&found), []);
}

#[test]
fn guards_that_leave_their_task() {
    let found = found(|| async {
        let all = All::new();
        let (sender, mut receiver) = mpsc::channel(1);
        let guards = (
            all.mutex.clone().lock_owned().await,
            all.rwlock.clone().write_owned().await.downgrade(),
            all.semaphore.clone().acquire_owned().await.unwrap(),
            all.pool.clone().acquire_many_owned(2).await.unwrap(),
        );
        sender.send(guards).await.unwrap();
        let other = tokio::spawn(async move {
            let (mutex, rwlock, semaphore, mut pool) = receiver.recv().await.unwrap();
            let one = pool.split(1);
            std::thread::spawn(move || drop((mutex, one, semaphore))).join().unwrap();
            drop((rwlock, pool));
        });
        other.await.unwrap();
        assert_eq!(All::held(), 0);
        for which in 0..=10 {
            all.acquire(which).await;
        }
    });
    assert_eq!(kinds(&found), []);
}
