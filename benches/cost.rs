//! Measures the cost of a checked lock next to that of the lock that it wraps, in one run. In an
//! optimized build:
//!
//! ```sh
//! cargo bench --features enforce,parking_lot --bench cost
//! ```
//!
//! In a debug build, without and with the profile that the README recommends. `benches/debug` is a
//! separate package, because a profile for the package `lockdep` would optimize this bench as well:
//!
//! ```sh
//! cd benches/debug
//! cargo run
//! cargo run --profile advised
//! ```
//!
//! Arguments select rows by a part of their names. Times are medians over rounds that alternate:
//! the thread's CPU time if there is only one thread (on Unix), otherwise wall time. Instructions
//! are exact: if valgrind is installed, this program runs itself under callgrind, once with few
//! repetitions and once with more, and divides the difference.

use std::{
    hint::black_box,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Defines the workloads for the `sync` of the surrounding module. Each performs `times`
/// operations.
macro_rules! workloads {
    ($sync:path, $($unwrap:tt)*) => {
        use $sync::{Mutex, RwLock};

        use super::black_box;

        pub(super) fn one(times: u64) {
            let lock = Mutex::new(0_u64);
            for _ in 0..times {
                *black_box(&lock).lock()$($unwrap)* += 1;
            }
        }

        pub(super) fn pair(times: u64) {
            let (a, b) = (Mutex::new(0_u64), Mutex::new(0_u64));
            for _ in 0..times {
                let mut first = black_box(&a).lock()$($unwrap)*;
                *black_box(&b).lock()$($unwrap)* += 1;
                *first += 1;
            }
        }

        pub(super) fn depth_8(times: u64) {
            let locks: [Mutex<u64>; 8] = std::array::from_fn(|_| Mutex::new(0));
            for _ in 0..times {
                let [a, b, c, d, e, f, g, h] = black_box(&locks);
                let (_a, _b) = (a.lock()$($unwrap)*, b.lock()$($unwrap)*);
                let (_c, _d) = (c.lock()$($unwrap)*, d.lock()$($unwrap)*);
                let (_e, _f) = (e.lock()$($unwrap)*, f.lock()$($unwrap)*);
                let (_g, mut h) = (g.lock()$($unwrap)*, h.lock()$($unwrap)*);
                *h += 1;
            }
        }

        pub(super) fn read(times: u64) {
            let lock = RwLock::new(0_u64);
            for _ in 0..times {
                black_box(*black_box(&lock).read()$($unwrap)*);
            }
        }

        pub(super) fn write(times: u64) {
            let lock = RwLock::new(0_u64);
            for _ in 0..times {
                *black_box(&lock).write()$($unwrap)* += 1;
            }
        }

        pub(super) fn write_nested(times: u64) {
            let (outer, lock) = (Mutex::new(0_u64), RwLock::new(0_u64));
            for _ in 0..times {
                let mut guard = black_box(&outer).lock()$($unwrap)*;
                *black_box(&lock).write()$($unwrap)* += 1;
                *guard += 1;
            }
        }

        pub(super) fn create(times: u64) {
            for at in 0..times {
                let lock = Mutex::new(at);
                *black_box(&lock).lock()$($unwrap)* += 1;
            }
        }

        pub(super) fn create_nested(times: u64) {
            let outer = Mutex::new(0_u64);
            for at in 0..times {
                let lock = Mutex::new(at);
                let mut guard = black_box(&outer).lock()$($unwrap)*;
                *guard += *black_box(&lock).lock()$($unwrap)*;
            }
        }

        /// Contended nearly all the time: the threads do nothing but count.
        pub(super) fn contended(times: u64) {
            let lock = Mutex::new(0_u64);
            let count = || {
                for _ in 0..times {
                    *black_box(&lock).lock()$($unwrap)* += 1;
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(count);
                count();
            });
        }

        /// As `contended`, while another lock is held, so that each wait may be part of a deadlock.
        pub(super) fn contended_nested(times: u64) {
            let lock = Mutex::new(0_u64);
            let count = || {
                let own = Mutex::new(0_u64);
                for _ in 0..times {
                    let mut held = black_box(&own).lock()$($unwrap)*;
                    *black_box(&lock).lock()$($unwrap)* += 1;
                    *held += 1;
                }
            };
            std::thread::scope(|scope| {
                scope.spawn(count);
                count();
            });
        }

        pub(super) fn two_threads(times: u64) {
            std::thread::scope(|scope| {
                scope.spawn(|| pair(times));
                pair(times);
            });
        }
    };
}

/// Defines the workloads of initialized cells, for the given `sync`.
macro_rules! cell_workloads {
    ($sync:path) => {
        use $sync::{LazyLock, Once, OnceLock};

        pub(super) fn once_lock(times: u64) {
            let cell = OnceLock::new();
            for at in 0..times {
                black_box(black_box(&cell).get_or_init(|| at));
            }
        }

        pub(super) fn lazy_lock(times: u64) {
            let cell = LazyLock::new(|| 1);
            for _ in 0..times {
                black_box(&**black_box(&cell));
            }
        }

        pub(super) fn once(times: u64) {
            let once = Once::new();
            for _ in 0..times {
                black_box(&once).call_once(|| ());
            }
        }

        /// The initializer takes a lock.
        pub(super) fn locking_cell(times: u64) {
            let (lock, cell) = (Mutex::new(1), OnceLock::new());
            for _ in 0..times {
                black_box(black_box(&cell).get_or_init(|| *lock.lock().unwrap()));
            }
        }

        /// As `locking_cell`, used while a lock is held.
        pub(super) fn locking_cell_held(times: u64) {
            let (lock, cell, held) = (Mutex::new(1), OnceLock::new(), Mutex::new(()));
            cell.get_or_init(|| *lock.lock().unwrap());
            let _held = held.lock().unwrap();
            for _ in 0..times {
                black_box(black_box(&cell).get_or_init(|| 1));
            }
        }
    };
}

mod std_sync {
    workloads!(std::sync, .unwrap());
    cell_workloads!(std::sync);
}

mod lockdep_sync {
    workloads!(lockdep::sync, .unwrap());
    cell_workloads!(lockdep::sync);
}

#[cfg(feature = "parking_lot")]
mod raw_parking_lot {
    workloads!(parking_lot,);
}

#[cfg(feature = "parking_lot")]
mod lockdep_parking_lot {
    workloads!(lockdep::parking_lot,);
}

/// Defines the workloads without locks, for the given `thread` and `mpsc`.
macro_rules! wait_workloads {
    ($thread:path, $mpsc:path) => {
        use $mpsc as mpsc;
        use $thread as thread;

        use super::black_box;

        pub(super) fn spawn(times: u64) {
            for _ in 0..times {
                thread::spawn(|| ()).join().unwrap();
            }
        }

        /// Every message has been sent before it is received.
        pub(super) fn send(times: u64) {
            let (sender, receiver) = mpsc::channel();
            for at in 0..times {
                black_box(&sender).send(at).unwrap();
                black_box(black_box(&receiver).recv().unwrap());
            }
        }

        pub(super) fn send_bounded(times: u64) {
            let (sender, receiver) = mpsc::sync_channel(1);
            for at in 0..times {
                black_box(&sender).send(at).unwrap();
                black_box(black_box(&receiver).recv().unwrap());
            }
        }

        /// Each side waits for the other.
        pub(super) fn round_trip(times: u64) {
            let (request, requests) = mpsc::sync_channel(0);
            let (answer, answers) = mpsc::sync_channel(0);
            thread::scope(|scope| {
                scope.spawn(move || requests.iter().try_for_each(|it| answer.send(it)));
                for at in 0..times {
                    request.send(at).unwrap();
                    answers.recv().unwrap();
                }
                drop(request);
            });
        }
    };
}

mod std_waits {
    wait_workloads!(std::thread, std::sync::mpsc);
}

mod lockdep_waits {
    wait_workloads!(lockdep::thread, lockdep::sync::mpsc);
}

struct Workload {
    name: &'static str,
    raw: fn(u64),
    lockdep: fn(u64),
    times: u64,
    time: fn(fn(u64), u64) -> Duration,
}

macro_rules! table {
    ($raw:ident $lockdep:ident: $($name:literal $function:ident $times:literal $time:ident)*) => {
        [$(Workload {
            name: $name,
            raw: $raw::$function,
            lockdep: $lockdep::$function,
            times: $times,
            time: $time,
        }),*]
    };
}

#[cfg(feature = "parking_lot")]
const PARKING_LOT: &[Workload] = &table! {
    raw_parking_lot lockdep_parking_lot:
    "parking_lot: one lock, nothing held" one 200_000 thread_time
    "parking_lot: A then B, known" pair 100_000 thread_time
    "parking_lot: depth 8, known" depth_8 20_000 thread_time
    "parking_lot: read" read 200_000 thread_time
    "parking_lot: write" write 200_000 thread_time
    "parking_lot: write in another lock" write_nested 100_000 thread_time
    "parking_lot: create, lock once, drop" create 100_000 thread_time
    "parking_lot: the same nested in another" create_nested 5_000 thread_time
    "parking_lot: two threads, own pairs" two_threads 100_000 wall_time
    "parking_lot: two threads on one lock" contended 100_000 wall_time
    "parking_lot: the same, another held" contended_nested 50_000 wall_time
};
#[cfg(not(feature = "parking_lot"))]
const PARKING_LOT: &[Workload] = &[];

const STD: &[Workload] = &table! {
    std_sync lockdep_sync:
    "one lock, nothing held" one 200_000 thread_time
    "A then B, known" pair 100_000 thread_time
    "depth 8, known" depth_8 20_000 thread_time
    "read" read 200_000 thread_time
    "write" write 200_000 thread_time
    "write in another lock" write_nested 100_000 thread_time
    "create, lock once, drop" create 100_000 thread_time
    "the same nested in another" create_nested 5_000 thread_time
    "two threads, own pairs" two_threads 100_000 wall_time
    "two threads on one lock" contended 100_000 wall_time
    "the same, another held" contended_nested 50_000 wall_time
    "OnceLock, initialized" once_lock 200_000 thread_time
    "LazyLock, initialized" lazy_lock 200_000 thread_time
    "Once, completed" once 200_000 thread_time
    "OnceLock whose initializer locked" locking_cell 200_000 thread_time
    "OnceLock whose initializer locked, another held" locking_cell_held 200_000 thread_time
};

const WAITS: &[Workload] = &table! {
    std_waits lockdep_waits:
    "spawn a thread and join it" spawn 500 wall_time
    "send and receive" send 100_000 thread_time
    "send and receive, bounded" send_bounded 100_000 thread_time
    "a message to a thread and back" round_trip 2_000 wall_time
};

/// Returns all rows, in the order in which they are printed.
fn workloads() -> impl Iterator<Item = &'static Workload> {
    STD.iter().chain(WAITS).chain(PARKING_LOT)
}

const ROUNDS: usize = 51;

fn main() {
    if !lockdep::ENABLED {
        // For example, `cargo test --benches` in release.
        return eprintln!("this build checks nothing: run with `--features enforce`");
    }
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, "--only", name, which, times] =
        arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        let workload = workloads().find(|workload| workload.name == name).expect("a workload");
        let run = if which == "raw" { workload.raw } else { workload.lockdep };
        return run(times.parse().expect("a number"));
    }
    println!(
        "| workload | raw ns | lockdep ns | ratio | raw instructions | lockdep instructions |"
    );
    println!("|---|---|---|---|---|---|");
    // Cargo passes `--bench`.
    let chosen: Vec<&String> = arguments[1..].iter().filter(|it| !it.starts_with('-')).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|it| name.contains(*it));
    for workload in workloads().filter(|it| is_chosen(it.name)) {
        let (mut raw, mut lockdep) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            raw.push(each(workload, workload.raw));
            lockdep.push(each(workload, workload.lockdep));
        }
        let (raw, lockdep) = (median(raw), median(lockdep));
        println!(
            "| {} | {raw:.1} | {lockdep:.1} | {:.2} | {} | {} |",
            workload.name,
            lockdep / raw,
            instructions(workload, "raw"),
            instructions(workload, "lockdep"),
        );
    }
}

/// Returns the nanoseconds per operation.
#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn each(workload: &Workload, run: fn(u64)) -> f64 {
    (workload.time)(run, workload.times).as_nanos() as f64 / workload.times as f64
}

fn wall_time(run: fn(u64), times: u64) -> Duration {
    let start = Instant::now();
    run(times);
    start.elapsed()
}

/// Measures the CPU time of the calling thread, which other programs affect less than wall time.
#[cfg(unix)]
fn thread_time(run: fn(u64), times: u64) -> Duration {
    let start = thread_clock();
    run(times);
    thread_clock().saturating_sub(start)
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "std does not have this clock")]
fn thread_clock() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for a write of a `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    assert_eq!(result, 0, "the thread's clock");
    let seconds = now.tv_sec.try_into().expect("no negative time");
    Duration::new(seconds, now.tv_nsec.try_into().expect("less than a second"))
}

#[cfg(not(unix))]
use wall_time as thread_time;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Returns the instructions per operation, if valgrind is installed.
fn instructions(workload: &Workload, which: &str) -> String {
    let (few, more) = (2_000, 12_000);
    let count = |times| callgrind(workload.name, which, times);
    match (count(few), count(more)) {
        (Some(few_cost), Some(more_cost)) => ((more_cost - few_cost) / (more - few)).to_string(),
        _ => "?".to_owned(),
    }
}

fn callgrind(name: &str, which: &str, times: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(["--only", name, which, &times.to_string()])
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
