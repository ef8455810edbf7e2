//! What has been found: kept once per cycle, told once, at its level.
//!
//! Owns the findings, the levels and the hooks. Does not know how a finding
//! came to be, and never panics for one: it says what is to be thrown, and the
//! validator throws it. Its own lock guards the list alone; hooks run and
//! reports are drawn and printed outside of it.

mod exit;
mod levels;
#[cfg_attr(not(feature = "write_records"), path = "no_out.rs")]
mod out;
mod settings;
mod silence;

#[cfg(fuzzing)]
pub(crate) use self::{settings::complaints, silence::check as check_config};

use std::{
    io::Write,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use levels::{level, set_level};
pub(crate) use out::{open_record, record_edges, records};
pub(crate) use settings::{Backtraces, settings};
pub(crate) use silence::{allow_pair, forget_pairs, load as load_config};

use crate::{
    finding::{Detail, Edge, Finding, FindingKind, Level, ScopeId, Site},
    render,
};

/// How many different findings are kept. A program that makes a new pair of
/// inverted locks in every request must not grow for it.
const CAPACITY: usize = 4096;

type Hook = Arc<dyn Fn(&Finding) + Send + Sync>;

static BOOK: Mutex<Option<Book>> = Mutex::new(None);
static HOOKS: Mutex<Vec<Hook>> = Mutex::new(Vec::new());

/// All findings: those of the open scopes of [`testing`](crate::testing), and the others. Each
/// is in one of them.
#[derive(Default)]
struct Book {
    process: Record,
    scopes: FxHashMap<ScopeId, Record>,
}

/// Findings, oldest first.
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
    if let Detail::Classes { numbers, .. } = detail {
        return (*kind, numbers.map(u64::from).into(), None, false);
    }
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
    /// The same, and it is not to be looked at again.
    Silenced,
    /// Panic with this message.
    Panic(String),
}

/// Takes a new finding in: records it, calls the hooks if it is the first of
/// its kind on its locks, prints it or hands back the message to panic with.
///
/// Runs code of the program (the hooks): the caller holds no lock of ours. `scope`: the one
/// that the thread is in. `certainly`: at this level, whatever is set or silenced.
pub(crate) fn submit(
    kind: FindingKind,
    cycle: Vec<Edge>,
    detail: Detail,
    scope: Option<ScopeId>,
    certainly: Option<Level>,
) -> Verdict {
    let level = certainly.unwrap_or_else(|| level(kind));
    if let Detail::Classes { made_at, .. } = &detail
        && !made_at.iter().all(render::is_a_call)
    {
        // `#[derive(Default)]` makes all locks of a type at one place: that is no class.
        return Verdict::Proceed;
    }
    let mut finding = Finding::new(kind, level, cycle, detail);
    finding.silenced = silence::reason(&finding).filter(|_| certainly.is_none());
    if finding.silenced.is_some() {
        finding.level = Level::Allow;
    }
    let level = finding.level;
    let ((is_new, is_news), scope) = {
        let mut book = BOOK.lock();
        let book = book.get_or_insert_default();
        let scope = book.scope_of(&finding, scope);
        (book.record(scope).add(&finding), scope)
    };
    // Before anybody is told.
    let recorded = (is_new && records()).then(|| out::record_finding(&finding, scope.is_some()));
    if is_new && level != Level::Allow {
        exit::watch();
    }
    if is_new {
        let hooks = HOOKS.lock().clone();
        for hook in hooks {
            // A hook that panics must not take the program's lock down with it.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&finding)));
        }
    }
    let report = || match (render::stderr_wants_color(), &recorded) {
        (false, Some(report)) => report.clone(),
        (color, _) => finding.render(color),
    };
    match level {
        Level::Allow if finding.silenced.is_some() => return Verdict::Silenced,
        Level::Allow => {}
        Level::Abort => {
            print_past_capture(&report());
            std::process::abort();
        }
        // A second panic during an unwinding would abort the process.
        Level::Deny if !std::thread::panicking() => return Verdict::Panic(report()),
        // The thread is about to hang: no test harness will ever show what it captured. Nor does
        // it panic, if it does so already.
        Level::Warn | Level::Deny if kind == FindingKind::Deadlock => {
            let hangs = Finding { level: Level::Warn, ..finding.clone() };
            print_past_capture(&hangs.render(render::stderr_wants_color()));
        }
        Level::Warn | Level::Deny => {
            if is_news {
                print(&report());
            }
        }
    }
    Verdict::Proceed
}

impl Book {
    /// The scope to which a finding belongs: that of the thread that made it, or else that in
    /// which one of its edges was seen; if it is still open.
    fn scope_of(&self, finding: &Finding, scope: Option<ScopeId>) -> Option<ScopeId> {
        let of_edges = finding.cycle.iter().map(|edge| edge.thread.scope);
        let mut scopes = std::iter::once(scope).chain(of_edges).flatten();
        scopes.find(|scope| self.scopes.contains_key(scope))
    }

    fn record(&mut self, scope: Option<ScopeId>) -> &mut Record {
        match scope {
            Some(scope) => self.scopes.entry(scope).or_default(),
            None => &mut self.process,
        }
    }
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

    fn findings(&self) -> Vec<Finding> {
        self.findings.iter().map(|kept| kept.finding.clone()).collect()
    }

    fn into_findings(self) -> Vec<Finding> {
        self.findings.into_iter().map(|kept| kept.finding).collect()
    }
}

/// Prints a message where the test harness can capture it.
pub(crate) fn print(message: &str) {
    // `eprintln!` panics if standard error is gone; then nobody is to be told. Where that cannot be
    // caught, nor does a test harness capture anything.
    if cfg!(panic = "abort") {
        return print_past_capture(message);
    }
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
    BOOK.lock().as_ref().map_or_else(Vec::new, |book| book.process.findings())
}

/// See [`crate::take_findings`].
pub(crate) fn take_findings() -> Vec<Finding> {
    let record = BOOK.lock().as_mut().map(|book| mem::take(&mut book.process));
    record.unwrap_or_default().into_findings()
}

/// Opens a scope, which from now on has its own findings.
pub(crate) fn open_scope() -> ScopeId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let scope =
        ScopeId::new(NEXT.fetch_add(1, Relaxed)).expect("so many scopes outlast no process");
    BOOK.lock().get_or_insert_default().scopes.insert(scope, Record::default());
    scope
}

/// The findings of a scope.
pub(crate) fn findings_in(scope: ScopeId) -> Vec<Finding> {
    let book = BOOK.lock();
    let record = book.as_ref().and_then(|book| book.scopes.get(&scope));
    record.map_or_else(Vec::new, Record::findings)
}

/// Takes those findings of a scope that are of some description.
pub(crate) fn take_findings_in(
    scope: ScopeId,
    are_wanted: impl Fn(&Finding) -> bool,
) -> Vec<Finding> {
    // What is wanted may be decided by what the sources say: not while the book is locked.
    let (wanted, others): (Vec<_>, Vec<_>) =
        findings_in(scope).into_iter().partition(|finding| are_wanted(finding));
    let mut book = BOOK.lock();
    if let Some(record) = book.as_mut().and_then(|book| book.scopes.get_mut(&scope)) {
        let is_taken = |kept: &Kept| wanted.iter().any(|taken| key(taken) == key(&kept.finding));
        record.findings.retain(|kept| !is_taken(kept));
        record.by_cycle = FxHashMap::default();
        for (at, kept) in record.findings.iter().enumerate() {
            record.by_cycle.insert(key(&kept.finding), at);
        }
    }
    drop(book);
    drop(others);
    wanted
}

/// Closes a scope. What was not taken is the process's from now on.
pub(crate) fn close_scope(scope: ScopeId) {
    let mut book = BOOK.lock();
    let Some(book) = book.as_mut() else { return };
    let left = book.scopes.remove(&scope).unwrap_or_default();
    for Kept { finding, .. } in left.findings {
        book.process.add(&finding);
    }
}

/// The findings of this process that nobody took, if they can be had within some time: other
/// threads still run, and may be stopped anywhere.
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
fn untaken(patience: Duration) -> Option<Vec<Finding>> {
    let book = BOOK.try_lock_for(patience)?;
    let records =
        book.iter().flat_map(|book| std::iter::once(&book.process).chain(book.scopes.values()));
    let is_ours = |kept: &&Kept| kept.process == std::process::id();
    let kept = records.flat_map(|record| &record.findings).filter(is_ours);
    Some(kept.map(|kept| kept.finding.clone()).collect())
}

/// See [`crate::on_finding`].
pub(crate) fn on_finding(hook: impl Fn(&Finding) + Send + Sync + 'static) {
    HOOKS.lock().push(Arc::new(hook));
}

/// The locks of the ledger.
#[cfg(all(unix, not(loom)))]
pub(crate) fn locks() -> [&'static dyn crate::renewable::Renewable; 3] {
    [&BOOK, &HOOKS, silence::lock()]
}

/// Forgets all findings. Levels and hooks stay.
pub(crate) fn reset() {
    drop(take_findings());
}
