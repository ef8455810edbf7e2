//! A log of a thread's acquisitions, for threads that may wait until it has made them.
//!
//! The order graph has an edge only where a lock is acquired while another one is held. A thread
//! that waits for another's [exit](super::thread_exit) waits for every lock that the other still
//! has to acquire, even while it holds nothing. Therefore threads with an exit keep a log of what
//! they acquired, each lock and mode once.
//!
//! Only these threads pay for it. Their [held set](super::held) starts from a different word, so a
//! first lock is looked up in the thread's recent chains, and recorded here if it is not found.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    Context, State,
    held::{Entry, Tag},
    job,
    lineage::Segment,
};
use crate::{
    finding::ThreadInfo,
    validator::atomic::{locked, locked_in_time},
};

/// The capacity of a log. Later acquisitions are missed.
const MAX_ENTRIES: usize = 128;
/// The number of first locks looked up here before the thread stops logging: a log is useless for a
/// thread that keeps creating locks.
const MAX_LOOKUPS: u32 = 512;

/// The number of [resets](crate::validator::reset) so far.
static RESETS: AtomicU64 = AtomicU64::new(0);

/// Called when the order is reset. Forgets all acquisitions so far.
pub(in crate::validator) fn forget_all() {
    RESETS.fetch_add(1, Relaxed);
}

/// An acquisition that may have blocked.
#[derive(Clone)]
pub(in crate::validator) struct Logged {
    pub(in crate::validator) wanted: Entry,
    /// The tags that were held, sorted.
    pub(in crate::validator) held: SmallVec<[Tag; 2]>,
    /// `true` if it may have had to wait for readers, because the lock has a writer. A lock that is
    /// first written later is in the order graph by then.
    pub(in crate::validator) has_writer: bool,
    /// The thread that acquired it: the owner of the log, or a thread that it joined.
    pub(in crate::validator) thread: ThreadInfo,
    pub(in crate::validator) segment: Segment,
    /// The number of resets at that time.
    resets: u64,
}

impl Logged {
    /// Describes what the calling thread is about to acquire, as if the lock had no writer.
    pub(in crate::validator) fn now(context: &Context, wanted: Entry) -> Self {
        Self::at(context, wanted, context.segment(), 0)
    }

    /// As [`now`](Self::now), in a segment, without the first locks that the thread holds.
    pub(in crate::validator) fn at(
        context: &Context,
        wanted: Entry,
        segment: Segment,
        held_below: usize,
    ) -> Self {
        let held = context.held.iter().skip(held_below).map(|entry| entry.tag);
        let mut held: SmallVec<[Tag; 2]> = held.collect();
        held.sort_unstable();
        let thread = context.info();
        let resets = RESETS.load(Relaxed);
        Self { wanted, held, has_writer: false, thread, segment, resets }
    }

    /// Returns `true` if the order has not been reset since then.
    pub(in crate::validator) fn is_remembered(&self) -> bool {
        self.resets == RESETS.load(Relaxed)
    }

    /// Returns `true` if this makes `other` redundant: the same lock, acquired by the same thread,
    /// with no more locks held.
    pub(in crate::validator) fn covers(&self, other: &Self) -> bool {
        self.is_remembered()
            && self.wanted.tag == other.wanted.tag
            && self.thread == other.thread
            && self.held.iter().all(|tag| other.held.contains(tag))
    }
}

/// The log of one thread, which may outlive it.
#[derive(Default)]
pub(crate) struct AcquisitionLog(Mutex<Log>);

#[derive(Default)]
struct Log {
    entries: Vec<Logged>,
    lookups: u32,
}

impl Log {
    fn is_news(&self, new: &Logged) -> bool {
        self.entries.len() < MAX_ENTRIES && !self.entries.iter().any(|it| it.covers(new))
    }

    fn add(&mut self, new: Logged) {
        if self.is_news(&new) {
            self.entries.push(new);
        }
    }
}

impl AcquisitionLog {
    pub(in crate::validator) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds an acquisition that the calling thread, which owns the log, is about to make.
    /// `has_writer` is asked only if it is news.
    pub(in crate::validator) fn record(
        &self,
        context: &'static Context,
        wanted: Entry,
        has_writer: impl FnOnce() -> bool,
    ) {
        let is_first = context.held.is_empty();
        let _inside = context.enter(State::InValidator);
        if self.is_over() {
            // The thread's first locks were looked up only for its notes.
            return;
        }
        let mut new = Logged::now(context, wanted);
        // Only this thread adds entries, so the lock may be released in between.
        if locked(&self.0).is_news(&new) {
            new.has_writer = has_writer();
            locked(&self.0).add(new);
        }
        let mut log = locked(&self.0);
        log.lookups += u32::from(is_first);
        if log.lookups == MAX_LOOKUPS && !context.notes.are_on() && !job::is_recording() {
            context.held.set_logged(false);
        }
    }

    /// Returns `true` if the log is closed.
    pub(in crate::validator) fn is_over(&self) -> bool {
        locked(&self.0).lookups >= MAX_LOOKUPS
    }

    /// Returns the entries. In the child of a fork, returns none if the thread that was writing
    /// them is gone.
    pub(in crate::validator) fn entries(&self) -> Vec<Logged> {
        let remembered =
            |log: &Log| log.entries.iter().filter(|it| it.is_remembered()).cloned().collect();
        locked_in_time(&self.0).map_or_else(Vec::new, |log| remembered(&log))
    }

    /// Replaces the acquisition of a thread's exit, after that thread has ended, by what it
    /// acquired.
    pub(in crate::validator) fn absorb(&self, exit: Tag, others: &[Logged]) {
        let mut log = locked(&self.0);
        log.entries.retain(|it| it.wanted.tag != exit);
        for other in others {
            log.add(other.clone());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::finding::Mode;

    fn logged(lock: u64, held: &[u64], number: u64) -> Logged {
        let tag = |&lock: &u64| Tag::new(lock, Mode::Exclusive);
        Logged {
            wanted: Entry { tag: tag(&lock), site: Location::caller() },
            held: held.iter().map(tag).collect(),
            has_writer: false,
            thread: ThreadInfo { number, ..ThreadInfo::default() },
            segment: Segment { thread: number, index: 0, lineage: None, job: None },
            resets: RESETS.load(Relaxed),
        }
    }

    const EXIT: Tag = Tag::from_bits(0);

    fn locks(log: &AcquisitionLog) -> Vec<u64> {
        log.entries().iter().map(|it| it.wanted.tag.lock()).collect()
    }

    #[test]
    fn redundant_acquisitions_are_left_out() {
        let log = AcquisitionLog::new();
        log.absorb(EXIT, &[logged(1, &[], 1), logged(1, &[2], 1), logged(3, &[2], 1)]);
        assert_eq!(locks(&log), [1, 3]);
        log.absorb(EXIT, &[logged(3, &[], 1), logged(1, &[], 2)]);
        assert_eq!(locks(&log), [1, 3, 3, 1]);
    }

    #[test]
    fn an_exit_is_replaced_by_what_its_thread_acquired() {
        let log = AcquisitionLog::new();
        let exit = logged(9, &[], 1);
        log.absorb(EXIT, &[logged(1, &[], 1), exit.clone()]);
        log.absorb(exit.wanted.tag, &[logged(2, &[], 2)]);
        assert_eq!(locks(&log), [1, 2]);
    }

    #[test]
    fn a_log_is_bounded() {
        let log = AcquisitionLog::new();
        let many: Vec<_> = (1..1_000).map(|lock| logged(lock, &[], 1)).collect();
        log.absorb(EXIT, &many);
        assert_eq!(locks(&log).len(), MAX_ENTRIES);
    }
}
