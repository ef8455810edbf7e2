//! What the tests share.

use std::{
    error::Error,
    io,
    panic::resume_unwind,
    sync::{Arc, Weak},
    thread,
};

use lockdep::{Finding, FindingKind, Level, sync::Mutex, testing::Scope};
use resources::server::{Postgres, Redis};

type Running<S> = std::sync::Mutex<Weak<S>>;

pub(crate) fn postgres() -> Arc<Postgres> {
    static RUNNING: Running<Postgres> = Running::new(Weak::new());
    running(&RUNNING, Postgres::start)
}

pub(crate) fn redis() -> Arc<Redis> {
    static RUNNING: Running<Redis> = Running::new(Weak::new());
    running(&RUNNING, Redis::start)
}

/// Returns the server of all tests that run now. It ends with the last of them, also with one that fails.
fn running<S>(running: &Running<S>, start: impl Fn() -> io::Result<S>) -> Arc<S> {
    let mut running = running.lock().unwrap();
    running.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start().unwrap());
        *running = Arc::downgrade(&server);
        server
    })
}

/// Returns what an error says, and its causes.
pub(crate) fn message(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", message(cause)),
        None => error.to_string(),
    }
}

/// A mutex with a name.
pub(crate) fn named(name: &str) -> Mutex<()> {
    let mutex = Mutex::new(());
    lockdep::name(&mutex, name);
    mutex
}

/// Runs two bodies one after the other, on two threads, so that nothing can hang. Returns what is found, without what
/// is only recorded.
pub(crate) fn in_turn(first: impl Fn() + Sync, second: impl Fn() + Sync) -> Vec<Finding> {
    let scope = Scope::new();
    let bodies: [&(dyn Fn() + Sync); 2] = [&first, &second];
    for body in bodies {
        let thread = thread::scope(|threads| threads.spawn(scope.inside(body)).join());
        if let Err(panic) = thread
            && lockdep::finding_of_panic(&*panic).is_none()
        {
            resume_unwind(panic);
        }
    }
    let mut found = scope.take_findings();
    found.retain(|finding| finding.level() != Level::Allow);
    found
}

/// Asserts that there is one finding, whose report has these words.
#[track_caller]
pub(crate) fn assert_found(found: &[Finding], kind: FindingKind, words: &[&str]) {
    let reports: String = found.iter().map(Finding::to_string).collect();
    let [finding] = found else { panic!("one finding was expected: {reports}") };
    let report = finding.to_string().replace("\n      ", " ");
    assert_eq!(finding.kind(), kind, "{report}");
    for words in words {
        assert!(report.contains(words), "{words}: {report}");
    }
}

/// Asserts that nothing is found.
#[track_caller]
pub(crate) fn assert_silent(found: &[Finding]) {
    let reports: String = found.iter().map(Finding::to_string).collect();
    assert!(found.is_empty(), "{reports}");
}
