//! Workloads of one thread: CPU nanoseconds per operation. An operation is a closure that takes the
//! number of repetitions and owns its locks.

use std::hint::black_box;

use crate::{
    Locks,
    clock::{ThreadTime, each, times_to_be_seen},
};

/// Measures nanoseconds per operation, or only performs `times` operations if set.
pub(crate) fn measure(mut operation: impl FnMut(u64), times: Option<u64>) -> f64 {
    let times = times.unwrap_or_else(|| times_to_be_seen(&mut operation));
    let start = ThreadTime::now();
    operation(times);
    each(start.elapsed(), times)
}

/// One lock, nothing held.
pub(crate) fn one<L: Locks>() -> impl FnMut(u64) {
    let lock = L::mutex(0);
    move |times| {
        for _ in 0..times {
            *L::lock(black_box(&lock)) += 1;
        }
    }
}

/// A, then B.
pub(crate) fn pair<L: Locks>() -> impl FnMut(u64) {
    let (a, b) = (L::mutex(0), L::mutex(0));
    move |times| {
        for _ in 0..times {
            let mut first = L::lock(black_box(&a));
            *L::lock(black_box(&b)) += 1;
            *first += 1;
        }
    }
}

/// Eight nested locks.
pub(crate) fn depth_8<L: Locks>() -> impl FnMut(u64) {
    let locks: [L::Mutex; 8] = std::array::from_fn(|_| L::mutex(0));
    move |times| {
        for _ in 0..times {
            let locks = black_box(&locks);
            let (_first, _second) = (L::lock(&locks[0]), L::lock(&locks[1]));
            let (_third, _fourth) = (L::lock(&locks[2]), L::lock(&locks[3]));
            let (_fifth, _sixth) = (L::lock(&locks[4]), L::lock(&locks[5]));
            let (_seventh, mut last) = (L::lock(&locks[6]), L::lock(&locks[7]));
            *last += 1;
        }
    }
}

/// One lock, for reading.
pub(crate) fn read<L: Locks>() -> impl FnMut(u64) {
    let lock = L::rw_lock(0);
    move |times| {
        for _ in 0..times {
            black_box(*L::read(black_box(&lock)));
        }
    }
}

/// A, then B, both for reading.
pub(crate) fn read_pair<L: Locks>() -> impl FnMut(u64) {
    let (a, b) = (L::rw_lock(0), L::rw_lock(0));
    move |times| {
        for _ in 0..times {
            let first = L::read(black_box(&a));
            black_box(*first + *L::read(black_box(&b)));
        }
    }
}

/// A lock that is created, locked once, and dropped.
pub(crate) fn create<L: Locks>(times: u64) {
    for at in 0..times {
        let lock = L::mutex(at);
        *L::lock(black_box(&lock)) += 1;
    }
}

/// As `create`, while another lock is held, so that each time there is a new edge.
pub(crate) fn create_nested<L: Locks>() -> impl FnMut(u64) {
    let outer = L::mutex(0);
    move |times| {
        for at in 0..times {
            let lock = L::mutex(at);
            let mut guard = L::lock(black_box(&outer));
            *guard += *L::lock(black_box(&lock));
        }
    }
}

/// Nanoseconds from the start of `main` to the end of the first acquisition.
pub(crate) fn first<L: Locks>(start: ThreadTime) -> f64 {
    let lock = L::mutex(0);
    *L::lock(black_box(&lock)) += 1;
    each(start.elapsed(), 1)
}
