//! Workloads of several threads at the same time.

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Locks,
    clock::{self, each, interruptions, times_to_be_seen},
    one_thread::pair,
};

/// A run of several threads at the same time.
struct Together {
    /// From the start of the first thread to the end of the last one.
    time: Duration,
    /// `true` if each thread had its own core throughout.
    undisturbed: bool,
}

/// Returns how long the threads take, from when all are ready until the last one has ended.
/// `prepare` creates the work of each thread from its number.
pub(crate) fn together<P, F>(threads: usize, prepare: P) -> Duration
where
    P: Fn(usize) -> F + Sync,
    F: FnOnce(),
{
    run(threads, &prepare).time
}

/// As [`together`], for at most as many threads as cores: repeats the run up to 50 times until no
/// thread was preempted. On a shared core, two threads would not contend.
pub(crate) fn undisturbed<P, F>(threads: usize, prepare: P) -> Duration
where
    P: Fn(usize) -> F + Sync,
    F: FnOnce(),
{
    let mut attempts = (0..50).map(|_| run(threads, &prepare));
    let first = attempts.next().expect("50 attempts");
    if first.undisturbed {
        return first.time;
    }
    attempts.find(|attempt| attempt.undisturbed).unwrap_or(first).time
}

fn run<P, F>(threads: usize, prepare: &P) -> Together
where
    P: Fn(usize) -> F + Sync,
    F: FnOnce(),
{
    let all_there = Barrier::new(threads);
    let run = |number| {
        let work = prepare(number);
        all_there.wait();
        let (start, interruptions) = (Instant::now(), interruptions());
        work();
        (start, Instant::now(), clock::interruptions() - interruptions)
    };
    let run = &run;
    let times: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let starts = || times.iter().map(|(start, ..)| *start);
    let (first, last) = (starts().min().expect("a thread"), starts().max().expect("a thread"));
    let end = times.iter().map(|(_, end, _)| *end).max().expect("a thread");
    let time = end - first;
    let at_once = last - first < time / 20;
    let interrupted = times.iter().any(|(.., interruptions)| *interruptions > 0);
    Together { time, undisturbed: at_once && !interrupted }
}

/// Threads, each with its own two locks: wall nanoseconds per pair of locks of one thread.
pub(crate) fn own_pairs<L: Locks>(threads: usize) -> f64 {
    let times = times_to_be_seen(pair::<L>()) / 4;
    let time = undisturbed(threads, |_| {
        let mut pair = pair::<L>();
        pair(16);
        move || pair(times)
    });
    each(time, times)
}

/// Two threads that do nothing but count under one lock: nanoseconds per increment.
pub(crate) fn contended<L: Locks>() -> f64 {
    let lock = L::mutex(0);
    let count = |times| {
        for _ in 0..times {
            *L::lock(black_box(&lock)) += 1;
        }
    };
    let times = times_to_be_seen(count) / 4;
    each(undisturbed(2, |_| || count(times)), 2 * times)
}
