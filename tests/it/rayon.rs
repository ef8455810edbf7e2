//! Calls into pools of rayon under locks that jobs acquire: which are found, and which cannot hang.
#![cfg(all(debug_assertions, feature = "rayon"))]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

use crate::support::{self, denied, findings_about, kinds};
use lockdep::{
    FindingKind, Level,
    rayon::{self, ThreadPool, ThreadPoolBuilder},
    sync::{Mutex, OnceLock, RwLock},
    thread::{self, JoinHandle},
};

use FindingKind::{Inversion, OrderedInversion};

/// What a scenario works with.
struct Bench {
    lock: Mutex<()>,
    other: Mutex<()>,
    many: RwLock<()>,
    cell: OnceLock<u8>,
    pool: ThreadPool,
    second: ThreadPool,
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

impl Bench {
    fn take(&self) {
        drop(self.lock.lock().unwrap());
    }

    /// Waits in the own pool with the lock held.
    fn join_under_lock(&self) {
        let _held = self.lock.lock().unwrap();
        rayon::join(|| (), || ());
    }

    /// Calls a pool with the lock held, from outside.
    fn install_under_lock(&self) {
        let _held = self.lock.lock().unwrap();
        self.pool.install(|| ());
    }
}

/// A thread that has done something and has not ended.
struct Elsewhere(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

fn elsewhere(bench: &Arc<Bench>, action: impl FnOnce(&Bench) + Send + 'static) -> Elsewhere {
    let ((end, is_over), (done, is_done)) = (mpsc::channel::<()>(), mpsc::channel());
    let bench = Arc::clone(bench);
    let thread = thread::spawn(move || {
        let _ = catch_unwind(AssertUnwindSafe(|| action(&bench)));
        drop(bench);
        done.send(()).unwrap();
        let _ = is_over.recv();
    });
    is_done.recv().unwrap();
    Elsewhere(Some((end, thread)))
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let (end, thread) = self.0.take().unwrap();
        drop(end);
        thread.join().unwrap();
    }
}

type Scenario = fn(&Arc<Bench>);

const FOUND: &[FindingKind] = &[Inversion];
const NOTHING: &[FindingKind] = &[];

/// Each with the number of threads of the pool.
const SCENARIOS: [(&str, usize, &[FindingKind], Scenario); 38] = [
    ("two jobs wait under the lock", 2, FOUND, |bench| {
        bench.pool.join(|| bench.join_under_lock(), || bench.join_under_lock());
    }),
    ("one job waits under its own lock", 2, NOTHING, |bench| {
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("the same job once more", 2, NOTHING, |bench| {
        (0..5).for_each(|_| bench.pool.install(|| bench.join_under_lock()));
    }),
    ("jobs of an earlier call", 2, NOTHING, |bench| {
        bench.pool.join(|| bench.take(), || bench.take());
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("jobs of a later call", 2, NOTHING, |bench| {
        bench.pool.install(|| bench.join_under_lock());
        bench.pool.join(|| bench.take(), || bench.take());
    }),
    ("jobs of an earlier call of the same job", 2, NOTHING, |bench| {
        bench.pool.install(|| {
            rayon::join(|| bench.take(), || bench.take());
            bench.join_under_lock();
        });
    }),
    ("the job itself before", 2, NOTHING, |bench| {
        bench.pool.install(|| {
            bench.take();
            rayon::join(|| bench.join_under_lock(), || ());
        });
    }),
    ("a cousin", 2, FOUND, |bench| {
        bench.pool.join(
            || rayon::join(|| bench.take(), || ()),
            || rayon::join(|| (), || bench.join_under_lock()),
        );
    }),
    ("a job of another thread, before", 2, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("a job of another thread, afterwards", 2, FOUND, |bench| {
        bench.pool.install(|| bench.join_under_lock());
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.join_under_lock()));
        let _third = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
    }),
    ("a job of a thread that was joined", 2, &[OrderedInversion], |bench| {
        drop(elsewhere(bench, |bench| bench.pool.install(|| bench.take())));
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("a thread outside takes the lock", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, Bench::take);
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("a job of another pool takes the lock", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| bench.second.install(|| bench.take()));
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("a single worker runs only jobs that it waits for", 1, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("outside, one worker", 1, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.install_under_lock();
    }),
    ("outside, one worker, own earlier job", 1, NOTHING, |bench| {
        bench.pool.install(|| bench.take());
        bench.install_under_lock();
    }),
    ("outside, two workers, one job", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.install_under_lock();
    }),
    ("outside, two workers, one job after the other", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| {
            (0..20).for_each(|_| bench.pool.install(|| bench.take()));
        });
        bench.install_under_lock();
    }),
    ("outside, two workers, two jobs at once", 2, FOUND, |bench| {
        let _other =
            elsewhere(bench, |bench| _ = bench.pool.join(|| bench.take(), || bench.take()));
        bench.install_under_lock();
    }),
    ("outside, two workers, two jobs at once, afterwards", 2, FOUND, |bench| {
        let _other = elsewhere(bench, Bench::install_under_lock);
        bench.pool.join(|| bench.take(), || bench.take());
    }),
    ("outside, three workers, two jobs at once", 3, NOTHING, |bench| {
        let _other =
            elsewhere(bench, |bench| _ = bench.pool.join(|| bench.take(), || bench.take()));
        bench.install_under_lock();
    }),
    ("a broadcast from outside needs each worker", 3, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        let _held = bench.lock.lock().unwrap();
        bench.pool.broadcast(|_| ());
    }),
    ("another worker's part of a broadcast is not taken over", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| _ = bench.pool.broadcast(|_| bench.take()));
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("the end of a scope waits", 2, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| {
            let _held = bench.lock.lock().unwrap();
            rayon::scope(|scope| scope.spawn(|_| ()));
        });
    }),
    ("the end of an empty scope does not", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| {
            let _held = bench.lock.lock().unwrap();
            rayon::scope(|_| ());
        });
    }),
    ("the end of a scope in place waits for a worker", 1, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        let _held = bench.lock.lock().unwrap();
        bench.pool.in_place_scope(|scope| scope.spawn(|_| ()));
    }),
    ("two jobs of a scope", 2, FOUND, |bench| {
        bench.pool.scope(|scope| {
            scope.spawn(|_| bench.join_under_lock());
            scope.spawn(|_| bench.take());
        });
    }),
    ("the body before the spawn", 2, NOTHING, |bench| {
        bench.pool.scope(|scope| {
            bench.take();
            scope.spawn(|_| bench.join_under_lock());
        });
    }),
    ("the body after the spawn", 2, FOUND, |bench| {
        bench.pool.scope_fifo(|scope| {
            scope.spawn_fifo(|_| bench.join_under_lock());
            bench.take();
        });
    }),
    ("a detached job after its spawn", 2, FOUND, |bench| {
        let (done, is_done) = mpsc::channel();
        let job = Arc::clone(bench);
        bench.pool.spawn(move || {
            job.take();
            drop(job);
            done.send(()).unwrap();
        });
        is_done.recv().unwrap();
        bench.pool.install(|| bench.join_under_lock());
    }),
    ("a detached job before its spawn", 2, NOTHING, |bench| {
        bench.pool.install(|| bench.join_under_lock());
        let (done, is_done) = mpsc::channel();
        let job = Arc::clone(bench);
        bench.pool.spawn_fifo(move || {
            job.take();
            drop(job);
            done.send(()).unwrap();
        });
        is_done.recv().unwrap();
    }),
    ("a yield may run any job", 1, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| {
            let _held = bench.lock.lock().unwrap();
            let _ = rayon::yield_now();
        });
    }),
    ("a local yield runs none of others", 2, NOTHING, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| {
            let _held = bench.lock.lock().unwrap();
            let _ = rayon::yield_local();
        });
    }),
    ("a worker that waits for another pool runs jobs of its own", 1, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| bench.pool.install(|| bench.take()));
        bench.pool.install(|| {
            let _held = bench.lock.lock().unwrap();
            bench.second.install(|| ());
        });
    }),
    ("two pools call each other", 2, NOTHING, |bench| {
        let _other =
            elsewhere(bench, |bench| bench.second.install(|| bench.pool.install(|| bench.take())));
        bench.pool.install(|| bench.second.install(|| bench.pool.install(|| bench.take())));
    }),
    ("readers", 2, NOTHING, |bench| {
        let read = || drop(bench.many.read().unwrap());
        let join_under_read = || {
            let _held = bench.many.read().unwrap();
            rayon::join(|| (), || ());
        };
        bench.pool.join(join_under_read, read);
        bench.pool.join(read, join_under_read);
    }),
    ("a third lock", 2, FOUND, |bench| {
        let _other = elsewhere(bench, |bench| {
            let _held = bench.other.lock().unwrap();
            bench.take();
        });
        bench.pool.join(|| bench.join_under_lock(), || drop(bench.other.lock().unwrap()));
    }),
    ("an initializer waits before the jobs", 2, NOTHING, |bench| {
        let ask = || _ = bench.cell.get_or_init(|| rayon::join(|| 1, || 2).0);
        bench.pool.install(ask);
        bench.pool.join(ask, ask);
    }),
];

#[test]
fn calls_under_locks_that_jobs_acquire() {
    let mut wrong = Vec::new();
    for (at, &(what, threads, expected, scenario)) in SCENARIOS.iter().enumerate() {
        let bench = Bench {
            lock: Mutex::new(()),
            other: Mutex::new(()),
            many: RwLock::new(()),
            cell: OnceLock::new(),
            pool: pool(threads),
            second: pool(2),
        };
        let [lock, other, many, cell] =
            ["lock", "other", "many", "cell"].map(|it| format!("rayon {it} {at}"));
        lockdep::name(&bench.lock, &lock);
        lockdep::name(&bench.other, &other);
        lockdep::name(&bench.many, &many);
        lockdep::name(&bench.cell, &cell);
        let bench = Arc::new(bench);
        let _ = catch_unwind(AssertUnwindSafe(|| scenario(&bench)));
        let mut found: Vec<FindingKind> = [&lock, &many, &cell]
            .into_iter()
            .flat_map(|name| kinds(&findings_about(&[name])))
            .filter(|kind| *kind != FindingKind::WaitWhileHolding)
            .collect();
        found.dedup();
        if found != expected {
            wrong.push(format!("{what}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The second job may ask for the cell meanwhile or afterwards, on the same worker or another.
#[test]
fn an_initializer_waits_while_jobs_ask_for_the_cell() {
    let (pool, cell) = (pool(2), OnceLock::new());
    lockdep::name(&cell, "asked for in jobs");
    let ask = || _ = cell.get_or_init(|| rayon::join(|| 1, || 2).0);
    let _ = catch_unwind(AssertUnwindSafe(|| pool.join(ask, ask)));
    let mut found = kinds(&findings_about(&["asked for in jobs"]));
    found.retain(|kind| *kind != FindingKind::WaitWhileHolding);
    assert!([[Inversion], [OrderedInversion]].contains(&[found[0]]), "{found:?}");
}

/// A finding in a detached job ends only the job.
#[test]
fn a_detached_job_that_is_denied_aborts_nothing() {
    let lock = Arc::new(Mutex::new(()));
    lockdep::name(&*lock, "in a detached job");
    let relock = {
        let lock = Arc::clone(&lock);
        move || {
            let _held = lock.lock().unwrap();
            let _again = lock.lock().unwrap();
        }
    };
    let plain = pool(1);
    plain.spawn(relock.clone());
    plain.spawn_fifo(relock.clone());
    plain.install(|| ());
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let handles = ThreadPoolBuilder::new().num_threads(1).panic_handler(move |panic| {
        tell.lock().unwrap().send(lockdep::finding_of_panic(&*panic)).unwrap();
    });
    let handles = handles.build().unwrap();
    handles.spawn(relock);
    assert_eq!(told.recv().unwrap().unwrap().kind(), FindingKind::SelfDeadlock);
}

/// Runs a test in a separate process in which only deadlocks that happen are denied.
fn with_allowed_inversions(test: impl Fn(), body: impl FnOnce()) {
    let output = support::in_a_child(test, || {
        lockdep::set_level(Inversion, Level::Allow);
        body();
    });
    if let Some(output) = output {
        println!("{}", String::from_utf8_lossy(&output.stdout));
        println!("{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success());
    }
}

/// A job waits for a lock that is held by the thread that waits for the job.
#[test]
fn a_job_that_waits_for_its_waiting_thread_is_a_deadlock() {
    with_allowed_inversions(a_job_that_waits_for_its_waiting_thread_is_a_deadlock, || {
        let (pool, lock) = (pool(2), Mutex::new(()));
        let take = || drop(lock.lock().unwrap());
        let calls: [&(dyn Fn() + Sync); 4] = [
            &|| pool.install(take),
            // Through another call, which is made without a further lock.
            &|| pool.install(|| _ = rayon::join(|| (), || rayon::scope(|it| it.spawn(|_| take())))),
            &|| _ = pool.broadcast(|_| take()),
            &|| pool.in_place_scope(|scope| scope.spawn(|_| take())),
        ];
        for call in calls {
            let report = denied(|| {
                let _held = lock.lock().unwrap();
                call();
            });
            let report = report.expect("a deadlock");
            println!("{report}");
            assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
        }
        // The other worker takes the job over.
        let report = denied(|| {
            let (begun, is_begun) = mpsc::channel();
            pool.install(|| {
                let _held = lock.lock().unwrap();
                let begin = move || {
                    begun.send(()).unwrap();
                    take();
                };
                rayon::join(move || is_begun.recv().unwrap(), begin);
            });
        });
        assert!(report.unwrap().starts_with("error[lockdep::deadlock]"));
    });
}

/// A worker that acquires what it holds, in another job or in its own.
#[test]
fn a_self_deadlock_says_in_which_job() {
    with_allowed_inversions(a_self_deadlock_says_in_which_job, || {
        let (pool, lock) = (pool(1), Arc::new(Mutex::new(())));
        let take = {
            let lock = Arc::clone(&lock);
            move || drop(lock.lock())
        };
        let said = |by: &str| {
            let found = lockdep::take_findings();
            let found = found.iter().find(|it| it.kind() == FindingKind::SelfDeadlock);
            let report = found.expect("a self-deadlock").render(false).replace("\n      ", " ");
            println!("{report}");
            assert!(report.contains(by), "{report}");
        };
        pool.install(|| {
            let _held = lock.lock().unwrap();
            rayon::spawn(take.clone());
            assert_eq!(rayon::yield_now(), Some(rayon::Yield::Executed));
        });
        said("this is a job that was stolen while");
        let report = denied(|| {
            pool.install(|| {
                let _held = lock.lock().unwrap();
                rayon::join(&take, || ());
            });
        });
        assert!(report.is_some());
        said("this is a job of the call at tests/it/rayon.rs");
    });
}
