//! A lock validator for threads and tasks: swap an import, run the tests that you have, and it
//! reports deadlocks before they happen.
//!
//! ```
//! use lockdep::sync::{Arc, Mutex}; // was: use std::sync::{Arc, Mutex};
//!
//! let accounts = Arc::new(Mutex::new(vec![100, 200]));
//! accounts.lock().unwrap()[0] -= 10;
//! ```
//!
//! Each acquisition that may wait is checked *before* it waits, against the order in which all
//! threads and tasks have acquired locks so far. The first one that closes a cycle in that order
//! panics with a [report](Finding), although nothing has hung. The report shows both orders, the
//! threads or tasks that used them, and each place in the source.
//!
//! # The switch
//!
//! [`sync`] is checked in builds with debug assertions, and in all builds with the feature
//! `enforce`. Otherwise it *is* `std::sync`, re-exported: the same types, at no cost. [`ENABLED`]
//! is `true` in a checked build. The other functions of this crate exist in both, and find nothing
//! in an unchecked one.
//!
//! # Flavours
//!
//! | module | mirrors | feature |
//! |---|---|---|
//! | [`sync`] | `std::sync`, with its locks, channels and barriers | |
//! | [`thread`] | `std::thread` | |
//! | `parking_lot` | parking_lot 0.12 | `parking_lot` |
//! | `parking_lot_0_13` | parking_lot 0.13 | `parking_lot_0_13` |
//! | `once_cell::sync` | once_cell's module `sync` | `once_cell` |
//! | `rayon` | rayon-core, with its jobs | `rayon` |
//! | `tokio` | tokio, with its tasks and the locks of `tokio::sync` | `tokio` |
//! | `async_lock` | `async_lock`, with its mutex, its reader-writer lock and its semaphore | `async_lock` |
//! | `futures_lock` | `futures::lock` | `futures_lock` |
//! | `lock_api` | any raw lock of lock_api 0.4 | `lock_api` |
//! | `lock_api_0_5` | any raw lock of lock_api 0.5 | `lock_api_0_5` |
//!
//! They share one lock order, and the switch applies to all of them.
//!
//! A program can declare other waits to be part of that order, such as a wait for a GUI's main
//! loop, and locks that are not in the process, such as a row of a database: see [`external`].
//!
//! # Other features
//!
//! | feature | for | default |
//! |---|---|---|
//! | `config` | `lockdep.toml`, and `LOCKDEP_CONFIG` | on |
//! | `excerpts` | reports with excerpts of the source and colours, and not as plain text | on |
//! | `interleave` | the module [`interleave`] | on |
//! | `signals` | `LOCKDEP_SIGNAL` | on |
//! | `records` | `LOCKDEP_OUT`, `lockdep::record` and `to_json` | |
//! | `enforce` | checks in builds without debug assertions | |
//! | `serde`, `arc_lock`, `send_guard` | parking_lot's features of these names | |
//!
//! # What is found
//!
//! | [`FindingKind`] | meaning | default |
//! |---|---|---|
//! | [`Inversion`](FindingKind::Inversion) | a cycle in the lock order that different threads can close | deny |
//! | [`OrderedInversion`](FindingKind::OrderedInversion) | one whose threads spawned or joined each other in between, or that uses an initialized cell or a new lock | warn |
//! | [`SingleThreadInversion`](FindingKind::SingleThreadInversion) | one that would need a single thread in two places | deny |
//! | [`GuardedInversion`](FindingKind::GuardedInversion) | one that cannot close, because a common lock is held around it | allow |
//! | [`LeasedInversion`](FindingKind::LeasedInversion) | one through a resource whose lease ends the wait | warn |
//! | [`SelfDeadlock`](FindingKind::SelfDeadlock) | this thread or task already holds the lock in a mode that blocks it | deny |
//! | [`RecursiveRead`](FindingKind::RecursiveRead) | this thread or task already holds a read guard of the lock it reads | deny |
//! | [`Deadlock`](FindingKind::Deadlock) | threads or tasks that wait for each other right now | deny |
//! | [`DeclaredOrder`](FindingKind::DeclaredOrder) | an order that the program declared was broken | deny |
//! | [`ClassInversion`](FindingKind::ClassInversion) | both orders were seen, on different locks of the same two classes | warn |
//! | [`SameClassNesting`](FindingKind::SameClassNesting) | two locks of one class are held at once, in no declared order | allow |
//! | [`WaitWhileHolding`](FindingKind::WaitWhileHolding) | a wait for a notification, a message, a barrier, ... while a lock is held | by [kind of wait](WaitKind::default_level) |
//! | [`LeakedGuard`](FindingKind::LeakedGuard) | a thread ended while holding a lock | warn |
//! | [`ExpiredLease`](FindingKind::ExpiredLease) | a resource was held for longer than its lease | warn |
//! | [`Futurelock`](FindingKind::Futurelock) | a task waits for a lock that another of its own futures has, and does not poll that future | deny |
//! | [`HeldAcrossAwait`](FindingKind::HeldAcrossAwait) | a task holds a thread-blocking lock while it is suspended | warn |
//! | [`PoolExhaustion`](FindingKind::PoolExhaustion) | a permit of a semaphore is held while another one is waited for | warn |
//!
//! - At [`Level::Deny`], the thread that is about to block panics instead. The lock is left
//!   untouched, and no lock is poisoned. A task panics at its `.await`, and the other tasks go on.
//! - At [`Level::Warn`], the report is printed once.
//! - At [`Level::Allow`], the finding is recorded in [`findings`], and nothing is printed.
//! - At [`Level::Abort`], the report is printed, and the process aborts.
//!
//! # The environment
//!
//! Environment variables override the program. Values that do not parse are reported once on
//! standard error and ignored.
//!
//! | variable | values |
//! |---|---|
//! | `LOCKDEP` | `off`, a level for all kinds (`warn`), for some (`inversion=warn,recursive_read=allow`), for a [kind of wait](WaitKind) (`wait_while_holding.recv=warn`), or a list of these |
//! | `LOCKDEP_CONFIG` | with the feature `config`, the path of a `lockdep.toml`: see [`allow_pair`] |
//! | `LOCKDEP_WATCHDOG` | how long a wait for a lock may last before it is reported, or `off`: see [`watchdog`] |
//! | `LOCKDEP_EXIT` | `0`: findings do not change the [exit status](crate#the-exit-status) |
//! | `LOCKDEP_OUT` | with the feature `records`, the folder into which each process writes its record, or `-` for standard output: see `lockdep::record` |
//! | `LOCKDEP_SERVICE` | with the feature `records`, the name of the service in records and in reports that are made from them; without it, `OTEL_SERVICE_NAME` |
//! | `LOCKDEP_SIGNAL` | on Unix and with the feature `signals`, the signals at which the table of [`held`] is printed: `USR1`, or `USR1,INT,TERM`. See [below](crate#signals) |
//! | `LOCKDEP_BACKTRACE` | `0`: none, `1`: for new edges, and for the locks held by threads that find some (the default), `full`: for each acquisition |
//! | `NO_COLOR`, `CLICOLOR_FORCE` | disable or force colours in reports |
//!
//! # The exit status
//!
//! A process ends with status 101, whatever `main` returns, if it has a finding at [`Level::Deny`]
//! that was not [taken](take_findings). It prints the number of findings of each kind, and a line
//! for each. So a test run fails even if the panic was in a worker that no thread joins, and even
//! if it was caught: `should_panic` and `catch_unwind` get the report, but do not take the finding.
//! Findings at [`Level::Warn`] are listed too, because a test harness discards the output of
//! passing tests; they do not change the status.
//!
//! On Unix this is implemented with an `atexit` handler. Handlers that were registered earlier
//! still run with glibc, on Apple's systems and on FreeBSD. A process that is killed, aborts or
//! calls `_exit` prints nothing, and a fork does not report the findings of its parent.
//!
//! # Signals
//!
//! With `LOCKDEP_SIGNAL=USR1` the process prints the table of [`held`] when it receives that
//! signal. `INT`, `TERM`, `HUP` and `QUIT` print the table too, followed by the chain of waits of
//! each thread that waits for a lock, and then end the process as usual: so Ctrl-C explains why a
//! program hangs.
//!
//! A handler for these four is installed only where the default action is in place, three seconds
//! after the first lock, so that the program's handlers come first. One that it installs later
//! takes precedence. A second signal ends the process at once, unless it follows within a second: it
//! is then a copy of the first, as `timeout` sends one.
//!
//! # What it costs
//!
//! With nothing held, an acquisition costs a push and a pop on a thread-local array. With locks
//! held, it also costs one look-up in a thread-local table, if the same locks were nested this way
//! before. A nesting that is new to all threads takes an internal lock once, and captures a
//! backtrace.
#![cfg_attr(
    not(any(debug_assertions, feature = "enforce")),
    allow(
        dead_code,
        unused_imports,
        reason = "nothing feeds the validator in a build that is not checked"
    )
)]
#![cfg_attr(
    not(all(feature = "config", feature = "interleave", feature = "signals")),
    allow(dead_code, unused_imports, reason = "used by a feature that is off")
)]

use std::{any::Any, time::Duration};

#[doc(hidden)]
pub mod __private;
#[cfg(feature = "tokio")]
mod as_task;
#[cfg(all(feature = "async_lock", any(debug_assertions, feature = "enforce")))]
pub mod async_lock;
mod declare;
mod duration;
mod enabled;
pub mod external;
mod finding;
#[cfg(all(unix, not(loom)))]
mod fork_lock;
#[cfg(all(feature = "futures_lock", any(debug_assertions, feature = "enforce")))]
pub mod futures_lock;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "interleave")]
pub mod interleave;
mod ledger;
#[cfg(feature = "lock_api")]
pub mod lock_api;
#[cfg(feature = "lock_api_0_5")]
pub mod lock_api_0_5;
#[cfg(all(feature = "once_cell", any(debug_assertions, feature = "enforce")))]
pub mod once_cell;
mod os_threads;
#[cfg(all(feature = "parking_lot", any(debug_assertions, feature = "enforce")))]
pub mod parking_lot;
#[cfg(all(feature = "parking_lot_0_13", any(debug_assertions, feature = "enforce")))]
pub mod parking_lot_0_13;
#[cfg_attr(not(feature = "interleave"), path = "points/none.rs")]
mod points;
#[cfg(all(feature = "rayon", any(debug_assertions, feature = "enforce")))]
pub mod rayon;
#[cfg(feature = "write_records")]
pub mod record;
mod render;
mod source;
mod stack;
#[cfg(any(debug_assertions, feature = "enforce"))]
pub mod sync;
pub mod testing;
#[cfg(any(debug_assertions, feature = "enforce"))]
pub mod thread;
#[cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]
pub mod tokio;
mod trackable;
mod tracked;
mod upstream;
mod validator;
#[cfg(all(
    any(feature = "async_lock", feature = "futures_lock"),
    any(debug_assertions, feature = "enforce")
))]
mod wrapped_async;

#[cfg(not(any(debug_assertions, feature = "enforce")))]
#[doc(no_inline)]
pub use std::{sync, thread};

#[cfg(all(feature = "async_lock", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::async_lock;
#[cfg(all(feature = "futures_lock", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::futures_util::lock as futures_lock;
#[cfg(all(feature = "once_cell", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::once_cell;
#[cfg(all(feature = "parking_lot", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::parking_lot;
#[cfg(all(feature = "parking_lot_0_13", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::parking_lot_0_13;
#[cfg(all(feature = "rayon", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::rayon_core as rayon;
#[cfg(all(feature = "tokio", not(any(debug_assertions, feature = "enforce"))))]
#[doc(no_inline)]
pub use ::tokio;

#[cfg(feature = "tokio")]
pub use self::as_task::as_task;
pub use self::{
    declare::{
        allow_pair, class, declare_class_order, declare_leaf, declare_order, declare_outermost,
        order_by_key,
    },
    enabled::ENABLED,
    finding::{
        Edge, Finding, FindingKind, HeldLocks, Level, LockInfo, LockUse, Mode, OrderGraph, Site,
        Stats, ThreadInfo, ThreadSnapshot, UnknownName, WaitKind,
    },
    stack::Stack,
    trackable::Trackable,
};

/// Returns all findings so far, oldest first: one per cycle, however often it repeats.
///
/// Keeps at most 4096 findings, plus 4096 from source locations not seen before; later ones are
/// dropped.
///
/// ```
/// use lockdep::{FindingKind, Level, sync::Mutex};
///
/// lockdep::set_level(FindingKind::SingleThreadInversion, Level::Allow);
/// let (a, b) = (Mutex::new(()), Mutex::new(()));
/// drop((a.lock().unwrap(), b.lock().unwrap()));
/// drop((b.lock().unwrap(), a.lock().unwrap()));
///
/// let findings = lockdep::findings();
/// assert_eq!(findings.len(), usize::from(lockdep::ENABLED));
/// ```
#[must_use]
pub fn findings() -> Vec<Finding> {
    validator::inside(ledger::findings)
}

/// Returns all findings so far, as [`findings`] does, and removes them. A finding that repeats is
/// new again. Findings that were taken do not affect the [exit status](crate#the-exit-status).
#[must_use = "`reset` discards the findings without returning them"]
pub fn take_findings() -> Vec<Finding> {
    validator::inside(ledger::take_findings)
}

/// Returns the finding that a panic was thrown for, given the payload that `catch_unwind` or `join`
/// returns.
///
/// `None` for all other panics, whatever their message. The last 4096 panics of findings are
/// remembered. If one acquisition made several findings, it is the first.
///
/// ```
/// # use lockdep::{FindingKind, sync::RwLock};
/// let rates = RwLock::new(());
/// let reads_twice = std::panic::catch_unwind(|| drop((rates.read(), rates.read())));
/// if let Err(payload) = reads_twice {
///     match lockdep::finding_of_panic(&*payload) {
///         Some(finding) => assert_eq!(finding.kind(), FindingKind::RecursiveRead),
///         None => std::panic::resume_unwind(payload),
///     }
/// }
/// ```
#[must_use]
pub fn finding_of_panic(payload: &(dyn Any + Send)) -> Option<Finding> {
    validator::inside(|| ledger::finding_of_panic(payload))
}

/// Sets the level of a kind of finding, from now on. `LOCKDEP` in the environment overrides it.
///
/// ```
/// lockdep::set_level(lockdep::FindingKind::RecursiveRead, lockdep::Level::Warn);
/// ```
pub fn set_level(kind: FindingKind, level: Level) {
    ledger::set_level(kind, level);
    validator::rejudge();
}

/// Sets the level of one kind of wait while a lock is held, from now on. It overrides [`set_level`]
/// of [`WaitWhileHolding`](FindingKind::WaitWhileHolding), which is for all kinds of waits.
/// `LOCKDEP` in the environment overrides both.
///
/// ```
/// use lockdep::{FindingKind, Level, WaitKind};
///
/// lockdep::set_level(FindingKind::WaitWhileHolding, Level::Deny);
/// // Workers take turns at the receiver.
/// lockdep::set_wait_level(WaitKind::Recv, Level::Allow);
/// ```
pub fn set_wait_level(kind: WaitKind, level: Level) {
    ledger::set_wait_level(kind, level);
}

/// Calls `hook` for every new finding, of any level, before it is printed or thrown. Repetitions do
/// not call it again.
///
/// The hook runs in the thread that made the finding, with no lock of lockdep held, so it may take
/// locks, log, or call this crate. Locks that it takes are not checked. If it panics, the panic is
/// caught.
///
/// ```
/// lockdep::on_finding(|finding| eprintln!("{}", finding.to_string()));
/// ```
pub fn on_finding(hook: impl Fn(&Finding) + Send + Sync + 'static) {
    validator::inside(|| ledger::on_finding(hook));
}

/// Names a lock in reports, in place of its source expression.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let shards: Vec<_> = (0..4).map(Mutex::new).collect();
/// for (number, shard) in shards.iter().enumerate() {
///     lockdep::name(shard, format!("shard {number}"));
/// }
/// ```
pub fn name<L: Trackable + ?Sized>(lock: &L, name: impl AsRef<str>) {
    if let Some(lock) = trackable::number(lock) {
        validator::name(lock, name.as_ref());
    }
}

/// Runs a closure whose acquisitions are not checked.
///
/// They add nothing to the lock order. A lock acquired inside still counts as held: if its guard
/// leaves the closure, later acquisitions are ordered after it.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let (a, b) = (Mutex::new(1), Mutex::new(2));
/// let first = b.lock().unwrap();
/// let sum = lockdep::allow(|| *a.lock().unwrap() + *first);
/// assert_eq!(sum, 3);
/// ```
pub fn allow<R>(body: impl FnOnce() -> R) -> R {
    validator::allow(body)
}

/// Returns a snapshot of the lock order seen so far.
///
/// ```
/// println!("{}", lockdep::order_graph().to_dot());
/// ```
#[must_use]
pub fn order_graph() -> OrderGraph {
    validator::order_graph()
}

/// Returns what every thread and task holds and waits for: which locks, in which mode, and since
/// which line. It includes threads that wait for a message, for space in a channel or at a barrier.
/// This is not an atomic snapshot: threads keep running meanwhile.
///
/// Printed, it is a table. With more than 64 tasks, it lists those first that hold what others wait
/// for. On 64-bit Linux it lists all other threads too, with what each one does: running, joining a
/// thread, blocked in a system call. The calling thread is left out if it holds no lock.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let accounts = Mutex::new(vec![1, 2]);
/// let _guard = accounts.lock().unwrap();
/// print!("{}", lockdep::held());
/// // thread `main`
/// //     holds      `accounts` (exclusive)  since src/main.rs:3:23
/// ```
#[must_use]
pub fn held() -> HeldLocks {
    HeldLocks { threads: if ENABLED { validator::snapshot_of_all_threads() } else { Vec::new() } }
}

/// Starts a watchdog, which reports every wait for a lock that lasts longer than `limit` on
/// standard error. The report follows the chain of waits: which thread holds the lock, what that
/// thread waits for, and so on, up to a deadlock or to a thread that waits for no lock, with what
/// it does instead. It is printed once while some wait is too long, then again at doubling
/// intervals.
///
/// The thread `lockdep-watchdog` checks the waits 16 times within the limit, at intervals between
/// one millisecond and one second. While it runs, [`held`] knows how long each lock has been held,
/// to the precision of that interval. `LOCKDEP_WATCHDOG=30s` in the environment starts the watchdog
/// when a second thread exists. It overrides this call, as does `LOCKDEP_WATCHDOG=off`. A second
/// call changes the limit.
///
/// Threads that wait on a condition variable, for a message or at a barrier count as idle.
///
/// # Global deadlocks
///
/// On 64-bit Linux the watchdog also detects deadlocks through any other primitive: unchecked
/// mutexes, locks of C, channels, condition variables, joins, `park`. If every thread of the
/// process sleeps until another one wakes it, none ever wakes. This is a [`FindingKind::Deadlock`]
/// with an empty [`cycle`](Finding::cycle), reported when two checks in a row see the same state.
///
/// It is certain. Nothing is reported while any thread waits with a timeout, for input or for a
/// signal; while the program handles any signal other than its own faults; while a debugger is
/// attached; while another process shares the memory that a thread waits in; or while the program
/// uses `io_uring`.
///
/// No thread can panic for it. At [`Level::Deny`] and [`Level::Warn`] it is printed. `Deny` also
/// changes the [exit status](crate#the-exit-status), in case the process still calls `exit`;
/// [`Level::Abort`] aborts the process. Hooks run afterwards, on the watchdog's thread.
///
/// The test harness waits with a timeout during the first minute of a test, so a hanging test is
/// reported after that minute. A program that parks all of its threads on purpose is reported as
/// well.
///
/// ```
/// lockdep::watchdog(std::time::Duration::from_secs(30));
/// ```
pub fn watchdog(limit: Duration) {
    if ENABLED {
        validator::watch(limit);
    }
}

/// Returns counts of locks, edges and other things tracked so far.
///
/// ```
/// let stats = lockdep::stats();
/// println!("{} locks, {} edges", stats.locks(), stats.edges());
/// ```
#[must_use]
pub fn stats() -> Stats {
    validator::stats()
}

/// Forgets the lock order and all findings, so that a test can start from nothing. Levels, hooks,
/// names and the locks held right now stay.
///
/// This affects the whole process, including tests that run concurrently.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let (a, b) = (Mutex::new(()), Mutex::new(()));
/// drop((a.lock(), b.lock()));
/// lockdep::reset();
/// drop((b.lock(), a.lock())); // the first order on record
/// assert!(lockdep::findings().is_empty());
/// ```
pub fn reset() {
    validator::reset();
    validator::inside(ledger::reset);
}
