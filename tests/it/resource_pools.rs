//! Pools all of whose permits are held by threads that wait, and pools that only look like it. Since a pool may have a
//! time limit, that is a warning, and the threads wait on.
#![cfg(any(debug_assertions, feature = "enforce"))]

use std::{
    convert::Infallible,
    sync::{Barrier, Condvar},
    thread,
    time::Duration,
};

use lockdep::{
    Finding, FindingKind,
    external::{Held, Mode, Resource},
    sync::{Mutex, mpsc},
};

use crate::support::{denied, findings_about};

const S: Mode = Mode::Shared;

/// Longer than a deadlock has to last before it is reported.
const LONG: Duration = Duration::from_millis(1500);

/// What one of several threads does, which begin at the same time. The first is its name.
type Named<'a> = (&'a str, &'a (dyn Fn(&Barrier) + Sync));

/// A pool with real connections, in which a thread waits until another one returns its own.
struct Connections {
    pool: Resource,
    free: std::sync::Mutex<usize>,
    returned: Condvar,
}

struct Connection<'a>(&'a Connections);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap() += 1;
        self.0.returned.notify_one();
    }
}

impl Connections {
    fn new(key: &str, permits: usize) -> Self {
        let pool = Resource::new("pool", key).permits(permits);
        Self { pool, free: std::sync::Mutex::new(permits), returned: Condvar::new() }
    }

    /// Takes a connection of which lockdep knows nothing.
    fn take(&self) -> Connection<'_> {
        let free = self.free.lock().unwrap();
        *self.returned.wait_while(free, |free| *free == 0).unwrap() -= 1;
        Connection(self)
    }

    #[track_caller]
    fn get(&self) -> Held<Connection<'_>> {
        let Ok(held) = self.pool.acquire(S, || Ok::<_, Infallible>(self.take()));
        held
    }

    /// Takes one connection after the other.
    fn get_two(&self, begin: &Barrier) {
        let _first = self.get();
        begin.wait();
        drop(self.get());
    }

    /// Runs threads that are in a deadlock, and ends that with another connection. Returns its only report, in one line.
    fn deadlock_of(&self, key: &str, threads: &[Named<'_>]) -> String {
        thread::scope(|scope| {
            let running = scope.spawn(|| run(threads));
            while deadlocks(key).is_empty() {
                thread::sleep(Duration::from_millis(5));
            }
            // No other thread reports it later.
            thread::sleep(Duration::from_millis(100));
            drop(Connection(self));
            running.join().unwrap();
        });
        let deadlocks = deadlocks(key);
        let [deadlock] = &deadlocks[..] else { panic!("{deadlocks:?}") };
        deadlock.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Returns the deadlocks with permits of this pool.
fn deadlocks(key: &str) -> Vec<Finding> {
    let found = findings_about(&[&format!("pool {key}")]);
    found.into_iter().filter(|it| it.kind() == FindingKind::Deadlock).collect()
}

fn run(threads: &[Named<'_>]) {
    let begin = Barrier::new(threads.len());
    lockdep::thread::scope(|scope| {
        let spawned: Vec<_> = threads
            .iter()
            .map(|(name, body)| {
                let builder = lockdep::thread::Builder::new().name((*name).to_owned());
                builder.spawn_scoped(scope, || denied(|| body(&begin))).unwrap()
            })
            .collect();
        for thread in spawned {
            assert_eq!(thread.join().unwrap(), None);
        }
    });
}

#[track_caller]
fn assert_contains(report: &str, all: &[&str]) {
    for words in all {
        assert!(report.contains(words), "{words}: {report}");
    }
}

#[test]
fn all_connections_are_held_by_threads_that_wait_for_one() {
    let key = "waited for by all";
    let pool = Connections::new(key, 3);
    let nested = |begin: &Barrier| pool.get_two(begin);
    let report = pool.deadlock_of(key, &[("a", &nested), ("b", &nested), ("c", &nested)]);
    let title = "warning[lockdep::deadlock]: all 3 permits of `pool waited for by all` are held by threads that wait ";
    assert!(report.starts_with(title), "{report}");
    let doubt = "this is a deadlock only if a wait for a permit of `pool waited for by all` has no time limit help:";
    let table = "who holds the permits of `pool waited for by all`, and for what each waits:";
    assert_contains(&report, &[doubt, table]);
    for name in ["a", "b", "c"] {
        let row = "holds `pool waited for by all` (permit) since tests/it/resource_pools.rs:";
        assert_contains(&report, &[&format!("thread `{name}` {row}")]);
    }
}

/// It may have passed them on.
#[test]
fn a_thread_that_holds_all_connections() {
    let key = "held by one";
    let pool = Connections::new(key, 2);
    let nested = |_: &Barrier| {
        let _both = [pool.get(), pool.get()];
        drop(pool.get());
    };
    let report = pool.deadlock_of(key, &[("only", &nested)]);
    let title = "thread `only` holds all 2 permits of `pool held by one` and waits for another one";
    let doubt = "has no time limit, and if thread `only` still has its guards help:";
    assert_contains(&report, &[title, doubt]);
}

/// The holders of the permits wait for a mutex, and its holder for a permit.
#[test]
fn connections_and_a_mutex() {
    let key = "and a mutex";
    let (pool, state) = (Connections::new(key, 2), Mutex::new(()));
    lockdep::name(&state, "pool and a mutex, state");
    let holder = |begin: &Barrier| {
        let _connection = pool.get();
        begin.wait();
        drop(state.lock());
    };
    let waiter = |begin: &Barrier| {
        let _held = state.lock();
        begin.wait();
        drop(pool.get());
    };
    let threads: [Named<'_>; 3] = [("one", &holder), ("other", &holder), ("waiter", &waiter)];
    let report = pool.deadlock_of(key, &threads);
    assert_contains(
        &report,
        &[
            "all 2 permits of `pool and a mutex` are held by threads that wait",
            "waits here for `pool and a mutex, state`, which thread `waiter` holds",
            "thread `waiter` has held `pool and a mutex, state` since here",
            "waits here for a permit of `pool and a mutex`, one of which thread `o",
            "thread `one` holds ",
            "thread `other` holds ",
            "thread `waiter` holds ",
        ],
    );
}

/// A thread with a permit joins one that waits for a permit.
#[test]
fn connections_and_a_join() {
    let key = "and a join";
    let pool = Connections::new(key, 2);
    let parent = |begin: &Barrier| {
        let _connection = pool.get();
        begin.wait();
        lockdep::thread::scope(|scope| {
            scope.spawn(|| drop(pool.get())).join().unwrap();
        });
    };
    let nested = |begin: &Barrier| pool.get_two(begin);
    let report = pool.deadlock_of(key, &[("parent", &parent), ("nested", &nested)]);
    let title = "all 2 permits of `pool and a join` are held by threads that wait";
    assert_contains(&report, &[title]);
}

/// Two threads hold permits and wait for another one. The third one is `third`'s, which is not in a deadlock with them.
fn is_silent(pool: &Connections, key: &str, third: &(dyn Fn(&Barrier) + Sync)) {
    let nested = |begin: &Barrier| pool.get_two(begin);
    run(&[("one", &nested), ("other", &nested), ("third", third)]);
    assert_eq!(deadlocks(key).len(), 0, "{key}");
}

fn one_is_returned_later() {
    let key = "returned later";
    let pool = Connections::new(key, 3);
    is_silent(&pool, key, &|begin| {
        let _connection = pool.get();
        begin.wait();
        thread::sleep(LONG);
    });
}

fn one_is_taken_past_lockdep() {
    let key = "taken past lockdep";
    let pool = Connections::new(key, 3);
    is_silent(&pool, key, &|begin| {
        let _connection = pool.take();
        begin.wait();
        thread::sleep(LONG);
    });
}

fn one_is_sent_to_another_thread() {
    let key = "sent to another";
    let pool = Connections::new(key, 3);
    is_silent(&pool, key, &|begin| {
        let (sender, receiver) = mpsc::channel();
        lockdep::thread::scope(|scope| {
            scope.spawn(move || {
                let connection: Held<Connection<'_>> = receiver.recv().unwrap();
                thread::sleep(LONG);
                drop(connection);
            });
            sender.send(pool.get()).unwrap();
            begin.wait();
            drop(pool.get());
        });
    });
}

fn one_is_taken_along_by_another_thread() {
    let key = "taken along";
    let pool = Connections::new(key, 3);
    is_silent(&pool, key, &|begin| {
        let connection = pool.get();
        lockdep::thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(LONG);
                drop(connection);
            });
            begin.wait();
            drop(pool.get());
        });
    });
}

fn all_have_leases() {
    let key = "with a lease";
    let pool = Connections::new(key, 3);
    let pool = Connections { pool: pool.pool.clone().lease(LONG), ..pool };
    is_silent(&pool, key, &|begin| {
        let _first = pool.get();
        begin.wait();
        thread::sleep(LONG);
    });
}

fn the_pool_is_larger_than_it_was() {
    let key = "larger than it was";
    let pool = Connections::new(key, 3);
    let larger = Resource::new("pool", key).permits(4);
    is_silent(&pool, key, &|begin| {
        let first = pool.get();
        begin.wait();
        drop(larger.acquired(S));
        // A fourth connection, by other means.
        let second = pool.pool.acquire(S, || {
            thread::sleep(LONG);
            Ok::<_, Infallible>(())
        });
        drop((first, second));
    });
}

fn one_waits_for_a_mutex_that_becomes_free() {
    let key = "and a free mutex";
    let (pool, state) = (Connections::new(key, 3), Mutex::new(()));
    let held = state.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            is_silent(&pool, key, &|begin| {
                let _connection = pool.get();
                begin.wait();
                drop(state.lock());
            });
        });
        thread::sleep(LONG);
        drop(held);
    });
}

#[test]
fn connections_of_which_one_may_be_returned() {
    let all = [
        one_is_returned_later,
        one_is_taken_past_lockdep,
        one_is_sent_to_another_thread,
        one_is_taken_along_by_another_thread,
        all_have_leases,
        the_pool_is_larger_than_it_was,
        one_waits_for_a_mutex_that_becomes_free,
    ];
    thread::scope(|scope| all.map(|it| scope.spawn(it)).map(|it| it.join().unwrap()));
}
