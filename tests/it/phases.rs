//! Spawns and joins of threads, and the inversions between threads that could never run at once.
#![cfg(debug_assertions)]

use std::sync::{Arc, mpsc};

use crate::support::{denied, findings_about, kinds};
use lockdep::{FindingKind, sync::Mutex, thread};

use FindingKind::{Inversion, OrderedInversion, SingleThreadInversion};

#[derive(Clone)]
struct Locks {
    a: Arc<Mutex<()>>,
    b: Arc<Mutex<()>>,
    c: Arc<Mutex<()>>,
    name: &'static str,
}

impl Locks {
    fn new(name: &'static str) -> Self {
        // Their types have defaults, so these locks have no class.
        let locks = Self { a: Arc::default(), b: Arc::default(), c: Arc::default(), name };
        for lock in [&locks.a, &locks.b, &locks.c] {
            lockdep::name(&**lock, name);
        }
        locks
    }

    fn ab(&self) {
        nest(&self.a, &self.b);
    }

    fn bc(&self) {
        nest(&self.b, &self.c);
    }

    fn ca(&self) {
        nest(&self.c, &self.a);
    }

    fn ba(&self) {
        nest(&self.b, &self.a);
    }

    /// Returns the body of a thread.
    fn doing(&self, what: fn(&Self)) -> impl FnOnce() + Send + 'static {
        let this = self.clone();
        move || what(&this)
    }

    fn found(&self) -> Vec<FindingKind> {
        kinds(&findings_about(&[self.name]))
    }
}

/// Takes two locks, the second while it holds the first. The second may be denied.
fn nest(first: &Mutex<()>, then: &Mutex<()>) {
    let _first = first.lock().unwrap();
    _ = denied(|| drop(then.lock().unwrap()));
}

/// Waits until a thread has finished, without joining it.
fn until(is_finished: impl Fn() -> bool) {
    while !is_finished() {
        thread::yield_now();
    }
}

/// Runs a test on a thread of std, so that it is the root of a family.
fn run(body: impl FnOnce() + Send + 'static) {
    std::thread::spawn(body).join().unwrap();
}

#[test]
fn before_it_is_started() {
    run(|| {
        let locks = Locks::new("before it is started");
        locks.ab();
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        assert_eq!(locks.found(), [OrderedInversion]);
    });
}

#[test]
fn after_it_was_joined() {
    run(|| {
        let locks = Locks::new("after it was joined");
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        locks.ab();
        assert_eq!(locks.found(), [OrderedInversion]);
    });
}

/// The thread is done first, but nothing enforces that.
#[test]
fn while_it_is_there() {
    run(|| {
        let locks = Locks::new("while it is there");
        let thread = thread::spawn(locks.doing(Locks::ba));
        until(|| thread.is_finished());
        locks.ab();
        thread.join().unwrap();
        assert_eq!(locks.found(), [Inversion]);
    });
}

#[test]
fn before_and_while_it_is_there() {
    run(|| {
        let locks = Locks::new("before and while");
        locks.ab();
        let thread = thread::spawn(locks.doing(Locks::ba));
        until(|| thread.is_finished());
        assert_eq!(locks.found(), [OrderedInversion]);
        locks.ab();
        thread.join().unwrap();
        assert_eq!(locks.found(), [OrderedInversion, Inversion]);
    });
    // The same, but with the thread last.
    run(|| {
        let locks = Locks::new("before and while, it comes last");
        let (go, may_go) = mpsc::channel();
        locks.ab();
        let thread = thread::spawn({
            let locks = locks.clone();
            move || {
                may_go.recv().unwrap();
                locks.ba();
            }
        });
        locks.ab();
        go.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(locks.found(), [Inversion]);
    });
}

#[test]
fn before_and_after() {
    run(|| {
        let locks = Locks::new("before and after");
        locks.ab();
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        locks.ab();
        assert_eq!(locks.found(), [OrderedInversion]);
    });
}

/// A later run can turn an ordered inversion into an inversion.
#[test]
fn in_a_later_phase() {
    run(|| {
        let locks = Locks::new("in a later phase");
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        locks.ab();
        assert_eq!(locks.found(), [OrderedInversion]);
        // Now the same function runs concurrently.
        let thread = thread::spawn(locks.doing(Locks::ba));
        until(|| thread.is_finished());
        locks.ab();
        thread.join().unwrap();
        assert_eq!(locks.found(), [OrderedInversion, Inversion]);
    });
}

#[test]
fn scopes_are_phases_of_who_opens_them() {
    run(|| {
        let locks = Locks::new("scopes");
        locks.ab();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| locks.ba());
            }
        });
        assert_eq!(locks.found(), [OrderedInversion]);
        locks.ab();
        assert_eq!(locks.found(), [OrderedInversion]);
    });
}

/// So many threads did it that the last ones were not kept.
#[test]
fn many_workers_and_then_their_parent() {
    run(|| {
        let locks = Locks::new("many workers");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| locks.ba());
            }
        });
        locks.ab();
        assert_eq!(locks.found(), [OrderedInversion]);
        // Further threads like these may do it at the same time.
        thread::scope(|scope| {
            let ba = scope.spawn(|| locks.ba());
            until(|| ba.is_finished());
            locks.ab();
        });
        assert_eq!(locks.found(), [OrderedInversion, Inversion]);
    });
}

#[test]
fn siblings_in_sequence_could_be_started_at_once() {
    run(|| {
        let locks = Locks::new("siblings in sequence");
        thread::spawn(locks.doing(Locks::ab)).join().unwrap();
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        let findings = findings_about(&[locks.name]);
        assert_eq!(kinds(&findings), [Inversion]);
        let report = findings[0].to_string().replace("\n      ", " ");
        assert!(report.contains("was joined before the other was spawned"), "{report}");
    });
    run(|| {
        let locks = Locks::new("siblings at once");
        let one = thread::spawn(locks.doing(Locks::ab));
        until(|| one.is_finished());
        let other = thread::spawn(locks.doing(Locks::ba));
        one.join().unwrap();
        other.join().unwrap();
        let findings = findings_about(&[locks.name]);
        assert_eq!(kinds(&findings), [Inversion]);
        assert!(!findings[0].to_string().contains("was joined before"));
    });
}

#[test]
fn grandchildren_descend() {
    run(|| {
        let locks = Locks::new("grandchildren, before");
        locks.ab();
        let of_child = locks.clone();
        thread::spawn(move || thread::spawn(of_child.doing(Locks::ba)).join().unwrap())
            .join()
            .unwrap();
        locks.ab();
        assert_eq!(locks.found(), [OrderedInversion]);
    });
    // The intermediate thread has ended, and the last one was never joined.
    run(|| {
        let locks = Locks::new("grandchildren, left behind");
        let of_child = locks.clone();
        let (done, is_done) = mpsc::channel();
        let child = move || {
            drop(thread::spawn(move || {
                of_child.ba();
                done.send(()).unwrap();
            }));
        };
        thread::spawn(child).join().unwrap();
        is_done.recv().unwrap();
        locks.ab();
        assert_eq!(locks.found(), [Inversion]);
    });
}

/// The pool's thread is spawned before the first order.
#[test]
fn a_pool_that_was_there_before() {
    run(|| {
        let locks = Locks::new("a pool");
        let (jobs, of_pool) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let pool = thread::spawn(move || of_pool.iter().for_each(|job| job()));
        locks.ab();
        jobs.send(Box::new(locks.doing(Locks::ba))).unwrap();
        drop(jobs);
        pool.join().unwrap();
        assert_eq!(locks.found(), [Inversion]);
    });
}

/// Three threads of a family have done it, so that further ones are assumed. A thread of another
/// family is still a new finding.
#[test]
fn a_stranger_after_a_family() {
    run(|| {
        let locks = Locks::new("a stranger");
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        locks.ba();
        locks.ab();
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        assert_eq!(locks.found(), [SingleThreadInversion]);
        std::thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        assert_eq!(locks.found(), [SingleThreadInversion, Inversion]);
    });
}

/// Three threads of the family never ran at the same time as the one with the other order, but a
/// fourth one does.
#[test]
fn a_sibling_after_the_others_of_its_family() {
    run(|| {
        let locks = Locks::new("a sibling comes last");
        locks.ba();
        let child = thread::spawn({
            let locks = locks.clone();
            move || {
                locks.ba();
                locks.ab();
                for _ in 0..2 {
                    thread::spawn(locks.doing(Locks::ba)).join().unwrap();
                }
            }
        });
        until(|| child.is_finished());
        assert_eq!(locks.found(), [SingleThreadInversion]);
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        child.join().unwrap();
        assert_eq!(locks.found(), [SingleThreadInversion, Inversion]);
    });
}

#[test]
fn three_locks() {
    run(|| {
        let locks = Locks::new("three locks, before");
        locks.ab();
        thread::scope(|scope| {
            let bc = scope.spawn(|| locks.bc());
            until(|| bc.is_finished());
            scope.spawn(|| locks.ca());
        });
        assert_eq!(locks.found(), [OrderedInversion]);
    });
    run(|| {
        let locks = Locks::new("three locks, while");
        thread::scope(|scope| {
            let bc = scope.spawn(|| locks.bc());
            until(|| bc.is_finished());
            let ca = scope.spawn(|| locks.ca());
            until(|| ca.is_finished());
            locks.ab();
        });
        assert_eq!(locks.found(), [Inversion]);
    });
}

/// It took both orders itself, which is more severe.
#[test]
fn one_thread_did_all_of_it() {
    run(|| {
        let locks = Locks::new("one did all");
        locks.ab();
        thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        locks.ba();
        assert_eq!(locks.found(), [OrderedInversion, SingleThreadInversion]);
    });
}

/// Nothing is known about std's own threads.
#[test]
fn threads_that_were_not_started_by_ours() {
    run(|| {
        let locks = Locks::new("not by ours");
        locks.ab();
        std::thread::spawn(locks.doing(Locks::ba)).join().unwrap();
        assert_eq!(locks.found(), [Inversion]);
    });
    // One of them in between.
    run(|| {
        let locks = Locks::new("not by ours, in between");
        locks.ab();
        let of_child = locks.clone();
        std::thread::spawn(move || thread::spawn(of_child.doing(Locks::ba)).join().unwrap())
            .join()
            .unwrap();
        assert_eq!(locks.found(), [Inversion]);
    });
}

/// The same lines on the same path, with other locks before the join.
#[test]
fn other_locks_before_it_was_joined() {
    run(|| {
        let (others, locks) = ([(); 4].map(|()| Locks::new("others")), Locks::new("later"));
        let mut thread = Some(thread::spawn(locks.doing(Locks::bc)));
        for locks in others.iter().chain([&locks]) {
            if locks.name == "later"
                && let Some(thread) = thread.take()
            {
                thread.join().unwrap();
            }
            locks.ab();
        }
        // An unknown third thread closes the cycle.
        std::thread::spawn(locks.doing(Locks::ca)).join().unwrap();
        assert_eq!(locks.found(), [OrderedInversion]);
    });
}
