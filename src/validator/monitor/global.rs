//! Detects global deadlocks: all threads of the process sleep, and nothing can wake one.
//!
//! Go's runtime reports the same as "all goroutines are asleep". This detector asks the operating
//! system, so it works for any primitive: unchecked mutexes, channels, condition variables, joins,
//! C's locks. Runs in the watchdog, once per tick.
//!
//! # Why it is certain
//!
//! Each thread is read twice, and all of them once before any is read again. If both readings of
//! each thread are the same sleep ([`Sleep`]), then between the last first reading and the first
//! second reading, there was a time in which all of them slept and none was woken. The other
//! conditions are checked within that time:
//!
//! - the process has as many threads as were read, so none was overlooked;
//! - the other helper threads are at rest, so no thread waits for an internal lock that one of them
//!   holds;
//! - nothing can come from outside: no futex in shared memory, no debugger, no handler for a signal
//!   that could be sent, no requests that the kernel completes asynchronously.
//!
//! Timers need no rule: they send signals, or a thread waits for them. Nor do child processes,
//! which share no private memory. A process that shares this one's memory without being a thread
//! (`CLONE_VM` without `CLONE_THREAD`, and not `vfork`, which blocks the caller) is not detected.

use crate::{
    os_threads::{self, Process, Sleep},
    validator::helpers,
};

/// Checks for a global deadlock repeatedly, until it has found one.
#[derive(Default)]
pub(in crate::validator) struct Detector {
    has_found: bool,
    /// A thread that could still continue at the last check. It is read first.
    awake: Option<u64>,
    /// All threads, if all of them were asleep at the last check.
    before: Option<Vec<Sleep>>,
}

impl Detector {
    pub(in crate::validator) fn has_found(&self) -> bool {
        self.has_found
    }

    /// Checks once. Returns `true` at a global deadlock, once in the life of a process.
    pub(in crate::validator) fn look(&mut self) -> bool {
        if self.has_found || self.is_still_awake() {
            return false;
        }
        let is_certain = match self.before.take() {
            None => {
                self.before = self.read();
                false
            }
            Some(before) => {
                nothing_else_can_wake(&before) && self.read().is_some_and(|now| now == before)
            }
        };
        self.has_found = is_certain;
        is_certain
    }

    /// Returns `true` if the thread that could continue at the last check still can. There nearly
    /// always is one, so most checks are cheap.
    fn is_still_awake(&mut self) -> bool {
        // It may have ended meanwhile, or registered as a helper.
        let is_awake = |&thread: &u64| {
            Sleep::of(thread).is_none() && os_threads::is_there(thread) && !helpers::is_one(thread)
        };
        self.awake = self.awake.filter(is_awake);
        self.awake.is_some()
    }

    /// Reads all threads except the helpers, up to the first that can still continue.
    fn read(&mut self) -> Option<Vec<Sleep>> {
        let threads = os_threads::all().into_iter().filter(|&thread| !helpers::is_one(thread));
        let mut sleeps = Vec::new();
        for thread in threads {
            let Some(sleep) = Sleep::of(thread) else {
                self.awake = Some(thread);
                return None;
            };
            sleeps.push(sleep);
        }
        (!sleeps.is_empty()).then_some(sleeps)
    }
}

/// Returns `true` if these are all the threads, and nothing else can wake one of them.
fn nothing_else_can_wake(sleeps: &[Sleep]) -> bool {
    let Some(process) = Process::read() else { return false };
    let read = sleeps.len() as u64 + helpers::count();
    process.threads == read
        && !process.is_traced
        && (process.caught & !harmless_signals()) == 0
        && helpers::others_rest()
        && !Process::has_kernel_requests()
        && !Process::shares_a_futex(sleeps)
}

/// Returns the signals whose handlers wake no thread of the program: one bit for each, the lowest
/// for signal 1.
fn harmless_signals() -> u64 {
    // A thread's own faults, two of which std handles. A sleeping thread causes none.
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
    // The C library's own signals, below those that programs may use. Its threads send them to each
    // other.
    let of_libc = 32..libc::SIGRTMIN();
    let bits = faults.into_iter().chain(of_libc).map(|signal| 1_u64 << (signal - 1));
    #[cfg(feature = "signals")]
    let ours = crate::validator::monitor::on_signal::ours();
    #[cfg(not(feature = "signals"))]
    let ours = 0;
    bits.fold(ours, |all, bit| all | bit)
}

#[cfg(all(test, not(loom), not(shuttle)))]
#[allow(unsafe_code, reason = "`fork` is")]
mod tests {
    use std::{
        hint,
        sync::{
            Arc, Condvar, Mutex,
            atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
            mpsc,
        },
        thread,
        time::{Duration, Instant},
    };

    use super::{Detector, helpers::Helper};

    /// Runs a closure in a fork, which has no other thread, and expects it to return `true`.
    fn in_a_fork(body: impl FnOnce() -> bool) {
        // SAFETY: the fork runs the closure and ends. `alarm` ends it if it hangs.
        let status = unsafe {
            match libc::fork() {
                0 => {
                    libc::alarm(60);
                    libc::_exit(i32::from(!body()));
                }
                fork => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(fork, &raw mut status, 0), fork);
                    status
                }
            }
        };
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status}");
    }

    /// Checks until there is a finding.
    fn finds(mut detector: Detector) -> bool {
        while !detector.look() {
            thread::yield_now();
        }
        true
    }

    /// Returns the duration of the soak.
    fn soak() -> Duration {
        let seconds = std::env::var("GLOBAL_DEADLOCK_SOAK_SECONDS");
        Duration::from_secs(seconds.ok().and_then(|it| it.parse().ok()).unwrap_or(2))
    }

    /// Runs for up to 400 µs, so that others can be seen asleep.
    fn work() {
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let time = Duration::from_micros(u64::from(ROUND.fetch_add(37, Relaxed) % 400));
        let begin = Instant::now();
        while begin.elapsed() < time {
            hint::spin_loop();
        }
    }

    /// Two threads that take turns, through channels.
    fn channels(end: &Arc<AtomicBool>) {
        let ((a, from_a), (b, from_b)) = (mpsc::channel(), mpsc::channel());
        a.send(()).unwrap();
        for (inbox, next) in [(from_a, b.clone()), (from_b, a.clone())] {
            let (end, keep) = (Arc::clone(end), [a.clone(), b.clone()]);
            thread::spawn(move || {
                while !end.load(Relaxed) && inbox.recv().is_ok() {
                    work();
                    let _ = next.send(());
                }
                thread::park();
                drop(keep);
            });
        }
    }

    /// Two threads that take turns, with a mutex and a condition variable.
    fn condition_variables(end: &Arc<AtomicBool>) {
        let turn = Arc::new((Mutex::new(0), Condvar::new()));
        for own in 0..2 {
            let (end, turn) = (Arc::clone(end), Arc::clone(&turn));
            thread::spawn(move || {
                let (number, bell) = &*turn;
                while !end.load(Relaxed) {
                    work();
                    let number = number.lock().unwrap();
                    *bell.wait_while(number, |number| *number % 2 != own).unwrap() += 1;
                    bell.notify_all();
                }
                thread::park();
            });
        }
    }

    /// Threads that come and go, each joined by the one that starts it.
    fn joins(end: &Arc<AtomicBool>) {
        let end = Arc::clone(end);
        thread::spawn(move || {
            while !end.load(Relaxed) {
                thread::spawn(work).join().unwrap();
            }
            thread::park();
        });
    }

    /// Threads that wake each other all the time, checked without a pause. In the end they sleep,
    /// so that there is something to find.
    #[test]
    fn a_process_whose_threads_wake_each_other_is_not_asleep() {
        for start in [channels, condition_variables, joins] {
            in_a_fork(|| {
                let _own = Helper::this_thread();
                let (end, mut detector) = (Arc::new(AtomicBool::new(false)), Detector::default());
                start(&end);
                let begin = Instant::now();
                let mut looks = 0_u64;
                while begin.elapsed() < soak() {
                    if detector.look() {
                        return false;
                    }
                    looks += 1;
                }
                end.store(true, Relaxed);
                looks > 100 && finds(detector)
            });
        }
    }

    #[test]
    fn a_global_deadlock_is_found_in_two_checks() {
        in_a_fork(|| {
            let _own = Helper::this_thread();
            thread::spawn(thread::park);
            let joins = thread::spawn(|| thread::spawn(thread::park).join());
            let found = finds(Detector::default());
            // Only once.
            drop(joins);
            let mut again = Detector { has_found: true, ..Detector::default() };
            found && !again.look()
        });
    }
}
