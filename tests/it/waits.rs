//! Waits for something other than a lock: a message, space in a channel, a barrier. Which findings
//! there are if a lock is held meanwhile, and how the table of held locks shows the waits.
#![cfg(debug_assertions)]

use std::{sync::Arc, thread, time::Duration};

use crate::support::{child_command, denied, findings_about, is_child};
use lockdep::{
    Finding, FindingKind, Level, WaitKind,
    sync::{
        Barrier, Mutex, RwLock,
        mpsc::{self, RecvTimeoutError},
    },
};

/// A lock with a name.
fn named(name: &str) -> Mutex<()> {
    let lock = Mutex::new(());
    lockdep::name(&lock, name);
    lock
}

/// Returns once the table of held locks shows a wait in this file: other tests wait for things of the same name.
fn until_shown(text: &str) {
    let is_shown = |table: &str| {
        let mut rest = table.split(text).skip(1);
        rest.any(|rest| rest.lines().next().is_some_and(|line| line.contains(file!())))
    };
    while !is_shown(&lockdep::held().to_string()) {
        thread::yield_now();
    }
}

/// Returns the only finding about a lock: a wait while it is held.
fn the_wait(name: &str) -> Finding {
    let [finding] = &findings_about(&[name])[..] else { panic!("one finding about {name}") };
    assert_eq!(finding.kind(), FindingKind::WaitWhileHolding);
    finding.clone()
}

#[test]
fn a_message_is_waited_for_with_a_lock_held() {
    let state = named("held in recv");
    let (jobs, receiver) = mpsc::channel::<u8>();
    let line = line!() + 3;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _state = state.lock().unwrap();
            receiver_of(receiver).recv().unwrap();
        });
        until_shown("a message from");
        jobs.send(1).unwrap();
    });
    let finding = the_wait("held in recv");
    assert_eq!((finding.wait(), finding.level()), (Some(WaitKind::Recv), Level::Allow));
    let [edge] = finding.cycle() else { panic!("one lock is held") };
    assert_eq!((edge.held_at().line(), edge.acquired_at().line()), (line, line + 1));
    assert_eq!(edge.wanted().type_name(), "channel<u8>");
    assert_eq!(edge.wanted().created_at().unwrap().line(), line - 4);
}

fn receiver_of<T>(receiver: mpsc::Receiver<T>) -> mpsc::Receiver<T> {
    receiver
}

/// A message that is already there is not waited for, whatever is held.
#[test]
fn what_need_not_wait_is_no_finding() {
    let state = named("held by who does not wait");
    let _state = state.lock().unwrap();
    let (sender, receiver) = mpsc::channel();
    sender.send(1).unwrap();
    assert_eq!(receiver.recv(), Ok(1));
    assert!(receiver.try_recv().is_err());
    sender.send(2).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(2));
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    drop(sender);
    assert!(receiver.recv().is_err());
    assert_eq!(receiver.iter().next(), None);

    let (sender, receiver) = mpsc::sync_channel(1);
    sender.send(1).unwrap();
    assert!(sender.try_send(2).is_err());
    drop(receiver);
    assert!(sender.send(3).is_err());
    Barrier::new(1).wait();
    assert_eq!(findings_about(&["held by who does not wait"]).len(), 0);
}

#[test]
fn nothing_held_is_no_finding_but_is_shown() {
    struct Job(u32);
    let (sender, receiver) = mpsc::sync_channel(0);
    thread::scope(|threads| {
        let worker = thread::Builder::new().name("idle worker".into());
        let work = move || receiver.into_iter().map(|Job(number)| number).sum::<u32>();
        let worker = worker.spawn_scoped(threads, work).unwrap();
        until_shown("thread `idle worker`\n    waits for  a message from ");
        let table = lockdep::held().to_string();
        let (_, row) = table.split_once("thread `idle worker`\n").unwrap();
        let row = row.lines().next().unwrap();
        assert!(row.contains(", a `sync_channel<Job>` made at tests/it/waits.rs:"), "{row}");
        assert!(row.contains("  at "), "{row}");
        sender.send(Job(1)).unwrap();
        sender.send(Job(2)).unwrap();
        drop(sender);
        assert_eq!(worker.join().unwrap(), 3);
    });
    assert!(!lockdep::held().to_string().contains("idle worker"));
    let findings = lockdep::findings();
    let mut wanted = findings.iter().flat_map(Finding::cycle).map(lockdep::Edge::wanted);
    assert!(wanted.all(|lock| lock.type_name() != "sync_channel<Job>"));
}

#[test]
fn space_is_waited_for_with_locks_held() {
    let (state, log) = (named("held in send"), RwLock::new(()));
    lockdep::name(&log, "also held in send");
    let (sender, receiver) = mpsc::sync_channel(1);
    sender.send(1).unwrap();
    thread::scope(|scope| {
        let producer = thread::Builder::new().name("producer".into());
        let produce = || {
            let _held = (state.lock().unwrap(), log.read().unwrap());
            sender.send(2).unwrap();
        };
        producer.spawn_scoped(scope, produce).unwrap();
        until_shown("    waits for  space in `sender`, a `sync_channel<i32>` made at");
        assert_eq!(receiver.iter().take(2).collect::<Vec<_>>(), [1, 2]);
    });
    let finding = the_wait("held in send");
    assert_eq!((finding.wait(), finding.cycle().len()), (Some(WaitKind::Send), 2));
    let report = finding.to_string();
    for text in [
        "[lockdep::wait_while_holding]: thread `producer` waits for space for a message while it \
         holds `held in send`, `also held in send`",
        "waits for space in `sender` here, with `held in send` held",
        "note: it holds `also held in send` as well",
        "note: `held in send` is a `Mutex<()>` made at tests/it/waits.rs:",
        "`sender` is a `sync_channel<i32>` made at tests/it/waits.rs:",
        "help: if the receiver needs `held in send` before it receives again, both wait for ever",
    ] {
        assert!(report.contains(text), "{text}\n{report}");
    }
}

#[test]
fn the_others_at_a_barrier_are_waited_for_with_a_lock_held() {
    let (state, start) = (named("held at a barrier"), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _state = state.lock().unwrap();
            start.wait();
        });
        until_shown("    waits for  the other threads at `start`, a `Barrier` made at");
        // The last one does not wait.
        let last = named("held by the last one");
        let _last = last.lock().unwrap();
        start.wait();
    });
    let finding = the_wait("held at a barrier");
    assert_eq!(finding.wait(), Some(WaitKind::Barrier));
    let report = finding.to_string();
    let text = "waits for the other threads at `start` here, with `held at a barrier` held";
    assert!(report.contains(text), "{report}");
    assert_eq!(findings_about(&["held by the last one"]).len(), 0);
}

#[test]
fn a_wait_for_some_time_is_one_as_well() {
    let state = named("held in recv_timeout");
    let (_sender, receiver) = mpsc::channel::<u8>();
    let _state = state.lock().unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    assert_eq!(the_wait("held in recv_timeout").wait(), Some(WaitKind::Recv));
}

/// Each end of each channel has its own finding.
#[test]
fn a_wait_is_told_from_others() {
    let state = named("held in three waits");
    let (_sender, receiver) = mpsc::channel::<u8>();
    let (bounded, rendezvous) = mpsc::sync_channel::<u8>(0);
    let _state = state.lock().unwrap();
    for _ in 0..3 {
        assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
        assert!(rendezvous.recv_timeout(Duration::from_millis(1)).is_err());
    }
    thread::scope(|scope| {
        let closed = scope.spawn(move || {
            until_shown("space in `bounded`");
            drop(rendezvous);
        });
        assert!(bounded.send(1).is_err());
        closed.join().unwrap();
    });
    let findings = findings_about(&["held in three waits"]);
    let waits: Vec<_> = findings.iter().map(|it| (it.wait().unwrap(), it.count())).collect();
    assert_eq!(waits, [(WaitKind::Recv, 3), (WaitKind::Recv, 3), (WaitKind::Send, 1)]);
}

#[test]
fn allowed_waits_are_no_findings() {
    let state = named("held in an allowed wait");
    let (_sender, receiver) = mpsc::channel::<u8>();
    let _state = state.lock().unwrap();
    let wait = || receiver.recv_timeout(Duration::from_millis(1));
    assert!(lockdep::allow(wait).is_err());
    assert_eq!(findings_about(&["held in an allowed wait"]).len(), 0);
}

/// A guard that was released by another thread is no longer held.
#[cfg(feature = "parking_lot")]
#[test]
fn a_lock_that_was_released_elsewhere_is_not_held() {
    use lock_api::RawMutex as _;
    let lock = lockdep::parking_lot::RawMutex::INIT;
    lock.lock();
    crate::support::on_a_thread(|| {
        // SAFETY: it is locked.
        #[allow(unsafe_code, reason = "it is")]
        unsafe {
            lock.unlock();
        }
    });
    let findings = lockdep::testing::collect(|| {
        let (_sender, receiver) = mpsc::channel::<u8>();
        assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    });
    assert_eq!(findings.len(), 0);
}

/// The level of one kind of wait, the finding at that level, and the state after its panic.
#[test]
fn a_denied_wait_leaves_all_as_it_was() {
    if !is_child() {
        let output = child_command(a_denied_wait_leaves_all_as_it_was)
            .env("LOCKDEP", "wait_while_holding=deny,wait_while_holding.recv=warn")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        let report = "warning[lockdep::wait_while_holding]: thread ";
        assert_eq!(text.matches(report).count(), 1, "{text}");
        return;
    }
    let (state, message) = (named("denied"), Arc::new(()));
    let (sender, receiver) = mpsc::sync_channel(1);
    let (start, guard) = (Barrier::new(2), state.lock().unwrap());
    assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    sender.send(Arc::clone(&message)).unwrap();
    let report = denied(|| sender.send(Arc::clone(&message))).unwrap();
    assert!(report.contains("waits for space in `sender` here"), "{report}");
    assert_eq!(Arc::strong_count(&message), 2);
    assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err());

    let report = denied(|| start.wait()).unwrap();
    assert!(report.contains("waits for the other threads at `start` here"), "{report}");
    drop(guard);
    // The denied wait does not count as an arrival: these two are a generation.
    thread::scope(|scope| {
        let other = scope.spawn(|| start.wait().is_leader());
        assert!(start.wait().is_leader() != other.join().unwrap());
    });
    assert!(!state.is_poisoned());
    let levels = lockdep::findings().into_iter().map(|it| (it.wait().unwrap(), it.level()));
    let expected = [
        (WaitKind::Recv, Level::Warn),
        (WaitKind::Send, Level::Deny),
        (WaitKind::Barrier, Level::Deny),
    ];
    assert_eq!(levels.collect::<Vec<_>>(), expected);
    drop(lockdep::take_findings());
}

#[test]
fn the_program_sets_levels() {
    if !is_child() {
        let output = child_command(the_program_sets_levels).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let (_sender, receiver) = mpsc::channel::<u8>();
    let level = || {
        let state = Mutex::new(());
        let _state = state.lock().unwrap();
        let wait = || receiver.recv_timeout(Duration::from_millis(1));
        let denied = denied(wait).is_some();
        let [finding] = &lockdep::take_findings()[..] else { panic!("one") };
        assert_eq!(denied, finding.level() == Level::Deny);
        finding.level()
    };
    assert_eq!(level(), Level::Allow);
    lockdep::set_level(FindingKind::WaitWhileHolding, Level::Deny);
    assert_eq!(level(), Level::Deny);
    lockdep::set_wait_level(WaitKind::Send, Level::Allow);
    assert_eq!(level(), Level::Deny);
    lockdep::set_wait_level(WaitKind::Recv, Level::Warn);
    assert_eq!(level(), Level::Warn);
}
