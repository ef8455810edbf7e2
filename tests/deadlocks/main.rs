//! Threads that really wait for each other are reported, and a panic in one of them ends the
//! deadlock without affecting other threads. With barriers and scripts.
#![cfg(debug_assertions)]

mod parking_lot;
#[path = "../support/mod.rs"]
mod support;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use lockdep::{
    external::{Event, Owed},
    sync::{Condvar, LazyLock, Mutex, Once, OnceLock, RwLock},
};

use support::ring::{
    Link, REPETITIONS, check_ring, deadlock_about, named, only_what_happens, report, ring_link,
    unique, until_waiting,
};

/// The kinds of links, each with a constructor that takes a name.
const LINKS: &[fn(&str) -> Link] = &[mutex, written, written_and_read, read, once, lazy];

/// A lock that would be poisoned by a panic; the panic of a finding must not poison it.
macro_rules! held {
    ($guard:expr) => {
        &|then: &dyn Fn()| {
            let _guard = $guard.expect("what a finding unwinds is not poisoned");
            then();
        }
    };
}

fn mutex(name: &str) -> Link {
    let lock = named(Mutex::new(()), name);
    ring_link!(lock: held!(lock.lock()), lock.lock().expect("not poisoned"))
}

fn written(name: &str) -> Link {
    let lock = named(RwLock::new(()), name);
    ring_link!(lock: held!(lock.write()), lock.write().expect("not poisoned"))
}

fn written_and_read(name: &str) -> Link {
    let lock = named(RwLock::new(()), name);
    ring_link!(lock: held!(lock.write()), lock.read().expect("not poisoned"))
}

fn read(name: &str) -> Link {
    let lock = named(RwLock::new(()), name);
    ring_link!(lock: held!(lock.read()), lock.write().expect("not poisoned"))
}

fn once(name: &str) -> Link {
    let lock = named(Once::new(), name);
    ring_link!(lock: |then| lock.call_once(then), lock.call_once(|| ()))
}

/// The thread that runs the initializer holds the cell.
fn lazy(name: &str) -> Link {
    let lock = named(OnceLock::new(), name);
    ring_link!(lock: |then| () = *lock.get_or_init(then), lock.get_or_init(|| ()))
}

/// Answers when it is dropped, also by unwinding.
struct Answer<'a> {
    _owes: Owed<'a>,
    is_answered: &'a AtomicBool,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        self.is_answered.store(true, Relaxed);
    }
}

fn until(is_answered: &AtomicBool) {
    while !is_answered.load(Relaxed) {
        thread::yield_now();
    }
}

/// An event and its answer.
fn event(name: &str) -> Link {
    let event = (named(Event::new("event"), name), AtomicBool::new(false));
    ring_link!(event: |then| {
        let _answer = Answer { _owes: event.0.owe(), is_answered: &event.1 };
        then();
    }, event.0.wait(|| until(&event.1)))
}

/// Only a few, because each takes a second to be reported.
#[test]
fn events_make_circles() {
    only_what_happens();
    for kinds in [&[event, mutex][..], &[once, event], &[event, event], &[event, read, mutex]] {
        check_ring(kinds);
    }
}

/// One thread owes an event and wants a lock, another one holds the lock and waits for the event.
/// The calling thread answers; it owes the event from the beginning, or from the moment when they
/// wait.
fn what_another_thread_answers(owes_from_the_beginning: bool) {
    only_what_happens();
    let name = unique("several");
    let lock = named(Mutex::new(()), &format!("{name}.lock"));
    let event = named(Event::new("event"), &format!("{name}.event"));
    let (all_owe, is_answered) = (Barrier::new(3), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _owes = event.owe();
            all_owe.wait();
            drop(lock.lock().unwrap());
        });
        scope.spawn(|| {
            let _held = lock.lock().unwrap();
            all_owe.wait();
            event.wait(|| until(&is_answered));
        });
        let owes = owes_from_the_beginning.then(|| event.owe());
        all_owe.wait();
        until_waiting(&format!("{name}.event"), 1);
        until_waiting(&format!("{name}.lock"), 1);
        let owes = owes.unwrap_or_else(|| event.owe());
        // Longer than a deadlock with an event must last before it is reported.
        thread::sleep(Duration::from_millis(1500));
        is_answered.store(true, Relaxed);
        drop(owes);
    });
    assert!(deadlock_about(&format!("{name}.lock")).is_empty());
}

#[test]
fn what_several_threads_owe_makes_no_circle() {
    what_another_thread_answers(true);
}

#[test]
fn a_thread_that_owes_from_now_on_may_answer() {
    what_another_thread_answers(false);
}

/// An answered thread still seems to wait until it runs again; by then the answering thread may
/// wait for its lock.
#[test]
fn who_has_been_answered_is_in_no_circle() {
    only_what_happens();
    let name = unique("answered");
    let lock = named(Mutex::new(()), &format!("{name}.lock"));
    let event = named(Event::new("event"), &format!("{name}.event"));
    let is_held = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _held = lock.lock().unwrap();
            is_held.wait();
            event.wait(|| until_waiting(&format!("{name}.lock"), 1));
        });
        let _owes = event.owe();
        is_held.wait();
        until_waiting(&format!("{name}.event"), 1);
        drop(lock.lock().unwrap());
    });
    assert!(deadlock_about(&format!("{name}.lock")).is_empty());
}

#[test]
fn every_two_kinds_of_lock_make_a_circle() {
    only_what_happens();
    for first in LINKS {
        for second in LINKS {
            check_ring(&[*first, *second]);
        }
    }
}

#[test]
fn rings_of_2_to_16_threads_of_mixed_kinds() {
    only_what_happens();
    for repetition in 0..REPETITIONS {
        let size = 2 + repetition % 15;
        let kinds: Vec<_> = LINKS.iter().copied().cycle().skip(repetition).take(size).collect();
        check_ring(&kinds);
    }
}

#[test]
fn two_threads_that_block_at_once() {
    only_what_happens();
    for _ in 0..REPETITIONS {
        check_ring(&[mutex, mutex]);
    }
}

/// Waits until a writer queues for a lock that is being read; its wait is published before.
fn until_writer_queues(lock: &RwLock<()>) {
    while lock.try_read().is_ok() {
        thread::yield_now();
    }
}

/// A reader waits behind a writer that holds nothing, which waits for a reader.
#[test]
fn readers_behind_a_queued_writer() {
    only_what_happens();
    for _ in 0..REPETITIONS {
        let name = unique("behind");
        let shared = Arc::new(named(RwLock::new(()), &format!("{name}.shared")));
        let other = Arc::new(named(Mutex::new(()), &format!("{name}.other")));
        let (reads, holds) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let spawn = |body: fn(&RwLock<()>, &Mutex<()>, &Barrier, &Barrier, &str)| {
            let (shared, other) = (Arc::clone(&shared), Arc::clone(&other));
            let (reads, holds) = (Arc::clone(&reads), Arc::clone(&holds));
            let name = name.clone();
            thread::spawn(move || body(&shared, &other, &reads, &holds, &name))
        };
        let first = spawn(|shared, other, reads, holds, name| {
            let _shared = shared.read().unwrap();
            reads.wait();
            holds.wait();
            until_waiting(&format!("{name}.shared"), 2);
            drop(other.lock());
        });
        reads.wait();
        let writer = spawn(|shared, _, _, _, _| drop(shared.write()));
        until_writer_queues(&shared);
        let second = spawn(|shared, other, _, holds, _| {
            let _other = other.lock().unwrap();
            holds.wait();
            drop(shared.read());
        });
        let reports: Vec<_> = [first, writer, second].map(|it| report(it.join())).into();
        assert_eq!(reports.iter().flatten().count(), 1, "{reports:#?}");
        let [finding] = &deadlock_about(&format!("{name}.other"))[..] else { panic!("one") };
        let queued: Vec<_> = finding.cycle().iter().map(lockdep::Edge::is_queued).collect();
        assert_eq!(queued.iter().filter(|&&queued| queued).count(), 1, "{finding}");
        assert_eq!(queued.len(), 3, "{finding}");
    }
}

/// The writer comes between two reads of one thread.
#[test]
fn a_recursive_read_around_a_queued_writer() {
    only_what_happens();
    for _ in 0..REPETITIONS {
        let name = unique("recursive");
        let lock = Arc::new(named(RwLock::new(()), &name));
        let reader = lock.read().unwrap();
        let writer = thread::spawn({
            let lock = Arc::clone(&lock);
            move || drop(lock.write())
        });
        until_writer_queues(&lock);
        let report = support::denied(|| drop(lock.read())).expect("it would hang");
        assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
        drop(reader);
        writer.join().unwrap();
    }
}

/// A wait on a condition variable ends only when its mutex is acquired again.
#[test]
fn a_condvar_takes_its_mutex_again() {
    only_what_happens();
    for notify in [true, false].repeat(REPETITIONS / 2) {
        let name = unique("condvar");
        let kept = Arc::new(named(Mutex::new(()), &format!("{name}.kept")));
        let mutex = Arc::new(named(Mutex::new(false), &format!("{name}.mutex")));
        let changed = Arc::new(Condvar::new());
        let waiter = thread::spawn({
            let (kept, mutex, changed) =
                (Arc::clone(&kept), Arc::clone(&mutex), Arc::clone(&changed));
            move || {
                let _kept = kept.lock().unwrap();
                let guard = mutex.lock().unwrap();
                drop(changed.wait_while(guard, |ready| !*ready));
            }
        });
        let mark = format!("then for `{name}.mutex`");
        while !lockdep::held().to_string().contains(&mark) {
            thread::yield_now();
        }
        let mut ready = mutex.lock().unwrap();
        *ready = true;
        if notify {
            changed.notify_one();
        }
        let report = support::denied(|| drop(kept.lock())).expect("it would hang");
        assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
        changed.notify_one();
        drop(ready);
        waiter.join().unwrap();
    }
}

#[test]
fn a_thread_waits_for_itself() {
    only_what_happens();
    for _ in 0..REPETITIONS {
        let (mutex, rwlock) = (Mutex::new(()), RwLock::new(()));
        let held = mutex.lock().unwrap();
        let report = support::denied(|| drop(mutex.lock())).expect("it would hang");
        assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
        drop(held);
        let held = rwlock.read().unwrap();
        assert!(support::denied(|| drop(rwlock.write())).is_some());
        drop(held);
        let held = rwlock.write().unwrap();
        assert!(support::denied(|| drop(rwlock.read())).is_some());
        drop(held);
        assert!(mutex.lock().is_ok() && rwlock.write().is_ok());
    }
}

#[test]
fn an_initializer_that_asks_for_itself() {
    static SELF: LazyLock<u32> = LazyLock::new(|| *SELF + 1);
    only_what_happens();
    let report = support::denied(|| *SELF).expect("it would hang");
    assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
}

#[test]
fn without_backtraces_a_deadlock_has_none() {
    static SELF: LazyLock<u32> = LazyLock::new(|| *SELF + 1);
    let test = without_backtraces_a_deadlock_has_none;
    if !support::is_child() {
        let output = support::child_command(test).env("LOCKDEP_BACKTRACE", "0").output().unwrap();
        return assert!(output.status.success(), "{output:?}");
    }
    only_what_happens();
    let report = support::denied(|| *SELF).expect("it would hang");
    assert!(!report.contains("stack of thread"), "{report}");
}

/// Two opposite orders at the same time without a deadlock, because the second acquisition is a
/// `try_lock`.
#[test]
fn a_try_that_fails_leaves_no_trace() {
    only_what_happens();
    for _ in 0..REPETITIONS {
        let name = unique("tried");
        let a = Arc::new(named(Mutex::new(()), &name));
        let b = Arc::new(Mutex::new(()));
        let (held, tried) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let other = thread::spawn({
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            let (held, tried) = (Arc::clone(&held), Arc::clone(&tried));
            move || {
                let b = b.lock().unwrap();
                held.wait();
                assert!(a.try_lock().is_err());
                tried.wait();
                drop(b);
                drop(a.lock());
            }
        });
        let guard = a.lock().unwrap();
        held.wait();
        tried.wait();
        drop(b.lock());
        drop(guard);
        other.join().unwrap();
        assert!(deadlock_about(&name).is_empty());
    }
}

/// One thread holds the lock and ten want it, which is not a deadlock. Each holds another lock, so
/// each one searches for a deadlock.
#[test]
fn ten_contenders_on_one_lock() {
    only_what_happens();
    for _ in 0..REPETITIONS {
        let name = unique("crowd");
        let lock = Arc::new(named(Mutex::new(0), &name));
        let held = lock.lock().unwrap();
        let contender = || {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                let own = Mutex::new(());
                let _own = own.lock().unwrap();
                *lock.lock().unwrap() += 1;
            })
        };
        let contenders: Vec<_> = (0..10).map(|_| contender()).collect();
        until_waiting(&name, 10);
        drop(held);
        for contender in contenders {
            contender.join().unwrap();
        }
        assert_eq!(*lock.lock().unwrap(), 10);
        assert!(deadlock_about(&name).is_empty());
    }
}

/// Two threads acquire two locks in the same order repeatedly. Between a release and the next
/// acquisition, separate looks at them may suggest that each holds what the other wants.
#[test]
fn what_only_looks_like_a_circle() {
    only_what_happens();
    let name = unique("ordered");
    let locks = Arc::new([named(Mutex::new(0_u64), &name), Mutex::new(0), Mutex::new(0)]);
    let round = |locks: &[Mutex<u64>; 3]| {
        for _ in 0..20_000 {
            let mut a = locks[0].lock().unwrap();
            let mut b = locks[1].lock().unwrap();
            *a += 1;
            drop(a);
            let mut c = locks[2].lock().unwrap();
            *b += 1;
            *c += 1;
        }
    };
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let locks = Arc::clone(&locks);
            thread::spawn(move || round(&locks))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(deadlock_about(&name).is_empty());
}

/// Inside `allow` nothing is found; another thread reports the deadlock, or none.
#[test]
fn whoever_is_allowed_to_is_seen_by_others() {
    only_what_happens();
    let name = unique("allowed");
    let a = Arc::new(named(Mutex::new(()), &name));
    let b = Arc::new(Mutex::new(()));
    let (held, other) = (Arc::new(Barrier::new(2)), (Arc::clone(&a), Arc::clone(&b)));
    let allowed = thread::spawn({
        let held = Arc::clone(&held);
        move || {
            let (a, b) = other;
            let _b = b.lock().unwrap();
            held.wait();
            lockdep::allow(|| drop(a.lock()));
        }
    });
    let guard = a.lock().unwrap();
    held.wait();
    until_waiting(&name, 1);
    assert!(support::denied(|| drop(b.lock())).is_some());
    drop(guard);
    allowed.join().unwrap();
}

/// Eight threads over 64 locks, always in ascending order, until a flag is set.
#[test]
fn a_soak_in_one_order_says_nothing() {
    only_what_happens();
    let seconds = std::env::var("LOCKDEP_SOAK_SECONDS").map_or(3, |it| it.parse().unwrap());
    let name = unique("soak");
    let locks: Arc<Vec<RwLock<u64>>> =
        Arc::new((0..64).map(|_| named(RwLock::new(0), &name)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let soak = |seed: u64| {
        let (locks, stop) = (Arc::clone(&locks), Arc::clone(&stop));
        thread::spawn(move || {
            let mut state = seed;
            let mut random = |below: u64| {
                // Knuth's MMIX generator; any generator would do.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed | 1);
                (state >> 33) % below
            };
            let mut rounds = 0_u64;
            while !stop.load(Relaxed) {
                let (mut at, mut reads, mut writes) = (0, Vec::new(), Vec::new());
                loop {
                    at += 1 + usize::try_from(random(24)).unwrap();
                    let Some(lock) = locks.get(at) else { break };
                    if random(3) == 0 {
                        reads.push(lock.read().unwrap());
                    } else {
                        writes.push(lock.write().unwrap());
                    }
                }
                rounds += 1;
            }
            rounds
        })
    };
    let threads: Vec<_> = (0..8).map(soak).collect();
    thread::sleep(std::time::Duration::from_secs(seconds));
    stop.store(true, Relaxed);
    let rounds: Vec<_> = threads.into_iter().map(|it| it.join().expect("no report")).collect();
    assert!(rounds.iter().all(|&rounds| rounds > 0), "{rounds:?}");
    assert!(deadlock_about(&name).is_empty());
}

/// A hanging thread prints nothing any more, and a test harness shows only the output of tests that
/// have ended.
#[test]
fn a_warning_of_a_deadlock_is_not_captured() {
    if support::is_child() {
        let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
        let both_hold = Arc::new(Barrier::new(2));
        for own in 0..2 {
            let (locks, both_hold) = (Arc::clone(&locks), Arc::clone(&both_hold));
            thread::spawn(move || {
                let _own = locks[own].lock();
                both_hold.wait();
                let _other = locks[1 - own].lock();
            });
        }
        // Until the parent has read it.
        thread::sleep(Duration::from_secs(20));
        return;
    }
    let mut command = support::captured_child_command(a_warning_of_a_deadlock_is_not_captured);
    command.env("LOCKDEP", "allow,deadlock=warn").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    assert!(stderr.lines().any(|line| line.unwrap().contains("waits here for")));
    child.kill().unwrap();
    child.wait().unwrap();
}
