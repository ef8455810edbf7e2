//! What the tests share.

use std::{panic::resume_unwind, thread};

use lockdep::{Finding, FindingKind, sync::Mutex, testing::Scope};

/// A mutex with a name.
pub(crate) fn named(name: &str) -> Mutex<()> {
    let mutex = Mutex::new(());
    lockdep::name(&mutex, name);
    mutex
}

/// Runs two bodies one after the other, each on a thread of its own, so that nothing can hang. Returns what is found.
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
    scope.take_findings()
}

/// Asserts that there is one finding, whose report has these words.
#[track_caller]
pub(crate) fn assert_found(found: &[Finding], kind: FindingKind, words: &[&str]) {
    let [finding] = found else { panic!("one finding was expected: {found:#?}") };
    let report = finding.to_string().replace("\n      ", " ");
    assert_eq!(finding.kind(), kind, "{report}");
    for words in words {
        assert!(report.contains(words), "{words}: {report}");
    }
}

/// Asserts that nothing is found.
#[track_caller]
pub(crate) fn assert_silent(found: &[Finding]) {
    assert!(found.is_empty(), "{}", found[0]);
}
