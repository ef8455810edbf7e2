//! The findings of the process: each is recorded once per cycle and reported once, at its level.
//!
//! Owns the findings, their levels and the hooks. Does not know how a finding came to be, and never
//! panics for one: it returns the message, and the validator panics with it. `STORE` guards the
//! list only; hooks run and reports are drawn and printed outside it. The list is cloned under the
//! lock, so callers are in a state in which locks of the global allocator and of signal handlers
//! are not checked.

mod allow_entry;
#[cfg_attr(not(feature = "config"), path = "no_config.rs")]
mod config;
mod config_file;
mod exit;
mod known;
mod levels;
#[cfg_attr(not(feature = "write_records"), path = "no_record_writer.rs")]
mod record_writer;
mod settings;
mod source_facts;
mod store;
mod suppress;
mod thrown;

use std::{
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

pub(crate) use config_file::{ClassOrder, take_class_orders};
pub(crate) use levels::{level, set_level, set_wait_level};
use parking_lot::Mutex;
pub(crate) use record_writer::{
    note_full_record, open_record, record_edges, record_released_elsewhere, records,
};
pub(crate) use settings::{Backtraces, is_known_off, settings};
pub(crate) use source_facts::is_unshared;
pub(crate) use suppress::{allow_entries, allow_pair, forget_pairs};
pub(crate) use thrown::{Panic, finding_of_panic};

use self::store::{Added, Key, Store, Unhandled};
#[cfg(fuzzing)]
pub(crate) use self::{config::check as check_config, settings::complaints};
use crate::{
    finding::{Detail, Edge, Finding, FindingKind, Level, ScopeId, Site},
    render,
    source::Creates,
};

/// WebAssembly without a system interface, where std panics on requests for the time or process id.
const IS_BARE: bool = cfg!(all(target_family = "wasm", target_os = "unknown"));

type Hook = Arc<dyn Fn(&Finding) + Send + Sync>;

static STORE: Mutex<Option<Store>> = Mutex::new(None);
static HOOKS: Mutex<Vec<Hook>> = Mutex::new(Vec::new());

/// The number of searches for a cycle that exhausted their budget.
static CUT_SHORT: AtomicU64 = AtomicU64::new(0);

/// Counts a search for a cycle that exhausted its budget.
pub(crate) fn note_cut_short() {
    CUT_SHORT.fetch_add(1, Relaxed);
}

/// Returns how many searches for a cycle have exhausted their budget.
pub(crate) fn cut_short() -> u64 {
    CUT_SHORT.load(Relaxed)
}

/// The number of times that the watchdog has reported a wait.
static LONG_WAITS: AtomicU64 = AtomicU64::new(0);

/// Counts a wait that the watchdog reports. The summary at the end of the process mentions it.
pub(crate) fn note_long_wait() {
    LONG_WAITS.fetch_add(1, Relaxed);
    exit::watch();
}

/// What the thread that made a finding must do.
#[must_use]
pub(crate) enum Verdict {
    Proceed,
    /// Proceed, and do not report this again.
    Silenced,
    /// Proceed: according to the source, one of the two sites creates different kinds of locks.
    NoClasses,
    Panic(Box<Panic>),
}

/// Records a new finding, calls the hooks if it is the first of its kind on its locks, and prints
/// it or returns the message to panic with.
///
/// Runs hooks, which are the program's code, so the caller must hold no lock of lockdep. `scope` is
/// the thread's test scope. `certainly` overrides both the level and any suppression.
pub(crate) fn submit(
    kind: FindingKind,
    cycle: Vec<Edge>,
    detail: Detail,
    scope: Option<ScopeId>,
    certainly: Option<Level>,
) -> Verdict {
    let is_certain =
        !matches!(detail, Detail::Exhausted(_)) && !cycle.iter().any(|edge| edge.may_have_left);
    let level = certainly.unwrap_or_else(|| match detail {
        Detail::Wait(wait) => levels::wait_level(wait),
        // It cannot happen, so it is only recorded.
        Detail::Unshared(_) => Level::Allow,
        _ if is_certain => level(kind),
        // A finding that may be false must not panic.
        _ => level(kind).min(Level::Warn),
    });
    if let Some((_, made_at)) = detail.classes()
        && made_at.iter().any(|site| source_facts::creates(site) == Creates::Various)
    {
        // They are locks of a wrapper, or of `#[derive(Default)]`.
        return Verdict::NoClasses;
    }
    let is_of_the_past = matches!(detail, Detail::Destroyed);
    let mut finding = Finding::new(kind, level, cycle, detail);
    if level > Level::Allow || records() {
        show_one_class(&mut finding);
    }
    finding.silenced = suppress::reason(&finding).filter(|_| certainly.is_none());
    if finding.silenced.is_some() {
        finding.level = Level::Allow;
    }
    let level = finding.level;
    let shown_at = if level > Level::Allow { source_facts::shown_at(&finding) } else { None };
    let Added { is_new, is_news, scope } =
        STORE.lock().get_or_insert_default().add(&finding, shown_at, scope, this_process());
    // Recorded before it is reported, so that no reported finding is lost.
    let recorded =
        (is_new && records()).then(|| record_writer::record_finding(&finding, scope.is_some()));
    if level != Level::Allow {
        exit::watch();
    }
    if is_new {
        call_hooks(&finding);
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
        // A second panic during an unwinding would abort the process. A guard was forgotten elsewhere.
        Level::Deny if !std::thread::panicking() && !is_of_the_past => {
            return Verdict::Panic(Box::new(Panic::new(report(), &finding)));
        }
        // The thread or task is about to hang, so no test harness will ever show captured output. A
        // thread that already panics only prints.
        Level::Warn | Level::Deny
            if matches!(kind, FindingKind::Deadlock | FindingKind::Futurelock) || !is_certain =>
        {
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

/// Finds out where a report shows two nested locks of one class. That looks up symbols, so it is done only for a
/// finding that is printed or recorded.
fn show_one_class(finding: &mut Finding) {
    if let Detail::OneClass { .. } = finding.detail {
        let shown = <[Site; 2]>::try_from(render::shown_sites(finding)).ok();
        if let Detail::OneClass { shown_at, .. } = &mut finding.detail {
            *shown_at = shown;
        }
    }
}

/// Records a finding of the watchdog, which no thread can panic for. It is printed, and changes the
/// exit status in case the process calls `exit` later. At [`Level::Abort`] it aborts the process.
///
/// Prints before it calls the hooks, because a hook may block on a lock of the deadlock.
pub(crate) fn submit_from_outside(kind: FindingKind, detail: Detail) {
    let mut finding = Finding::new(kind, level(kind), Vec::new(), detail);
    finding.silenced = suppress::reason(&finding);
    if finding.silenced.is_some() {
        finding.level = Level::Allow;
    }
    let Added { is_new, scope, .. } =
        STORE.lock().get_or_insert_default().add(&finding, None, None, this_process());
    if is_new && records() {
        record_writer::record_finding(&finding, scope.is_some());
    }
    if finding.level != Level::Allow {
        exit::watch();
        print_past_all(&finding.render(render::stderr_wants_color()));
    }
    if finding.level == Level::Abort {
        std::process::abort();
    }
    if is_new {
        call_hooks(&finding);
    }
}

fn call_hooks(finding: &Finding) {
    let hooks = HOOKS.lock().clone();
    for hook in hooks {
        // A hook that panics must not poison or release the program's locks.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(finding)));
    }
}

/// Returns the process id, which distinguishes a process from its forks.
fn this_process() -> u32 {
    if IS_BARE { 0 } else { std::process::id() }
}

/// Prints a message where the test harness can capture it.
pub(crate) fn print(message: &str) {
    // `eprintln!` panics if standard error is closed; the message is dropped then. With `panic =
    // "abort"` that panic cannot be caught, but no test harness captures output either.
    if cfg!(panic = "abort") {
        return print_past_capture(message);
    }
    let _ = catch_unwind(|| eprintln!("{}", message.trim_end()));
    let _ = std::io::stderr().flush();
}

/// Prints a message directly to standard error, past a test harness.
pub(crate) fn print_past_capture(message: &str) {
    let mut stderr = std::io::stderr().lock();
    // If standard error is closed, the message is dropped.
    let _ = writeln!(stderr, "{}", message.trim_end()).and_then(|()| stderr.flush());
}

/// Prints a message on standard error without taking std's lock, which a hanging thread may hold.
pub(crate) fn print_past_all(message: &str) {
    #[cfg(unix)]
    exit::write_to_stderr(message);
    #[cfg(not(unix))]
    print_past_capture(message);
}

/// See [`crate::findings`].
pub(crate) fn findings() -> Vec<Finding> {
    STORE.lock().as_ref().map_or_else(Vec::new, |book| book.findings(None))
}

/// See [`crate::take_findings`].
pub(crate) fn take_findings() -> Vec<Finding> {
    STORE.lock().as_mut().map_or_else(Vec::new, Store::take_all_of_process)
}

/// Opens a scope. It collects its own findings from now on.
pub(crate) fn open_scope() -> ScopeId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let scope =
        ScopeId::new(NEXT.fetch_add(1, Relaxed)).expect("so many scopes outlast no process");
    STORE.lock().get_or_insert_default().open(scope);
    scope
}

/// The findings of a scope.
pub(crate) fn findings_in(scope: ScopeId) -> Vec<Finding> {
    STORE.lock().as_ref().map_or_else(Vec::new, |book| book.findings(Some(scope)))
}

/// Removes the findings for which `are_wanted` returns `true` from a scope, and returns them.
pub(crate) fn take_findings_in(
    scope: ScopeId,
    are_wanted: impl Fn(&Finding) -> bool,
) -> Vec<Finding> {
    // `are_wanted` may read source files, so it must not run under the lock.
    let wanted = findings_in(scope).iter().filter(|it| are_wanted(it)).map(Key::of).collect();
    // Returns the current findings, so that a repetition in the meantime is counted.
    STORE.lock().as_mut().map_or_else(Vec::new, |book| book.take(scope, &wanted))
}

/// Closes a scope. Its remaining findings move to the process.
pub(crate) fn close_scope(scope: ScopeId) {
    if let Some(book) = STORE.lock().as_mut() {
        book.close(scope);
    }
}

/// Returns the unhandled bugs of this process, worst first, and the number of findings that were
/// not kept; unless the lock cannot be acquired in time: other threads still run, or may have been
/// stopped while they held it.
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
fn unhandled(timeout: Duration) -> Option<(Vec<Unhandled>, u64)> {
    let book = STORE.try_lock_for(timeout)?;
    Some(book.as_ref().map_or_else(Default::default, |book| book.unhandled(this_process())))
}

/// Called with the first lock of the process. The configuration is read, and its errors reported,
/// at the [first nested lock](load_config), the first finding, or the end of the process.
pub(crate) fn note_config() {
    config_file::note_start_folder();
    if !exit::read_config_at_exit() {
        load_config();
    }
}

/// Reads the configuration, unless it was read before.
pub(crate) fn load_config() {
    if config_file::load(print_past_capture) {
        // Unused entries are reported at exit.
        exit::watch();
    }
}

/// See [`crate::on_finding`].
pub(crate) fn on_finding(hook: impl Fn(&Finding) + Send + Sync + 'static) {
    HOOKS.lock().push(Arc::new(hook));
}

/// Returns the locks of the ledger, for a fork.
#[cfg(all(unix, not(loom)))]
pub(crate) fn locks() -> [&'static dyn crate::fork_lock::ForkLock; 4] {
    [&STORE, &HOOKS, suppress::lock(), thrown::lock()]
}

/// Discards all findings. Levels and hooks stay.
pub(crate) fn reset() {
    drop(take_findings());
}

#[cfg(all(test, shuttle))]
mod shuttle_model;
