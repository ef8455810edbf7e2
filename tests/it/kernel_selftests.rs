//! The self-tests of the kernel's lockdep as a table: every row that makes sense for locks with an
//! identity, with the reader-writer locks of std and of parking_lot; rows with recursive readers
//! only with the latter.
//!
//! `L(x)` and `W(x)` lock exclusively, `R(x)` reads, `RR(x)` reads recursively, `T(x)` and `TR(x)`
//! try and must succeed, `T!(x)` must fail, `U(x)` releases. `;` separates the steps of a thread,
//! `//` the threads, each of which starts when the previous one has ended. `AB` is
//! `L(A);L(B);U(B);U(A)`. Locks that are still held when a thread ends are released.
#![cfg(any(debug_assertions, feature = "enforce"))]

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

const NONE: &str = "";
const INVERSION: &str = "inversion";
const TWO_PLACES: &str = "single_thread_inversion";
const SELF: &str = "self_deadlock";
/// As `SELF`, for parking_lot's locks: another thread may have the first guard, unless it is not
/// `Send`.
#[cfg(any(feature = "parking_lot", feature = "parking_lot_0_13"))]
const TWICE: &str = if cfg!(feature = "send_guard") { "deadlock" } else { SELF };
const RECURSIVE: &str = "recursive_read";

#[rustfmt::skip]
const TABLE: &[(&str, &str, &str)] = &[
    // The kernel keys by class: where it reports two instances of one class, we do not.
    ("LK-01", "L(X1);L(X2)", NONE),
    ("LK-01", "L(X1);L(X1)", SELF),
    ("LK-03", "R(X1);R(X2)", NONE),
    ("LK-06", "R(X1);R(X1)", RECURSIVE),
    ("LK-07", "R(X1);R(X2)", NONE),
    ("LK-09", "R(X1);W(X2)", NONE),
    ("LK-09", "R(X1);W(X1)", SELF),
    ("LK-11", "W(X1);R(X2)", NONE),
    ("LK-11", "W(X1);R(X1)", SELF),
    ("LK-12", "AB // BA", INVERSION),
    // Readers never wait for readers alone: a cycle of readers needs a writer of each lock.
    ("LK-14", "R(A);R(B) // R(B);R(A)", NONE),
    ("LK-14", "W(A) // W(B) // R(A);R(B) // R(B);R(A)", INVERSION),
    ("LK-14", "R(A);R(B) // R(B);R(A) // W(A)", NONE),
    ("LK-14", "R(A);R(B) // R(B);R(A) // W(A) // W(B)", INVERSION),
    ("LK-14", "R(A);R(B) // R(B);R(A) // TW(A) // TW(B)", NONE),
    ("LK-15", "AB // BC // CA", INVERSION),
    ("LK-17", "W(A) // W(B) // W(C) // R(A);R(B) // R(B);R(C) // R(C);R(A)", INVERSION),
    ("LK-18", "AB // CA // BC", INVERSION),
    ("LK-20", "W(A) // W(B) // W(C) // R(A);R(B) // R(C);R(A) // R(B);R(C)", INVERSION),
    ("LK-20", "W(A) // W(B) // R(A);R(B) // R(C);R(A) // R(B);R(C)", NONE),
    ("LK-21", "AB // BC // CD // DA", INVERSION),
    ("LK-24", "AB // CD // BD // DA", INVERSION),
    ("LK-27", "AB // CD // BC // DA", INVERSION),
    ("LK-33", "R(X);L(Y) // L(Y);W(X)", INVERSION),
    ("LK-35", "R(X);L(Y) // L(Y);R(X)", NONE),
    ("LK-35", "W(X) // R(X);L(Y) // L(Y);R(X)", INVERSION),
    ("LK-37", "W(X);L(Y) // L(Y);W(X)", INVERSION),
    // The mode is part of a known chain: a harmless chain hides no other.
    ("LK-38", "R(X);L(Y) // L(Y);R(X) // L(Y);W(X)", INVERSION),
    ("LK-39", "W(X) // W(Y) // W(Z) // W(X);R(Y) // W(Y);R(Z) // W(Z);R(X)", INVERSION),
    ("LK-39", "W(X);R(Y) // W(Y);R(Z) // W(Z);R(X)", INVERSION),
    ("LK-40", "W(X);W(Y) // R(Y);R(Z) // W(Z);R(X)", INVERSION),
    ("LK-41", "W(X);W(Y) // R(Y);R(Z) // R(Z);W(X)", NONE),
    ("LK-41", "W(Z) // W(X);W(Y) // R(Y);R(Z) // R(Z);W(X)", INVERSION),
    ("LK-46", "L(O);T(O2) // L(O2);T(O)", NONE),
    ("LK-48", "T(O);L(O2) // L(O2);L(O)", INVERSION),
    ("LK-49", "T(O);T(O2) // T(O2);T(O)", NONE),
    ("LK-52", "L(O);T(O2) // L(O2);L(O)", NONE),
    ("LK-54", "L(A);U(A) // L(O);L(A) // L(A);L(O)", INVERSION),
    ("LK-55", "L(A);U(A) // T(O);L(A) // L(A);T(O)", NONE),
    ("LK-55", "L(A);U(A) // T(O);L(A) // L(A);L(O)", INVERSION),
    ("DS-02", "R(X);R(X)", RECURSIVE),
    ("DS-02", "R(X);TR(X)", NONE),
    ("DS-03", "R(X);W(Y) // R(Y);W(X)", INVERSION),
    ("DS-09", "L(A);T(B);L(C) // L(C);L(A)", INVERSION),
    ("DS-09", "L(A);T(B);L(C) // L(C);L(B)", INVERSION),
    ("DS-10", "L(A);T(B);U(B);U(A) // L(B);L(A)", NONE),
    // It takes three threads, and there are two: the first would have to be in two places.
    ("DS-11", "L(A);L(B);U(A);L(C) // L(C);L(A)", TWO_PLACES),
    ("DS-11", "L(A);L(B);U(B);L(C) // L(C);L(B)", NONE),
    // A failed try leaves no trace.
    ("try",   "L(A);T!(A);L(B) // L(B);L(A)", INVERSION),
    ("try",   "L(A);T!(A) // L(B);L(A)", NONE),
];

/// Rows with recursive readers, which wait only for a writer that holds the lock.
#[cfg(any(feature = "parking_lot", feature = "parking_lot_0_13"))]
#[rustfmt::skip]
const RECURSIVE_TABLE: &[(&str, &str, &str)] = &[
    ("LK-02", "RR(X1);RR(X2)", NONE),
    ("LK-04", "RR(X1);RR(X1)", NONE),
    ("LK-04", "R(X1);RR(X1)", NONE),
    ("LK-05", "RR(X1);RR(X2)", NONE),
    ("LK-08", "RR(X1);W(X2)", NONE),
    ("LK-08", "RR(X1);W(X1)", SELF),
    ("LK-10", "W(X1);RR(X2)", NONE),
    ("LK-10", "W(X1);RR(X1)", SELF),
    ("LK-13", "W(A) // W(B) // RR(A);RR(B) // RR(B);RR(A)", NONE),
    ("LK-16", "W(A) // W(B) // W(C) // RR(A);RR(B) // RR(B);RR(C) // RR(C);RR(A)", NONE),
    ("LK-19", "W(A) // W(B) // W(C) // RR(A);RR(B) // RR(C);RR(A) // RR(B);RR(C)", NONE),
    ("LK-22", "RR(A);RR(B) // RR(B);RR(C) // RR(C);RR(D) // RR(D);RR(A)", NONE),
    ("LK-25", "RR(A);RR(B) // RR(C);RR(D) // RR(B);RR(D) // RR(D);RR(A)", NONE),
    ("LK-28", "RR(A);RR(B) // RR(C);RR(D) // RR(B);RR(C) // RR(D);RR(A)", NONE),
    ("LK-32", "RR(X);L(Y) // L(Y);W(X)", INVERSION),
    ("LK-34", "W(X) // RR(X);L(Y) // L(Y);RR(X)", NONE),
    ("LK-36", "W(X);L(Y) // L(Y);W(X)", INVERSION),
    ("LK-38", "RR(X);L(Y) // L(Y);RR(X)", NONE),
    ("LK-38", "RR(X);L(Y) // L(Y);RR(X) // L(Y);W(X)", INVERSION),
    ("LK-39", "W(X);RR(Y) // W(Y);RR(Z) // W(Z);RR(X)", INVERSION),
    ("LK-39", "W(X);RR(Y) // W(Z);RR(X) // W(Y);RR(Z)", INVERSION),
    ("LK-39", "W(Y);RR(Z) // W(X);RR(Y) // W(Z);RR(X)", INVERSION),
    ("LK-40", "W(X);W(Y) // RR(Y);RR(Z) // W(Z);RR(X)", INVERSION),
    ("LK-40", "W(Z);RR(X) // RR(Y);RR(Z) // W(X);W(Y)", INVERSION),
    ("LK-41", "W(X);W(Y) // RR(Y);RR(Z) // RR(Z);W(X)", NONE),
    ("LK-41", "RR(Z);W(X) // RR(Y);RR(Z) // W(X);W(Y)", NONE),
    ("LK-42", "W(X);RR(Y) // RR(Y);RR(Z) // W(Z);W(X)", NONE),
    ("LK-42", "W(Z);W(X) // W(X);RR(Y) // RR(Y);RR(Z)", NONE),
    ("DS-01", "W(X) // RR(X);RR(X)", NONE),
    ("DS-03", "RR(X);W(Y) // RR(Y);W(X)", INVERSION),
];

#[test]
fn every_row_with_std() {
    check::<lockdep::sync::RwLock<()>>(TABLE, SELF);
}

#[cfg(feature = "parking_lot")]
#[test]
fn every_row_with_parking_lot() {
    check::<lockdep::parking_lot::RwLock<()>>(TABLE, TWICE);
    check::<lockdep::parking_lot::RwLock<()>>(RECURSIVE_TABLE, TWICE);
}

/// The readers of one lock are all recursive or none is.
#[cfg(feature = "parking_lot_0_13")]
#[test]
fn every_row_with_parking_lot_0_13() {
    check::<lockdep::parking_lot_0_13::RwLock<()>>(TABLE, TWICE);
    let is_pure = |program: &str| !program.replace("RR(", "").contains("R(");
    let pure: Vec<_> =
        RECURSIVE_TABLE.iter().copied().filter(|(_, program, _)| is_pure(program)).collect();
    assert!(pure.len() > 25);
    check::<lockdep::parking_lot_0_13::RecursiveRwLock<()>>(&pure, TWICE);
}

/// Checks every row, run once and twice: known chains must not change the result. `twice` is the
/// finding for a lock that is acquired twice.
fn check<L: Subject>(table: &[(&str, &str, &str)], twice: &str) {
    let mut wrong = Vec::new();
    for (row, program, expected) in table {
        let expected = if *expected == SELF { twice } else { expected };
        for program in [(*program).to_owned(), format!("{program} // {program}")] {
            let found = run::<L>(&program);
            if found != expected {
                wrong.push(format!("{row}: {program}\n    expected {expected:?}, found {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A guard of any type.
trait Guard {}
impl<T> Guard for T {}

/// A reader-writer lock with the operations of the table.
trait Subject: Default + Sync {
    fn take(&self, operation: &str) -> Option<Box<dyn Guard + '_>>;
}

impl Subject for lockdep::sync::RwLock<()> {
    fn take(&self, operation: &str) -> Option<Box<dyn Guard + '_>> {
        Some(match operation {
            "L" | "W" => Box::new(self.write().unwrap()),
            "R" => Box::new(self.read().unwrap()),
            "T" | "TW" => Box::new(self.try_write().ok()?),
            "TR" => Box::new(self.try_read().ok()?),
            other => panic!("no operation is called {other}"),
        })
    }
}

#[cfg(feature = "parking_lot")]
impl Subject for lockdep::parking_lot::RwLock<()> {
    fn take(&self, operation: &str) -> Option<Box<dyn Guard + '_>> {
        Some(match operation {
            "L" | "W" => Box::new(self.write()),
            "R" => Box::new(self.read()),
            "RR" => Box::new(self.read_recursive()),
            "T" | "TW" => Box::new(self.try_write()?),
            "TR" => Box::new(self.try_read()?),
            other => panic!("no operation is called {other}"),
        })
    }
}

#[cfg(feature = "parking_lot_0_13")]
impl Subject for lockdep::parking_lot_0_13::RwLock<()> {
    fn take(&self, operation: &str) -> Option<Box<dyn Guard + '_>> {
        Some(match operation {
            "L" | "W" => Box::new(self.write()),
            "R" => Box::new(self.read()),
            "T" | "TW" => Box::new(self.try_write()?),
            "TR" => Box::new(self.try_read()?),
            other => panic!("no operation is called {other}"),
        })
    }
}

#[cfg(feature = "parking_lot_0_13")]
impl Subject for lockdep::parking_lot_0_13::RecursiveRwLock<()> {
    fn take(&self, operation: &str) -> Option<Box<dyn Guard + '_>> {
        Some(match operation {
            "L" | "W" => Box::new(self.write()),
            "RR" => Box::new(self.read()),
            other => panic!("no operation is called {other}"),
        })
    }
}

/// Runs a program on new locks. Returns the kind of the first finding, which must come at a
/// blocking acquisition.
fn run<L: Subject>(program: &str) -> String {
    let program = expand(program);
    let locks: HashMap<&str, L> =
        program.split(['(', ')']).skip(1).step_by(2).map(|name| (name, L::default())).collect();
    for phase in program.split("//") {
        let result = thread::scope(|scope| {
            scope.spawn(|| catch_unwind(AssertUnwindSafe(|| execute(phase, &locks)))).join()
        });
        if let Err(panic) = result.unwrap() {
            let message = panic.downcast_ref::<String>().expect("a panic of ours");
            let (_, report) = message.split_once("error[lockdep::").expect("a report");
            return report.split(']').next().expect("a report").to_owned();
        }
    }
    NONE.to_owned()
}

fn expand(program: &str) -> String {
    let phases = program.split("//").map(|phase| match phase.trim().as_bytes() {
        &[a, b] => {
            let (a, b) = (a as char, b as char);
            format!("L({a});L({b});U({b});U({a})")
        }
        _ => phase.trim().to_owned(),
    });
    phases.collect::<Vec<_>>().join(" // ")
}

fn execute<L: Subject>(phase: &str, locks: &HashMap<&str, L>) {
    let mut held: Vec<(&str, Box<dyn Guard + '_>)> = Vec::new();
    for step in phase.split(';').map(str::trim) {
        let (operation, name) = step.trim_end_matches(')').split_once('(').expect("a step");
        match operation {
            "T!" => assert!(locks[name].take("T").is_none()),
            "U" => {
                let last = held.iter().rposition(|(held, _)| *held == name).expect("held");
                held.remove(last);
            }
            _ => held.push((name, locks[name].take(operation).expect("it succeeds"))),
        }
    }
}
