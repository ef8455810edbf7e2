//! Measures the cost of checked locks and tasks of tokio next to that of tokio's own, in one run:
//!
//! ```sh
//! cargo bench --features enforce,tokio --bench tokio_cost
//! ```
//!
//! Arguments select rows by a part of their names. Times are medians over rounds that alternate, on
//! a current-thread runtime. Instructions are exact: if valgrind is installed, this program runs
//! itself under callgrind, once with few repetitions and once with more, and divides the
//! difference.

use std::{
    future::Future,
    hint::black_box,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

/// How many locks a task acquires between two awaits that let others run.
const LOCKS_IN_A_POLL: u64 = 32;

/// Defines the workloads for the `tokio` of the surrounding module. Each performs `times`
/// operations.
macro_rules! workloads {
    ($tokio:path) => {
        use tokio_of::{spawn, sync::Mutex, sync::RwLock, sync::Semaphore, task::yield_now};
        use $tokio as tokio_of;

        use super::{Arc, LOCKS_IN_A_POLL, black_box};

        pub(super) async fn one(times: u64) {
            let lock = Mutex::new(0_u64);
            for _ in 0..times / LOCKS_IN_A_POLL {
                for _ in 0..LOCKS_IN_A_POLL {
                    *black_box(&lock).lock().await += 1;
                }
                yield_now().await;
            }
        }

        pub(super) async fn pair(times: u64) {
            let (a, b) = (Mutex::new(0_u64), Mutex::new(0_u64));
            for _ in 0..times * 2 / LOCKS_IN_A_POLL {
                for _ in 0..LOCKS_IN_A_POLL / 2 {
                    let mut first = black_box(&a).lock().await;
                    *black_box(&b).lock().await += 1;
                    *first += 1;
                }
                yield_now().await;
            }
        }

        pub(super) async fn read(times: u64) {
            let lock = RwLock::new(0_u64);
            for _ in 0..times / LOCKS_IN_A_POLL {
                for _ in 0..LOCKS_IN_A_POLL {
                    black_box(*black_box(&lock).read().await);
                }
                yield_now().await;
            }
        }

        pub(super) async fn try_lock(times: u64) {
            let lock = Mutex::new(0_u64);
            for _ in 0..times {
                *black_box(&lock).try_lock().unwrap() += 1;
            }
        }

        pub(super) async fn permit(times: u64) {
            let pool = Semaphore::new(8);
            for _ in 0..times / LOCKS_IN_A_POLL {
                for _ in 0..LOCKS_IN_A_POLL {
                    drop(black_box(&pool).acquire().await.unwrap());
                }
                yield_now().await;
            }
        }

        pub(super) async fn owned_permit(times: u64) {
            let pool = Arc::new(Semaphore::new(8));
            for _ in 0..times / LOCKS_IN_A_POLL {
                for _ in 0..LOCKS_IN_A_POLL {
                    drop(black_box(&pool).clone().acquire_owned().await.unwrap());
                }
                yield_now().await;
            }
        }

        /// More tasks than there are permits.
        pub(super) async fn crowd_for_permits(times: u64) {
            let pool = Arc::new(Semaphore::new(100));
            let work = |pool: Arc<Semaphore>| async move {
                for _ in 0..times / 1000 {
                    let _permit = pool.acquire().await.unwrap();
                    yield_now().await;
                }
            };
            let all: Vec<_> = (0..1000).map(|_| spawn(work(pool.clone()))).collect();
            for one in all {
                one.await.unwrap();
            }
        }

        pub(super) async fn polls(times: u64) {
            for _ in 0..times {
                yield_now().await;
            }
        }

        pub(super) async fn polls_holding(times: u64) {
            let lock = Mutex::new(0_u64);
            let _guard = lock.lock().await;
            for _ in 0..times {
                yield_now().await;
            }
        }

        pub(super) async fn spawns(times: u64) {
            for _ in 0..times {
                spawn(async {}).await.unwrap();
            }
        }

        /// Tasks that wait for each other every time.
        async fn crowd_of(tasks: u64, times: u64) {
            let lock = Arc::new(Mutex::new(0_u64));
            let count = |lock: Arc<Mutex<u64>>| async move {
                for _ in 0..times / tasks {
                    let mut guard = lock.lock().await;
                    *guard += 1;
                    yield_now().await;
                }
            };
            let all: Vec<_> = (0..tasks).map(|_| spawn(count(lock.clone()))).collect();
            for one in all {
                one.await.unwrap();
            }
        }

        pub(super) async fn contended(times: u64) {
            crowd_of(2, times).await;
        }

        pub(super) async fn crowd(times: u64) {
            crowd_of(1000, times).await;
        }
    };
}

mod plain {
    workloads!(::tokio);
}
mod checked {
    workloads!(lockdep::tokio);
}

struct Workload {
    name: &'static str,
    times: u64,
    plain: fn(u64) -> f64,
    checked: fn(u64) -> f64,
}

macro_rules! table {
    ($($name:literal $function:ident $times:literal,)*) => {
        [$(Workload {
            name: $name,
            times: $times,
            plain: |times| run(plain::$function(times)),
            checked: |times| run_checked(checked::$function(times)),
        }),*]
    };
}

/// Runs a task on a new runtime. Returns the nanoseconds.
fn run<F: Future<Output = ()> + Send + 'static>(task: F) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        tokio::spawn(task).await.unwrap();
        start.elapsed().as_secs_f64() * 1e9
    })
}

fn run_checked<F: Future<Output = ()> + Send + 'static>(task: F) -> f64 {
    let runtime = lockdep::tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        lockdep::tokio::spawn(task).await.unwrap();
        start.elapsed().as_secs_f64() * 1e9
    })
}

fn main() {
    let workloads = table! {
        "lock and unlock, free" one 320_000,
        "A, then B, known" pair 160_000,
        "read" read 320_000,
        "try_lock and unlock" try_lock 300_000,
        "a permit of 8, free" permit 320_000,
        "an owned permit of 8, free" owned_permit 320_000,
        "a permit of 100 that is waited for, 1000 tasks" crowd_for_permits 50_000,
        "a poll" polls 200_000,
        "a poll of a task that holds a lock" polls_holding 200_000,
        "spawn and await" spawns 50_000,
        "a lock that is waited for, 2 tasks" contended 50_000,
        "a lock that is waited for, 1000 tasks" crowd 50_000,
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [only, name, which, times] = &arguments[..]
        && only == "--only"
    {
        // For callgrind.
        let workload = workloads.iter().find(|it| it.name == name).expect("it is a row");
        let times = times.parse().expect("a number");
        (if which == "plain" { workload.plain } else { workload.checked })(times);
        return;
    }
    let chosen: Vec<&String> = arguments.iter().filter(|it| !it.starts_with("--")).collect();
    println!("| | tokio | lockdep | ratio | tokio, instr. | lockdep, instr. | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for workload in &workloads {
        if chosen.is_empty() || chosen.iter().any(|part| workload.name.contains(*part)) {
            print(workload);
        }
    }
}

fn print(workload: &Workload) {
    const ROUNDS: usize = 15;
    let Workload { name, times, .. } = *workload;
    #[allow(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let each = |nanoseconds: f64| nanoseconds / times as f64;
    let rounds =
        (0..ROUNDS).map(|_| (each((workload.plain)(times)), each((workload.checked)(times))));
    let rounds: Vec<(f64, f64)> = rounds.collect();
    let plain = median(rounds.iter().map(|it| it.0));
    let checked = median(rounds.iter().map(|it| it.1));
    let ratio = median(rounds.iter().map(|it| it.1 / it.0));
    let count = |which| instructions(name, which);
    let (of_plain, of_checked) = (count("plain"), count("checked"));
    let shown = |count: Option<f64>| count.map_or("?".to_owned(), |count| format!("{count:.0}"));
    let instructions_ratio = of_plain.zip(of_checked).map(|(plain, checked)| checked / plain);
    let instructions_ratio = instructions_ratio.map_or("?".to_owned(), |it| format!("{it:.2}"));
    println!(
        "| {name} | {plain:.0} ns | {checked:.0} ns | {ratio:.2} | {} | {} | {instructions_ratio} |",
        shown(of_plain),
        shown(of_checked)
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the instructions per operation, if valgrind is installed.
fn instructions(name: &str, which: &str) -> Option<f64> {
    let (few, more) = (3_200, 16_000);
    let difference = callgrind(name, which, more)? - callgrind(name, which, few)?;
    Some(difference / f64::from(more - few))
}

fn callgrind(name: &str, which: &str, times: u32) -> Option<f64> {
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
