//! Guards that leave the task that acquired them.

use std::{
    sync::{Arc, Mutex as StdMutex},
    thread,
};

use lockdep::tokio::{
    self, spawn,
    sync::{Mutex, MutexGuard, Notify, RwLock, Semaphore, mpsc, oneshot},
    task::{block_in_place, spawn_blocking, yield_now},
    time::{sleep, timeout},
};

use super::{Lock, MS, in_order, is_correct, is_correct_on, leaked, multi, single};

/// A service that handles one request at a time, each in its own task, which owns the permit.
#[test]
fn a_limit_of_one_request_at_a_time() {
    is_correct(|| async {
        let limit = Arc::new(Semaphore::new(1));
        for _ in 0..3 {
            let permit = limit.clone().acquire_owned().await.unwrap();
            spawn(async move {
                sleep(MS(700)).await;
                drop(permit);
            });
        }
        let _all = limit.acquire().await.unwrap();
    });
}

/// The same with a thread.
#[test]
fn an_owned_guard_that_a_thread_keeps_for_a_while() {
    is_correct(|| async {
        let lock = Lock::default();
        let guard = lock.clone().lock_owned().await;
        let thread = thread::spawn(move || {
            thread::sleep(MS(700));
            drop(guard);
        });
        drop(lock.lock().await);
        thread.join().unwrap();
    });
}

/// A guard is sent to an existing worker.
#[test]
fn a_guard_that_is_sent_to_a_worker() {
    is_correct(|| async {
        let lock = leaked();
        let (sender, mut receiver) = mpsc::channel::<MutexGuard<'static, ()>>(1);
        let worker = spawn(async move {
            while let Some(guard) = receiver.recv().await {
                sleep(MS(20)).await;
                drop(guard);
            }
        });
        for _ in 0..3 {
            sender.send(lock.lock().await).await.unwrap();
        }
        drop(sender);
        worker.await.unwrap();
    });
}

#[test]
fn a_guard_that_is_moved_into_a_thread() {
    is_correct(|| async {
        let lock = leaked();
        let guard = lock.lock().await;
        let thread = thread::spawn(move || {
            thread::sleep(MS(50));
            drop(guard);
        });
        drop(lock.lock().await);
        thread.join().unwrap();
    });
}

#[test]
fn a_guard_that_is_moved_into_a_lockdep_thread() {
    is_correct(|| async {
        let lock = leaked();
        let guard = lock.lock().await;
        let thread = lockdep::thread::spawn(move || {
            thread::sleep(MS(50));
            drop(guard);
        });
        drop(lock.lock().await);
        thread.join().unwrap();
    });
}

#[test]
fn a_guard_that_is_moved_into_a_blocking_task() {
    is_correct(|| async {
        let lock = leaked();
        for _ in 0..3 {
            let guard = lock.lock().await;
            spawn_blocking(move || {
                thread::sleep(MS(20));
                drop(guard);
            });
        }
        drop(lock.lock().await);
    });
}

#[test]
fn a_pool_whose_permits_are_moved_into_blocking_tasks() {
    static POOL: Semaphore = Semaphore::const_new(2);
    is_correct(|| async {
        let pool = &POOL;
        for _ in 0..6 {
            let permit = pool.acquire().await.unwrap();
            spawn_blocking(move || {
                thread::sleep(MS(20));
                drop(permit);
            });
        }
        drop(pool.acquire_many(2).await.unwrap());
    });
}

#[test]
fn a_pool_whose_owned_permits_are_moved_into_blocking_tasks() {
    is_correct(|| async {
        let pool = Arc::new(Semaphore::new(2));
        for _ in 0..6 {
            let permit = pool.clone().acquire_owned().await.unwrap();
            spawn_blocking(move || {
                thread::sleep(MS(400));
                drop(permit);
            });
        }
        drop(pool.acquire_many(2).await.unwrap());
    });
}

/// A task spawned with tokio's own `spawn`, as in a library.
#[test]
fn a_guard_that_is_moved_into_an_unknown_task() {
    is_correct(|| async {
        let lock = leaked();
        let guard = lock.lock().await;
        let other = ::tokio::spawn(async move {
            sleep(MS(20)).await;
            drop(guard);
        });
        drop(lock.lock().await);
        other.await.unwrap();
    });
}

/// A gate that one task closes and another opens again.
#[test]
fn a_guard_that_is_kept_in_shared_state() {
    is_correct(|| async {
        type Gate = Arc<StdMutex<Option<MutexGuard<'static, ()>>>>;
        let (lock, gate, opens) = (leaked(), Gate::default(), Arc::new(Notify::new()));
        let opener = spawn({
            let (gate, opens) = (gate.clone(), opens.clone());
            async move {
                for _ in 0..2 {
                    opens.notified().await;
                    sleep(MS(20)).await;
                    gate.lock().unwrap().take();
                }
            }
        });
        for _ in 0..2 {
            let guard = lock.lock().await;
            *gate.lock().unwrap() = Some(guard);
            opens.notify_one();
        }
        drop(lock.lock().await);
        opener.await.unwrap();
    });
}

#[test]
fn a_guard_that_a_thread_sends_to_a_task() {
    is_correct(|| async {
        let lock = leaked();
        let (sender, mut receiver) = mpsc::channel::<MutexGuard<'static, ()>>(1);
        let worker = spawn(async move {
            while let Some(guard) = receiver.recv().await {
                sleep(MS(20)).await;
                drop(guard);
            }
        });
        spawn_blocking(move || {
            for _ in 0..3 {
                sender.blocking_send(lock.blocking_lock()).unwrap();
            }
        })
        .await
        .unwrap();
        worker.await.unwrap();
    });
}

/// Two tasks exchange the guards of their locks.
#[test]
fn guards_that_are_exchanged() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let (to_one, from_two) = oneshot::channel::<MutexGuard<'static, ()>>();
        let (to_two, from_one) = oneshot::channel::<MutexGuard<'static, ()>>();
        let two = spawn(async move {
            to_one.send(b.lock().await).unwrap();
            let got = from_one.await.unwrap();
            sleep(MS(5)).await;
            drop(got);
            drop(a.lock().await);
        });
        to_two.send(a.lock().await).unwrap();
        let got = from_two.await.unwrap();
        sleep(MS(5)).await;
        drop(got);
        drop(b.lock().await);
        two.await.unwrap();
    });
}

#[test]
fn a_mutex_whose_guard_is_dropped_by_a_struct_in_another_task() {
    is_correct(|| async {
        struct Lease(Option<MutexGuard<'static, u32>>);
        impl Drop for Lease {
            fn drop(&mut self) {
                self.0.take();
            }
        }
        let lock: &'static Mutex<u32> = Box::leak(Box::default());
        let (sender, mut receiver) = mpsc::unbounded_channel::<Lease>();
        let reaper = spawn(async move { while receiver.recv().await.is_some() {} });
        for _ in 0..50 {
            let mut lease = Lease(Some(lock.lock().await));
            **lease.0.as_mut().unwrap() += 1;
            sender.send(lease).ok().unwrap();
        }
        drop(sender);
        reaper.await.unwrap();
    });
}

/// A task receives the guard of another one for the same lock whose guard it has just sent away.
#[test]
fn nothing_is_held_after_guards_were_exchanged() {
    use std::sync::mpsc;
    let _alone = crate::alone();
    let before = super::all_held();
    lockdep::reset();
    let lock: &'static Arc<Mutex<()>> = Box::leak(Box::default());
    let (to_thread, of_task) = mpsc::channel::<MutexGuard<'static, ()>>();
    let (is_free, free) = mpsc::channel();
    let (to_first, of_second) = mpsc::channel::<tokio::sync::OwnedMutexGuard<()>>();
    let thread = thread::spawn(move || {
        drop(of_task.recv().unwrap());
        is_free.send(()).unwrap();
    });
    super::multi().block_on(async {
        let second = spawn(async move {
            free.recv().unwrap();
            to_first.send(lock.clone().lock_owned().await).unwrap();
        });
        let first = spawn(async move {
            to_thread.send(lock.lock().await).unwrap();
            drop(of_second.recv().unwrap());
        });
        first.await.unwrap();
        second.await.unwrap();
    });
    thread.join().unwrap();
    assert!(lock.try_lock().is_ok());
    let held = super::all_held();
    assert_eq!(held, before);
}

/// A writer spawns a task, downgrades to a reader and finishes. Its guard never leaves it.
#[test]
fn nothing_is_held_after_a_writer_that_spawned_became_a_reader() {
    is_correct(|| async {
        let table = Arc::new(tokio::sync::RwLock::new(0));
        let write = table.write().await;
        let other = spawn(async {});
        let read = write.downgrade();
        other.await.unwrap();
        drop(read);
    });
}

/// The same, and it writes again while another task reads.
#[test]
fn a_writer_that_spawned_became_a_reader_and_writes_again() {
    is_correct(|| async {
        let table = Arc::new(tokio::sync::RwLock::new(0));
        let write = table.write().await;
        let (go, gone) = oneshot::channel();
        let reader = spawn({
            let table = table.clone();
            async move {
                let _read = table.read().await;
                go.send(()).unwrap();
                sleep(MS(800)).await;
            }
        });
        drop(write.downgrade());
        gone.await.unwrap();
        *table.write().await += 1;
        reader.await.unwrap();
    });
}

/// A writer's guard moves to another task, which downgrades it.
#[test]
fn an_owned_writer_that_becomes_a_reader_elsewhere() {
    is_correct(|| async {
        let table = Arc::new(tokio::sync::RwLock::new(0));
        for round in 0..3 {
            let write = table.clone().write_owned().await;
            let reader = spawn(async move {
                let read = write.downgrade();
                if round % 2 == 0 {
                    spawn_blocking(move || drop(read)).await.unwrap();
                } else {
                    yield_now().await;
                }
            });
            reader.await.unwrap();
        }
        let table = table.clone();
        let write = thread::spawn({
            let table = table.clone();
            move || {
                let runtime = super::single();
                runtime.block_on(table.write_owned())
            }
        });
        let read = write.join().unwrap().downgrade();
        yield_now().await;
        thread::spawn(move || drop(read)).join().unwrap();
        *table.write().await += 1;
    });
}

/// Permits are split, merged and dropped in different tasks.
#[test]
fn permits_that_are_split_and_merged() {
    is_correct(|| async {
        let pool: &'static Semaphore = Box::leak(Box::new(Semaphore::new(4)));
        let mut all = pool.acquire_many(4).await.unwrap();
        let other = spawn(async {});
        let one = all.split(1).unwrap();
        let two = all.split(2).unwrap();
        other.await.unwrap();
        let task = spawn(async move {
            drop(one);
            yield_now().await;
            drop(two);
        });
        task.await.unwrap();
        all.merge(pool.acquire().await.unwrap());
        drop(all);
        let owned = Arc::new(Semaphore::new(4));
        let mut all = owned.clone().acquire_many_owned(4).await.unwrap();
        let (one, two) = (all.split(1).unwrap(), all.split(2).unwrap());
        let thread = thread::spawn(move || drop(two));
        thread.join().unwrap();
        spawn(async move { drop(one) }).await.unwrap();
        drop(all);
        drop(owned.acquire_many(4).await.unwrap());
    });
}

/// Many tables, which are dropped.
#[test]
fn nothing_is_kept_of_locks_that_are_gone() {
    let _alone = crate::alone();
    lockdep::reset();
    super::single().block_on(async {
        for _ in 0..50 {
            let table = tokio::sync::RwLock::new(0);
            let write = table.write().await;
            spawn(async {}).await.unwrap();
            drop(write.downgrade());
        }
    });
    let held = lockdep::held().to_string();
    assert_eq!(held.matches("(exclusive)").count(), 0, "{held}");
}

/// The receiver of an owned guard reads the same lock and keeps reading.
#[test]
fn an_owned_read_guard_that_a_reader_gets() {
    is_correct(|| async {
        let (table, got) = (Arc::new(RwLock::new(0)), Arc::new(Notify::new()));
        let (sender, mut receiver) = mpsc::channel(1);
        let reader = spawn({
            let (table, got) = (table.clone(), got.clone());
            async move {
                let _own = table.read().await;
                drop(receiver.recv().await);
                got.notify_one();
                sleep(MS(700)).await;
            }
        });
        sender.send(table.clone().read_owned().await).await.unwrap();
        got.notified().await;
        *table.write().await += 1;
        reader.await.unwrap();
    });
}

/// A permit of a static semaphore moves to a spawned task, which holds it for some time.
#[test]
fn a_static_permit_that_is_moved_into_a_task() {
    is_correct(|| async {
        let limit: &'static Semaphore = Box::leak(Box::new(Semaphore::new(1)));
        for _ in 0..2 {
            let permit = limit.acquire().await.unwrap();
            spawn(async move {
                sleep(MS(700)).await;
                drop(permit);
            });
        }
        drop(limit.acquire().await.unwrap());
    });
}

/// A task waits for another, which waits for a third, which owns the first one's guard.
#[test]
fn a_chain_with_a_guard_that_was_handed_on() {
    is_correct(|| async {
        let (a, b, has_b) = (Lock::default(), Lock::default(), Arc::new(Notify::new()));
        let guard = a.clone().lock_owned().await;
        let other = spawn({
            let (a, b, has_b) = (a.clone(), b.clone(), has_b.clone());
            async move {
                let _b = b.lock().await;
                has_b.notify_one();
                drop(a.lock().await);
            }
        });
        has_b.notified().await;
        let third = spawn(async move {
            sleep(MS(800)).await;
            drop(guard);
        });
        drop(b.lock().await);
        third.await.unwrap();
        other.await.unwrap();
    });
}

/// The main future of a program, which is not a task.
#[test]
fn guards_that_leave_the_main_future() {
    let _alone = crate::alone();
    lockdep::reset();
    for runtime in [multi(), single()] {
        let lock = leaked();
        runtime.block_on(async {
            let (sender, mut receiver) = mpsc::channel::<MutexGuard<'static, ()>>(1);
            let worker = spawn(async move {
                while let Some(guard) = receiver.recv().await {
                    sleep(MS(20)).await;
                    drop(guard);
                }
            });
            for _ in 0..3 {
                sender.send(lock.lock().await).await.unwrap();
            }
            drop(sender);
            worker.await.unwrap();
        });
        assert_eq!(lockdep::take_findings().len(), 0);
    }
}

#[test]
fn a_thread_that_gets_a_guard_and_takes_the_lock_again() {
    static LOCK: Mutex<()> = Mutex::const_new(());
    is_correct_on(multi(), || async {
        let lock = &LOCK;
        let guard = lock.lock().await;
        let thread = lockdep::thread::spawn(move || {
            drop(guard);
            thread::sleep(MS(20));
            drop(lock.blocking_lock());
        });
        block_in_place(|| thread.join().unwrap());
    });
}

/// A task returns a guard as its result.
#[test]
fn guards_that_are_results() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let guard = spawn(async move { a.lock().await }).await.unwrap();
        let waits = spawn(async move { drop(a.lock().await) });
        yield_now().await;
        drop(b.lock().await);
        sleep(MS(400)).await;
        drop(guard);
        waits.await.unwrap();
        in_order(b, a).await;
    });
}

/// A job that times out continues in the background; one of its locks is free before it ends.
#[test]
fn an_owned_guard_in_a_future_that_is_adopted() {
    is_correct(|| async {
        type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
        let lock = Lock::default();
        let (sender, mut receiver) = mpsc::channel::<Boxed>(1);
        let worker = spawn(async move {
            while let Some(job) = receiver.recv().await {
                job.await;
            }
        });
        // A lock in an `Arc`, borrowed by the job that owns the `Arc`.
        let own = lock.clone();
        let mut job: Boxed = Box::pin(async move {
            let _guard = own.lock().await;
            sleep(MS(700)).await;
        });
        if timeout(MS(5), &mut job).await.is_err() {
            sender.send(job).await.unwrap();
        }
        drop(lock.lock().await);
        drop(sender);
        worker.await.unwrap();
    });
}
