//! A program on the library's locks.
//!
//! Owns fresh locks for each run and the findings about them. Each thread is run to its end
//! before the next one starts, so that nobody ever waits, and still all of a program's
//! acquisitions are seen.

use std::{
    sync::{Mutex as StdMutex, PoisonError},
    thread,
};

#[cfg(feature = "parking_lot")]
use lockdep::parking_lot::{RwLock, RwLockUpgradableReadGuard};
use lockdep::sync::Mutex;
#[cfg(not(feature = "parking_lot"))]
use lockdep::sync::RwLock;

use crate::{
    paths::Paths,
    program::{Kind, Lock, MAX_LOCKS, Mode, Program, Step, Thread},
};

/// What was found, by the program's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As [`lockdep::FindingKind::name`] has it.
    pub(crate) kind: &'static str,
    /// The locks of the cycle, in its order.
    pub(crate) cycle: Vec<Lock>,
}

enum AnyLock {
    Mutex(Mutex<()>),
    RwLock(RwLock<()>),
}

/// A guard that can only be dropped.
trait Opaque {}
impl<T> Opaque for T {}

enum Guard<'a> {
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

/// Runs the paths of each thread, the threads in some order. What is found.
pub(crate) fn run(
    program: &Program,
    paths: &[Paths],
    order: impl Iterator<Item = Thread>,
) -> Vec<Found> {
    // One at a time, as all findings of the process are taken.
    static RUNS: StdMutex<usize> = StdMutex::new(0);
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    *runs += 1;
    let prefix = format!("oracle {runs}.");
    // Every other run is of locks of which nothing is said until it is over.
    let is_early = runs.is_multiple_of(2);
    let locks: Vec<_> = program.locks.iter().map(|&kind| AnyLock::new(kind)).collect();
    let name_all = || {
        locks.iter().enumerate().for_each(|(at, lock)| lock.name(&format!("{prefix}{at}")));
    };
    if is_early {
        name_all();
    }
    for thread in order {
        thread::scope(|scope| {
            // All on one thread, as it is one thread's.
            scope.spawn(|| paths[thread].iter().for_each(|path| walk(path, &locks)));
        });
    }
    let findings = lockdep::take_findings();
    name_all();
    let graph = lockdep::order_graph();
    let number = |lock: &lockdep::LockInfo| {
        let number = |it: &lockdep::LockInfo| it.name()?.strip_prefix(&prefix)?.parse().ok();
        let is_it = |it: &&lockdep::LockInfo| it.id() == lock.id();
        let in_graph = || number(graph.as_petgraph().node_weights().find(is_it)?);
        number(lock).or_else(in_graph).expect("only locks of this run are in use")
    };
    let found = |finding: &lockdep::Finding| Found {
        kind: finding.kind().name(),
        cycle: finding.cycle().iter().map(|edge| number(edge.held())).collect(),
    };
    findings.iter().map(found).collect()
}

fn walk(path: &[Step], locks: &[AnyLock]) {
    let mut guards: [Option<Guard<'_>>; MAX_LOCKS] = Default::default();
    for &step in path {
        match step {
            Step::Acquire(lock, Mode::Upgrade) => {
                guards[lock] = guards[lock].take().map(Guard::upgrade);
            }
            Step::Acquire(lock, mode) => guards[lock] = Some(locks[lock].acquire(mode, false)),
            Step::TryAcquire(lock, mode) => guards[lock] = Some(locks[lock].acquire(mode, true)),
            Step::Release(lock) => guards[lock].take().expect("it is held").release(),
        }
    }
}
