//! Events that the program declares: predictions about the threads that owe them and wait for them.
//! Threads that really hang are in `deadlocks.rs`.
#![cfg(debug_assertions)]

use std::{
    mem,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use crate::support::{denied, findings_about, in_a_child, kinds, on_a_thread};
use lockdep::{
    FindingKind, Level, Mode,
    external::{Event, Owed},
    sync::{Condvar, Mutex, MutexGuard, RwLock},
};

fn named(name: &str) -> Mutex<()> {
    let lock = Mutex::new(());
    lockdep::name(&lock, name);
    lock
}

fn take(lock: &Mutex<()>) -> MutexGuard<'_, ()> {
    lock.lock().unwrap()
}

fn found(name: &str) -> Vec<FindingKind> {
    kinds(&findings_about(&[name]))
}

/// On a separate thread, acquires a lock while it owes an event. Returns the report if that is
/// denied.
fn takes_while_owing(event: &Event, lock: &Mutex<()>) -> Option<String> {
    on_a_thread(|| {
        let _owes = event.owe();
        denied(|| drop(take(lock)))
    })
}

/// On a separate thread, waits for an event while it holds a lock. Returns the report if that is
/// denied.
fn waits_while_holding(event: &Event, lock: &Mutex<()>) -> Option<String> {
    on_a_thread(|| {
        let _held = take(lock);
        denied(|| event.wait(|| ()))
    })
}

const INVERSION: &str = "error[lockdep::inversion]: ";

#[test]
fn a_lock_that_is_held_over_a_wait_and_taken_by_who_owes() {
    let (lock, event) = (named("over"), Event::new("over, event"));
    assert!(takes_while_owing(&event, &lock).is_none());
    let has_waited = AtomicBool::new(false);
    let report = on_a_thread(|| {
        let _held = take(&lock);
        denied(|| event.wait(|| has_waited.store(true, Relaxed))).expect("denied")
    });
    assert!(!has_waited.load(Relaxed), "it is denied before it waits");
    let title = "`over` is held over a wait for `over, event`, and acquired while that is owed";
    assert!(report.starts_with(&format!("{INVERSION}{title}\n")), "{report}");
    for words in [
        "has held `over` since here",
        "and waits for `over, event` here",
        "owed `over, event` and acquired `over`\n",
        "`over, event` owed since here",
        "`over` acquired here",
        "`over, event` is an `Event` made at tests/it/external.rs:",
        "waiting for `over, event` with `over` held:",
        "acquiring `over` with `over, event` owed:",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    let [finding] = &findings_about(&["over"])[..] else { panic!("one") };
    let modes = |edge: &lockdep::Edge| (edge.held_mode(), edge.wanted_mode());
    let [waits, owes] = finding.cycle() else { panic!("two edges") };
    assert_eq!(modes(waits), (Mode::Exclusive, Mode::Exclusive));
    assert_eq!(modes(owes), (Mode::Shared, Mode::Exclusive));
    assert_eq!(waits.wanted().name(), Some("over, event"));
}

/// The last thread is denied: here the one that owes the event and acquires the lock.
#[test]
fn a_lock_that_is_taken_by_who_owes_and_held_over_a_wait() {
    let (lock, event) = (named("owing last"), Event::new("owing last, event"));
    assert!(waits_while_holding(&event, &lock).is_none());
    let report = takes_while_owing(&event, &lock).expect("denied");
    assert!(report.starts_with(INVERSION), "{report}");
    for words in [
        "has owed `owing last, event` since here",
        "and acquires `owing last` here",
        "held `owing last` and waited for `owing last, event`\n",
        "still needs `owing last` when the wait for `owing last, event` begins",
    ] {
        assert!(report.replace("\n      ", " ").contains(words), "{words}: {report}");
    }
}

#[test]
fn what_is_not_held_over_the_wait_or_not_taken_while_owing() {
    // Created at another place: otherwise this would be a class inversion.
    let (lock, other) = (named("apart"), Mutex::new(()));
    let event = Event::new("apart, event");
    // Released before the wait.
    on_a_thread(|| {
        drop(take(&lock));
        event.wait(|| ());
        drop(take(&lock));
    });
    // Acquired while nothing is owed: before, afterwards, and on another thread.
    on_a_thread(|| {
        drop(take(&lock));
        drop(event.owe());
        drop(take(&lock));
    });
    assert!(takes_while_owing(&event, &other).is_none());
    assert!(waits_while_holding(&event, &lock).is_none());
    assert_eq!(found("apart, event"), []);
}

/// Starting to owe does not wait: a lock held at that moment is not ordered before the event.
#[test]
fn an_obligation_that_begins_under_a_lock() {
    let (lock, event) = (named("begins"), Event::new("begins, event"));
    on_a_thread(|| {
        let _held = take(&lock);
        drop(event.owe());
    });
    assert!(takes_while_owing(&event, &lock).is_none());
    assert_eq!(found("begins, event"), []);
}

/// Nothing is held after a wait.
#[test]
fn a_lock_that_is_taken_after_the_wait() {
    let (lock, event) = (named("after"), Event::new("after, event"));
    on_a_thread(|| {
        event.wait(|| ());
        drop(take(&lock));
    });
    assert!(waits_while_holding(&event, &lock).is_none());
    assert_eq!(found("after, event"), []);
}

/// A lock acquired to receive the answer is not held during the wait.
#[test]
fn a_lock_that_is_taken_in_the_wait() {
    let (lock, event) = (named("inside"), Event::new("inside, event"));
    on_a_thread(|| event.wait(|| drop(take(&lock))));
    assert!(takes_while_owing(&event, &lock).is_none());
    assert!(waits_while_holding(&event, &lock).is_some(), "this one is");
    assert_eq!(found("inside, event"), [FindingKind::Inversion]);
}

#[test]
fn a_circle_of_two_locks_and_an_event() {
    let (a, b, event) = (named("long a"), named("long b"), Event::new("long event"));
    assert!(takes_while_owing(&event, &a).is_none());
    on_a_thread(|| {
        let _a = take(&a);
        drop(take(&b));
    });
    let report = waits_while_holding(&event, &b).expect("denied");
    let title = "3 locks and waits form a cycle: `long b` → `long event` → `long a` → `long b`";
    assert!(report.starts_with(&format!("{INVERSION}{title}\n")), "{report}");
    assert!(report.contains("owed `long event` and acquired `long a`\n"), "{report}");
}

/// Two threads each owe what the other waits for.
#[test]
fn two_events() {
    let (a, b) = (Event::new("first event"), Event::new("second event"));
    let waits = |owed: &Event, wanted: &Event| {
        on_a_thread(|| {
            let _owes = owed.owe();
            denied(|| wanted.wait(|| ()))
        })
    };
    assert!(waits(&a, &b).is_none());
    let report = waits(&b, &a).expect("denied");
    let title = "`second event` and `first event` are owed and waited for in both orders";
    assert!(report.starts_with(&format!("{INVERSION}{title}\n")), "{report}");
}

#[test]
fn one_thread_in_both_places() {
    let (lock, event) = (named("both places"), Event::new("both places, event"));
    let report = on_a_thread(|| {
        {
            let _owes = event.owe();
            drop(take(&lock));
        }
        let _held = take(&lock);
        denied(|| event.wait(|| ())).expect("denied")
    });
    assert!(report.starts_with("error[lockdep::single_thread_inversion]"), "{report}");
    assert!(report.contains("and acquired while that is owed, so far by one thread\n"), "{report}");
}

#[test]
fn what_nobody_else_owes_is_waited_for_in_vain() {
    let event = Event::new("alone");
    let report = on_a_thread(|| {
        let _owes = (event.owe(), event.owe());
        denied(|| event.wait(|| unreachable!("it is denied before it waits"))).expect("denied")
    });
    let title = "waits for `alone`, which it alone owes\n";
    assert!(report.contains(title), "{report}");
    assert!(report.contains(", waiting for `alone`:\n"), "{report}");
    assert_eq!(found("alone"), [FindingKind::SelfDeadlock]);
}

/// Another thread may answer; once it no longer owes the event, no thread is left.
#[test]
fn what_others_owe_as_well_is_not_waited_for_in_vain() {
    let event = Event::new("not alone");
    let step = Barrier::new(2);
    let [while_it_owes, afterwards] = thread::scope(|scope| {
        scope.spawn(|| {
            let owes = event.owe();
            step.wait();
            step.wait();
            drop(owes);
            step.wait();
        });
        step.wait();
        let _owes = event.owe();
        let while_it_owes = denied(|| event.wait(|| ()));
        step.wait();
        step.wait();
        [while_it_owes, denied(|| event.wait(|| ()))]
    });
    assert_eq!(while_it_owes, None);
    let report = afterwards.expect("nobody is left");
    // The latter if the chain was forgotten meanwhile, as another test named a lock: then it is judged again.
    let titles =
        ["waits for itself: it owes `not alone`\n", "waits for `not alone`, which it alone owes\n"];
    assert!(titles.iter().any(|title| report.contains(title)), "{report}");
}

#[test]
fn a_lock_around_both_sides_is_a_gate() {
    let (gate, lock, event) = (named("gate"), named("behind"), Event::new("behind, event"));
    on_a_thread(|| {
        let _gate = take(&gate);
        let _owes = event.owe();
        drop(take(&lock));
    });
    on_a_thread(|| {
        let _gate = take(&gate);
        let _held = take(&lock);
        event.wait(|| ());
    });
    assert_eq!(found("behind"), [FindingKind::GuardedInversion]);
    // Once without the gate.
    assert!(waits_while_holding(&event, &lock).is_some());
    assert_eq!(found("behind"), [FindingKind::GuardedInversion, FindingKind::Inversion]);
}

/// Events created at one place, one per request, are all different.
#[test]
fn events_that_are_made_alike() {
    let lock = Mutex::new(());
    lockdep::name(&lock, "alike");
    let events = ["alike, first", "alike, second"].map(|name| Event::new(name));
    on_a_thread(|| {
        let _owes = events[0].owe();
        drop(take(&lock));
    });
    on_a_thread(|| {
        let _held = take(&lock);
        events[1].wait(|| ());
    });
    let [finding] = &findings_about(&["alike"])[..] else { panic!("one") };
    assert_eq!((finding.kind(), finding.level()), (FindingKind::ClassInversion, Level::Warn));
    let report = finding.to_string();
    let title =
        "`alike` and `alike, second`, or others like them, are held and waited for in both orders";
    assert!(report.contains(title), "{report}");
}

/// Several threads may owe one event at the same time.
#[test]
fn an_event_that_both_owe_is_no_gate() {
    let (a, b, event) = (named("owed a"), named("owed b"), Event::new("owed by both"));
    let nests = |first: &Mutex<()>, then: &Mutex<()>| {
        on_a_thread(|| {
            let _owes = event.owe();
            let _first = take(first);
            denied(|| drop(take(then)))
        })
    };
    assert!(nests(&a, &b).is_none());
    assert!(nests(&b, &a).is_some());
    assert_eq!(found("owed a"), [FindingKind::Inversion]);
}

/// Readers wait for each other only behind a writer.
#[test]
fn a_lock_that_both_sides_read() {
    let (lock, event) = (RwLock::new(()), Event::new("read, event"));
    lockdep::name(&lock, "read");
    on_a_thread(|| {
        let _owes = event.owe();
        drop(lock.read().unwrap());
    });
    on_a_thread(|| {
        let _held = lock.read().unwrap();
        event.wait(|| ());
    });
    assert_eq!(found("read"), []);
    let report = on_a_thread(|| denied(|| drop(lock.write().unwrap()))).expect("denied");
    let text = report.replace("\n      ", " ");
    assert!(text.contains("while a writer waits for `read`"), "{report}");
    assert_eq!(found("read"), [FindingKind::Inversion]);
}

#[test]
fn what_is_allowed_or_silenced() {
    let (lock, event) = (named("allowed"), Event::new("allowed, event"));
    assert!(takes_while_owing(&event, &lock).is_none());
    lockdep::allow(|| {
        let _held = take(&lock);
        event.wait(|| ());
    });
    assert_eq!(found("allowed"), []);

    let (lock, event) = (named("silenced"), Event::new("silenced, event"));
    lockdep::allow_pair(&lock, &event, "the main loop never redraws while a file is saved");
    assert!(takes_while_owing(&event, &lock).is_none());
    assert!(waits_while_holding(&event, &lock).is_none());
    let [finding] = &findings_about(&["silenced"])[..] else { panic!("one") };
    assert_eq!(finding.level(), Level::Allow);
}

#[test]
fn at_other_levels_it_waits() {
    let child = in_a_child(at_other_levels_it_waits, || {
        lockdep::set_level(FindingKind::Inversion, Level::Warn);
        let (lock, event) = (named("warned"), Event::new("warned, event"));
        assert!(takes_while_owing(&event, &lock).is_none());
        let answer = on_a_thread(|| {
            let _held = take(&lock);
            event.wait(|| 3)
        });
        assert_eq!((answer, found("warned")), (3, vec![FindingKind::Inversion]));
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = "warning[lockdep::inversion]: `warned` is held over a wait for";
        assert_eq!(text.matches(report).count(), 1, "{text}");
    }
}

/// No wait may happen while anything is held, whether or not a thread owes the event.
#[test]
fn an_event_that_is_declared_outermost() {
    let (lock, event) = (named("innermost"), Event::new("outermost"));
    lockdep::declare_outermost(&event);
    event.wait(|| ());
    let report = waits_while_holding(&event, &lock).expect("denied");
    let title = "`outermost` is waited for after `innermost`, against the declared order\n";
    assert!(report.starts_with(&format!("error[lockdep::declared_order]: {title}")), "{report}");
    let help = "declared outermost, it is waited for while nothing is held: release `innermost`";
    assert!(report.replace("\n      ", " ").contains(help), "{report}");
}

/// A main loop owes the event while it waits for requests, by whatever means.
#[test]
fn a_condition_variable_is_waited_on_while_something_is_owed() {
    let (queue, event) = (named("queue"), Event::new("queue, event"));
    let (requests, other) = (Condvar::new(), named("queue, other"));
    let wait = |guard| drop(requests.wait_timeout(guard, std::time::Duration::ZERO).unwrap());
    on_a_thread(|| {
        let _owes = event.owe();
        wait(take(&queue));
    });
    assert_eq!(found("queue"), []);
    on_a_thread(|| {
        let _held = take(&other);
        let _owes = event.owe();
        wait(take(&queue));
    });
    let [finding] = &findings_about(&["queue"])[..] else { panic!("one") };
    assert_eq!(finding.kind(), FindingKind::WaitWhileHolding);
    let held: Vec<_> = finding.cycle().iter().map(|edge| edge.held().name()).collect();
    assert_eq!(held, [Some("queue, other")]);
}

#[test]
fn a_thread_that_ends_in_debt() {
    let event = Event::new("in debt");
    on_a_thread(|| mem::forget(event.owe()));
    let [finding] = &findings_about(&["in debt"])[..] else { panic!("one") };
    assert_eq!(finding.kind(), FindingKind::LeakedGuard);
    let report = finding.to_string();
    assert!(report.contains(" ended while it owed `in debt`\n"), "{report}");
    assert!(report.contains("`in debt` owed since here"), "{report}");
    // Others wait for ever for what it owed.
    on_a_thread(|| event.wait(|| ()));
    let findings = findings_about(&["in debt"]);
    assert_eq!(findings.len(), 2);
    let report = findings[1].to_string();
    assert!(report.contains(" waits for `in debt`, which no thread will complete\n"), "{report}");
    assert!(report.contains("owed `in debt` here, and has ended since"), "{report}");
}

/// Locks of other tests make the columns wider.
fn with_single_spaces(table: &str) -> String {
    table.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_table_says_who_owes_and_who_waits() {
    let event = Event::new("in the table");
    let line = line!() + 1;
    let _owes = event.owe();
    let since = format!(" owes `in the table` since tests/it/external.rs:{line}:");
    let table = with_single_spaces(&lockdep::held().to_string());
    assert!(table.contains(&since), "{table}");
    let table = on_a_thread(|| event.wait(|| lockdep::held().to_string()));
    let table = with_single_spaces(&table);
    assert!(table.contains(" waits for `in the table` at tests/it/external.rs:"), "{table}");
    lockdep::name(&event, "renamed");
    let _owes_again: Owed<'_> = event.owe();
    assert_eq!(
        lockdep::held().to_string().matches("owes       `renamed`").count(),
        2,
        "{}",
        lockdep::held()
    );
}

/// A wait with a timeout is no finding, and nothing is ordered by it.
#[test]
fn a_wait_for_some_time() {
    let (lock, event) = (named("some time"), Event::new("some time, event"));
    assert!(takes_while_owing(&event, &lock).is_none());
    let table = on_a_thread(|| {
        let _held = take(&lock);
        event.wait_timeout(|| lockdep::held().to_string())
    });
    let waits = table.lines().find(|line| line.contains("waits for  `some time, event`"));
    assert!(waits.is_some_and(|line| line.ends_with(", with a timeout")), "{table}");
    assert_eq!(found("some time"), []);
    assert!(waits_while_holding(&event, &lock).is_some());
}

/// No thread polls the handler while it waits, but it owes the event as well.
#[test]
fn an_event_that_a_thread_owes_together_with_a_handler() {
    let event = Event::new("handler");
    let mut handler = Box::pin(event.owe_while(std::future::pending::<()>()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(handler.as_mut(), &mut context).is_pending());
    let waits = || {
        let _owes = event.owe();
        denied(|| event.wait(|| ()))
    };
    assert!(on_a_thread(waits).is_none());
    drop(handler);
    assert!(on_a_thread(waits).is_some());
}
