//! Assertions on findings, for tests that run concurrently in one process.
//!
//! ```
//! use lockdep::{FindingKind, sync::Mutex, testing};
//!
//! let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
//! testing::assert_no_findings(|| {
//!     drop((accounts.lock().unwrap(), ledger.lock().unwrap()));
//! });
//! testing::expect(FindingKind::SingleThreadInversion, &["accounts", "ledger"], || {
//!     drop((ledger.lock().unwrap(), accounts.lock().unwrap()));
//! });
//! ```
//!
//! A [`Scope`] has its own findings. They are not part of [`lockdep::findings`](crate::findings),
//! nor do they change the [exit status](crate#the-exit-status), unless the scope ends before they
//! were taken: then they become findings of the process. Levels are the same as outside:
//! [`Level::Deny`] panics.
//!
//! # What belongs to a scope
//!
//! A finding belongs to the innermost scope of the thread that makes it, or else to the one in
//! which an edge of its cycle was first seen. The thread that opens a scope is in it. Other threads
//! must be brought in, because std does not tell which thread started another:
//!
//! ```
//! use std::thread;
//! use lockdep::testing::Scope;
//!
//! let scope = Scope::new();
//! thread::spawn(scope.inside(|| { /* ... */ })).join().unwrap();
//! scope.assert_no_findings();
//! ```
//!
//! Findings between other threads belong to the process, and fail the run at its end.
//!
//! The lock order is not part of a scope: it is shared by all tests that acquire the same `static`
//! lock.
//!
//! # In a build that is not checked
//!
//! Everything compiles and finds nothing; expected findings are not missed. The same holds with
//! `LOCKDEP=off`.

use std::{
    any::Any,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use crate::{
    finding::{Finding, FindingKind, Level, ScopeId},
    ledger, render, upstream, validator,
};

/// A section of a test with its own findings, which ends when this is dropped; see the
/// [module](self).
///
/// ```
/// # use lockdep::sync::Mutex;
/// use lockdep::testing::Scope;
///
/// let scope = Scope::new();
/// let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
/// drop((accounts.lock(), ledger.lock()));
/// scope.assert_no_findings();
/// ```
#[must_use = "the scope ends when this is dropped"]
#[derive(Debug)]
pub struct Scope {
    handle: ScopeHandle,
    _entered: Entered,
}

/// Brings other threads into a [`Scope`].
///
/// ```
/// use std::thread;
/// use lockdep::testing::Scope;
///
/// let scope = Scope::new();
/// let handle = scope.handle();
/// thread::spawn(move || {
///     let _entered = handle.enter();
///     // findings here belong to the scope
/// });
/// ```
#[derive(Clone, Debug)]
pub struct ScopeHandle {
    id: ScopeId,
}

/// Keeps the calling thread in a scope until it is dropped.
///
/// ```
/// use lockdep::{sync::RwLock, testing::Scope};
/// # lockdep::set_level(lockdep::FindingKind::RecursiveRead, lockdep::Level::Allow);
///
/// let (rates, scope) = (RwLock::new(()), Scope::new());
/// let handle = scope.handle();
/// std::thread::scope(|threads| {
///     threads.spawn(|| {
///         let entered = handle.enter();
///         drop((rates.read(), rates.read()));
///         drop(entered); // later findings belong to the process again
///     });
/// });
/// assert_eq!(scope.take_findings().len(), usize::from(lockdep::ENABLED));
/// ```
#[must_use = "the thread leaves the scope when this is dropped"]
#[derive(Debug)]
pub struct Entered {
    before: Option<ScopeId>,
    /// Not `Send`, because it belongs to one thread.
    of_this_thread: PhantomData<*const ()>,
}

impl Scope {
    /// Opens a scope that contains the calling thread.
    #[allow(clippy::new_without_default, reason = "it does something to the calling thread")]
    pub fn new() -> Self {
        let handle = ScopeHandle { id: validator::inside(ledger::open_scope) };
        let entered = handle.enter();
        Self { handle, _entered: entered }
    }

    /// Returns a handle for other threads that should be in the scope.
    #[must_use]
    pub fn handle(&self) -> ScopeHandle {
        self.handle.clone()
    }

    /// Returns a closure that runs in the scope on any thread: `thread::spawn(scope.inside(||
    /// ..))`.
    pub fn inside<R, F: FnOnce() -> R>(&self, body: F) -> impl FnOnce() -> R + use<R, F> {
        let handle = self.handle();
        move || {
            let _entered = handle.enter();
            body()
        }
    }

    /// Returns the findings so far, oldest first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        validator::inside(|| ledger::findings_in(self.handle.id))
    }

    /// Removes and returns the [findings](Self::findings).
    #[must_use = "taken findings are not reported any more"]
    pub fn take_findings(&self) -> Vec<Finding> {
        validator::inside(|| ledger::take_findings_in(self.handle.id, |_| true))
    }

    /// Asserts that there are no findings except those at [`Level::Allow`].
    ///
    /// # Panics
    ///
    /// Panics with the reports if there are any. The findings then belong to the process.
    #[track_caller]
    pub fn assert_no_findings(&self) {
        let mut findings = self.findings();
        findings.retain(|finding| finding.level() != Level::Allow);
        assert!(findings.is_empty(), "no findings were expected, but {}", listed(&findings));
    }

    /// Asserts that there is a finding of this kind about exactly these locks, in any order, named
    /// as in the report. Removes it, and all others that match.
    ///
    /// # Panics
    ///
    /// Panics with the other findings if there is no such finding.
    ///
    /// # Examples
    ///
    /// ```
    /// use lockdep::{FindingKind, Level, sync::RwLock, testing::Scope};
    ///
    /// lockdep::set_level(FindingKind::RecursiveRead, Level::Warn); // so that the test goes on
    /// let (rates, scope) = (RwLock::new(()), Scope::new());
    /// drop((rates.read(), rates.read()));
    /// scope.expect(FindingKind::RecursiveRead, &["rates"]);
    /// scope.assert_no_findings();
    /// ```
    #[track_caller]
    pub fn expect(&self, kind: FindingKind, locks: &[&str]) {
        let mut expected: Vec<_> = locks.iter().map(ToString::to_string).collect();
        expected.sort_unstable();
        expected.dedup();
        let is_it = |finding: &Finding| {
            finding.kind() == kind && render::lock_names(finding).contains(&expected)
        };
        let taken = validator::inside(|| ledger::take_findings_in(self.handle.id, is_it));
        if taken.is_empty() && validator::is_on() {
            let locks = quoted(&expected);
            panic!(
                "`{}` about {locks} was expected, but {}",
                kind.name(),
                listed(&self.findings())
            );
        }
    }

    /// Runs a closure. Returns `None` if it panicked because of a finding of this scope.
    ///
    /// # Panics
    ///
    /// Resumes any other panic of the closure.
    fn run<R>(&self, body: impl FnOnce() -> R) -> Option<R> {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(value) => Some(value),
            Err(panic) if is_of_a_finding(&*panic) && !self.findings().is_empty() => None,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        validator::inside(|| ledger::close_scope(self.handle.id));
    }
}

impl ScopeHandle {
    pub(crate) fn id(&self) -> ScopeId {
        self.id
    }

    /// Brings the calling thread into the scope until the returned value is dropped.
    pub fn enter(&self) -> Entered {
        let before = validator::set_scope(Some(self.id));
        Entered { before, of_this_thread: PhantomData }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        validator::set_scope(self.before);
    }
}

/// Runs a closure in a [`Scope`] and returns its findings, oldest first. The panic of a finding
/// ends the closure and is caught.
///
/// # Panics
///
/// Resumes any other panic of the closure.
///
/// # Examples
///
/// ```
/// # use lockdep::{FindingKind, sync::RwLock, testing};
/// let rates = RwLock::new(());
/// let findings = testing::collect(|| drop((rates.read(), rates.read())));
/// assert_eq!(findings.len(), usize::from(lockdep::ENABLED));
/// ```
#[must_use = "taken findings are not reported any more"]
pub fn collect<R>(body: impl FnOnce() -> R) -> Vec<Finding> {
    let scope = Scope::new();
    scope.run(body);
    scope.take_findings()
}

/// Runs a closure in a [`Scope`] and asserts that there are no findings except those at
/// [`Level::Allow`].
///
/// # Panics
///
/// Panics with the reports if there are findings. Resumes a panic of the closure.
///
/// # Examples
///
/// ```
/// # use lockdep::{sync::Mutex, testing};
/// let (accounts, ledger) = (Mutex::new(1), Mutex::new(2));
/// let sum = testing::assert_no_findings(|| *accounts.lock().unwrap() + *ledger.lock().unwrap());
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn assert_no_findings<R>(body: impl FnOnce() -> R) -> R {
    let scope = Scope::new();
    let value = scope.run(body);
    scope.assert_no_findings();
    value.expect("only a finding has no value")
}

/// Runs a closure in a [`Scope`] and asserts that there is a finding of one kind about exactly
/// these locks, in any order, named as in the report, and no other except those at
/// [`Level::Allow`]. The panic of the finding ends the closure and is caught.
///
/// # Panics
///
/// Panics with the other findings if that is not the case. Resumes any other panic of the closure.
///
/// # Examples
///
/// ```
/// # use lockdep::{FindingKind, sync::RwLock, testing};
/// let rates = RwLock::new(());
/// testing::expect(FindingKind::RecursiveRead, &["rates"], || drop((rates.read(), rates.read())));
/// ```
#[track_caller]
pub fn expect<R>(kind: FindingKind, locks: &[&str], body: impl FnOnce() -> R) {
    let scope = Scope::new();
    scope.run(body);
    scope.expect(kind, locks);
    scope.assert_no_findings();
}

/// Returns `true` if the panic is that of a finding, or that of `std::thread::scope` for a thread
/// that panicked.
fn is_of_a_finding(panic: &(dyn Any + Send)) -> bool {
    crate::finding_of_panic(panic).is_some() || upstream::is_panic_of_thread_scope(panic)
}

/// `` `a`, `b` ``
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// `there are 2: …`, with the reports.
fn listed(findings: &[Finding]) -> String {
    let reports: Vec<_> = findings.iter().map(Finding::to_string).collect();
    let reports = reports.join("\n\n");
    match findings {
        [] => "there are no findings".to_owned(),
        [_] => format!("there is one:\n\n{reports}"),
        _ => format!("there are {}:\n\n{reports}", findings.len()),
    }
}
