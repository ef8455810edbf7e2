//! What has been found: kept once per cycle, told once, at its level.
//!
//! Owns the findings, the levels and the hooks. Does not know how a finding
//! came to be, and never panics for one: it says what is to be thrown, and the
//! validator throws it. Its own lock guards the list alone; hooks run and
//! reports are drawn and printed outside of it.

mod exit;
mod levels;
mod settings;

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use levels::{level, set_level};
pub(crate) use settings::{Backtraces, settings};

use crate::{
    finding::{Detail, Edge, Finding, FindingKind, Level, Site},
    render,
};

/// How many different findings are kept. A program that makes a new pair of
/// inverted locks in every request must not grow for it.
const CAPACITY: usize = 4096;

type Hook = Arc<dyn Fn(&Finding) + Send + Sync>;

static RECORD: Mutex<Option<Record>> = Mutex::new(None);
static HOOKS: RwLock<Vec<Hook>> = RwLock::new(Vec::new());

/// All findings so far, oldest first.
#[derive(Default)]
struct Record {
    findings: Vec<Kept>,
    by_cycle: FxHashMap<Key, usize>,
    /// What has been printed, by the places in the source: the same two lines
    /// with another pair of locks are a new finding, but no news.
    printed: FxHashSet<(FindingKind, Box<[Site]>)>,
}

/// A finding, and the process that made it: a fork inherits the findings of its parent, but
/// does not have to answer for them.
struct Kept {
    finding: Finding,
    process: u32,
}

/// The identity of a finding: its kind and its locks, in the cycle's order, from
/// the smallest on, and the one that is wanted if it closes no cycle; and whether it is
/// about a wait for what was left behind.
type Key = (FindingKind, Box<[u64]>, Option<u64>, bool);

fn key(Finding { kind, cycle, detail, .. }: &Finding) -> Key {
    let mut locks: Box<[u64]> = cycle.iter().map(|edge| edge.held.id).collect();
    let wanted = cycle.last().map(|edge| edge.wanted.id).filter(|&id| locks.first() != Some(&id));
    let smallest = (0..locks.len()).min_by_key(|&at| locks[at]).unwrap_or(0);
    locks.rotate_left(smallest);
    (*kind, locks, wanted, matches!(detail, Detail::LeftBy(_)))
}

fn sites(finding: &Finding) -> (FindingKind, Box<[Site]>) {
    let mut sites: Vec<_> = finding.cycle.iter().map(|edge| edge.acquired_at.clone()).collect();
    sites.sort_unstable();
    (finding.kind, sites.into())
}

/// What the thread that made a finding has to do.
#[must_use]
pub(crate) enum Verdict {
    Proceed,
    /// Panic with this message.
    Panic(String),
}

/// Takes a new finding in: records it, calls the hooks if it is the first of
/// its kind on its locks, prints it or hands back the message to panic with.
///
/// Runs code of the program (the hooks): the caller holds no lock of ours.
pub(crate) fn submit(kind: FindingKind, cycle: Vec<Edge>, detail: Detail) -> Verdict {
    let level = level(kind);
    let finding = Finding::new(kind, level, cycle, detail);
    let (is_new, is_news) = RECORD.lock().get_or_insert_default().add(&finding);
    if is_new && level != Level::Allow {
        exit::watch();
    }
    if is_new {
        let hooks = HOOKS.read().clone();
        for hook in hooks {
            // A hook that panics must not take the program's lock down with it.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&finding)));
        }
    }
    let report = || finding.render(render::stderr_wants_color());
    match level {
        Level::Allow => {}
        Level::Abort => {
            print_past_capture(&report());
            std::process::abort();
        }
        // A second panic during an unwinding would abort the process.
        Level::Deny if !std::thread::panicking() => return Verdict::Panic(report()),
        // The thread is about to hang: no test harness will ever show what it captured.
        Level::Warn | Level::Deny if kind == FindingKind::Deadlock => print_past_capture(&report()),
        Level::Warn | Level::Deny => {
            if is_news {
                print(&report());
            }
        }
    }
    Verdict::Proceed
}

impl Record {
    /// Whether the finding is new on its locks, and whether at its places.
    fn add(&mut self, finding: &Finding) -> (bool, bool) {
        let key = key(finding);
        if let Some(&known) = self.by_cycle.get(&key) {
            self.findings[known].finding.count += 1;
            return (false, false);
        }
        if self.findings.len() == CAPACITY {
            return (false, false);
        }
        self.by_cycle.insert(key, self.findings.len());
        self.findings.push(Kept { finding: finding.clone(), process: std::process::id() });
        (true, self.printed.insert(sites(finding)))
    }
}

/// Prints a message where the test harness can capture it.
pub(crate) fn print(message: &str) {
    // `eprintln!` panics if standard error is gone; then nobody is to be told.
    let _ = catch_unwind(|| eprintln!("{}", message.trim_end()));
    let _ = std::io::stderr().flush();
}

/// Prints a message on standard error itself.
pub(crate) fn print_past_capture(message: &str) {
    let mut stderr = std::io::stderr().lock();
    // If standard error is gone, nobody is to be told.
    let _ = writeln!(stderr, "{}", message.trim_end()).and_then(|()| stderr.flush());
}

/// See [`crate::findings`].
pub(crate) fn findings() -> Vec<Finding> {
    let record = RECORD.lock();
    let kept = record.iter().flat_map(|record| &record.findings);
    kept.map(|kept| kept.finding.clone()).collect()
}

/// See [`crate::take_findings`].
pub(crate) fn take_findings() -> Vec<Finding> {
    let record = RECORD.lock().take();
    let kept = record.into_iter().flat_map(|record| record.findings);
    kept.map(|kept| kept.finding).collect()
}

/// The findings of this process that nobody took, if they can be had within some time: other
/// threads still run, and may be stopped anywhere.
fn untaken(patience: Duration) -> Option<Vec<Finding>> {
    let record = RECORD.try_lock_for(patience)?;
    let kept = record.iter().flat_map(|record| &record.findings);
    let is_ours = |kept: &&Kept| kept.process == std::process::id();
    Some(kept.filter(is_ours).map(|kept| kept.finding.clone()).collect())
}

/// See [`crate::on_finding`].
pub(crate) fn on_finding(hook: impl Fn(&Finding) + Send + Sync + 'static) {
    HOOKS.write().push(Arc::new(hook));
}

/// Forgets all findings. Levels and hooks stay.
pub(crate) fn reset() {
    drop(take_findings());
}
