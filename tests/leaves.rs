//! Locks that were nested once, in one other lock, and about which nothing else is known:
//! observations of them count as much as of any other lock.
#![cfg(debug_assertions)]

mod support;

use std::sync::{Barrier, Mutex as Alone, PoisonError};

use lockdep::sync::{Mutex, RwLock};
use support::{denied, on_a_thread};

/// Any reader of the graph enters the leaves, so the tests run one at a time.
fn alone() -> impl Drop {
    static ALONE: Alone<()> = Alone::new(());
    struct Guard(#[expect(dead_code)] std::sync::MutexGuard<'static, ()>);
    impl Drop for Guard {
        fn drop(&mut self) {}
    }
    Guard(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn outer() -> Mutex<u8> {
    Mutex::new(1)
}

fn inner() -> Mutex<u16> {
    Mutex::new(2)
}

fn nest(outer: &Mutex<u8>, inner: &Mutex<u16>) {
    let _outer = outer.lock().unwrap();
    drop(inner.lock().unwrap());
}

fn invert(outer: &Mutex<u8>, inner: &Mutex<u16>) -> Option<String> {
    let _inner = inner.lock().unwrap();
    denied(|| drop(outer.lock().unwrap()))
}

/// Returns an outer lock that is in the graph, and whose classes are complete.
fn known() -> Mutex<u8> {
    let outer = outer();
    for _ in 0..3 {
        nest(&outer, &inner());
    }
    outer
}

#[test]
fn an_inversion_of_two_threads() {
    let _alone = alone();
    for _ in 0..3 {
        let (outer, leaf) = (known(), inner());
        nest(&outer, &leaf);
        let report = on_a_thread(|| invert(&outer, &leaf)).expect("an inversion");
        assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
        assert!(report.contains("tests/leaves.rs:32"), "{report}");
    }
}

#[test]
fn an_inversion_of_one_thread() {
    let _alone = alone();
    let (outer, leaf) = (known(), inner());
    nest(&outer, &leaf);
    let report = invert(&outer, &leaf).expect("an inversion");
    assert!(report.starts_with("error[lockdep::single_thread_inversion]"), "{report}");
}

#[test]
fn an_inversion_with_one_of_many() {
    let _alone = alone();
    let outer = known();
    let leaves: Vec<_> = (0..500).map(|_| inner()).collect();
    for leaf in &leaves {
        nest(&outer, leaf);
    }
    for at in [0, 100, 499] {
        assert!(on_a_thread(|| invert(&outer, &leaves[at])).is_some());
    }
    // Again with the known ones; no other lock interferes.
    for leaf in &leaves {
        nest(&outer, leaf);
    }
}

#[test]
fn a_leaf_that_leads_on() {
    let _alone = alone();
    let (a, b) = (known(), inner());
    let c = Mutex::new(3_u32);
    nest(&a, &b);
    {
        let _b = b.lock().unwrap();
        drop(c.lock().unwrap());
    }
    let report = on_a_thread(|| {
        let _c = c.lock().unwrap();
        denied(|| drop(a.lock().unwrap()))
    });
    let report = report.expect("a cycle of three");
    assert!(report.starts_with("error[lockdep::single_thread_inversion]"), "{report}");
}

#[test]
fn leaves_are_in_the_graph_when_it_is_looked_at() {
    let _alone = alone();
    let outer = known();
    let before = lockdep::stats().edges();
    let leaves: Vec<_> = (0..10).map(|_| inner()).collect();
    for leaf in &leaves {
        nest(&outer, leaf);
    }
    assert_eq!(lockdep::stats().edges(), before + 10);
    let count = || lockdep::order_graph().as_petgraph().edge_count();
    let with = count();
    drop(leaves);
    assert_eq!(count(), with - 10);
    drop(outer);
    assert_eq!(lockdep::stats().edges(), before + 10);
}

#[test]
fn the_thread_that_has_ended_is_told() {
    let _alone = alone();
    let (outer, leaf) = (known(), inner());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("gone".into());
        thread.spawn_scoped(scope, || nest(&outer, &leaf)).unwrap();
    });
    let report = on_a_thread(|| invert(&outer, &leaf)).expect("an inversion");
    assert!(report.contains("thread `gone`"), "{report}");
}

/// Both threads may find the lock to be new. Both edges count, and nothing is left once the lock is
/// destroyed.
#[test]
fn two_threads_that_take_one_new_lock_at_once() {
    const ROUNDS: u64 = 1_000;
    let _alone = alone();
    let outers = [known(), known()];
    let locks = || lockdep::order_graph().as_petgraph().node_count();
    let (edges, known_locks) = (lockdep::stats().edges(), locks());
    for _ in 0..ROUNDS {
        let (leaf, begin) = (inner(), Barrier::new(2));
        let take = |outer| {
            begin.wait();
            nest(outer, &leaf);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| take(&outers[0]));
            take(&outers[1]);
        });
    }
    assert_eq!((lockdep::stats().edges(), locks()), (edges + 2 * ROUNDS, known_locks));
}

/// Any thread may destroy a leaf.
#[test]
fn a_leaf_that_another_thread_destroys() {
    let _alone = alone();
    let outer = known();
    let locks = || lockdep::order_graph().as_petgraph().node_count();
    let known_locks = locks();
    for _ in 0..100 {
        let leaf = inner();
        nest(&outer, &leaf);
        on_a_thread(|| drop(leaf));
    }
    assert_eq!(locks(), known_locks);
}

#[test]
fn readers_and_a_first_writer() {
    let _alone = alone();
    let make = || (RwLock::new(1_u8), RwLock::new(2_u16));
    let read = |(a, b): &(RwLock<u8>, RwLock<u16>)| {
        let _a = a.read().unwrap();
        drop(b.read().unwrap());
    };
    (0..3).for_each(|_| read(&make()));
    let locks = make();
    let (a, b) = &locks;
    // In the graph.
    {
        let _a = a.read().unwrap();
        drop(inner().lock().unwrap());
    }
    read(&locks);
    let reads = on_a_thread(|| {
        let _b = b.read().unwrap();
        denied(|| drop(a.read().unwrap()))
    });
    assert_eq!(reads, None);
    let writes = denied(|| drop(a.write().unwrap()));
    let writes = writes.or_else(|| denied(|| drop(b.write().unwrap())));
    assert!(writes.is_some());
}

#[test]
fn what_was_known_of_classes_is_not_after_a_reset() {
    let _alone = alone();
    let both = || (Mutex::new(1_i8), Mutex::new(2_i16));
    let (one, two) = (|| both().0, || both().1);
    let third = Mutex::new(3_i32);
    let nest = |a: &Mutex<i8>, b: &Mutex<i16>| {
        let _a = a.lock().unwrap();
        drop(b.lock().unwrap());
    };
    let a = one();
    (0..3).for_each(|_| nest(&a, &two()));
    lockdep::reset();
    // In the graph again, through another lock.
    {
        let _a = a.lock().unwrap();
        drop(third.lock().unwrap());
    }
    nest(&a, &two());
    lockdep::set_level(lockdep::FindingKind::ClassInversion, lockdep::Level::Deny);
    let (b, other) = (two(), one());
    let report = on_a_thread(|| {
        let _b = b.lock().unwrap();
        denied(|| drop(other.lock().unwrap()))
    });
    lockdep::set_level(lockdep::FindingKind::ClassInversion, lockdep::Level::Warn);
    assert!(report.expect("of classes").starts_with("error[lockdep::class_inversion]"));
}

/// A leaf may be entered by another thread while its own thread ends, and a third one takes over its
/// context. The window is narrow: with a pause after the leaf's removal, this fails each time if its
/// thread is read afterwards.
#[test]
fn a_leaf_is_not_taken_for_that_of_a_later_thread() {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        thread,
    };

    struct Raised<'a>(&'a AtomicBool);

    impl Drop for Raised<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    let _alone = alone();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    drop(lockdep::order_graph());
                    thread::yield_now();
                }
            });
        }
        // Also if an assertion fails.
        let _raised = Raised(&is_over);
        for _ in 0..1_000 {
            let (outer, leaf) = (known(), inner());
            thread::scope(|threads| {
                let earlier = thread::Builder::new().name("earlier".into());
                earlier.spawn_scoped(threads, || nest(&outer, &leaf)).unwrap().join().unwrap();
                let later = thread::Builder::new().name("later".into());
                later.spawn_scoped(threads, || drop(outer.lock())).unwrap().join().unwrap();
            });
            let graph = lockdep::order_graph();
            let mut edges = graph.as_petgraph().edge_weights();
            assert!(edges.all(|edge| edge.thread().name() != Some("later")));
        }
    });
}
