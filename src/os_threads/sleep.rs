//! The activity of threads: running, or blocked in a system call or on a futex.

use std::fs;

use super::{
    all, system_calls,
    text::{self, Blocked, Status, futex_wait, is_in_private_memory},
};
use crate::finding::{Activity, FutexWait, OsThread};

/// Returns every thread of this process with its activity. Threads are read one by one, while they
/// run.
pub(crate) fn look() -> Vec<OsThread> {
    let all = all();
    let thread = |&id: &u64| {
        let status = status(id)?;
        Some(OsThread {
            id,
            activity: activity(id, &status, &all),
            switches: status.switches,
            idle: None,
            name: status.name,
        })
    };
    all.iter().filter_map(thread).collect()
}

/// Returns `true` if another process may share the memory at an address.
pub(crate) fn is_in_shared_memory(address: usize) -> bool {
    let address = u64::try_from(address).unwrap_or(0);
    read("maps").is_none_or(|maps| text::is_in_shared_memory(&maps, address))
}

fn activity(thread: u64, status: &Status, all: &[u64]) -> Activity {
    match status.state {
        // The calling thread reads `/proc`, so it appears to be in that call.
        'R' => return Activity::Runs,
        'T' | 't' => return Activity::Stopped,
        'Z' | 'X' => return Activity::HasEnded,
        _ => {}
    }
    match blocked(thread) {
        None => Activity::Unknown,
        Some(Blocked::No) => Activity::Runs,
        Some(Blocked::OutsideCalls) => Activity::Faults,
        Some(Blocked::InCall { number, arguments }) => match futex(number, arguments) {
            // When a thread ends, the kernel clears its id and wakes the threads that wait for
            // that.
            Some(wait) if !wait.is_private && all.contains(&u64::from(wait.value)) => {
                Activity::Joins(wait.value.into())
            }
            Some(wait) => Activity::Futex(wait),
            None => Activity::SystemCall(system_calls::by_number(number)),
        },
    }
}

fn futex(number: u64, arguments: [u64; 6]) -> Option<FutexWait> {
    let is_futex = u64::try_from(libc::SYS_futex) == Ok(number);
    is_futex.then_some(arguments).and_then(futex_wait)
}

fn status(thread: u64) -> Option<Status> {
    Status::parse(&read(&format!("task/{thread}/status"))?)
}

fn blocked(thread: u64) -> Option<Blocked> {
    Blocked::parse(&read(&format!("task/{thread}/syscall"))?)
}

/// Reads a file of this process. `None` if that is not allowed, or the thread has ended.
fn read(name: &str) -> Option<String> {
    // A thread's name may contain any bytes.
    let text = fs::read(format!("/proc/self/{name}")).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// A thread that sleeps until another thread of this process wakes it, or that has ended.
///
/// If two readings of a thread are equal, it neither ran nor was woken in between. The kernel
/// counts each time it stops running ([`Status::switches`]), and a thread that was woken but has
/// not run yet no longer sleeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sleep {
    pub(crate) thread: u64,
    wait: Option<FutexWait>,
    switches: [u64; 2],
}

impl Sleep {
    /// Reads the state of a thread. `None` if it may go on without another thread of this process,
    /// or if the system does not say.
    pub(crate) fn of(thread: u64) -> Option<Self> {
        let before = status(thread)?;
        if before.state == 'Z' {
            // The main thread, which has exited before the others.
            return Some(Self { thread, wait: None, switches: before.switches });
        }
        // The kernel names a call only if the thread was off its processor during the whole read.
        let Blocked::InCall { number, arguments } = blocked(thread)? else { return None };
        let wait = futex(number, arguments).filter(|wait| !wait.is_timed)?;
        let after = status(thread)?;
        let sleeps = [&before, &after].iter().all(|status| status.state == 'S');
        (sleeps && before.switches == after.switches).then_some(Self {
            thread,
            wait: Some(wait),
            switches: after.switches,
        })
    }

    /// Returns the address of the futex, unless the wait itself is process-private.
    fn shared_address(&self) -> Option<u64> {
        let wait = self.wait.filter(|wait| !wait.is_private)?;
        Some(wait.address)
    }
}

/// What else could wake a process in which every thread sleeps until another wakes it.
#[derive(Debug)]
pub(crate) struct Process {
    /// The number of its threads.
    pub(crate) threads: u64,
    /// The signals that it handles, as in [`Status::caught`].
    pub(crate) caught: u64,
    /// `true` if a debugger is attached, which may do anything.
    pub(crate) is_traced: bool,
}

impl Process {
    pub(crate) fn read() -> Option<Self> {
        let status = Status::parse(&read("status")?)?;
        Some(Self { threads: status.threads, caught: status.caught, is_traced: status.tracer != 0 })
    }

    /// Returns `true` if another process could wake one of these threads through shared memory.
    pub(crate) fn shares_a_futex(sleeps: &[Sleep]) -> bool {
        let mut addresses = sleeps.iter().filter_map(Sleep::shared_address).peekable();
        if addresses.peek().is_none() {
            return false;
        }
        let Some(maps) = read("maps") else { return true };
        !addresses.all(|address| is_in_private_memory(&maps, address))
    }

    /// Returns `true` if the kernel may act for this process on its own: wake a futex when a
    /// request completes (`io_uring`), or end a page fault (`userfaultfd`).
    pub(crate) fn has_kernel_requests() -> bool {
        let Ok(files) = fs::read_dir("/proc/self/fd") else { return true };
        // A file that no longer exists is that of the listing itself.
        files.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| {
                let target = target.to_string_lossy();
                target.contains("[io_uring]") || target.contains("[userfaultfd]")
            })
        })
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use std::{
        sync::{Condvar, Mutex, mpsc},
        thread,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::os_threads::own;

    /// Returns a thread once it is in the expected state. The closure must not end on its own.
    fn comes_to(body: impl FnOnce() + Send + 'static, is_it: impl Fn(&OsThread) -> bool) -> u64 {
        let (tell, id) = mpsc::channel();
        let run = move || {
            tell.send(own().unwrap()).unwrap();
            body();
        };
        thread::Builder::new().name("looked at".into()).spawn(run).unwrap();
        let id = id.recv().unwrap();
        while !look().iter().any(|thread| thread.id == id && is_it(thread)) {
            thread::yield_now();
        }
        id
    }

    #[test]
    fn activities_of_threads() {
        let parked = comes_to(thread::park, |thread| {
            matches!(
                thread.activity,
                Activity::Futex(FutexWait { is_timed: false, is_private: true, .. })
            ) && thread.name == "looked at"
        });
        assert!(Sleep::of(parked).is_some_and(|sleep| sleep.shared_address().is_none()));
        assert_eq!(Sleep::of(parked), Sleep::of(parked));

        let timed = comes_to(
            || {
                let (lock, bell) = (Mutex::new(()), Condvar::new());
                let hour = Duration::from_hours(1);
                drop(bell.wait_timeout_while(lock.lock().unwrap(), hour, |()| true));
            },
            |thread| matches!(thread.activity, Activity::Futex(FutexWait { is_timed: true, .. })),
        );
        assert!(Sleep::of(timed).is_none());

        let asleep = comes_to(
            || thread::sleep(Duration::from_hours(1)),
            |thread| {
                let Activity::SystemCall(call) = thread.activity else { return false };
                call.known.is_some_and(|(name, _)| name == "clock_nanosleep")
            },
        );
        assert!(Sleep::of(asleep).is_none());

        let joiner = comes_to(
            || thread::spawn(thread::park).join().unwrap(),
            |thread| matches!(thread.activity, Activity::Joins(_)),
        );
        // The futex is the thread id in the joined thread's own memory.
        let sleep = Sleep::of(joiner).unwrap();
        assert!(sleep.shared_address().is_some() && !Process::shares_a_futex(&[sleep]));

        let own = own().unwrap();
        assert!(look().iter().any(|it| it.id == own && it.activity == Activity::Runs));
        assert!(Sleep::of(own).is_none());
        assert!(Sleep::of(u64::MAX).is_none(), "no such thread");
    }

    #[test]
    fn a_second_wait_differs_from_the_first() {
        let asleep = || {
            let is_it = |&it: &u64| name(it).as_deref() == Some("parks anew");
            all().into_iter().filter(is_it).find_map(Sleep::of)
        };
        let parks = thread::Builder::new().name("parks anew".into());
        let parks = parks.spawn(|| {
            loop {
                thread::park();
            }
        });
        let parks = parks.unwrap();
        let first = loop {
            if let Some(sleep) = asleep() {
                break sleep;
            }
        };
        assert_eq!(Sleep::of(first.thread).as_ref(), Some(&first));
        let begin = Instant::now();
        parks.thread().unpark();
        let again = loop {
            if let Some(sleep) = Sleep::of(first.thread).filter(|sleep| *sleep != first) {
                break sleep;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it seems never to have run");
        };
        assert_eq!((again.thread, again.wait), (first.thread, first.wait));
    }

    fn name(thread: u64) -> Option<String> {
        status(thread).map(|status| status.name)
    }
}
