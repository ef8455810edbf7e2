//! Measurements that depend on the lock order: new edges, and many edges.

use std::hint::black_box;

use crate::{
    Locks,
    clock::{ThreadTime, each},
    threads::{together, undisturbed},
};

fn locks<L: Locks>(count: usize) -> Vec<L::Mutex> {
    (0..count).map(|_| L::mutex(0)).collect()
}

/// Locks `b` while `a` is held.
fn nest<L: Locks>(a: &L::Mutex, b: &L::Mutex) {
    let mut outer = L::lock(black_box(a));
    *L::lock(black_box(b)) += 1;
    *outer += 1;
}

/// 200 locks, during each of which 200 others are locked: 40,000 edges.
struct Grid<L: Locks> {
    outer: Vec<L::Mutex>,
    inner: Vec<L::Mutex>,
}

impl<L: Locks> Grid<L> {
    const SIDE: usize = 200;

    /// Returns a grid whose edges are all known, from two threads.
    fn known() -> Self {
        let grid = Self { outer: locks::<L>(Self::SIDE), inner: locks::<L>(Self::SIDE) };
        for _ in 0..2 {
            together(2, |number| grid.walk(number, 1));
        }
        grid.walk(0, 1)();
        grid
    }

    /// Walks all edges `times` times. The second thread is always half a round ahead of the first,
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

/// One thread walks 40,000 known edges: nanoseconds per pair of locks.
pub(crate) fn walk<L: Locks>() -> f64 {
    let grid = Grid::<L>::known();
    let start = ThreadTime::now();
    grid.walk(0, 4)();
    each(start.elapsed(), 4 * 40_000)
}

/// Threads walk all edges at the same time: wall nanoseconds per pair of locks of one thread.
pub(crate) fn walk_together<L: Locks>(threads: usize) -> f64 {
    let grid = Grid::<L>::known();
    each(undisturbed(threads, |number| grid.walk(number, 1)), 40_000)
}

/// New edges between 10,000 known locks: nanoseconds per pair of locks.
pub(crate) fn new_edges<L: Locks>() -> f64 {
    const LOCKS: usize = 10_000;
    let locks = locks::<L>(LOCKS);
    for pair in locks.windows(2) {
        nest::<L>(&pair[0], &pair[1]);
    }
    // From a random lock to a random later one. Few of the 50 million pairs occur twice.
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

/// A chain of locks whose last edge comes first: nanoseconds per edge.
pub(crate) fn chain<L: Locks>(length: usize) -> f64 {
    let locks = locks::<L>(length);
    let start = ThreadTime::now();
    for pair in locks.windows(2).rev() {
        nest::<L>(&pair[0], &pair[1]);
    }
    each(start.elapsed(), length as u64 - 1)
}

/// The cost of an edge in a chain of 10,000 relative to one of 1,000.
pub(crate) fn chain_growth<L: Locks>() -> f64 {
    // The first chain pays for initialization.
    chain::<L>(1_000);
    let short = chain::<L>(1_000);
    chain::<L>(10_000) / short
}

/// Bytes per lock, for 10,000 locks, each locked while the previous one is held.
pub(crate) fn memory<L: Locks>() -> f64 {
    // Pays for initialization.
    chain::<L>(10);
    let before = allocated();
    let locks = locks::<L>(10_000);
    for pair in locks.windows(2) {
        nest::<L>(&pair[0], &pair[1]);
    }
    (allocated() - before) as f64 / locks.len() as f64
}

/// Returns the bytes allocated at this moment, according to the allocator.
fn allocated() -> usize {
    #[allow(unsafe_code, reason = "there is no safe wrapper, and it only reads")]
    // SAFETY: `mallinfo2` has no preconditions.
    let account = unsafe { nix::libc::mallinfo2() };
    account.uordblks + account.hblkhd
}
