//! Reports waits for locks that last too long, and global deadlocks; answers signals that end the
//! process.
//!
//! A helper thread, started on request. It reads what the program's threads publish and takes no
//! lock of the program; its own acquisitions are not tracked.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{global::Detector, snapshot, wait_chain, wakeup};
use crate::{
    finding::{Activity, ChainEnd, Detail, FindingKind, OsThread},
    ledger, os_threads, render,
    validator::{
        clock::Moment,
        context::registry,
        helpers::{self, Helper},
    },
};

/// The longest acceptable wait, in milliseconds; 0 if unlimited.
static LIMIT: AtomicU64 = AtomicU64::new(0);
/// `true` if the environment asks for it and the process has had one thread so far.
static IS_AWAITED: AtomicBool = AtomicBool::new(false);
/// The number of waits explained when the process ends: the longest ones.
#[cfg(unix)]
const MAX_EXPLAINED: usize = 256;

static WATCHDOG: OnceLock<()> = OnceLock::new();
/// `true` once a report has named the variable that sets the limit.
static HAS_REPORTED: AtomicBool = AtomicBool::new(false);

/// Starts the watchdog, or changes its limit.
pub(in crate::validator) fn start(limit: Duration) {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    LIMIT.store(limit.max(1), Relaxed);
    start_thread();
}

/// Makes the watchdog start with the process's second thread. Some things work only in a process
/// with a single thread, for example `unshare(CLONE_NEWUSER)`.
pub(in crate::validator) fn await_threads(limit: Option<Duration>) {
    if let Some(limit) = limit {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        LIMIT.store(limit.max(1), Relaxed);
    }
    IS_AWAITED.store(true, Relaxed);
}

/// Returns `true` if the watchdog waits to be started by [`note_thread`].
pub(in crate::validator) fn is_awaited() -> bool {
    IS_AWAITED.load(Relaxed)
}

/// Called when a thread, the `number`-th, takes its first lock.
pub(in crate::validator) fn note_thread(number: u64) {
    if (number > 1 || os_threads::are_many()) && IS_AWAITED.swap(false, Relaxed) {
        start_thread();
    }
}

fn start_thread() {
    WATCHDOG.get_or_init(|| {
        // If no thread can be started, the program runs without a watchdog.
        let _ = helpers::start("lockdep-watchdog", watch);
    });
    wakeup::ring();
}

fn watch() {
    let helper = Helper::this_thread();
    let mut episode = Episode::default();
    let mut idle = Idle::default();
    let mut detector = Detector::default();
    #[cfg(all(unix, feature = "signals"))]
    let mut endings = super::on_signal::Endings::of_environment();
    loop {
        #[cfg(all(unix, feature = "signals"))]
        if let Some(answer) = endings.look() {
            let mut waits = wait_chain::all();
            waits.sort_by_key(|wait| wait.since.0);
            waits.truncate(MAX_EXPLAINED);
            let chains: Vec<_> = waits.into_iter().map(wait_chain::of).collect();
            let text = render::answer(answer.signal_name(), &chains, &snapshot::all());
            ledger::print_past_all(&text);
            answer.end_process();
        }
        let now = Moment::now();
        registry::all().for_each(|context| context.held.note_age(now));
        let limit = Duration::from_millis(LIMIT.load(Relaxed));
        if detector.look() {
            report_global_deadlock();
        }
        // After a report of a global deadlock, single waits are not reported.
        if !limit.is_zero() && !detector.has_found() {
            report_longest_wait(&mut episode, &mut idle, limit);
        }
        Helper::rest(helper, || wakeup::wait(tick(limit)));
    }
}

/// Returns the time between two checks.
fn tick(limit: Duration) -> Duration {
    const MAX_INTERVAL: Duration = Duration::from_secs(1);
    if limit.is_zero() {
        MAX_INTERVAL
    } else {
        (limit / 16).clamp(Duration::from_millis(1), MAX_INTERVAL)
    }
}

/// Reports the longest wait, if it is due.
fn report_longest_wait(episode: &mut Episode, idle: &mut Idle, limit: Duration) {
    let longest = wait_chain::all().into_iter().min_by_key(|wait| wait.since.0);
    let age = longest.as_ref().and_then(|wait| wait.since.age());
    idle.observe(age.is_some_and(|age| age >= limit / 2));
    if let Some(more_than) = episode.is_due(limit, age)
        && let Some(wait) = longest
    {
        let mut chain = wait_chain::of(wait);
        if let ChainEnd::Holder(Some(os)) | ChainEnd::Joined(Some(os)) = &mut chain.end {
            os.idle = idle.of(os);
        }
        if episode.reports == 1 {
            ledger::note_long_wait();
        }
        let is_first = !HAS_REPORTED.swap(true, Relaxed);
        ledger::print_past_all(&render::long_wait(&chain, more_than, is_first, &snapshot::all()));
    }
}

/// Reports a global deadlock. No thread can panic for it.
fn report_global_deadlock() {
    let threads = snapshot::all();
    ledger::submit_from_outside(FindingKind::Deadlock, Detail::AllAsleep(threads.into()));
}

/// Decides when to report: once when a wait has become too long, and then at doubling intervals
/// while any wait is too long.
#[derive(Default)]
struct Episode {
    /// The number of reports in this episode.
    reports: u32,
}

impl Episode {
    /// Returns the multiple of the limit that the longest wait has just exceeded, if any.
    fn is_due(&mut self, limit: Duration, longest: Option<Duration>) -> Option<Duration> {
        let Some(longest) = longest.filter(|&age| age >= limit) else {
            self.reports = 0;
            return None;
        };
        let due_at = limit.saturating_mul(2_u32.saturating_pow(self.reports));
        let is_due = longest >= due_at;
        self.reports += u32::from(is_due);
        is_due.then_some(due_at)
    }
}

/// What the threads did before a wait became too long.
#[derive(Default)]
struct Idle(Option<(Moment, Vec<OsThread>)>);

impl Idle {
    /// Looks at all threads, unless that was done before. Forgets them if no wait is long.
    fn observe(&mut self, is_long: bool) {
        match (is_long, &self.0) {
            (true, None) => self.0 = Some((Moment::now(), os_threads::look())),
            (true, Some(_)) => {}
            (false, _) => self.0 = None,
        }
    }

    /// Returns how long a thread has not run, at least. `None` if it has run.
    fn of(&self, thread: &OsThread) -> Option<Duration> {
        let (moment, threads) = self.0.as_ref()?;
        let has_not_run = |it: &OsThread| it.id == thread.id && it.switches == thread.switches;
        let is_idle = thread.activity != Activity::Runs && threads.iter().any(has_not_run);
        if is_idle { moment.age() } else { None }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_run_was_not_idle() {
        let thread = |id, switches, activity| OsThread {
            id,
            name: String::new(),
            activity,
            switches: [switches, 0],
            idle: None,
        };
        let before = vec![thread(1, 5, Activity::Runs), thread(2, 5, Activity::Unknown)];
        let mut idle = Idle(Some((Moment::now(), before)));
        assert!(idle.of(&thread(1, 5, Activity::Unknown)).is_some());
        assert_eq!(idle.of(&thread(1, 5, Activity::Runs)), None);
        assert_eq!(idle.of(&thread(1, 6, Activity::Unknown)), None);
        assert_eq!(idle.of(&thread(3, 5, Activity::Unknown)), None);
        idle.observe(true);
        assert!(idle.of(&thread(2, 5, Activity::Unknown)).is_some());
        idle.observe(false);
        assert_eq!(idle.of(&thread(2, 5, Activity::Unknown)), None);
    }

    #[test]
    fn once_an_episode_then_at_doubling_intervals() {
        let mut episode = Episode::default();
        let mut is_due = |longest: Option<u64>| {
            let seconds = longest.map(Duration::from_secs);
            episode.is_due(Duration::from_secs(10), seconds).map(|due_at| due_at.as_secs())
        };
        assert_eq!(is_due(None), None);
        assert_eq!(is_due(Some(9)), None);
        assert_eq!(is_due(Some(11)), Some(10));
        let due: Vec<_> = (12..=100).filter_map(|age| is_due(Some(age))).collect();
        assert_eq!(due, [20, 40, 80]);
        // Still the same episode: another wait is already too long when the longest one ends.
        assert_eq!(is_due(Some(12)), None);
        // The episode has ended.
        assert_eq!(is_due(Some(3)), None);
        assert_eq!(is_due(Some(10)), Some(10));
    }
}
