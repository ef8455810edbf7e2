//! Tests that findings are exact: each rule has a case that is found and one that is not.
//! `tests/oracle` does the same for thousands of random programs.
#![cfg(debug_assertions)]

use std::{
    fmt,
    sync::{Arc, Barrier},
    thread,
};

use crate::support::{self, denied, findings_about, in_a_child, kinds, on_a_thread};
use lockdep::{
    Finding, FindingKind, Level,
    sync::{Mutex, MutexGuard, RwLock},
};

fn named(name: &str) -> Mutex<()> {
    let lock = Mutex::new(());
    lockdep::name(&lock, name);
    lock
}

fn take(lock: &Mutex<()>) -> MutexGuard<'_, ()> {
    lock.lock().unwrap()
}

/// Nests two locks on a separate thread. Returns the report if that was denied.
fn nests(first: &Mutex<()>, then: &Mutex<()>) -> Option<String> {
    on_a_thread(|| {
        let _first = take(first);
        denied(|| drop(take(then)))
    })
}

fn found(name: &str) -> Vec<FindingKind> {
    kinds(&findings_about(&[name]))
}

const INVERSION: &str = "error[lockdep::inversion]";
const SINGLE: &str = "error[lockdep::single_thread_inversion]";

/// A cycle of four locks needs four threads. Once three have passed one of its edges, further ones
/// are assumed, but that alone is not reported. Then a fourth one comes.
#[test]
fn a_fourth_thread_takes_what_three_have_taken() {
    // Of one class, which is no cycle.
    let locks: [Mutex<()>; 4] = Default::default();
    let [a, b, c, d] = &locks;
    lockdep::name(a, "taken by four");
    let nest = |first: &Mutex<()>, then: &Mutex<()>| {
        let _first = take(first);
        denied(|| drop(take(then)))
    };
    on_a_thread(|| assert_eq!([nest(a, b), nest(b, c)], [None, None]));
    on_a_thread(|| assert_eq!([nest(a, b), nest(c, d)], [None, None]));
    on_a_thread(|| {
        let report = nest(d, a).expect("three threads");
        assert!(report.starts_with(SINGLE), "{report}");
        assert_eq!(nest(a, b), None);
    });
    let report = on_a_thread(|| nest(a, b)).expect("an inversion");
    assert!(report.starts_with(INVERSION), "{report}");
}

#[test]
fn one_thread_and_then_two() {
    let (a, b) = (named("alone"), named("alone too"));
    drop((take(&a), take(&b)));
    let report = {
        let _b = take(&b);
        denied(|| drop(take(&a))).unwrap()
    };
    assert!(report.starts_with(SINGLE), "{report}");
    assert!(report.contains("acquired in both orders, so far by one thread"), "{report}");
    // Another thread acquires them in the original order; now the two can deadlock.
    let report = nests(&a, &b).expect("an inversion");
    assert!(report.starts_with(INVERSION), "{report}");
    assert_eq!(found("alone"), [FindingKind::SingleThreadInversion, FindingKind::Inversion]);
}

#[test]
fn whoever_keeps_the_order_is_not_denied() {
    let (a, b) = (named("kept"), named("kept too"));
    assert!(nests(&a, &b).is_none());
    assert!(nests(&b, &a).is_some());
    for _ in 0..5 {
        assert!(nests(&a, &b).is_none(), "the order was known, and the inversion too");
        let report = nests(&b, &a).expect("each time");
        // Those of both acquisitions, for each of the two.
        assert_eq!(report.matches("\nstack of thread").count(), 4, "{report}");
    }
    assert_eq!(found("kept"), [FindingKind::Inversion]);
}

/// A denied finding is denied each time; others are checked once.
#[test]
fn a_lock_that_is_taken_twice() {
    let child = in_a_child(a_lock_that_is_taken_twice, || {
        lockdep::set_level(FindingKind::RecursiveRead, Level::Warn);
        let (mutex, shared) = (named("twice"), RwLock::new(()));
        lockdep::name(&shared, "read twice");
        for _ in 0..3 {
            let _held = take(&mutex);
            assert!(denied(|| drop(take(&mutex))).is_some());
            drop((shared.read().unwrap(), shared.read().unwrap()));
        }
        let count = |name| findings_about(&[name]).iter().map(Finding::count).collect::<Vec<_>>();
        assert_eq!((count("twice"), count("read twice")), (vec![3], vec![1]));
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
    }
}

/// Everything that a program can query from a finding.
#[test]
fn a_finding_tells_who_held_what_and_where() {
    let (a, b) = (named("asked"), named("asked too"));
    lockdep::class(&b, "asked class");
    let other = thread::Builder::new().name("other".into());
    thread::scope(|scope| {
        other.spawn_scoped(scope, || drop((take(&a), take(&b)))).unwrap().join().unwrap();
    });
    let line = line!() + 1;
    let _b = b.lock().unwrap();
    assert!(denied(|| drop(a.lock())).is_some());
    let [finding] = &findings_about(&["asked"])[..] else { panic!("one") };
    let [now, before] = finding.cycle() else { panic!("two edges") };

    assert_eq!((now.held(), now.wanted()), (before.wanted(), before.held()));
    assert_ne!(now.held(), now.wanted());
    assert_ne!(now.held().id(), now.wanted().id());
    assert_eq!((now.held().name(), now.wanted().name()), (Some("asked too"), Some("asked")));
    assert_eq!((now.held().class(), now.wanted().class()), (Some("asked class"), None));
    assert_eq!(now.held().type_name(), "Mutex<()>");
    let made_at = now.held().created_at().expect("a constructor");
    assert!(made_at.file() == file!() && made_at.line() < line, "{made_at}");

    assert_eq!(
        (before.thread().name(), before.thread().to_string()),
        (Some("other"), "other".into())
    );
    assert_eq!(now.thread().name(), Some("precision::a_finding_tells_who_held_what_and_where"));
    assert_ne!(now.thread(), before.thread());
    assert_ne!(now.thread().number(), before.thread().number());

    let (held_at, acquired_at) = (now.held_at(), now.acquired_at());
    assert_eq!((held_at.line(), held_at.column()), (line, 16));
    assert_eq!(acquired_at.to_string(), format!("{}:{}:30", file!(), line + 1));
    assert!(held_at < acquired_at && !now.backtrace().is_empty());
    assert!(now.backtrace().addresses().next().is_some_and(|innermost| !innermost.is_null()));
    // Only set for deadlocks, and with `LOCKDEP_BACKTRACE=full`.
    assert!(!now.is_queued() && now.waited().is_none() && !now.held_backtrace().is_empty());
}

#[test]
fn full_backtraces_have_the_held_end_as_well() {
    let test = full_backtraces_have_the_held_end_as_well;
    if support::is_child() {
        let (a, b) = (named("full"), named("full too"));
        drop((take(&a), take(&b)));
        let _b = take(&b);
        assert!(denied(|| drop(take(&a))).is_some());
        let findings = lockdep::findings();
        return assert!(findings[0].cycle().iter().all(|edge| !edge.held_backtrace().is_empty()));
    }
    let output = support::child_command(test).env("LOCKDEP_BACKTRACE", "full").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_was_looked_at_is_counted() {
    let child = in_a_child(what_was_looked_at_is_counted, || {
        let stats = || (lockdep::stats().locks(), lockdep::stats().edges());
        assert_eq!(stats(), (0, 0));
        let (a, b) = (named("counted"), named("counted too"));
        drop((take(&a), take(&b)));
        let graph = lockdep::order_graph();
        let mut edges = graph.as_petgraph().edge_weights();
        assert_eq!(edges.next().and_then(|edge| edge.wanted().name()), Some("counted too"));
        assert_eq!(format!("{graph:?}"), "OrderGraph { locks: 2, edges: 1 }");
        drop((a, b));
        assert_eq!(format!("{:?}", lockdep::order_graph()), "OrderGraph { locks: 0, edges: 0 }");
        assert_eq!(stats(), (2, 1), "whether they live or not");
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
    }
}

/// Unwinding must not start while a thread ends, which is recognized by the names of std's
/// functions: the program may have such names as well.
#[test]
fn a_function_that_is_called_destroy_is_denied() {
    #[inline(never)]
    fn destroy<R>(body: impl FnOnce() -> R) -> R {
        body()
    }
    let (a, b) = (named("destroyed"), named("destroyed too"));
    drop((take(&a), take(&b)));
    let _held = take(&b);
    assert!(denied(|| destroy(|| drop(take(&a)))).is_some());
}

/// T1: A→B, later B→C; T2: C→A. The first thread cannot be in two places.
#[test]
fn three_edges_on_two_threads() {
    let (a, b, c) = (named("twice"), named("twice b"), named("twice c"));
    on_a_thread(|| {
        drop((take(&a), take(&b)));
        drop((take(&b), take(&c)));
    });
    assert!(nests(&c, &a).unwrap().starts_with(SINGLE));
    // A third thread passes one of the edges.
    assert!(nests(&b, &c).unwrap().starts_with(INVERSION));
}

#[test]
fn a_gate_guards_until_it_is_left_out() {
    let (gate, a, b) = (named("gate"), named("guarded"), named("guarded too"));
    let behind = |first: &Mutex<()>, then: &Mutex<()>| {
        on_a_thread(|| {
            let _gate = take(&gate);
            let _first = take(first);
            denied(|| drop(take(then)))
        })
    };
    assert!(behind(&a, &b).is_none());
    assert!(behind(&b, &a).is_none());
    let findings = findings_about(&["guarded"]);
    assert_eq!(kinds(&findings), [FindingKind::GuardedInversion]);
    assert_eq!(findings[0].level(), Level::Allow);
    let report = findings[0].to_string();
    assert!(report.contains("as long as `gate` is held around it each time"), "{report}");
    // Without the gate on one side it protects nothing.
    assert!(nests(&a, &b).unwrap().starts_with(INVERSION));
}

#[test]
fn readers_are_no_gate() {
    let (gate, a, b) = (RwLock::new(()), named("read gate"), named("read gate b"));
    let behind = |first: &Mutex<()>, then: &Mutex<()>| {
        on_a_thread(|| {
            let _gate = gate.read().unwrap();
            let _first = take(first);
            denied(|| drop(take(then)))
        })
    };
    assert!(behind(&a, &b).is_none());
    assert!(behind(&b, &a).unwrap().starts_with(INVERSION));
}

/// A shorter cycle that cannot close does not hide a longer one that can.
#[test]
fn the_shortest_that_can_close() {
    let (gate, a, b, c) = (named("hidden gate"), named("hidden"), named("h b"), named("h c"));
    on_a_thread(|| {
        let _gate = take(&gate);
        drop((take(&a), take(&b)));
    });
    assert!(nests(&a, &c).is_none());
    assert!(nests(&c, &b).is_none());
    for _ in 0..3 {
        let report = on_a_thread(|| {
            let _gate = take(&gate);
            let _b = take(&b);
            denied(|| drop(take(&a)))
        });
        let report = report.expect("by way of c, each time");
        assert!(report.starts_with(INVERSION) && report.contains("3 locks"), "{report}");
    }
}

/// The search is limited, as it takes time and programs do not nest so many locks.
#[test]
fn behind_a_long_cycle_no_longer_one_is_searched_for() {
    for length in [16, 17] {
        let (gate, detour) = (named("long gate"), named("long detour"));
        let ring: Vec<_> = (0..length).map(|_| named("long ring")).collect();
        let behind_the_gate = |first: &Mutex<()>, then: &Mutex<()>| {
            on_a_thread(|| {
                let _gate = take(&gate);
                let _first = take(first);
                denied(|| drop(take(then)))
            })
        };
        assert!(behind_the_gate(&ring[0], &ring[1]).is_none());
        assert!(nests(&ring[0], &detour).is_none() && nests(&detour, &ring[1]).is_none());
        for pair in ring[1..].windows(2) {
            assert!(nests(&pair[0], &pair[1]).is_none());
        }
        let report = behind_the_gate(&ring[length - 1], &ring[0]);
        assert_eq!(report.is_some_and(|it| it.contains("17 locks")), length == 16);
    }
}

/// After a write that is not checked, the next one still reports that readers may wait.
#[test]
fn a_write_that_is_allowed_is_not_the_first() {
    let (a, b) = (RwLock::new(()), RwLock::new(()));
    lockdep::name(&a, "first write");
    let read = |first: &RwLock<()>, then: &RwLock<()>| {
        on_a_thread(|| drop((first.read().unwrap(), then.read().unwrap())));
    };
    read(&a, &b);
    read(&b, &a);
    lockdep::allow(|| drop((a.write().unwrap(), b.write().unwrap())));
    assert!(found("first write").is_empty());
    drop(a.write().unwrap());
    assert!(denied(|| drop(b.write())).is_some());
}

#[test]
fn readers_close_a_cycle_through_writers_only() {
    let (a, b) = (Arc::new(RwLock::new(())), Arc::new(RwLock::new(())));
    lockdep::name(&*a, "readers");
    let read = |first: &RwLock<()>, then: &RwLock<()>| {
        on_a_thread(|| drop((first.read().unwrap(), then.read().unwrap())));
    };
    read(&a, &b);
    read(&b, &a);
    drop(a.write().unwrap());
    assert!(found("readers").is_empty());
    assert!(on_a_thread(|| denied(|| drop(b.write()))).unwrap().starts_with(INVERSION));
}

#[test]
fn readers_of_one_thread_close_a_cycle_too() {
    for last in [0, 1] {
        let locks = [RwLock::new(()), RwLock::new(())];
        let [a, b] = &locks;
        drop((a.read().unwrap(), b.read().unwrap()));
        drop((b.read().unwrap(), a.read().unwrap()));
        drop(locks[1 - last].write().unwrap());
        let report = denied(|| drop(locks[last].write())).expect("readers wait for each other");
        assert!(report.starts_with(SINGLE), "{report}");
    }
}

/// Of the cycles that a writer makes dangerous, one that can close is reported, however many
/// shorter ones there are.
#[test]
fn a_writer_is_told_of_the_shortest_that_can_close() {
    let (gate, a, b, c) = (named("writer gate"), named("w a"), named("w b"), named("w c"));
    let read = RwLock::new(());
    assert!(nests(&a, &b).is_none());
    on_a_thread(|| drop((take(&gate), read.read().unwrap(), take(&b))));
    on_a_thread(|| drop((read.read().unwrap(), take(&c))));
    assert!(nests(&c, &b).is_none());
    on_a_thread(|| drop((take(&a), read.read().unwrap())));
    let report = on_a_thread(|| {
        let _held = (take(&gate), take(&b));
        denied(|| drop(take(&a)))
    });
    assert!(report.is_some_and(|it| it.contains("acquired in both orders")));
    let report = on_a_thread(|| denied(|| drop(read.write()))).expect("by way of c");
    assert!(report.starts_with(INVERSION) && report.contains("4 locks"), "{report}");
}

#[test]
fn a_reset_forgets_the_order_and_keeps_the_names() {
    let child = in_a_child(a_reset_forgets_the_order_and_keeps_the_names, || {
        let (a, b) = (named("reset"), named("reset too"));
        assert!(nests(&a, &b).is_none() && nests(&b, &a).is_some());
        lockdep::reset();
        assert!(
            lockdep::order_graph().as_petgraph().edge_count() == 0 && found("reset").is_empty()
        );
        assert!(nests(&b, &a).is_none());
        assert!(nests(&a, &b).is_some_and(|it| it.contains("`reset too`")));
    });
    assert!(child.is_none_or(|output| output.status.success()));
}

// Classes.

struct Bank {
    accounts: Mutex<Vec<i64>>,
    ledger: Mutex<Vec<String>>,
}

impl Bank {
    fn new(name: &str) -> Self {
        let bank = Self { accounts: Mutex::new(Vec::new()), ledger: Mutex::new(Vec::new()) };
        lockdep::name(&bank.accounts, name);
        bank
    }

    fn transfer(&self) {
        drop((self.accounts.lock().unwrap(), self.ledger.lock().unwrap()));
    }

    fn settle(&self) {
        drop((self.ledger.lock().unwrap(), self.accounts.lock().unwrap()));
    }
}

#[test]
fn two_banks_show_both_orders() {
    Bank::new("one bank").transfer();
    Bank::new("another bank").settle();
    let findings = findings_about(&["another bank"]);
    assert_eq!(kinds(&findings), [FindingKind::ClassInversion]);
    assert_eq!(findings[0].level(), Level::Warn);
    let [now, before] = findings[0].cycle() else { panic!("both") };
    assert!(now.held() != before.wanted() && now.wanted() != before.held(), "other instances");
    assert_eq!(before.held().name(), Some("one bank"));
    let report = findings[0].to_string();
    assert!(report.contains("this was never seen on the same two locks"), "{report}");
    // One finding for the two classes.
    Bank::new("a third bank").settle();
    assert!(findings_about(&["a third bank"]).is_empty());
}

#[test]
fn what_the_user_did_not_construct_is_no_class() {
    #[derive(Default)]
    struct Derived {
        a: Mutex<()>,
        b: Mutex<u8>,
    }
    let both = |derived: &Derived, swap| {
        if swap {
            drop((derived.b.lock().unwrap(), derived.a.lock().unwrap()));
        } else {
            drop((derived.a.lock().unwrap(), derived.b.lock().unwrap()));
        }
    };
    let (one, other) = (Derived::default(), Derived::default());
    lockdep::name(&one.a, "derived");
    lockdep::name(&other.a, "derived");
    both(&one, false);
    both(&other, true);
    assert!(found("derived").is_empty());

    let mapped: Vec<Mutex<u8>> = [1, 2].map(Mutex::new).into();
    let words: Vec<Mutex<u16>> = [1, 2].map(Mutex::new).into();
    lockdep::name(&mapped[0], "mapped");
    drop((mapped[0].lock().unwrap(), words[0].lock().unwrap()));
    drop((words[1].lock().unwrap(), mapped[1].lock().unwrap()));
    assert!(found("mapped").is_empty());
}

/// `config`, then `stats`, then `cache` is an order, although one line creates all three.
#[test]
fn locks_behind_a_wrapper_are_no_class() {
    struct Shared<T>(Arc<Mutex<T>>);

    impl<T> Shared<T> {
        fn new(value: T) -> Self {
            Self(Arc::new(Mutex::new(value)))
        }
    }

    struct Counter(Mutex<u64>);

    impl Default for Counter {
        fn default() -> Self {
            Self(Mutex::new(0))
        }
    }

    fn boxed() -> Box<Mutex<i64>> {
        Box::new(Mutex::new(0))
    }

    let between = Mutex::new("between");
    let nests = |first: &dyn Fn(&dyn Fn()), last: &dyn Fn(&dyn Fn())| {
        first(&|| drop(between.lock().unwrap()));
        let _held = between.lock().unwrap();
        last(&|| ());
    };
    let name = |lock: &Mutex<u64>| lockdep::name(lock, "hidden");

    let (config, stats, cache) =
        (Shared::new(1_u64), Shared::new("stats".to_owned()), Shared::new(2_u64));
    name(&config.0);
    drop((config.0.lock().unwrap(), stats.0.lock().unwrap()));
    drop((stats.0.lock().unwrap(), cache.0.lock().unwrap()));

    let (hits, misses) = (Counter::default(), Counter::default());
    name(&hits.0);
    name(&misses.0);
    let with = |lock: &Mutex<u64>, then: &dyn Fn()| {
        let _held = lock.lock().unwrap();
        then();
    };
    nests(&|then| with(&hits.0, then), &|then| with(&misses.0, then));

    let (first, last) = (boxed(), boxed());
    lockdep::name(&*first, "hidden");
    lockdep::name(&*last, "hidden");
    let with = |lock: &Mutex<i64>, then: &dyn Fn()| {
        let _held = lock.lock().unwrap();
        then();
    };
    nests(&|then| with(&first, then), &|then| with(&last, then));
    assert_eq!(found("hidden"), []);
}

/// Each `static` is a copy of the constant, as `lazy_static` makes them of `ONCE_INIT`.
#[test]
#[allow(deprecated, reason = "old crates use it")]
fn constants_are_no_class() {
    use lockdep::sync::{ONCE_INIT, Once};

    static CONFIG: Once = ONCE_INIT;
    static CACHE: Once = ONCE_INIT;
    let stats = named("of constants");
    CONFIG.call_once(|| drop(take(&stats)));
    let _held = take(&stats);
    CACHE.call_once(|| ());
    assert_eq!(found("of constants"), []);
}

/// A helper that passes on its caller's location makes no class of its own.
#[test]
fn a_helper_follows_to_its_caller() {
    #[track_caller]
    fn make() -> Mutex<u32> {
        Mutex::new(0)
    }
    let make_both = || (make(), make());
    let (a, b) = make_both();
    let (other_a, other_b) = make_both();
    lockdep::name(&a, "helped");
    drop((a.lock().unwrap(), b.lock().unwrap()));
    drop((other_b.lock().unwrap(), other_a.lock().unwrap()));
    assert_eq!(found("helped"), [FindingKind::ClassInversion]);
}

#[test]
fn a_class_by_hand() {
    let make = || {
        let [a, b] = [0, 1].map(Mutex::new);
        lockdep::class(&a, "by hand: a");
        lockdep::class(&b, "by hand: b");
        (a, b)
    };
    let ((a, b), (other_a, other_b)) = (make(), make());
    lockdep::name(&a, "by hand");
    drop((a.lock().unwrap(), b.lock().unwrap()));
    drop((other_b.lock().unwrap(), other_a.lock().unwrap()));
    assert_eq!(found("by hand"), [FindingKind::ClassInversion]);
}

/// With two different gates, the two orders can run at once. Each nesting is recorded, whatever was
/// found for others.
#[test]
fn every_nesting_of_classes_is_noted() {
    let make = || (Mutex::new(1_i8), Mutex::new(2_i16), Mutex::new(3_i32), Mutex::new(4_i64));
    let [(g, h, p, q), (_, other_h, other_p, other_q), (third_g, _, third_p, third_q)] =
        [(); 3].map(|()| make());
    lockdep::name(&third_p, "noted");
    drop((g.lock().unwrap(), p.lock().unwrap(), q.lock().unwrap()));
    drop((other_h.lock().unwrap(), other_p.lock().unwrap(), other_q.lock().unwrap()));
    drop(h);
    drop((third_g.lock().unwrap(), third_q.lock().unwrap(), third_p.lock().unwrap()));
    assert_eq!(found("noted"), [FindingKind::ClassInversion]);
}

#[test]
fn what_is_denied_of_classes_is_denied_each_time() {
    let child = in_a_child(what_is_denied_of_classes_is_denied_each_time, || {
        lockdep::set_level(FindingKind::ClassInversion, Level::Deny);
        let make = || (Mutex::new(1_u8), Mutex::new(2_u16));
        let ((a, b), (other_a, other_b)) = (make(), make());
        drop((a.lock().unwrap(), b.lock().unwrap()));
        for _ in 0..3 {
            let report = denied(|| drop((other_b.lock().unwrap(), other_a.lock().unwrap())));
            assert!(report.is_some_and(|it| it.starts_with("error[lockdep::class_inversion]")));
        }
    });
    assert!(child.is_none_or(|output| output.status.success()));
}

/// A cycle of three locks says nothing about two of them, which are nested in one order so far.
#[test]
fn a_circle_does_not_speak_for_the_classes_of_two() {
    let make = || (Mutex::new([1_u8]), Mutex::new([2_u16]), Mutex::new([3_u32]));
    let ((a, b, c), (other_a, _, other_c)) = (make(), make());
    lockdep::name(&other_a, "two of three");
    drop((a.lock().unwrap(), b.lock().unwrap()));
    drop((b.lock().unwrap(), c.lock().unwrap()));
    assert!(denied(|| drop((c.lock().unwrap(), a.lock().unwrap()))).is_some());
    drop((other_a.lock().unwrap(), other_c.lock().unwrap()));
    assert_eq!(found("two of three"), [FindingKind::ClassInversion]);
}

/// Each has a gate of its own, but the gates have one class: as one instance it would protect.
#[test]
fn a_gate_of_the_same_class_guards() {
    let make = || (Mutex::new(1_u8), Mutex::new(2_u16), Mutex::new(3_u32));
    let ((gate, a, b), (other_gate, other_a, other_b)) = (make(), make());
    lockdep::name(&a, "class gate");
    lockdep::name(&other_a, "class gate");
    drop((gate.lock().unwrap(), a.lock().unwrap(), b.lock().unwrap()));
    drop((other_gate.lock().unwrap(), other_b.lock().unwrap(), other_a.lock().unwrap()));
    assert!(found("class gate").is_empty());
}

// Declared orders.

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number(u32);

#[test]
fn keys_are_checked_at_the_first_nesting() {
    let account = |number| {
        let lock = named("keyed");
        lockdep::order_by_key(&lock, Number(number));
        lock
    };
    let (three, seven, also_seven) = (account(3), account(7), account(7));
    drop((take(&three), take(&seven)));
    let report = nests(&seven, &three).expect("no history is needed");
    assert!(report.starts_with("error[lockdep::declared_order]"), "{report}");
    assert!(report.contains("has the key Number(7)") && report.contains("the key Number(3)"));
    let report = nests(&seven, &also_seven).expect("equal keys are no order");
    assert!(report.contains("both have the key Number(7)"), "{report}");
    assert!(nests(&seven, &three).is_some(), "each time");
    // A key of another type belongs to another order.
    let other = named("keyed otherwise");
    lockdep::order_by_key(&other, 1_u64);
    assert!(nests(&seven, &other).is_none());
}

#[test]
fn keyed_locks_make_no_edges() {
    let accounts: Vec<_> = (0..200)
        .map(|number| {
            let lock = Mutex::new(());
            lockdep::order_by_key(&lock, ("no edges", number));
            lockdep::name(&lock, format!("no edges {number}"));
            lock
        })
        .collect();
    for pair in accounts.windows(2) {
        drop((take(&pair[0]), take(&pair[1])));
    }
    let graph = lockdep::order_graph();
    let is_ours = |name: Option<&str>| name.is_some_and(|name| name.starts_with("no edges"));
    let edges = graph.as_petgraph().edge_weights();
    assert_eq!(edges.filter(|edge| is_ours(edge.held().name())).count(), 0);
}

/// The code of the key is the program's: it may acquire locks, panic, and drop values.
#[test]
fn keys_run_without_a_lock_of_ours() {
    static LOCK: Mutex<u32> = Mutex::new(0);
    #[derive(PartialEq, Eq)]
    struct Locks(u32);
    impl PartialOrd for Locks {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Locks {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            *LOCK.lock().unwrap() += 1;
            self.0.cmp(&other.0)
        }
    }
    impl fmt::Debug for Locks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", *LOCK.lock().unwrap())
        }
    }
    impl Drop for Locks {
        fn drop(&mut self) {
            let inner = Mutex::new(());
            drop((LOCK.lock().unwrap(), take(&inner)));
        }
    }
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::order_by_key(&a, Locks(1));
    lockdep::order_by_key(&b, Locks(2));
    lockdep::order_by_key(&b, Locks(3));
    assert!(nests(&a, &b).is_none());
    assert!(nests(&b, &a).is_some());
    drop((a, b));
}

/// Declarations apply to orders that the thread has already shown.
#[test]
fn what_is_said_late_holds_as_well() {
    let inner = |first: &Mutex<()>, then: &Mutex<()>| {
        let _first = take(first);
        denied(|| drop(take(then)))
    };
    let (a, b) = (named("late"), named("late too"));
    assert!(inner(&a, &b).is_none());
    lockdep::order_by_key(&a, ("late", 2));
    lockdep::order_by_key(&b, ("late", 1));
    assert!(inner(&a, &b).is_some());

    let (c, d) = (named("late class"), named("late class too"));
    lockdep::declare_class_order(&["first of late", "second of late"]);
    assert!(inner(&c, &d).is_none());
    lockdep::class(&c, "second of late");
    lockdep::class(&d, "first of late");
    assert!(inner(&c, &d).is_some());
}

#[test]
fn declared_orders_add_up() {
    let [a, b, c, d] = ["first", "second", "third", "fourth"].map(named);
    lockdep::declare_order(&[&a, &b, &c]);
    lockdep::declare_order(&[&c, &d]);
    let report = nests(&d, &a).expect("by way of the others");
    assert!(report.starts_with("error[lockdep::declared_order]"), "{report}");
    assert!(report.contains("it was declared at tests/it/precision.rs:"), "{report}");
    assert!(nests(&a, &d).is_none() && nests(&b, &c).is_none());
    let contradiction = thread::spawn(move || lockdep::declare_order(&[&d, &a])).join();
    let message = contradiction.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("lockdep: the order declared at tests/"), "{message}");
}

#[test]
fn classes_leaves_and_outermost_locks() {
    let [outer, inner, leaf, first] =
        ["class outer", "class inner", "leaf", "outermost"].map(named);
    lockdep::class(&outer, "outer");
    lockdep::class(&inner, "inner");
    lockdep::declare_class_order(&["outer", "inner"]);
    assert!(nests(&outer, &inner).is_none());
    assert!(nests(&inner, &outer).unwrap().starts_with("error[lockdep::declared_order]"));

    lockdep::declare_leaf(&leaf);
    assert!(nests(&outer, &leaf).is_none());
    assert!(nests(&leaf, &inner).unwrap().contains("was declared a leaf"));

    lockdep::declare_outermost(&first);
    assert!(nests(&first, &inner).is_none());
    assert!(nests(&inner, &first).unwrap().contains("was declared an outermost lock"));
    // An attempt does not wait.
    let _inner = take(&inner);
    assert!(denied(|| drop(first.try_lock())).is_none());
}

// Silencing.

#[test]
fn a_pair_is_silenced_with_its_reason() {
    let (a, b, c) = (named("silenced"), named("silenced b"), named("silenced c"));
    lockdep::allow_pair(&b, &a, "startup is alone");
    for (first, then) in [(&a, &b), (&b, &a), (&b, &a), (&a, &c)] {
        assert!(nests(first, then).is_none());
    }
    let findings = findings_about(&["silenced"]);
    assert_eq!(kinds(&findings), [FindingKind::Inversion]);
    assert_eq!(findings[0].silenced(), Some("startup is alone"));
    assert!(findings[0].to_string().contains("note: it is silenced: startup is alone"));
    // Only these two.
    assert!(nests(&c, &a).is_some());
}

#[cfg(feature = "config")]
#[test]
#[cfg_attr(not(feature = "config"), ignore = "needs the feature")]
fn a_file_silences() {
    let test = a_file_silences;
    let child = |config: &str| {
        let path = std::env::temp_dir().join(format!("lockdep-{}.toml", std::process::id()));
        std::fs::write(&path, config).unwrap();
        let output = support::child_command(test)
            .envs([("LOCKDEP_CONFIG", &*path), ("LOCKDEP_EXIT", std::path::Path::new("1"))])
            .output()
            .unwrap();
        std::fs::remove_file(path).unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    if support::is_child() {
        let (left, right) = (Mutex::new(()), Mutex::new(()));
        drop((left.lock().unwrap(), right.lock().unwrap()));
        let on_thread = on_a_thread(|| {
            let _right = right.lock().unwrap();
            denied(|| drop(left.lock()))
        });
        assert!(on_thread.is_none(), "it is told");
        return assert_eq!(lockdep::findings()[0].silenced(), Some("known"));
    }
    let line = line!() - 5;
    for entry in [
        "locks = [\"left\"]".to_owned(),
        format!(
            "kind = \"inversion\"\nsites = [\"tests/it/precision.rs:{line}\", \"precision.rs\"]"
        ),
    ] {
        let (is_silenced, stderr) = child(&format!("[[allow]]\n{entry}\nreason = \"known\""));
        assert!(is_silenced && !stderr.contains("unused"), "{entry}\n{stderr}");
    }
    for entry in ["locks = [\"right\", \"middle\"]", "sites = [\"precision.rs:1\"]"] {
        let (is_silenced, stderr) = child(&format!("[[allow]]\n{entry}\nreason = \"known\""));
        assert!(!is_silenced, "{entry}");
        let unused = stderr.split_once("lockdep: unused entry: ").expect("it is named").1;
        assert!(
            unused.starts_with('/') && unused.contains(".toml:1 matched no finding\n"),
            "{stderr}"
        );
    }
    let (_, stderr) = child("[[allow]]\nlocks = [\"left\"]\n");
    assert_eq!(stderr.matches("lockdep: the configuration is ignored: ").count(), 1, "{stderr}");
    assert!(stderr.contains(".toml:1: `reason` is missing"), "{stderr}");
}

/// Also where nothing was found at all.
#[cfg(feature = "config")]
#[test]
#[cfg_attr(not(feature = "config"), ignore = "needs the feature")]
fn an_entry_that_nothing_needs_is_named() {
    if support::is_child() {
        return drop(take(&named("alone")));
    }
    let path = std::env::temp_dir().join(format!("lockdep-unused-{}.toml", std::process::id()));
    std::fs::write(&path, "[[allow]]\nlocks = [\"left\"]\nreason = \"known\"").unwrap();
    let output = support::child_command(an_entry_that_nothing_needs_is_named)
        .envs([("LOCKDEP_CONFIG", &*path), ("LOCKDEP_EXIT", std::path::Path::new("1"))])
        .output()
        .unwrap();
    std::fs::remove_file(path).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("lockdep: unused entry: "), "{stderr}");
}

/// No thread waits: two orders run at once on threads, with barriers, and the result is the same.
#[test]
fn at_once_or_one_after_the_other() {
    let child = in_a_child(at_once_or_one_after_the_other, || {
        lockdep::set_level(FindingKind::Inversion, Level::Allow);
        let (a, b) = (Arc::new(named("at once")), Arc::new(Mutex::new(())));
        let barrier = Arc::new(Barrier::new(2));
        let nests = |first: Arc<Mutex<()>>, then: Arc<Mutex<()>>| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                let _first = take(&first);
                barrier.wait();
                drop(denied(|| drop(take(&then))));
            })
        };
        let threads = [nests(Arc::clone(&a), Arc::clone(&b)), nests(b, a)];
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(found("at once"), [FindingKind::Inversion, FindingKind::Deadlock]);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
    }
}
