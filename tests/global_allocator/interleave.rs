//! Deliberate races under a global allocator that acquires a checked lock.
#![cfg(feature = "interleave")]

use std::thread;

use lockdep::{
    interleave::{self, Schedule, acquire, at, inside, point},
    sync::{Arc, Mutex},
};

use crate::alone;

type Two = Arc<(Mutex<Vec<u32>>, Mutex<Vec<u32>>)>;

/// Two threads that allocate under locks, in one order.
fn in_order() {
    let locks = Two::default();
    let threads = ["one", "other"].map(|name| {
        let locks = Arc::clone(&locks);
        thread::spawn(inside(name, move || {
            point!("first");
            let mut first = locks.0.lock().unwrap();
            first.push(1);
            locks.1.lock().unwrap().push(2);
        }))
    });
    let _ = threads.map(|thread| thread.join().unwrap());
}

fn inverted() {
    let locks = Two::default();
    let other = Arc::clone(&locks);
    let thread = thread::spawn(move || {
        let mut first = locks.0.lock().unwrap();
        first.push(1);
        locks.1.lock().unwrap().push(2);
    });
    let other = thread::spawn(move || {
        let mut second = other.1.lock().unwrap();
        second.push(1);
        other.0.lock().unwrap().push(2);
    });
    let _ = (thread.join(), other.join());
}

#[test]
fn code_is_inserted() {
    let _alone = alone();
    let lock = Mutex::new(vec![1]);
    let code = || drop(vec![1; 10]);
    interleave::after(acquire(&lock), code).every_time().within(|| lock.lock().unwrap().push(2));
}

#[test]
fn a_schedule_is_followed() {
    let _alone = alone();
    for _ in 0..20 {
        Schedule::new().order([at("other", "first"), at("one", "first")]).run(in_order);
    }
}

#[test]
fn seeds_are_explored() {
    let _alone = alone();
    interleave::explore(0..20, in_order);
}

#[test]
fn a_finding_is_confirmed() {
    let _alone = alone();
    inverted();
    let finding = lockdep::take_findings().pop().expect("it is found");
    for _ in 0..20 {
        assert!(interleave::confirm(&finding, inverted).is_confirmed());
    }
    drop(lockdep::take_findings());
}
