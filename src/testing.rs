//! Assertions on findings, for a test that runs beside others in one process.
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
//! A [`Scope`] has its own findings. They are not among [`lockdep::findings`](crate::findings),
//! nor do they change the [exit status](crate#the-exit-status), unless the scope ends without
//! anybody having taken them: then they are the process's. Their levels are what they are
//! outside: [`Level::Deny`] panics.
//!
//! # What belongs to a scope
//!
//! A finding belongs to the innermost scope of the thread that makes it, or else to the one in
//! which an edge of its cycle was first seen. The thread that opens a scope is in it; others are
//! when they are told, since std tells nobody who started a thread:
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
//! What other threads find among themselves is the process's, and fails the run at its end.
//!
//! The order of locks is not part of a scope: a `static` lock that two tests take is known to both.
//!
//! # In a build that is not checked
//!
//! All of this is there and finds nothing; what is expected then is not missed. The same holds
//! with `LOCKDEP=off`.

use std::{
    any::Any,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use crate::{
    finding::{Finding, FindingKind, Level, ScopeId},
    ledger, render, upstream, validator,
};

/// A piece of work with findings of its own, until this is dropped; see the
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
///     // what is found here is the scope's
/// });
/// ```
#[derive(Clone, Debug)]
pub struct ScopeHandle {
    id: ScopeId,
}

/// The calling thread is in a scope, until this is dropped.
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
///         drop(entered); // what comes now is the process's again
///     });
/// });
/// assert_eq!(scope.take_findings().len(), usize::from(lockdep::ENABLED));
/// ```
#[must_use = "the thread leaves the scope when this is dropped"]
#[derive(Debug)]
pub struct Entered {
    before: Option<ScopeId>,
    /// It is about one thread: not `Send`.
    of_this_thread: PhantomData<*const ()>,
}

impl Scope {
    /// Opens a scope, with the calling thread in it.
    ///
    /// ```
    /// let scope = lockdep::testing::Scope::new();
    /// // what this thread does
    /// scope.assert_no_findings();
    /// ```
    #[allow(clippy::new_without_default, reason = "it does something to the calling thread")]
    pub fn new() -> Self {
        let handle = ScopeHandle { id: validator::inside(ledger::open_scope) };
        let entered = handle.enter();
        Self { handle, _entered: entered }
    }

    /// For threads that are to be in the scope as well.
    ///
    /// ```
    /// let scope = lockdep::testing::Scope::new();
    /// for handle in [scope.handle(), scope.handle()] {
    ///     std::thread::spawn(move || {
    ///         let _entered = handle.enter();
    ///     });
    /// }
    /// ```
    #[must_use]
    pub fn handle(&self) -> ScopeHandle {
        self.handle.clone()
    }

    /// A closure that runs in the scope, on whichever thread:
    /// `thread::spawn(scope.inside(|| ..))`.
    ///
    /// ```
    /// let scope = lockdep::testing::Scope::new();
    /// let worker = std::thread::spawn(scope.inside(|| { /* what the worker does */ }));
    /// worker.join().unwrap();
    /// scope.assert_no_findings();
    /// ```
    pub fn inside<R, F: FnOnce() -> R>(&self, body: F) -> impl FnOnce() -> R + use<R, F> {
        let handle = self.handle();
        move || {
            let _entered = handle.enter();
            body()
        }
    }

    /// The findings so far, oldest first.
    ///
    /// ```
    /// # lockdep::set_level(lockdep::FindingKind::RecursiveRead, lockdep::Level::Allow);
    /// # let rates = lockdep::sync::RwLock::new(());
    /// let scope = lockdep::testing::Scope::new();
    /// drop((rates.read(), rates.read()));
    /// assert_eq!(scope.findings().len(), usize::from(lockdep::ENABLED));
    /// assert!(lockdep::findings().is_empty()); // it is the scope's alone
    /// ```
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        validator::inside(|| ledger::findings_in(self.handle.id))
    }

    /// The same as [`findings`](Self::findings), and forgets them.
    ///
    /// ```
    /// # lockdep::set_level(lockdep::FindingKind::RecursiveRead, lockdep::Level::Allow);
    /// # let rates = lockdep::sync::RwLock::new(());
    /// let scope = lockdep::testing::Scope::new();
    /// drop((rates.read(), rates.read()));
    /// assert_eq!(scope.take_findings().len(), usize::from(lockdep::ENABLED));
    /// assert!(scope.findings().is_empty());
    /// ```
    #[must_use = "whoever takes findings has to look at them"]
    pub fn take_findings(&self) -> Vec<Finding> {
        validator::inside(|| ledger::take_findings_in(self.handle.id, |_| true))
    }

    /// There are no findings, but for those at [`Level::Allow`].
    ///
    /// # Panics
    ///
    /// With the reports, if there are any. They are left to the process.
    ///
    /// # Examples
    ///
    /// ```
    /// # let (accounts, ledger) = (lockdep::sync::Mutex::new(()), lockdep::sync::Mutex::new(()));
    /// let scope = lockdep::testing::Scope::new();
    /// drop((accounts.lock(), ledger.lock()));
    /// drop((accounts.lock(), ledger.lock()));
    /// scope.assert_no_findings();
    /// ```
    #[track_caller]
    pub fn assert_no_findings(&self) {
        let mut findings = self.findings();
        findings.retain(|finding| finding.level() != Level::Allow);
        assert!(findings.is_empty(), "no findings were expected, but {}", listed(&findings));
    }

    /// There is a finding of this kind about these locks: all of them and no others, in any
    /// order, each named as the report names it. Takes it, and those like it.
    ///
    /// # Panics
    ///
    /// With what was found instead, if there is none.
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
        let mut expected = locks.to_vec();
        expected.sort_unstable();
        expected.dedup();
        let is_it =
            |finding: &Finding| finding.kind() == kind && render::lock_names(finding) == expected;
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

    /// Runs a closure. Whether a panic ended it that a finding of this scope explains.
    ///
    /// # Panics
    ///
    /// With any other panic of the closure.
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

    /// Puts the calling thread in the scope, until what this gives is dropped.
    ///
    /// ```
    /// # use lockdep::testing::Scope;
    /// let scope = Scope::new();
    /// let handle = scope.handle();
    /// std::thread::spawn(move || {
    ///     let _entered = handle.enter(); // until the thread ends
    /// });
    /// ```
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

/// Runs a closure in a [`Scope`], and gives its findings, oldest first. The panic of a finding
/// ends the closure, and stops here.
///
/// # Panics
///
/// With any other panic of the closure.
///
/// # Examples
///
/// ```
/// # use lockdep::{FindingKind, sync::RwLock, testing};
/// let rates = RwLock::new(());
/// let findings = testing::collect(|| drop((rates.read(), rates.read())));
/// assert_eq!(findings.len(), usize::from(lockdep::ENABLED));
/// ```
#[must_use = "whoever takes findings has to look at them"]
pub fn collect<R>(body: impl FnOnce() -> R) -> Vec<Finding> {
    let scope = Scope::new();
    scope.run(body);
    scope.take_findings()
}

/// Runs a closure in a [`Scope`], which is to have no findings, but for those at
/// [`Level::Allow`].
///
/// # Panics
///
/// With the reports, if there are any; with the panic of the closure.
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

/// Runs a closure in a [`Scope`], which is to have a finding of one kind about these locks, each
/// named as the report names it, in any order; and no other, but for those at [`Level::Allow`].
/// The panic of the finding ends the closure, and stops here.
///
/// # Panics
///
/// With what was found instead; with any other panic of the closure.
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

/// Whether a panic is a finding's, or that of `std::thread::scope` for a thread of its own that
/// panicked.
fn is_of_a_finding(panic: &(dyn Any + Send)) -> bool {
    crate::finding_of_panic(panic).is_some() || upstream::is_panic_of_thread_scope(panic)
}

/// `` `a`, `b` ``
fn quoted(names: &[&str]) -> String {
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
