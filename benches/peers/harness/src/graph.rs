//! What grows with the order of locks: edges that are new, edges that are many.

use std::hint::black_box;

use crate::{
    Locks,
    clock::{ThreadTime, each},
    threads::{together, undisturbed},
};

fn locks<L: Locks>(count: usize) -> Vec<L::Mutex> {
    (0..count).map(|_| L::mutex(0)).collect()
}

/// Locks `b` in `a`.
fn nest<L: Locks>(a: &L::Mutex, b: &L::Mutex) {
    let mut outer = L::lock(black_box(a));
    *L::lock(black_box(b)) += 1;
    *outer += 1;
}

/// 200 locks, in each of which 200 others are locked: 40,000 edges.
struct Grid<L: Locks> {
    outer: Vec<L::Mutex>,
    inner: Vec<L::Mutex>,
}

impl<L: Locks> Grid<L> {
    const SIDE: usize = 200;

    /// All edges are known, and were seen on two threads.
    fn known() -> Self {
        let grid = Self { outer: locks::<L>(Self::SIDE), inner: locks::<L>(Self::SIDE) };
        for _ in 0..2 {
            together(2, |number| grid.walk(number, 1));
        }
        grid.walk(0, 1)();
        grid
    }

    /// Walks all edges `times` times. The second thread is always half way ahead of the first,
    /// so that they do not wait for each other.
    fn walk(&self, number: usize, times: usize) -> impl FnOnce() {
        move || {
            let ahead = number * Self::SIDE / 2;
            for outer in (0..Self::SIDE * times).map(|at| (at + ahead) % Self::SIDE) {
                for inner in (0..Self::SIDE).map(|at| (at + ahead) % Self::SIDE) {
                    nest::<L>(&self.outer[outer], &self.inner[inner]);
                }
            }
        }
    }
}

/// One thread walks 40,000 known edges: nanoseconds for each pair of locks.
pub(crate) fn walk<L: Locks>() -> f64 {
    let grid = Grid::<L>::known();
    let start = ThreadTime::now();
    grid.walk(0, 4)();
    each(start.elapsed(), 4 * 40_000)
}

/// Threads that walk all of them at once: nanoseconds on the clock on the wall for each pair of
/// each.
pub(crate) fn walk_together<L: Locks>(threads: usize) -> f64 {
    let grid = Grid::<L>::known();
    each(undisturbed(threads, |number| grid.walk(number, 1)), 40_000)
}

/// New edges between 10,000 locks that are known: nanoseconds for each pair of locks.
pub(crate) fn new_edges<L: Locks>() -> f64 {
    const LOCKS: usize = 10_000;
    let locks = locks::<L>(LOCKS);
    for pair in locks.windows(2) {
        nest::<L>(&pair[0], &pair[1]);
    }
    // From a random lock to a random later one. Few of them come twice, among 50 million.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % end as u64).expect("less than a usize")
    };
    let pairs: Vec<_> = (0..LOCKS)
        .map(|_| {
            let first = below(LOCKS - 2);
            (first, first + 2 + below(LOCKS - first - 2))
        })
        .collect();

    let start = ThreadTime::now();
    for &(first, second) in &pairs {
        nest::<L>(&locks[first], &locks[second]);
    }
    each(start.elapsed(), LOCKS as u64)
}

/// A chain of locks whose last edge is found first: nanoseconds for each edge.
pub(crate) fn chain<L: Locks>(length: usize) -> f64 {
    let locks = locks::<L>(length);
    let start = ThreadTime::now();
    for pair in locks.windows(2).rev() {
        nest::<L>(&pair[0], &pair[1]);
    }
    each(start.elapsed(), length as u64 - 1)
}

/// How many times as long an edge takes in a chain of 10,000 as in one of 1,000.
pub(crate) fn chain_growth<L: Locks>() -> f64 {
    // The first one pays for the first use of everything.
    chain::<L>(1_000);
    let short = chain::<L>(1_000);
    chain::<L>(10_000) / short
}

/// Bytes for each of 10,000 locks, of which each is locked in the one before.
pub(crate) fn memory<L: Locks>() -> f64 {
    // What everybody pays once.
    chain::<L>(10);
    let before = allocated();
    let locks = locks::<L>(10_000);
    for pair in locks.windows(2) {
        nest::<L>(&pair[0], &pair[1]);
    }
    (allocated() - before) as f64 / locks.len() as f64
}

/// Bytes that are allocated now, by the allocator's own account.
fn allocated() -> usize {
    #[allow(unsafe_code, reason = "there is no safe wrapper, and it only reads")]
    // SAFETY: glibc asks nothing of its caller.
    let account = unsafe { nix::libc::mallinfo2() };
    account.uordblks + account.hblkhd
}
