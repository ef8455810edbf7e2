//! Every acquired lock is counted exactly once. In a separate process, which has no other locks.
#![cfg(debug_assertions)]

use std::{sync::Barrier, thread, time::Duration};

use lockdep::sync::{Mutex, RwLock, mpsc};

use crate::support::in_a_child;

const LOCKS: u64 = 1_000;
const THREADS: u64 = 4;

fn mutexes(count: u64) -> Vec<Mutex<u64>> {
    (0..count).map(Mutex::new).collect()
}

/// Threads reserve ids, and may end without using them; locks of many creation sites are acquired
/// alternately; two threads acquire the same locks for the first time simultaneously.
#[test]
fn each_lock_is_counted_once() {
    let child = in_a_child(each_lock_is_counted_once, || {
        let mut expected = 0;
        let mut check = |acquired: u64| {
            expected += acquired;
            assert_eq!(lockdep::stats().locks(), expected);
        };
        check(0);
        for _ in 0..THREADS {
            thread::spawn(|| mutexes(LOCKS).iter().for_each(|lock| drop(lock.lock())))
                .join()
                .unwrap();
            check(LOCKS);
        }

        let by_turns = || {
            for _ in 0..LOCKS {
                drop((Mutex::new(1_u8).lock(), Mutex::new(1_u16).lock(), Mutex::new(1_u32).lock()));
                drop((
                    RwLock::new(1_u8).read(),
                    RwLock::new(1_u16).read(),
                    RwLock::new(1_u32).read(),
                ));
                drop((Mutex::new(1_i8).lock(), Mutex::new(1_i16).lock(), Mutex::new(1_i32).lock()));
            }
        };
        thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(by_turns))));
        check(THREADS * 9 * LOCKS);

        let (locks, begin) = (mutexes(20 * LOCKS), Barrier::new(2));
        let acquire = || {
            begin.wait();
            for lock in &locks {
                drop(lock.try_lock());
            }
        };
        thread::scope(|scope| {
            scope.spawn(acquire);
            acquire();
        });
        check(20 * LOCKS);

        // These have ids as well.
        let wait = || {
            for _ in 0..LOCKS {
                let (_sender, receiver) = mpsc::channel::<u8>();
                receiver.recv_timeout(Duration::from_nanos(1)).unwrap_err();
                lockdep::thread::park_timeout(Duration::from_nanos(1));
                drop((Mutex::new(1_u8).lock(), Mutex::new(1_u16).lock()));
            }
        };
        lockdep::thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(wait))));
        check(THREADS * 2 * LOCKS);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
