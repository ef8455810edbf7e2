use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use sync::Barrier;

#[test]
fn nobody_passes_before_all_have_come() {
    const THREADS: usize = 4;
    let (barrier, came) = (Barrier::new(THREADS), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for generation in 1..=50 {
                    came.fetch_add(1, SeqCst);
                    barrier.wait();
                    assert_eq!(came.load(SeqCst), generation * THREADS);
                    barrier.wait();
                }
            });
        }
    });
}

#[test]
fn one_of_each_generation_is_its_leader() {
    let (barrier, leaders) = (Barrier::new(3), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..20 {
                    leaders.fetch_add(usize::from(barrier.wait().is_leader()), SeqCst);
                }
            });
        }
    });
    assert_eq!(leaders.into_inner(), 20);
}

/// Any number of threads may use it, as long as each generation fills up.
#[test]
fn more_threads_than_it_is_for() {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| barrier.wait());
        }
    });
}

#[test]
fn a_barrier_for_none_or_one_lets_everybody_pass() {
    for n in [0, 1] {
        let barrier = Barrier::new(n);
        assert!((0..3).all(|_| barrier.wait().is_leader()), "{n}");
    }
}

#[test]
fn in_a_static() {
    static BARRIER: Barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| BARRIER.wait());
        BARRIER.wait();
    });
}

#[test]
fn debug_text() {
    let barrier = Barrier::new(1);
    assert_eq!(format!("{barrier:?} {:?}", barrier.wait()), {
        let std = std::sync::Barrier::new(1);
        format!("{std:?} {:?}", std.wait())
    });
}
