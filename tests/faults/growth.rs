//! Memory follows what is alive: thousands of threads, millions of locks.

use std::{fmt::Write, sync::Arc, thread};

use lockdep::sync::{Mutex, RwLock};

use crate::{
    allocator::in_use,
    alone,
    support::{denied, on_a_thread},
};

/// Returns the bytes that a closure leaves allocated.
fn left_by(body: impl FnOnce()) -> isize {
    let before = in_use();
    body();
    in_use() - before
}

#[test]
fn ten_thousand_threads_leave_nothing() {
    alone(ten_thousand_threads_leave_nothing, || {
        let locks: Arc<Vec<_>> = Arc::new((0..4).map(RwLock::new).collect());
        let threads = |count: usize| {
            for number in 0..count {
                let locks = Arc::clone(&locks);
                let name = format!("thread {number}");
                let thread = thread::Builder::new().name(name).spawn(move || {
                    let _a = locks[0].write();
                    let _b = locks[1 + number % 3].read();
                    let own = Mutex::new(());
                    drop(own.lock());
                });
                thread.unwrap().join().unwrap();
            }
        };
        threads(1_000);
        let left = left_by(|| threads(10_000));
        println!("10,000 threads leave {left} bytes");
        // Tables of known chains grow to a limit and are cleared.
        assert!(left.abs() < 512 * 1024, "{left} bytes");
    });
}

#[test]
fn a_thousand_locks_held_at_once() {
    alone(a_thousand_locks_held_at_once, || {
        // Of one class, created by one call.
        let locks: Vec<_> = (0..1_000).map(|_| Mutex::new(())).collect();
        let left = left_by(|| {
            for _ in 0..2 {
                let mut guards: Vec<_> = locks.iter().map(|lock| lock.lock().unwrap()).collect();
                assert_eq!(lockdep::held().to_string().matches("holds").count(), 1_000);
                while guards.len() > 2 {
                    drop(guards.swap_remove(guards.len() / 2));
                }
            }
        });
        println!("1,000 locks held at once: {left} bytes");
        let _last = locks[999].lock().unwrap();
        assert!(denied(|| locks[0].lock()).is_some());
    });
}

/// Locks that were never nested cost nothing beyond their own size; others have a node in the graph
/// until they are dropped.
#[test]
fn a_million_locks() {
    // Without optimization, it takes longer.
    const COUNT: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    alone(a_million_locks, || {
        let outer = Mutex::new(());
        drop((outer.lock(), Mutex::new(()).lock()));
        let per_lock = |bytes: isize| bytes / isize::try_from(COUNT).unwrap();
        let mut locks: Vec<_> = (0..COUNT).map(|_| Mutex::new(())).collect();
        let single = left_by(|| locks.iter().for_each(|lock| drop(lock.lock())));
        let nested = left_by(|| {
            let _outer = outer.lock();
            for lock in &locks {
                drop(lock.lock());
            }
        });
        let before = in_use();
        // Oldest first.
        locks.drain(..).for_each(drop);
        let freed = before - in_use();
        let mut line = String::from("a lock takes, in addition to its own ");
        let own = size_of::<Mutex<()>>();
        let (single, nested, freed) = (per_lock(single), per_lock(nested), per_lock(freed));
        write!(line, "{own} bytes: {single}; nested in another {nested}, of which {freed} are ")
            .unwrap();
        println!("{line}given back with it");
        assert_eq!(single, 0);
        assert!(nested < 1_000 && freed * 10 > nested * 4, "{nested} and {freed} bytes");
        // All of that memory is reused.
        let mut again: Vec<_> = (0..COUNT).map(|_| Mutex::new(())).collect();
        let more = left_by(|| {
            on_a_thread(|| {
                let _outer = outer.lock();
                for lock in &again {
                    drop(lock.lock());
                }
            });
        });
        assert!(per_lock(more) <= nested, "{} bytes", per_lock(more));
        // Newest first.
        while again.pop().is_some() {}
    });
}
