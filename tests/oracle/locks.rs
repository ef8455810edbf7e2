//! Runs a program on the library's locks.
//!
//! Owns new locks for each run and the findings about them. With [`one_by_one`], each thread runs
//! to its end before the next one starts, so that no thread ever waits, but all acquisitions of the
//! program are seen.

use std::{
    sync::{Arc, Mutex as StdMutex, PoisonError},
    thread,
};

#[cfg(feature = "parking_lot")]
use lockdep::parking_lot::{RwLock, RwLockUpgradableReadGuard};
use lockdep::sync::Mutex;
#[cfg(not(feature = "parking_lot"))]
use lockdep::sync::RwLock;

use crate::{
    paths::Paths,
    program::{Kind, Lock, MAX_LOCKS, MAX_THREADS, Mode, Program, Step, Thread, exit},
};

/// A finding, with the program's numbers for locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// See [`lockdep::FindingKind::name`].
    pub(crate) kind: &'static str,
    /// The locks of the cycle, in order.
    pub(crate) cycle: Vec<Lock>,
}

pub(crate) enum AnyLock {
    Mutex(Mutex<()>),
    RwLock(RwLock<()>),
}

/// A guard that can only be dropped.
pub(crate) trait Opaque {}
impl<T> Opaque for T {}

pub(crate) enum Guard<'a> {
    Plain(Box<dyn Opaque + 'a>),
    #[cfg(feature = "parking_lot")]
    Upgradable(RwLockUpgradableReadGuard<'a, ()>),
}

impl Guard<'_> {
    fn release(self) {
        match self {
            Self::Plain(guard) => drop(guard),
            #[cfg(feature = "parking_lot")]
            Self::Upgradable(guard) => drop(guard),
        }
    }

    fn upgrade(self) -> Self {
        match self {
            #[cfg(feature = "parking_lot")]
            Self::Upgradable(guard) => plain(RwLockUpgradableReadGuard::upgrade(guard)),
            Self::Plain(_) => panic!("only an upgradable guard is upgraded"),
        }
    }
}

impl AnyLock {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Mutex => Self::Mutex(Mutex::new(())),
            Kind::RwLock => Self::RwLock(RwLock::new(())),
        }
    }

    fn name(&self, name: &str) {
        match self {
            Self::Mutex(lock) => lockdep::name(lock, name),
            Self::RwLock(lock) => lockdep::name(lock, name),
        }
    }

    fn acquire(&self, mode: Mode, tries: bool) -> Guard<'_> {
        match self {
            Self::Mutex(lock) if tries => plain(lock.try_lock().unwrap()),
            Self::Mutex(lock) => plain(lock.lock().unwrap()),
            Self::RwLock(lock) => acquire(lock, mode, tries),
        }
    }
}

fn plain<'a>(guard: impl Sized + 'a) -> Guard<'a> {
    Guard::Plain(Box::new(guard))
}

#[cfg(not(feature = "parking_lot"))]
fn acquire(lock: &RwLock<()>, mode: Mode, tries: bool) -> Guard<'_> {
    match (mode, tries) {
        (Mode::Exclusive, false) => plain(lock.write().unwrap()),
        (Mode::Exclusive, true) => plain(lock.try_write().unwrap()),
        (Mode::Shared, false) => plain(lock.read().unwrap()),
        (Mode::Shared, true) => plain(lock.try_read().unwrap()),
        (other, _) => panic!("std knows no {other:?}"),
    }
}

#[cfg(feature = "parking_lot")]
fn acquire(lock: &RwLock<()>, mode: Mode, tries: bool) -> Guard<'_> {
    match (mode, tries) {
        (Mode::Exclusive, false) => plain(lock.write()),
        (Mode::Exclusive, true) => plain(lock.try_write().unwrap()),
        (Mode::Shared, false) => plain(lock.read()),
        (Mode::Shared, true) => plain(lock.try_read().unwrap()),
        (Mode::RecursiveShared, false) => plain(lock.read_recursive()),
        (Mode::RecursiveShared, true) => plain(lock.try_read_recursive().unwrap()),
        (Mode::Upgradable, false) => Guard::Upgradable(lock.upgradable_read()),
        (Mode::Upgradable, true) => Guard::Upgradable(lock.try_upgradable_read().unwrap()),
        (Mode::Upgrade, _) => panic!("it has a guard to upgrade"),
    }
}

/// The lines at which the threads are spawned, which identify their exits.
pub(crate) type Exits = [u32; MAX_THREADS];

/// Runs the paths of each thread, with the threads in some order.
pub(crate) fn one_by_one(
    locks: &Arc<Vec<AnyLock>>,
    paths: &[Paths],
    order: impl Iterator<Item = Thread>,
) -> Exits {
    for thread in order {
        thread::scope(|scope| {
            // All paths on one thread, because they belong to one.
            scope.spawn(|| paths[thread].iter().for_each(|path| walk(path, locks)));
        });
    }
    Exits::default()
}

/// Returns the findings of a program that is run on new locks.
pub(crate) fn found(
    program: &Program,
    run: impl FnOnce(&Arc<Vec<AnyLock>>) -> Exits,
) -> Vec<Found> {
    // One at a time, because this takes all findings of the process.
    static RUNS: StdMutex<usize> = StdMutex::new(0);
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    *runs += 1;
    let prefix = format!("oracle {runs}.");
    // In every other run, the locks get their names only at the end.
    let is_early = runs.is_multiple_of(2);
    let locks: Arc<Vec<_>> =
        Arc::new(program.locks.iter().map(|&kind| AnyLock::new(kind)).collect());
    let name_all = || {
        locks.iter().enumerate().for_each(|(at, lock)| lock.name(&format!("{prefix}{at}")));
    };
    if is_early {
        name_all();
    }
    let exits = run(&locks);
    let findings = lockdep::take_findings();
    name_all();
    let graph = lockdep::order_graph();
    let number = |lock: &lockdep::LockInfo| {
        let number = |it: &lockdep::LockInfo| it.name()?.strip_prefix(&prefix)?.parse().ok();
        let is_it = |it: &&lockdep::LockInfo| it.id() == lock.id();
        let in_graph = || number(graph.as_petgraph().node_weights().find(is_it)?);
        let thread = || {
            let site = lock.created_at().filter(|_| lock.type_name() == "JoinHandle")?;
            Some(exit(exits.iter().position(|&line| line == site.line())?))
        };
        thread()
            .or_else(|| number(lock))
            .or_else(in_graph)
            .unwrap_or_else(|| panic!("only locks of this run are in use: {lock:?} {exits:?}"))
    };
    let found = |finding: &lockdep::Finding| Found {
        kind: finding.kind().name(),
        cycle: finding.cycle().iter().map(|edge| number(edge.held())).collect(),
    };
    // Locks of the same class belong to other programs.
    let is_of_locks = |it: &&lockdep::Finding| it.kind() != lockdep::FindingKind::ClassInversion;
    findings.iter().filter(is_of_locks).map(found).collect()
}

/// The guards that a thread holds.
pub(crate) type Guards<'a> = [Option<Guard<'a>>; MAX_LOCKS];

fn walk(path: &[Step], locks: &[AnyLock]) {
    let mut guards = Guards::default();
    for &step in path {
        perform(step, &mut guards, locks);
    }
}

/// Performs a step on a lock.
pub(crate) fn perform<'a>(step: Step, guards: &mut Guards<'a>, locks: &'a [AnyLock]) {
    match step {
        Step::Acquire(lock, Mode::Upgrade) => {
            guards[lock] = guards[lock].take().map(Guard::upgrade);
        }
        Step::Acquire(lock, mode) => guards[lock] = Some(locks[lock].acquire(mode, false)),
        Step::TryAcquire(lock, mode) => guards[lock] = Some(locks[lock].acquire(mode, true)),
        Step::Release(lock) => guards[lock].take().expect("it is held").release(),
        _ => panic!("it is no step of a lock: {step:?}"),
    }
}
