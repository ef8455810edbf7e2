//! Says when somebody waits for a lock for too long.
//!
//! One thread of ours, started when it is asked for. It looks at what the threads publish and
//! takes no lock of theirs; whatever it takes itself is not looked at.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, Thread},
    time::Duration,
};

use super::{
    Context, clock::Moment, deadlock, ignore_this_thread, snapshot, threads, waiting::Wait,
};
use crate::{finding::LongWait, ledger, render};

/// How long a wait may last, in milliseconds.
static LIMIT: AtomicU64 = AtomicU64::new(0);
static WATCHDOG: OnceLock<Option<Thread>> = OnceLock::new();

/// Starts the watchdog, or gives it another limit.
pub(super) fn start(limit: Duration) {
    let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    LIMIT.store(limit.max(1), Relaxed);
    let watchdog = WATCHDOG.get_or_init(|| {
        let thread = thread::Builder::new().name("lockdep-watchdog".into()).spawn(watch);
        Some(thread.ok()?.thread().clone())
    });
    if let Some(thread) = watchdog {
        thread.unpark();
    }
}

fn watch() {
    ignore_this_thread();
    let mut episode = Episode::default();
    loop {
        let now = Moment::now();
        threads::all().for_each(|context| context.held.note_age(now));
        let limit = Duration::from_millis(LIMIT.load(Relaxed));
        let longest = longest_wait();
        let age = longest.and_then(|(_, wait)| wait.since.age());
        if let Some(more_than) = episode.is_due(limit, age)
            && let Some((context, wait)) = longest
        {
            let wait = LongWait {
                thread: context.info(),
                wanted: snapshot::held_lock(&wait.wanted, wait.since),
                more_than,
                cause: deadlock::cause_of(context, wait),
            };
            ledger::print_past_capture(&render::long_wait(&wait, &snapshot::all()));
        }
        let tick = (limit / 16).clamp(Duration::from_millis(1), Duration::from_secs(1));
        thread::park_timeout(tick);
    }
}

/// The longest of all waits for a lock. Threads that wait to be notified or for a message are idle.
fn longest_wait() -> Option<(&'static Context, Wait)> {
    let waits = threads::all().filter_map(|context| Some((context, context.waiting.read()?)));
    let waits_for_lock = waits.filter(|(_, wait)| wait.until.event().is_none());
    waits_for_lock.min_by_key(|(_, wait)| wait.since.0)
}

/// When there is something to say: once when a wait has become too long, and then at
/// doubling intervals for as long as any wait is.
#[derive(Default)]
struct Episode {
    /// How often it was said.
    said: u32,
}

impl Episode {
    /// What the longest wait has just exceeded.
    fn is_due(&mut self, limit: Duration, longest: Option<Duration>) -> Option<Duration> {
        let Some(longest) = longest.filter(|&age| age >= limit) else {
            self.said = 0;
            return None;
        };
        let due_at = limit.saturating_mul(2_u32.saturating_pow(self.said));
        let is_due = longest >= due_at;
        self.said += u32::from(is_due);
        is_due.then_some(due_at)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

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
        // The same episode: another wait is too long already when the longest ends.
        assert_eq!(is_due(Some(12)), None);
        // It has ended.
        assert_eq!(is_due(Some(3)), None);
        assert_eq!(is_due(Some(10)), Some(10));
    }
}
