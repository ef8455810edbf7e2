//! What is done with locks, and how long it takes: the same source for every library of locks.
//!
//! A package of `locks/` says which locks, by [`peer!`], and is a program that makes one
//! measurement and prints its result, so that nothing is left of it for the next one.

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
    /// Its lock for many readers.
    type RwLock: Send + Sync;

    /// What it wants to be told before any lock is made.
    fn start();
    /// Makes a mutex.
    fn mutex(value: u64) -> Self::Mutex;
    /// Locks it.
    fn lock(mutex: &Self::Mutex) -> impl DerefMut<Target = u64>;
    /// Makes a lock for many readers.
    fn rw_lock(value: u64) -> Self::RwLock;
    /// Locks it to read.
    fn read(rw_lock: &Self::RwLock) -> impl Deref<Target = u64>;
}

/// The `main` of a package that measures the locks of `$module`. `$unwrap` is what its
/// `lock()` needs behind it, and `start` what it needs before all else.
#[macro_export]
macro_rules! peer {
    ($($module:ident)::+ $(, unwrap $unwrap:tt)? $(, start $start:expr)?) => {
        struct Peer;

        // A caller would not have this layer between: it must not be seen in what is measured.
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

/// Measures what the first argument names and prints the result, in the unit that its function
/// tells. A second argument is how often it is done at all, for callgrind.
///
/// # Panics
///
/// If there is no such measurement.
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
