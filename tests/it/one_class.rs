//! Two locks of one class, held at once.
#![cfg(debug_assertions)]

use std::sync::Arc;

use crate::support::{denied, in_a_child, kinds, on_a_thread};
use lockdep::{
    Finding, FindingKind,
    FindingKind::{
        GuardedInversion, Inversion, OrderedInversion, SameClassNesting, SingleThreadInversion,
    },
    Level,
    sync::{Mutex, MutexGuard, RwLock},
    testing::collect,
};

struct Account {
    number: u32,
    balance: RwLock<i64>,
}

impl Account {
    #[track_caller]
    fn lock(&self) -> impl Drop {
        self.balance.write().unwrap()
    }
}

/// A way to nest two locks.
type Nest = fn(&Account, &Account);

fn transfer(from: &Account, to: &Account) {
    drop((from.lock(), to.lock()));
}

fn found(body: impl FnOnce()) -> Vec<FindingKind> {
    kinds(&collect(body))
}

/// Each call of a constructor makes a class, so each test has its own.
#[test]
fn accounts_that_are_loaded_for_each_transfer() {
    let load = |number| Account { number, balance: RwLock::new(0) };
    let findings = collect(|| {
        transfer(&load(1), &load(2));
        on_a_thread(|| transfer(&load(2), &load(1)));
        transfer(&load(3), &load(1));
    });
    let [nesting] = &*findings else { panic!("{findings:?}") };
    assert_eq!((nesting.kind(), nesting.level()), (SameClassNesting, Level::Allow));
    let [edge] = nesting.cycle() else { panic!("{nesting:?}") };
    assert!(edge.held() != edge.wanted() && edge.held().created_at() == edge.wanted().created_at());
    let report = nesting.to_string();
    assert!(report.starts_with("note[lockdep::same_class_nesting]: "), "{report}");
    assert!(report.contains("this is only a possibility"), "{report}");
}

/// None of these can hang for this reason, or says more in another way. The last one shows that the locks are of one
/// class.
#[test]
fn what_cannot_hang_or_has_an_order_is_quiet() {
    static GATE: Mutex<()> = Mutex::new(());
    let load = |number| Account { number, balance: RwLock::new(0) };
    let quiet: [(&str, Nest); 8] = [
        ("two reads", |a, b| drop((a.balance.read().unwrap(), b.balance.read().unwrap()))),
        ("an attempt", |a, b| drop((a.balance.write().unwrap(), b.balance.try_write().unwrap()))),
        ("one after the other", |a, b| {
            drop(a.lock());
            drop(b.lock());
        }),
        ("a gate", |a, b| {
            let _gate = GATE.lock().unwrap();
            transfer(a, b);
        }),
        ("keys", |a, b| {
            lockdep::order_by_key(&a.balance, a.number);
            lockdep::order_by_key(&b.balance, b.number);
            transfer(a, b);
        }),
        ("a declared order", |a, b| {
            lockdep::declare_order(&[&a.balance, &b.balance]);
            transfer(a, b);
        }),
        ("a leaf", |a, b| {
            lockdep::declare_leaf(&b.balance);
            transfer(a, b);
        }),
        ("an outermost lock", |a, b| {
            lockdep::declare_outermost(&a.balance);
            transfer(a, b);
        }),
    ];
    for (name, nest) in quiet {
        assert_eq!(found(|| nest(&load(1), &load(2))), [], "{name}");
    }
    let keys_of_two_types = || {
        let (a, b) = (load(1), load(2));
        lockdep::order_by_key(&a.balance, a.number);
        lockdep::order_by_key(&b.balance, "two");
        transfer(&a, &b);
    };
    assert_eq!(found(keys_of_two_types), [SameClassNesting]);
    let writes_then_reads = |a: Account, b: Account| drop((a.lock(), b.balance.read().unwrap()));
    assert_eq!(found(|| writes_then_reads(load(1), load(2))), [SameClassNesting]);
}

/// A gate lets one thread through at a time, unless the threads take different ones or only read it.
#[test]
fn different_gates_let_two_threads_through() {
    static GATES: [RwLock<()>; 2] = [RwLock::new(()), RwLock::new(())];
    let load = |number| Account { number, balance: RwLock::new(0) };
    let behind = |gate: usize| {
        let _gate = GATES[gate].write().unwrap();
        transfer(&load(1), &load(2));
    };
    assert_eq!(found(|| behind(0)), []);
    assert_eq!(found(|| behind(0)), []);
    // They are made by two calls, so they are of two classes.
    assert_eq!(found(|| behind(1)), [SameClassNesting]);
    let open = |number| Account { number, balance: RwLock::new(0) };
    let behind_a_reader = || {
        let _gate = GATES[0].read().unwrap();
        transfer(&open(1), &open(2));
    };
    assert_eq!(found(behind_a_reader), [SameClassNesting]);
}

/// One line makes all locks of a wrapper, whatever they are for.
#[test]
fn locks_behind_a_wrapper_are_no_class() {
    struct Shared<T>(Arc<Mutex<T>>);
    impl<T> Shared<T> {
        fn new(value: T) -> Self {
            Self(Arc::new(Mutex::new(value)))
        }
    }
    for _ in 0..2 {
        let (config, cache) = (Shared::new(1), Shared::new(2));
        assert_eq!(found(|| drop((config.0.lock().unwrap(), cache.0.lock().unwrap()))), []);
    }
    let [parent, child] = [0, 1].map(Mutex::new);
    assert_eq!(found(|| drop((parent.lock().unwrap(), child.lock().unwrap()))), []);
    for lock in [&parent, &child] {
        lockdep::class(lock, "a tree's node");
    }
    let [parent, child] = [2, 3].map(Mutex::new);
    for lock in [&parent, &child] {
        lockdep::class(lock, "a tree's node");
    }
    assert_eq!(found(|| drop((parent.lock().unwrap(), child.lock().unwrap()))), [SameClassNesting]);
}

/// An inversion of two locks says more, and about their class as well. One that cannot close does not.
#[test]
fn an_inversion_of_two_locks_ends_it() {
    static GATE: Mutex<()> = Mutex::new(());
    let swap = |a: &Account, b: &Account| {
        transfer(a, b);
        assert!(denied(|| drop((b.lock(), a.lock()))).is_some());
    };
    let load = |number| Account { number, balance: RwLock::new(0) };
    let (a, b) = (load(1), load(2));
    assert_eq!(found(|| swap(&a, &b)), [SameClassNesting, SingleThreadInversion]);
    assert_eq!(found(|| drop((load(3).lock(), load(4).lock()))), []);

    let guarded = |number| Account { number, balance: RwLock::new(0) };
    let (a, b) = (guarded(1), guarded(2));
    let both = || {
        let _gate = GATE.lock().unwrap();
        transfer(&a, &b);
        drop((b.lock(), a.lock()));
    };
    assert_eq!(found(both), [GuardedInversion]);
    assert_eq!(found(|| transfer(&guarded(3), &guarded(4))), [SameClassNesting]);

    // A ring of three of one class.
    let ring = |number| Account { number, balance: RwLock::new(0) };
    let [a, b, c] = [1, 2, 3].map(ring);
    transfer(&a, &b);
    on_a_thread(|| transfer(&b, &c));
    let closing = on_a_thread(|| found(|| transfer(&c, &a)));
    assert_eq!(closing, [Inversion]);
    assert_eq!(found(|| drop((ring(4).lock(), ring(5).lock()))), []);
}

/// No other thread waits for an object that it does not know.
#[test]
fn a_new_object_that_is_published() {
    struct Node {
        children: Mutex<Vec<Arc<Node>>>,
        _name: &'static str,
    }
    fn make() -> Arc<Node> {
        Arc::new(Node { children: Mutex::new(Vec::new()), _name: "node" })
    }
    fn adopt(parent: &Node) {
        let child = make();
        let mut children = child.children.lock().unwrap();
        children.clear();
        parent.children.lock().unwrap().push(Arc::clone(&child));
    }
    fn visit(parent: &Node) {
        for child in &*parent.children.lock().unwrap() {
            child.children.lock().unwrap().clear();
        }
    }
    let root = make();
    assert_eq!(found(|| adopt(&root)), []);
    assert_eq!(found(|| adopt(&root)), []);
    // The cycle that cannot close is recorded as well.
    assert_eq!(found(|| visit(&root)), [OrderedInversion, SameClassNesting]);
}

/// Once a thread has found nothing new for some time, most new chains take a shorter way.
#[test]
fn a_thread_that_had_found_nothing_for_long() {
    let load = |number| Account { number, balance: RwLock::new(0) };
    let others = || (Mutex::new(0_u8), Mutex::new(1_u16));
    let parent = load(0);
    let other = others().0;
    drop((parent.lock(), other.lock().unwrap()));
    for _ in 0..2_000 {
        drop((parent.lock(), others().1.lock().unwrap()));
    }
    let nest = || {
        for _ in 0..2_000 {
            let _parent = parent.lock();
            drop(load(1).lock());
        }
    };
    assert_eq!(found(nest), [SameClassNesting]);
}

/// Runs the body in a process with this level.
fn at(level: Level, test: impl Fn(), body: impl FnOnce()) {
    let body = || {
        lockdep::set_level(SameClassNesting, level);
        body();
    };
    if let Some(output) = in_a_child(test, body) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn each_caller_of_a_helper_is_reported_once() {
    struct Session {
        state: Mutex<u8>,
        _id: u8,
    }
    impl Session {
        fn new() -> Self {
            Self { state: Mutex::new(0), _id: 0 }
        }
        fn state(&self) -> MutexGuard<'_, u8> {
            self.state.lock().unwrap()
        }
    }
    fn merge(one: &Session, other: &Session) {
        drop((one.state(), other.state()));
    }
    fn compare(one: &Session, other: &Session) {
        drop((one.state(), other.state()));
    }
    fn merge_all() {
        merge(&Session::new(), &Session::new());
    }
    at(Level::Warn, each_caller_of_a_helper_is_reported_once, || {
        for _ in 0..3 {
            merge(&Session::new(), &Session::new());
            compare(&Session::new(), &Session::new());
            merge_all();
        }
        let findings = lockdep::take_findings();
        assert_eq!(kinds(&findings), [SameClassNesting; 2]);
        let places = |finding: &Finding| {
            let report = finding.to_string();
            report.lines().find(|line| line.contains("tests/it/one_class.rs:")).map(str::to_owned)
        };
        assert_ne!(places(&findings[0]), places(&findings[1]));
    });
}

#[test]
fn what_is_denied_is_denied_each_time() {
    let load = |number| Account { number, balance: RwLock::new(0) };
    at(Level::Deny, what_is_denied_is_denied_each_time, || {
        let (a, b) = (load(1), load(2));
        for _ in 0..3 {
            for [a, b] in [[&a, &b], [&load(3), &load(4)]] {
                let report = denied(|| transfer(a, b));
                let starts = "error[lockdep::same_class_nesting]";
                assert!(report.is_some_and(|it| it.starts_with(starts)));
            }
        }
    });
}
