//! Rings of threads, each of which holds a lock and wants the next one's.
//!
//! Orders of locks are not checked here: only actual deadlocks are found. Where a test has to know
//! that a thread waits, it queries `lockdep::held()`.
#![allow(dead_code, unused_imports, unused_macros, reason = "not every test crate needs all of it")]

use std::{
    any::Any,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use lockdep::{Finding, FindingKind, Level, Trackable};

use super::without_colors;

/// The number of runs of each test with threads.
pub(crate) const REPETITIONS: usize = 200;

/// Allows every finding except for actual deadlocks.
pub(crate) fn only_what_happens() {
    for kind in [
        FindingKind::Inversion,
        FindingKind::SelfDeadlock,
        FindingKind::RecursiveRead,
        FindingKind::WaitWhileHolding,
    ] {
        lockdep::set_level(kind, Level::Allow);
    }
}

/// Returns a name that no other lock has. Other tests of this process have their own findings.
pub(crate) fn unique(name: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("{name} {}", NUMBER.fetch_add(1, Relaxed))
}

pub(crate) fn named<L: Trackable>(lock: L, name: &str) -> L {
    lockdep::name(&lock, name);
    lock
}

/// Waits until this many threads wait for a lock of this name.
pub(crate) fn until_waiting(name: &str, threads: usize) {
    let mark = format!("waits for  `{name}`");
    while lockdep::held().to_string().matches(&mark).count() < threads {
        thread::yield_now();
    }
}

/// Returns the report that ended a thread, if a deadlock did.
pub(crate) fn report(result: Result<(), Box<dyn Any + Send>>) -> Option<String> {
    let message = result.err()?.downcast::<String>().expect("a panic of ours");
    let message = without_colors(&message);
    assert!(message.starts_with("error[lockdep::deadlock]"), "{message}");
    Some(message)
}

pub(crate) fn deadlock_about(name: &str) -> Vec<Finding> {
    let is_about = |finding: &Finding| {
        let mut locks = finding.cycle().iter().flat_map(|edge| [edge.held(), edge.wanted()]);
        finding.kind() == FindingKind::Deadlock && locks.any(|lock| lock.name() == Some(name))
    };
    lockdep::findings().into_iter().filter(is_about).collect()
}

/// A lock as one link of a ring: a thread holds it while a closure runs, and another thread wants
/// it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) hold: Arc<Hold>,
    pub(crate) want: Arc<dyn Fn() + Send + Sync>,
}

/// Holds a lock while a closure runs.
pub(crate) type Hold = dyn Fn(&dyn Fn()) + Send + Sync;

macro_rules! ring_link {
    ($lock:ident: $hold:expr, $want:expr) => {{
        let $lock = std::sync::Arc::new($lock);
        let for_want = std::sync::Arc::clone(&$lock);
        Link {
            hold: std::sync::Arc::new(move |then: &dyn Fn()| {
                let $lock = &*$lock;
                let hold: &dyn Fn(&dyn Fn()) = &$hold;
                hold(then);
            }),
            want: std::sync::Arc::new(move || {
                let $lock = &*for_want;
                let _released_at_once = $want;
            }),
        }
    }};
}

pub(crate) use ring_link;

/// Runs a thread for each link, which holds its lock and, when all hold theirs, wants the next
/// one's.
pub(crate) fn ring(links: &[Link]) -> Vec<Option<String>> {
    let all_hold = Arc::new(Barrier::new(links.len()));
    let next = links.iter().cycle().skip(1);
    let threads: Vec<JoinHandle<()>> = links
        .iter()
        .zip(next)
        .map(|(own, next)| {
            let (hold, want) = (Arc::clone(&own.hold), Arc::clone(&next.want));
            let all_hold = Arc::clone(&all_hold);
            thread::spawn(move || {
                hold(&|| {
                    all_hold.wait();
                    want();
                });
            })
        })
        .collect();
    threads.into_iter().map(|thread| report(thread.join())).collect()
}

/// Runs a ring of these kinds of links, and checks its report.
pub(crate) fn check_ring(kinds: &[fn(&str) -> Link]) {
    let name = unique("ring");
    let links: Vec<_> =
        kinds.iter().enumerate().map(|(at, link)| link(&format!("{name}.{at}"))).collect();
    let reports = ring(&links);
    assert_eq!(reports.iter().flatten().count(), 1, "one is thrown out: {reports:#?}");

    let findings = deadlock_about(&format!("{name}.0"));
    let [finding] = &findings[..] else { panic!("one circle, one finding: {findings:#?}") };
    let cycle = finding.cycle();
    assert_eq!(cycle.len(), kinds.len());
    let following = cycle.iter().cycle().skip(1);
    assert!(cycle.iter().zip(following).all(|(edge, next)| edge.wanted() == next.held()));
    let mut threads: Vec<_> = cycle.iter().map(|edge| edge.thread().number()).collect();
    threads.sort_unstable();
    threads.dedup();
    assert_eq!(threads.len(), kinds.len(), "each thread once");
    assert!(cycle.iter().all(|edge| !edge.backtrace().is_empty() && edge.waited().is_some()));
}
