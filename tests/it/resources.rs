//! Resources: locks that are not in this process. What tasks do with them is in `tests/serial`.
#![cfg(any(debug_assertions, feature = "enforce"))]

use std::{
    cell::RefCell,
    convert::Infallible,
    rc::Rc,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::support::{denied, findings_about, kinds, on_a_thread};
use lockdep::{
    FindingKind,
    external::{Held, Mode, Resource},
    sync::{Mutex, MutexGuard},
};

const X: Mode = Mode::Exclusive;
const S: Mode = Mode::Shared;

fn named(name: &str) -> Mutex<()> {
    let lock = Mutex::new(());
    lockdep::name(&lock, name);
    lock
}

fn take(lock: &Mutex<()>) -> MutexGuard<'_, ()> {
    lock.lock().unwrap()
}

/// The call of a client that gets the lock.
#[allow(clippy::unnecessary_wraps, reason = "a call may fail")]
fn granted() -> Result<(), Infallible> {
    Ok(())
}

fn acquire(resource: &Resource, mode: Mode) -> Held<()> {
    let Ok(held) = resource.acquire(mode, granted);
    held
}

/// Acquires one resource with the other held, on a separate thread. Returns the report if that is
/// denied.
fn nest(held: (&Resource, Mode), wanted: (&Resource, Mode)) -> Option<String> {
    on_a_thread(|| {
        let _held = acquire(held.0, held.1);
        denied(|| drop(acquire(wanted.0, wanted.1)))
    })
}

#[test]
fn a_mutex_and_a_key_in_both_orders() {
    let state = named("both orders");
    on_a_thread(|| {
        let _key = acquire(&Resource::new("redis", "both orders:7"), X);
        drop(take(&state));
    });
    let was_called = AtomicBool::new(false);
    let report = on_a_thread(|| {
        let _held = take(&state);
        let key = Resource::new("redis", format_args!("both orders:{}", 3 + 4));
        denied(|| {
            key.acquire(X, || {
                was_called.store(true, Relaxed);
                granted()
            })
        })
    });
    let report = report.expect("denied");
    assert!(!was_called.load(Relaxed), "it is denied before the call");
    let title = "`both orders` and `redis both orders:7` are acquired in both orders";
    assert!(report.starts_with(&format!("error[lockdep::inversion]: {title}\n")), "{report}");
    for words in [
        "has held `both orders` since here",
        "and acquires `redis both orders:7` here",
        "`redis both orders:7` is a `Resource` made at tests/it/resources.rs:",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
}

/// Every value with this system and key is the same lock, and no other one is.
#[test]
fn a_resource_is_its_system_and_its_key() {
    let [row, same, other, elsewhere] = [("rows", 1), ("rows", 1), ("rows", 2), ("columns", 1)]
        .map(|(system, key)| Resource::new(system, key));
    assert!(nest((&row, X), (&other, X)).is_none());
    assert!(nest((&elsewhere, X), (&row, X)).is_none());
    let report = nest((&other, X), (&same, X)).expect("denied");
    let title = "error[lockdep::inversion]: `rows 2` and `rows 1` are acquired in both orders";
    assert!(report.starts_with(title), "{report}");
    assert!(nest((&elsewhere, X), (&other, X)).is_none());
}

/// Two orders of one class are found on different resources, unless the class says otherwise.
#[test]
fn a_class_is_the_key_without_its_numbers() {
    let ledger = named("ledger of classes");
    lockdep::class(&ledger, "ledger of classes");
    let cart = |id: u32| Resource::new("carts", format_args!("cart:{id}"));
    let in_order = |resource: Resource| {
        let _key = acquire(&resource, X);
        drop(take(&ledger));
    };
    let against = |resource: Resource| {
        let _held = take(&ledger);
        drop(acquire(&resource, X));
    };
    on_a_thread(|| in_order(cart(1)));
    on_a_thread(|| against(cart(2)));
    let found = findings_about(&["ledger of classes"]);
    assert_eq!(kinds(&found), [FindingKind::ClassInversion]);
    let classes: Vec<_> = found[0].cycle().iter().map(|edge| edge.held().class()).collect();
    assert!(classes.contains(&Some("carts cart:{}")), "{classes:?}");

    let other = named("another ledger of classes");
    lockdep::class(&other, "another ledger of classes");
    let one = |class| Resource::new("shelves", if class == "a" { 1 } else { 2 }).class(class);
    on_a_thread(|| {
        let _key = acquire(&one("a"), X);
        drop(take(&other));
    });
    on_a_thread(|| {
        let _held = take(&other);
        drop(acquire(&one("b"), X));
    });
    assert_eq!(kinds(&findings_about(&["another ledger of classes"])), []);
}

#[test]
fn readers_do_not_wait_for_readers() {
    let [one, two] = [1, 2].map(|id| Resource::new("read", id));
    assert!(nest((&one, S), (&two, S)).is_none() && nest((&two, S), (&one, S)).is_none());
    assert!(nest((&two, X), (&one, S)).is_none());
    let report = nest((&one, X), (&two, S)).expect("denied");
    assert!(report.contains("`read 1`") && report.contains("`read 2`"), "{report}");
}

/// An order is known from an acquisition that has failed, as after a time limit; one that does not wait
/// leaves nothing if it fails, and a hold if it succeeds.
#[test]
fn failed_calls_and_calls_that_do_not_wait() {
    let state = named("failed calls");
    let [waits, tries, fails] = ["waits", "tries", "fails"].map(|key| Resource::new("failed", key));
    on_a_thread(|| {
        let _held = take(&state);
        waits.acquire(X, || Err::<(), _>("out of time")).unwrap_err();
        fails.try_acquire(X, || Err::<(), _>("taken")).unwrap_err();
        let Ok(tried) = tries.try_acquire(X, granted);
        drop(tried);
    });
    let then_state = |held: Held<()>| {
        let result = denied(|| drop(take(&state)));
        drop(held);
        result
    };
    on_a_thread(|| {
        assert!(then_state(acquire(&waits, X)).expect("denied").contains("`failed waits`"));
        assert!(then_state(acquire(&fails, X)).is_none());
        assert!(then_state(acquire(&tries, X)).is_none());
    });
    // Held by an attempt, and by other means.
    let [tried, told] = ["tried", "told"].map(|key| Resource::new("failed", key));
    on_a_thread(|| {
        let _held = take(&state);
        drop((acquire(&tried, X), acquire(&told, X)));
    });
    on_a_thread(|| {
        let Ok(held) = tried.try_acquire(X, granted);
        assert!(then_state(held).expect("denied").contains("`failed tried`"));
        assert!(then_state(told.acquired(X)).expect("denied").contains("`failed told`"));
    });
}

/// Rows and advisory locks of a database can be acquired again within one session.
#[test]
fn what_is_held_already_is_not_waited_for_if_it_is_reentrant() {
    let row = Resource::new("reentrant", 1).reentrant();
    let other = named("reentrant, other");
    on_a_thread(|| {
        let first = acquire(&row, X);
        let _other = take(&other);
        drop(acquire(&row, X));
        assert!(denied(|| drop(acquire(&row, S))).is_none());
        drop(first);
    });
    assert_eq!(kinds(&findings_about(&["reentrant, other", "reentrant 1"])), []);
    // The inner guard does nothing: the row was held until the outer one was dropped.
    on_a_thread(|| {
        let _other = take(&other);
        assert!(denied(|| drop(acquire(&row, X))).is_some());
    });
}

/// No other thread can have the guard, so the wait never ends.
#[test]
fn what_the_thread_itself_holds() {
    let key = Resource::new("itself", 1);
    let report = on_a_thread(|| {
        let _held = acquire(&key, X);
        denied(|| drop(acquire(&key, X)))
    });
    let report = report.expect("denied");
    assert!(report.starts_with("error[lockdep::deadlock]: "), "{report}");
    assert!(report.contains("`itself 1`") && report.contains("`Resource::reentrant`"), "{report}");
}

/// A guard that was sent away is released where it is dropped, and holds nothing back meanwhile.
#[test]
fn guards_can_be_sent() {
    let (key, state) = (Resource::new("sent", 1), named("sent, state"));
    let (sends, receives) = mpsc::channel();
    let released = &Barrier::new(2);
    on_a_thread(|| {
        let _held = take(&state);
        drop(acquire(&key, X));
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            sends.send(acquire(&key, X)).unwrap();
            released.wait();
            drop(acquire(&key, X));
        });
        scope.spawn(move || {
            drop(receives.recv().unwrap());
            released.wait();
        });
    });
    on_a_thread(|| drop(take(&state)));
    assert_eq!(kinds(&findings_about(&["sent, state", "sent 1"])), []);
}

/// Guards in shared data are released by the thread that comes first. Once that was seen, what is held by such a
/// guard proves nothing, neither an order nor a deadlock.
#[test]
fn guards_that_change_hands() {
    let shared = std::sync::Mutex::new(None);
    let state = named("change hands, state");
    let session = |key: u32| Resource::new("change hands", key);
    let open = |key: u32| {
        let session = acquire(&session(key), X);
        *shared.lock().unwrap() = Some(session);
    };
    let close = || drop(shared.lock().unwrap().take());
    on_a_thread(|| open(1));
    on_a_thread(close);
    on_a_thread(|| {
        open(2);
        drop(take(&state));
    });
    on_a_thread(close);
    on_a_thread(|| {
        let _held = take(&state);
        drop(acquire(&session(2), X));
    });
    // Here another thread closes the session that this one has opened and waits for.
    on_a_thread(|| {
        open(3);
        let wait = || {
            on_a_thread(close);
            // For longer than a thread may wait for what it holds itself.
            thread::sleep(Duration::from_millis(1200));
            granted()
        };
        let Ok(held) = session(3).acquire(X, wait);
        drop(held);
    });
    let names = ["change hands, state", "change hands 2", "change hands 3"];
    assert_eq!(kinds(&findings_about(&names)), []);
}

/// A transaction may lock thousands of rows: those beyond 64 are not part of the order.
#[test]
fn very_many_rows_at_once() {
    let row = |id: u32| Resource::new("very many", id);
    on_a_thread(|| drop((0..2000).map(|id| acquire(&row(id), X)).collect::<Vec<_>>()));
    assert!(nest((&row(1999), X), (&row(1000), X)).is_none());
    let state = named("very many, state");
    on_a_thread(|| {
        let rows: Vec<_> = (0..100).map(|id| acquire(&row(id), X)).collect();
        drop(take(&state));
        drop(rows);
    });
    on_a_thread(|| {
        let _held = take(&state);
        assert!(denied(|| drop(acquire(&row(0), X))).is_some());
        assert!(denied(|| drop(acquire(&row(99), X))).is_none());
    });
}

/// A lease ends the wait, so a cycle shows as latency and time-outs.
#[test]
fn a_cycle_that_a_lease_ends() {
    let state = named("leased, state");
    let key = || Resource::new("leased", 1).lease(Duration::from_secs(30));
    on_a_thread(|| {
        let _key = acquire(&key(), X);
        drop(take(&state));
    });
    on_a_thread(|| {
        let _held = take(&state);
        drop(acquire(&key(), X));
    });
    let found = findings_about(&["leased, state"]);
    assert_eq!(kinds(&found), [FindingKind::LeasedInversion]);
    assert!(
        found[0].cycle().iter().any(|edge| edge.wanted().lease() == Some(Duration::from_secs(30)))
    );
    let text = found[0].to_string().replace("\n      ", " ");
    for words in [
        "`leased, state` and `leased 1` are acquired in both orders, until a lease ends",
        "until the lease of `leased 1` runs out, after 30s",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // A thread that acquires it again waits until then.
    on_a_thread(|| {
        let _held = acquire(&key(), X);
        drop(acquire(&key(), X));
    });
    assert_eq!(findings_about(&["leased 1"]).len(), 1);
}

#[test]
fn a_resource_that_is_held_for_longer_than_its_lease() {
    let key = |id, lease| Resource::new("expired", id).lease(Duration::from_millis(lease));
    drop(acquire(&key(1, 60_000), X));
    assert_eq!(kinds(&findings_about(&["expired 1"])), []);
    let held = acquire(&key(2, 1), X);
    thread::sleep(Duration::from_millis(20));
    drop(held);
    let found = findings_about(&["expired 2"]);
    assert_eq!(kinds(&found), [FindingKind::ExpiredLease]);
    let text = found[0].to_string();
    for words in [
        "`expired 2` was held for ",
        ", under a lease of 1ms\n",
        "`expired 2` acquired here, for 1ms at most",
        "releasing `expired 2`:\n",
        "by a fencing token",
    ] {
        assert!(
            text.replace("\n      ", " ").contains(words) || text.contains(words),
            "{words}: {text}"
        );
    }
    println!("{text}");
}

/// The same key is acquired for different times, also for none, which a system may reject.
#[test]
fn each_acquisition_has_its_own_lease() {
    let key =
        |milliseconds| Resource::new("own lease", 1).lease(Duration::from_millis(milliseconds));
    key(0).acquire(X, || Err::<(), _>("a lease of zero")).unwrap_err();
    drop(acquire(&key(60_000), X));
    assert_eq!(kinds(&findings_about(&["own lease 1"])), []);
    let held = acquire(&key(2), X);
    thread::sleep(Duration::from_millis(20));
    drop(held);
    let found = findings_about(&["own lease 1"]);
    assert_eq!(kinds(&found), [FindingKind::ExpiredLease]);
    let text = found[0].to_string();
    assert!(text.contains("under a lease of 2ms\n"), "{text}");
    assert!(text.contains("`own lease 1` acquired here, for 2ms at most"), "{text}");

    let held = acquire(&Resource::new("own lease", 2).lease(Duration::from_nanos(1)), X);
    thread::sleep(Duration::from_micros(1));
    drop(held);
    let text = findings_about(&["own lease 2"])[0].to_string();
    assert!(!text.contains("was held for 0"), "{text}");
    assert!(text.contains(", under a lease of 1ns\n"), "{text}");
}

/// Keys are data. A report stays readable, and keys that it shows alike are different locks.
#[test]
fn keys_with_odd_characters() {
    let long = "long ".repeat(1000);
    let [one, other] = ["one", "other"]
        .map(|middle| Resource::new("odd", format_args!("\n'\"🔒{long}{middle}{long}and its end")));
    let [plain, empty] = ["plain", ""].map(|key| Resource::new("odd", key));
    assert!(nest((&one, X), (&plain, X)).is_none());
    assert!(nest((&plain, X), (&other, X)).is_none());
    assert!(nest((&plain, X), (&empty, X)).is_none());
    let report = nest((&plain, X), (&one, X)).expect("denied");
    let title = report.lines().next().unwrap();
    assert!(title.contains(r#"`odd \n'"🔒long long "#), "{title}");
    assert!(title.contains("and its end` are acquired in both orders"), "{title}");
    assert!(report.len() < 10_000, "{} bytes", report.len());
}

#[test]
fn a_second_connection_of_a_pool() {
    let pool = || Resource::new("postgres", "orders pool").permits(4);
    let state = named("pool, state");
    // A pool is not part of the lock order.
    on_a_thread(|| {
        let _held = take(&state);
        drop(acquire(&pool(), X));
    });
    on_a_thread(|| {
        let _connection = acquire(&pool(), X);
        drop(take(&state));
    });
    assert_eq!(kinds(&findings_about(&["pool, state", "postgres orders pool"])), []);
    on_a_thread(|| {
        let _connection = acquire(&pool(), X);
        drop(acquire(&pool(), X));
    });
    let found = findings_about(&["postgres orders pool"]);
    assert_eq!(kinds(&found), [FindingKind::PoolExhaustion]);
    let text = found[0].to_string();
    assert!(text.contains("a permit of `postgres orders pool`"), "{text}");
}

/// The thread no longer holds the resource when the client's own guard is dropped.
#[test]
fn the_value_is_dropped_after_the_release() {
    struct Client<'a>(&'a Mutex<()>, Rc<RefCell<Vec<bool>>>);
    impl Drop for Client<'_> {
        fn drop(&mut self) {
            let is_held = denied(|| drop(take(self.0))).is_some();
            self.1.borrow_mut().push(is_held);
        }
    }
    let (key, state) = (Resource::new("dropped", 1), named("dropped, state"));
    on_a_thread(|| {
        let _held = take(&state);
        drop(acquire(&key, X));
    });
    on_a_thread(|| {
        let is_held = Rc::new(RefCell::new(Vec::new()));
        let client = || Ok::<_, Infallible>(Client(&state, Rc::clone(&is_held)));
        let Ok(held) = key.acquire(X, client);
        drop(held);
        let Ok(held) = key.acquire(X, client);
        drop(held.into_inner());
        let Ok(held) = key.acquire(X, client);
        // Still held, by the other half.
        let (held, client) = held.split();
        drop(client);
        drop(held);
        assert_eq!(*is_held.borrow(), [false, false, true]);
    });
}

/// The order of two resources is forgotten only when very many others were used since.
#[test]
fn orders_outlive_the_values_that_describe_them() {
    for id in 0..1000 {
        drop(acquire(&Resource::new("short-lived", format_args!("other:{id}")), X));
        on_a_thread(|| {
            let _first = acquire(&Resource::new("short-lived", format_args!("first:{id}")), X);
            drop(acquire(&Resource::new("short-lived", format_args!("second:{id}")), X));
        });
    }
    let report = on_a_thread(|| {
        let _second = acquire(&Resource::new("short-lived", "second:0"), X);
        denied(|| drop(acquire(&Resource::new("short-lived", "first:0"), X)))
    });
    assert!(report.expect("denied").contains("`short-lived second:0`"));
}

/// Two threads describe a resource at the same time.
#[test]
fn one_lock_for_each_key_whoever_comes_first() {
    for round in 0..200 {
        let begin = Barrier::new(2);
        let number = || {
            begin.wait();
            let resource = Resource::new("raced", round);
            drop(acquire(&resource, X));
            resource
        };
        let [one, other] = thread::scope(|scope| {
            let threads = [scope.spawn(number), scope.spawn(number)];
            threads.map(|thread| thread.join().unwrap())
        });
        let partner = Resource::new("raced, partner", round);
        assert!(nest((&one, X), (&partner, X)).is_none());
        assert!(nest((&partner, X), (&other, X)).is_some(), "{round}");
    }
}

/// What the first acquisition says of permits holds for all.
#[test]
fn a_pool_whose_permits_are_said_once() {
    let (again, state) = (|| Resource::new("said once", "pool"), named("said once, state"));
    drop(acquire(&again().permits(4), X));
    on_a_thread(|| {
        let _held = take(&state);
        drop(acquire(&again(), X));
    });
    on_a_thread(|| {
        let _connection = acquire(&again(), X);
        drop(take(&state));
    });
    assert_eq!(kinds(&findings_about(&["said once, state", "said once pool"])), []);
}

/// Readers of another system may not queue behind writers. The call of the second reader is only slow.
#[test]
fn readers_with_a_writer_between_them() {
    let (key, state) = (Resource::new("queue", 1), named("queue, state"));
    let slow = || {
        thread::sleep(Duration::from_millis(800));
        granted()
    };
    let begin = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _key = acquire(&key, S);
            begin.wait();
            drop(take(&state));
        });
        scope.spawn(|| {
            let _held = take(&state);
            begin.wait();
            let Ok(held) = key.acquire(S, slow);
            drop(held);
        });
        scope.spawn(|| {
            begin.wait();
            let Ok(held) = key.acquire(X, slow);
            drop(held);
        });
    });
    assert_eq!(kinds(&findings_about(&["queue 1"])), []);
}
