//! Sends on bounded channels under a lock that the receiving thread acquires between two receives.
#![cfg(debug_assertions)]

use std::sync::{Arc, mpsc as std_mpsc};

use crate::support::{self, denied, findings_about};
use lockdep::{
    Finding, FindingKind,
    sync::{
        Mutex,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

type Lock = Arc<Mutex<()>>;

fn named(name: &str) -> Lock {
    let lock = Arc::new(Mutex::new(()));
    lockdep::name(&*lock, name);
    lock
}

fn take(lock: &Mutex<()>) {
    drop(lock.lock().unwrap());
}

/// Returns the kinds of findings about a lock, except that it is held during a wait for space in a
/// channel.
fn found(name: &str) -> Vec<FindingKind> {
    let is_order = |it: &Finding| it.kind() != FindingKind::WaitWhileHolding;
    findings_about(&[name]).iter().filter(|it| is_order(it)).map(Finding::kind).collect()
}

/// A thread that owns the receiver of a channel and runs jobs one after the other.
struct Consumer {
    jobs: std_mpsc::Sender<Job>,
    done: std_mpsc::Receiver<Option<String>>,
    thread: thread::JoinHandle<Receiver<u32>>,
}

type Job = Box<dyn FnOnce(&Receiver<u32>) + Send>;

impl Consumer {
    fn new(receiver: Receiver<u32>) -> Self {
        let ((jobs, to_do), (did, done)) = (std_mpsc::channel::<Job>(), std_mpsc::channel());
        let consumer = thread::Builder::new().name("consumer".into());
        let work = move || {
            for job in to_do {
                did.send(denied(|| job(&receiver))).unwrap();
            }
            receiver
        };
        Self { jobs, done, thread: consumer.spawn(work).unwrap() }
    }

    fn begin(&self, job: impl FnOnce(&Receiver<u32>) + Send + 'static) {
        self.jobs.send(Box::new(job)).unwrap();
    }

    /// Returns the report if the job was denied.
    fn finish(&self) -> Option<String> {
        self.done.recv().unwrap()
    }

    fn run(&self, job: impl FnOnce(&Receiver<u32>) + Send + 'static) -> Option<String> {
        self.begin(job);
        self.finish()
    }

    fn takes(&self, lock: &Lock) {
        let lock = Arc::clone(lock);
        assert_eq!(self.run(move |_| take(&lock)), None);
    }

    fn end(self) -> Receiver<u32> {
        drop(self.jobs);
        self.thread.join().unwrap()
    }
}

/// Passes a message from this thread to the other by rendezvous. Returns the reports of both.
fn meet(sender: &SyncSender<u32>, consumer: &Consumer) -> [Option<String>; 2] {
    consumer.begin(|receiver| _ = receiver.recv());
    let sends = denied(|| sender.send(1).unwrap());
    if sends.is_some() {
        // The receiver must be woken.
        lockdep::allow(|| sender.send(0).unwrap());
    }
    [sends, consumer.finish()]
}

fn meet_under(lock: &Lock, sender: &SyncSender<u32>, consumer: &Consumer) -> [Option<String>; 2] {
    let _held = lock.lock().unwrap();
    meet(sender, consumer)
}

const NONE: [Option<String>; 2] = [None, None];

#[test]
fn the_receiver_took_the_lock_before_the_send() {
    let state = named("sent under, taken before");
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.takes(&state);
    assert_eq!(meet(&sender, &consumer), NONE);
    let [report, _] = meet_under(&state, &sender, &consumer);
    let report = report.expect("an inversion");
    for text in [
        "error[lockdep::inversion]: `sent under, taken before` is held during a send to `sender`, whose \
         receiver acquires `sent under, taken before`",
        "and sends to `sender` here",
        "note: thread `consumer` acquired `sent under, taken before` before it received from `sender` again",
        "`sender` is a `sync_channel<u32>` made at tests/it/channels.rs:",
        "help: if the receiver of `sender` still needs `sent under, taken before` when the wait for space \
         in `sender`",
    ] {
        let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(report.contains(text), "{text}\n{report}");
    }
    assert_eq!(found("sent under, taken before"), [FindingKind::Inversion]);
    consumer.end();
}

#[test]
fn the_receiver_takes_the_lock_after_the_send() {
    let state = named("sent under, taken after");
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    assert_eq!(meet(&sender, &consumer), NONE);
    assert_eq!(meet_under(&state, &sender, &consumer), NONE);
    consumer.takes(&state);
    assert_eq!(found("sent under, taken after"), []);
    let report = consumer.run(|receiver| _ = receiver.try_recv()).expect("an inversion");
    assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
    assert!(report.contains("thread `consumer` receives from"), "{report}");
    assert_eq!(found("sent under, taken after"), [FindingKind::Inversion]);
    consumer.end();
}

/// A cycle through a lock of a third thread, which neither of the two acquires while holding the
/// other's.
#[test]
fn through_a_third_thread() {
    let (a, b) = (named("channel third a"), named("channel third b"));
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    support::on_a_thread(|| {
        let _b = b.lock().unwrap();
        take(&a);
    });
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.takes(&b);
    assert_eq!(meet(&sender, &consumer), NONE);
    let [report, _] = meet_under(&a, &sender, &consumer);
    let report = report.expect("an inversion");
    assert!(report.contains("3 locks and waits form a cycle"), "{report}");
    consumer.end();
}

/// A send does not wait if all previous messages fit into the channel together with it.
#[test]
fn more_sends_than_there_is_room_for() {
    let state = named("sent under with capacity");
    let (sender, receiver) = mpsc::sync_channel(2);
    let consumer = Consumer::new(receiver);
    let round = || {
        let report = {
            let _held = state.lock().unwrap();
            denied(|| sender.send(1).unwrap())
        };
        if report.is_none() {
            assert_eq!(consumer.run(|receiver| _ = receiver.recv()), None);
            consumer.takes(&state);
        }
        report
    };
    assert_eq!([round(), round()], [None, None]);
    assert_eq!(found("sent under with capacity"), []);
    // The channel has never been full.
    assert!(round().is_some());
    assert_eq!(found("sent under with capacity"), [FindingKind::Inversion]);
    consumer.end();
}

#[test]
fn a_reply_channel_that_is_used_once() {
    let state = named("under a reply");
    for _ in 0..10 {
        let (reply, replied) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _held = state.lock().unwrap();
                reply.send(1).unwrap();
            });
            assert_eq!(replied.recv(), Ok(1));
            take(&state);
        });
    }
    assert_eq!(found("under a reply"), []);
}

/// Locks acquired before the first receive or after the last one keep no sender waiting.
#[test]
fn before_the_first_receive_and_after_the_last() {
    let state = named("before the first receive");
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    consumer.takes(&state);
    assert_eq!(meet_under(&state, &sender, &consumer), NONE);
    assert_eq!(meet_under(&state, &sender, &consumer), NONE);
    consumer.takes(&state);
    drop(consumer.end());
    assert_eq!(found("before the first receive"), []);
}

/// A lock counts as acquired between two receives even if it was acquired before the first one as
/// well.
#[test]
fn before_the_first_receive_and_between_others() {
    let state = named("before and between receives");
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    consumer.takes(&state);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.takes(&state);
    assert_eq!(meet(&sender, &consumer), NONE);
    assert!(meet_under(&state, &sender, &consumer)[0].is_some());
    consumer.end();
}

/// The receiver holds the lock during the receive, and has not acquired it between two receives.
#[test]
fn a_lock_that_is_held_during_the_receive() {
    let (state, other) = (named("held by the receiver"), named("taken by the receiver"));
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    let lock = Arc::clone(&state);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.begin(move |receiver| {
        let held = lock.lock().unwrap();
        drop((receiver.recv(), held));
    });
    sender.send(1).unwrap();
    assert_eq!(consumer.finish(), None);
    // From now on, another thread may hold the receiver while this one waits for the lock.
    consumer.takes(&other);
    assert_eq!(meet(&sender, &consumer), NONE);
    assert_eq!(meet_under(&other, &sender, &consumer), NONE);
    consumer.end();
}

/// Worker threads share one receiver behind a mutex: one may receive while another waits for the
/// lock.
#[test]
fn a_receiver_behind_a_mutex() {
    let state = named("taken by a pool");
    let (sender, receiver) = mpsc::sync_channel(0);
    let receiver = Mutex::new(receiver);
    let (done, next) = std_mpsc::channel();
    thread::scope(|scope| {
        let (receiver, state) = (&receiver, &state);
        let begin = || {
            let done = done.clone();
            scope.spawn(move || {
                // The thread also receives from another channel, with no lock held.
                let (own, from_own) = mpsc::sync_channel(1);
                own.send(1).unwrap();
                from_own.recv().unwrap();
                while receiver.lock().unwrap().recv().is_ok() {
                    take(state);
                    done.send(()).unwrap();
                }
            });
        };
        begin();
        for _ in 0..3 {
            sender.send(1).unwrap();
            next.recv().unwrap();
        }
        begin();
        let held = state.lock().unwrap();
        assert_eq!(denied(|| sender.send(1).unwrap()), None);
        drop((held, sender));
    });
    assert_eq!(found("taken by a pool"), []);
}

/// The lock is acquired under a gate that the sender holds as well.
#[test]
fn a_gate() {
    let (gate, state) = (named("gate of a channel"), named("behind a gate of a channel"));
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    assert_eq!(meet(&sender, &consumer), NONE);
    // Acquiring the gate itself between two receives is allowed.
    let ((open, opened), locks) = (std_mpsc::channel(), (Arc::clone(&gate), Arc::clone(&state)));
    consumer.begin(move |receiver| {
        let (gate, state) = locks;
        receiver.recv().unwrap();
        let gate = lockdep::allow(|| gate.lock().unwrap());
        take(&state);
        drop(gate);
        receiver.recv().unwrap();
        opened.recv().unwrap();
    });
    (0..2).for_each(|_| sender.send(1).unwrap());
    open.send(()).unwrap();
    assert_eq!(consumer.finish(), None);
    let _gate = gate.lock().unwrap();
    assert_eq!(meet_under(&state, &sender, &consumer), NONE);
    assert_eq!(found("behind a gate of a channel"), [FindingKind::GuardedInversion]);
    consumer.end();
}

/// Once a second thread has received, it is unknown which thread a send waits for.
#[test]
fn a_receiver_that_moves() {
    let state = named("sent under to a receiver that moves");
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.takes(&state);
    assert_eq!(meet(&sender, &consumer), NONE);
    let consumer = Consumer::new(consumer.end());
    assert_eq!(meet(&sender, &consumer), NONE);
    for _ in 0..2 {
        consumer.takes(&state);
        assert_eq!(meet_under(&state, &sender, &consumer), NONE);
    }
    assert_eq!(found("sent under to a receiver that moves"), []);
    consumer.end();
}

/// A thread that sends to itself never waits for its own actions in between.
#[test]
fn a_thread_that_sends_to_itself() {
    let state = named("sent under to oneself");
    let (sender, receiver) = mpsc::sync_channel(1);
    for _ in 0..3 {
        let held = state.lock().unwrap();
        sender.send(1).unwrap();
        assert!(sender.try_send(2).is_err());
        drop(held);
        receiver.recv().unwrap();
        take(&state);
    }
    assert_eq!(found("sent under to oneself"), []);
}

#[test]
fn what_is_allowed() {
    let (state, other) = (named("allowed in a send"), named("allowed between receives"));
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.takes(&state);
    let lock = Arc::clone(&other);
    assert_eq!(consumer.run(move |_| lockdep::allow(|| take(&lock))), None);
    assert_eq!(meet(&sender, &consumer), NONE);
    lockdep::allow(|| assert_eq!(meet_under(&state, &sender, &consumer), NONE));
    assert_eq!(meet_under(&other, &sender, &consumer), NONE);
    consumer.end();
    assert_eq!((found("allowed in a send"), found("allowed between receives")), (vec![], vec![]));
}

/// A `try_send` does not wait, nor does a `try_lock`.
#[test]
fn attempts() {
    let state = named("attempts of a channel");
    let (sender, receiver) = mpsc::sync_channel(0);
    let consumer = Consumer::new(receiver);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.takes(&state);
    assert_eq!(meet(&sender, &consumer), NONE);
    consumer.begin(|receiver| _ = receiver.recv());
    let held = state.lock().unwrap();
    while sender.try_send(1).is_err() {}
    drop(held);
    assert_eq!(consumer.finish(), None);
    assert_eq!(found("attempts of a channel"), []);
    consumer.end();
}

/// Threads that were spawned and joined by one thread: their order is known.
#[test]
fn phases() {
    let state = named("sent under in a phase");
    let (sender, receiver) = mpsc::sync_channel(0);
    thread::scope(|scope| {
        let sends = || (0..2).for_each(|_| sender.send(1).unwrap());
        scope.spawn(sends);
        // This is the only receiving thread, and it acquires the lock in between.
        receiver.recv().unwrap();
        take(&state);
        receiver.recv().unwrap();
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            let _held = state.lock().unwrap();
            sender.send(1).unwrap();
        });
        receiver.recv().unwrap();
    });
    assert_eq!(found("sent under in a phase"), [FindingKind::OrderedInversion]);
}

/// The receiving thread acquires the lock before the barrier, and the next send comes after it.
#[test]
fn a_barrier_in_between() {
    let state = named("taken before a barrier");
    let barrier = lockdep::sync::Barrier::new(2);
    let (sender, receiver) = mpsc::sync_channel(0);
    thread::scope(|scope| {
        let (state, barrier) = (&state, &barrier);
        scope.spawn(move || {
            for _ in 0..3 {
                while denied(|| receiver.recv().unwrap()).is_some() {}
                take(state);
                barrier.wait();
            }
        });
        for _ in 0..3 {
            let held = state.lock().unwrap();
            while denied(|| sender.send(1).unwrap()).is_some() {}
            drop(held);
            barrier.wait();
        }
    });
    assert_eq!(found("taken before a barrier"), []);
}

/// A thread spawned by std instead of the mirror acquires the lock each time.
#[test]
fn any_thread_may_receive() {
    let state = named("received by a thread of std's");
    let (sender, receiver) = mpsc::sync_channel(0);
    take(&state);
    let (start, started) = std_mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let state = &state;
        let consumer = scope.spawn(move || {
            take(state);
            for _ in 0..3 {
                let _ = receiver.recv();
                take(state);
            }
            drop(start);
            receiver
        });
        (0..3).for_each(|_| sender.send(1).unwrap());
        assert!(started.recv().is_err());
        let receiver = consumer.join().unwrap();
        let _held = state.lock().unwrap();
        assert!(denied(|| sender.send(1)).is_some());
        drop(receiver);
    });
    assert_eq!(found("received by a thread of std's"), [FindingKind::Inversion]);
}

/// Dropping a channel removes its edges.
#[test]
fn a_channel_that_is_gone_leaves_nothing() {
    let state = named("kept by no channel");
    let edges = || {
        let graph = lockdep::order_graph();
        let about = |lock: &lockdep::LockInfo| lock.name() == Some("kept by no channel");
        graph
            .as_petgraph()
            .edge_weights()
            .filter(|it| about(it.held()) || about(it.wanted()))
            .count()
    };
    for _ in 0..3 {
        let (sender, receiver) = mpsc::sync_channel(0);
        let consumer = Consumer::new(receiver);
        assert_eq!(meet(&sender, &consumer), NONE);
        assert_eq!(meet_under(&state, &sender, &consumer), NONE);
        assert_eq!(edges(), 1);
        consumer.end();
        drop(sender);
        assert_eq!(edges(), 0);
    }
}

/// Many deadlocks of two threads at the same time: each is found after one second and broken by a
/// panic.
fn circles(test: impl Fn(), circle: impl Fn(usize) + Send + Copy + 'static, text: &str) {
    const CIRCLES: usize = 200;
    let output = support::in_a_child(test, || {
        for kind in [FindingKind::Inversion, FindingKind::WaitWhileHolding] {
            lockdep::set_level(kind, lockdep::Level::Allow);
        }
        for number in 0..CIRCLES {
            std::thread::spawn(move || circle(number));
        }
        let deadlocks = || {
            let findings = lockdep::findings();
            findings.into_iter().filter(|it| it.kind() == FindingKind::Deadlock).collect::<Vec<_>>()
        };
        while deadlocks().len() < CIRCLES {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        println!("{}", deadlocks()[0]);
        std::process::exit(0);
    });
    if let Some(output) = output {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains(text), "{printed}");
    }
}

#[test]
fn a_circle_of_a_send_and_a_lock() {
    let circle = |_| {
        let state = Mutex::new(());
        let (sender, receiver) = mpsc::sync_channel(0);
        let held = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                for message in receiver {
                    if message == 2 {
                        held.wait();
                        take(&state);
                    }
                }
            });
            scope.spawn(|| {
                (1..=2).for_each(|message| sender.send(message).unwrap());
                let _state = state.lock().unwrap();
                held.wait();
                _ = sender.send(3);
            });
        });
    };
    let text = "waits here for space in `sender`, from which the thread spawned at tests/it/channels.rs:522 receives";
    circles(a_circle_of_a_send_and_a_lock, circle, text);
}

#[test]
fn a_circle_of_a_barrier_and_a_lock() {
    let circle = |_| {
        let (state, barrier) = (Mutex::new(()), lockdep::sync::Barrier::new(2));
        let held = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..2).for_each(|_| _ = barrier.wait());
                held.wait();
                take(&state);
                barrier.wait();
            });
            scope.spawn(|| {
                (0..2).for_each(|_| _ = barrier.wait());
                let _state = state.lock().unwrap();
                held.wait();
                barrier.wait();
            });
        });
    };
    let text = "waits here at `barrier`, which the thread spawned at tests/it/channels.rs:5";
    circles(a_circle_of_a_barrier_and_a_lock, circle, text);
}

/// A thread acquires a lock that another one holds during its wait. For four seconds that wait
/// seems to be for this thread, until a third thread takes its place.
fn in_its_place<R: Send + 'static>(
    test: impl Fn(),
    before: impl FnOnce(),
    waits: impl FnOnce() -> R + Send + 'static,
    third: impl FnOnce() + Send + 'static,
) {
    let output = support::in_a_child(test, || {
        for kind in [FindingKind::Inversion, FindingKind::WaitWhileHolding] {
            lockdep::set_level(kind, lockdep::Level::Allow);
        }
        let state = named("held until a third comes");
        let (is_held, held) = std_mpsc::channel();
        let waits = thread::spawn({
            let state = Arc::clone(&state);
            move || {
                let _state = state.lock().unwrap();
                is_held.send(()).unwrap();
                waits();
            }
        });
        held.recv().unwrap();
        before();
        let third = thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs(4));
            third();
        });
        take(&state);
        assert_eq!(found("held until a third comes"), []);
        waits.join().unwrap();
        third.join().unwrap();
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn an_iterator_that_moves_to_another_thread() {
    let (sender, receiver) = mpsc::sync_channel(1);
    sender.send(1).unwrap();
    let mut messages = receiver.into_iter();
    messages.next();
    sender.send(2).unwrap();
    let waits = move || sender.send(3);
    in_its_place(
        an_iterator_that_moves_to_another_thread,
        || (),
        waits,
        || messages.for_each(drop),
    );
}

#[test]
fn a_barrier_to_which_another_thread_comes() {
    let barrier = Arc::new(lockdep::sync::Barrier::new(2));
    let [waits, passes, third] = [(); 3].map(|()| Arc::clone(&barrier));
    let waits = move || (0..2).for_each(|_| _ = waits.wait());
    in_its_place(
        a_barrier_to_which_another_thread_comes,
        || _ = passes.wait(),
        waits,
        move || _ = third.wait(),
    );
}
