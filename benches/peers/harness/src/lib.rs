//! The workloads and their timing: one source for all libraries of locks.
//!
//! A package in `locks/` selects the locks with [`peer!`]. It is a program that makes one
//! measurement and prints the result, so that measurements cannot influence each other.

mod clock;
mod graph;
mod one_thread;
mod requests;
mod threads;

use std::ops::{Deref, DerefMut};

/// A library of locks.
pub trait Locks: 'static {
    /// Its mutex.
    type Mutex: Send + Sync;
    /// Its reader-writer lock.
    type RwLock: Send + Sync;

    /// Initializes the library before any lock is created.
    fn start();
    /// Creates a mutex.
    fn mutex(value: u64) -> Self::Mutex;
    /// Locks it.
    fn lock(mutex: &Self::Mutex) -> impl DerefMut<Target = u64>;
    /// Creates a reader-writer lock.
    fn rw_lock(value: u64) -> Self::RwLock;
    /// Locks it for reading.
    fn read(rw_lock: &Self::RwLock) -> impl Deref<Target = u64>;
}

/// Defines `main` of a package that measures the locks of `$module`. `$unwrap` is called on the
/// result of `lock()`, `start` runs before everything else.
#[macro_export]
macro_rules! peer {
    ($($module:ident)::+ $(, unwrap $unwrap:tt)? $(, start $start:expr)?) => {
        struct Peer;

        // A user calls the lock directly, so this layer must not be measured.
        #[allow(clippy::inline_always, reason = "as a direct call is, which users make")]
        impl $crate::Locks for Peer {
            type Mutex = $($module)::+::Mutex<u64>;
            type RwLock = $($module)::+::RwLock<u64>;

            fn start() {
                $($start;)?
            }

            #[inline(always)]
            fn mutex(value: u64) -> Self::Mutex {
                Self::Mutex::new(value)
            }

            #[inline(always)]
            #[track_caller]
            fn lock(mutex: &Self::Mutex) -> impl std::ops::DerefMut<Target = u64> {
                mutex.lock()$(.unwrap $unwrap)?
            }

            #[inline(always)]
            fn rw_lock(value: u64) -> Self::RwLock {
                Self::RwLock::new(value)
            }

            #[inline(always)]
            #[track_caller]
            fn read(rw_lock: &Self::RwLock) -> impl std::ops::Deref<Target = u64> {
                rw_lock.read()$(.unwrap $unwrap)?
            }
        }

        fn main() {
            $crate::main::<Peer>();
        }
    };
}

/// Runs the measurement named by the first argument and prints the result, in the unit that its
/// function documents. A second argument sets the number of repetitions, for callgrind.
///
/// # Panics
///
/// Panics if there is no such measurement.
pub fn main<L: Locks>() {
    let start = clock::ThreadTime::now();
    L::start();
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().expect("the name of a measurement");
    let times = arguments.next().map(|times| times.parse().expect("a number"));
    let result = match name.as_str() {
        "first" => one_thread::first::<L>(start),
        "one" => one_thread::measure(one_thread::one::<L>(), times),
        "pair" => one_thread::measure(one_thread::pair::<L>(), times),
        "depth_8" => one_thread::measure(one_thread::depth_8::<L>(), times),
        "read" => one_thread::measure(one_thread::read::<L>(), times),
        "read_pair" => one_thread::measure(one_thread::read_pair::<L>(), times),
        "create" => one_thread::measure(one_thread::create::<L>, times),
        "create_nested" => one_thread::measure(one_thread::create_nested::<L>(), times),
        "own_pairs_1" => threads::own_pairs::<L>(1),
        "own_pairs_2" => threads::own_pairs::<L>(2),
        "contended" => threads::contended::<L>(),
        "walk" => graph::walk::<L>(),
        "walk_1" => graph::walk_together::<L>(1),
        "walk_2" => graph::walk_together::<L>(2),
        "new_edges" | "new_edges_traced" => graph::new_edges::<L>(),
        "chain" => graph::chain::<L>(10_000),
        "chain_growth" => graph::chain_growth::<L>(),
        "memory" => graph::memory::<L>(),
        "size" => size_of::<L::Mutex>() as f64,
        "requests" => requests::wall::<L>(),
        "requests_cpu" => requests::cpu::<L>(),
        unknown => panic!("no measurement `{unknown}`"),
    };
    println!("\n{result}");
}
