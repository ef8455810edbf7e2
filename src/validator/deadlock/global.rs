//! Detects global deadlocks: all threads of the process sleep, and nothing can wake one.
//!
//! Go's runtime reports the same as "all goroutines are asleep". This one asks the operating system, so
//! it works for any primitive: unchecked mutexes, channels, condition variables, joins, C's locks. Runs in
//! the watchdog, which looks once per tick.
//!
//! # Why it is certain
//!
//! Each thread is read twice, all of them once before any of them is read again. If both readings of
//! each are the same sleep ([`Sleep`]), then between the last first and the first second reading there
//! was a time in which all of them slept and none was woken. The other conditions are checked within
//! that time:
//!
//! - the process has as many threads as were read, so none was overlooked;
//! - our other helper threads are at rest, so no thread waits for an internal lock that one of them holds;
//! - nothing comes from outside: no futex in shared memory, no debugger, no handler for a signal that
//!   could be sent, no requests that the kernel completes asynchronously.
//!
//! Timers need no rule: they send signals, or a thread waits for them. Nor do child processes, which
//! share no private memory. A process that shares this one's memory without being a thread
//! (`CLONE_VM` without `CLONE_THREAD`, and not `vfork`, which blocks the caller) is not detected.

use crate::{
    os_threads::{self, Process, Sleep},
    validator::monitor::helpers,
};

/// Looks for a global deadlock, again and again, until it has found one.
#[derive(Default)]
pub(in crate::validator) struct Detector {
    has_found: bool,
    /// A thread that could still go on at the last look. It is read first.
    awake: Option<u64>,
    /// All threads, if all of them were asleep at the last look.
    before: Option<Vec<Sleep>>,
}

impl Detector {
    pub(in crate::validator) fn has_found(&self) -> bool {
        self.has_found
    }

    /// Looks once. Returns `true` at a global deadlock, once in the life of a process.
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
                nobody_else_can_wake(&before) && self.read().is_some_and(|now| now == before)
            }
        };
        self.has_found = is_certain;
        is_certain
    }

    /// Returns `true` if the thread that could go on last time still can. Nearly always there is one,
    /// which makes a look cheap.
    fn is_still_awake(&mut self) -> bool {
        // It may have ended meanwhile, or registered as a helper.
        let is_awake = |&thread: &u64| {
            Sleep::of(thread).is_none() && os_threads::is_there(thread) && !helpers::is_one(thread)
        };
        self.awake = self.awake.filter(is_awake);
        self.awake.is_some()
    }

    /// Reads all threads except the helpers, up to the first that can still go on.
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

/// Returns `true` if these threads are all there are, and nothing else can wake one of them.
fn nobody_else_can_wake(sleeps: &[Sleep]) -> bool {
    let Some(process) = Process::read() else { return false };
    let read = sleeps.len() as u64 + helpers::count();
    process.threads == read
        && !process.is_traced
        && (process.caught & !harmless_signals()) == 0
        && helpers::others_rest()
        && !Process::has_kernel_requests()
        && !Process::shares_a_futex(sleeps)
}

/// The signals whose handlers wake no thread of the program: a bit for each, the lowest for the first.
fn harmless_signals() -> u64 {
    // A thread's own faults: std has handlers for two of them. One that sleeps makes none.
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];
    // The C library's own, below those that programs may use, which its threads send to each other.
    let of_libc = 32..libc::SIGRTMIN();
    let bits = faults.into_iter().chain(of_libc).map(|signal| 1_u64 << (signal - 1));
    bits.fold(crate::validator::monitor::on_signal::ours(), |all, bit| all | bit)
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

    /// Runs a closure in a fork, which has no other thread, and expects it to be true.
    fn in_a_fork(body: impl FnOnce() -> bool) {
        // SAFETY: the fork runs the closure and ends; `alarm` ends it if it hangs.
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

    /// Looks until there is something to see.
    fn finds(mut detector: Detector) -> bool {
        while !detector.look() {
            thread::yield_now();
        }
        true
    }

    /// How long the soak lasts.
    fn soak() -> Duration {
        let seconds = std::env::var("GLOBAL_DEADLOCK_SOAK_SECONDS");
        Duration::from_secs(seconds.ok().and_then(|it| it.parse().ok()).unwrap_or(2))
    }

    /// Runs for some time, up to 400 µs, so that others can be seen asleep.
    fn work() {
        static ROUND: AtomicU32 = AtomicU32::new(0);
        let time = Duration::from_micros(u64::from(ROUND.fetch_add(37, Relaxed) % 400));
        let begin = Instant::now();
        while begin.elapsed() < time {
            hint::spin_loop();
        }
    }

    /// Two threads in turn, by channels.
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

    /// Two threads in turn, by a mutex and a condition variable.
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

    /// Threads that wake each other all the time, looked at without a pause. In the end they sleep, so that
    /// there was something to see.
    #[test]
    fn who_is_about_to_wake_is_not_asleep() {
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
    fn all_are_asleep_in_two_looks() {
        in_a_fork(|| {
            let _own = Helper::this_thread();
            thread::spawn(thread::park);
            let joins = thread::spawn(|| thread::spawn(thread::park).join());
            let found = finds(Detector::default());
            // Once.
            drop(joins);
            let mut again = Detector { has_found: true, ..Detector::default() };
            found && !again.look()
        });
    }
}
