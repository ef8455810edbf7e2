//! What a thread has acquired, for those who may have to wait until it does so.
//!
//! The order graph has an edge only where a lock is acquired while another one is held. Somebody who
//! waits for a thread's [exit](super::thread_exit) waits for whatever the thread still has to acquire,
//! also while it holds nothing. Such threads keep a log of what they acquired, each lock and mode once.
//!
//! Only such threads pay for it: their [held set](super::held) starts from another word, so that a first
//! lock is looked up in the thread's own table of recent chains, and comes here if it is not found.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    held::{Entry, Tag},
    lineage::Segment,
};
use crate::{
    finding::{Mode, ThreadInfo},
    validator::{
        Acquisition, Context, ThreadState,
        atomic::{locked, locked_in_time},
        graph,
    },
};

/// How many acquisitions a log has room for. Later ones are missed.
const MAX_ENTRIES: usize = 128;
/// How many first locks are looked up here before the thread stops to keep a log: a thread that
/// makes new locks all the time has no use for one.
const MAX_LOOKUPS: u32 = 512;

/// How often the order was [reset](crate::validator::reset).
static RESETS: AtomicU64 = AtomicU64::new(0);

/// The order is reset: all acquisitions so far are forgotten.
pub(in crate::validator) fn forget_all() {
    RESETS.fetch_add(1, Relaxed);
}

/// An acquisition that might have blocked.
#[derive(Clone)]
pub(in crate::validator) struct Logged {
    pub(in crate::validator) wanted: Entry,
    /// What was held, sorted.
    pub(in crate::validator) held: SmallVec<[Tag; 2]>,
    /// It may have to wait for readers, as the lock has a writer. A lock that is first written later is in
    /// the order graph by then.
    pub(in crate::validator) has_writer: bool,
    /// Who acquired it: the thread, or one that it joined.
    pub(in crate::validator) thread: ThreadInfo,
    pub(in crate::validator) segment: Segment,
    /// How often the order had been reset.
    resets: u64,
}

impl Logged {
    /// What the calling thread is about to acquire, as if the lock had no writer.
    pub(in crate::validator) fn now(context: &Context, acquisition: &Acquisition<'_>) -> Self {
        let mut held: SmallVec<[Tag; 2]> = context.held.iter().map(|entry| entry.tag).collect();
        held.sort_unstable();
        let (thread, segment) = (context.info(), context.segment());
        let resets = RESETS.load(Relaxed);
        Self { wanted: acquisition.wanted, held, has_writer: false, thread, segment, resets }
    }

    /// Returns `true` if the order has not been reset since.
    pub(in crate::validator) fn is_remembered(&self) -> bool {
        self.resets == RESETS.load(Relaxed)
    }

    /// Notes whether the lock has a writer, behind which readers wait. If it has none yet, puts it into
    /// the order graph, where its first writer looks.
    pub(in crate::validator) fn note_writer(&mut self, acquisition: &Acquisition<'_>) {
        let Acquisition { identity, wanted, named_at } = acquisition;
        if !wanted.tag.mode().queues_behind_writers(Mode::Shared) {
            return;
        }
        if !identity.has_writer() {
            graph::lock().await_writer(wanted, named_at);
        }
        self.has_writer = identity.has_writer();
    }

    /// Returns `true` if this shows all that `other` shows: the same lock, acquired by the same thread
    /// while it held no more.
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

    /// Adds an acquisition that the calling thread, whose log it is, is about to make.
    pub(in crate::validator) fn record(
        &self,
        context: &'static Context,
        acquisition: &Acquisition<'_>,
    ) {
        let is_first = context.held.is_empty();
        let _inside = context.enter(ThreadState::InValidator);
        if self.is_over() {
            // The thread's first locks are looked up for its notes only.
            return;
        }
        let mut new = Logged::now(context, acquisition);
        // Only this thread adds any, so the lock may be released in between.
        if locked(&self.0).is_news(&new) {
            new.note_writer(acquisition);
            locked(&self.0).add(new);
        }
        let mut log = locked(&self.0);
        log.lookups += u32::from(is_first);
        if log.lookups == MAX_LOOKUPS && !context.notes.are_on() {
            context.held.set_logged(false);
        }
    }

    /// Returns `true` if nothing is added any more.
    pub(in crate::validator) fn is_over(&self) -> bool {
        locked(&self.0).lookups >= MAX_LOOKUPS
    }

    /// Returns what is in the log. In a fork's child, that is nothing if its thread, which does not exist
    /// there, was writing it.
    pub(in crate::validator) fn entries(&self) -> Vec<Logged> {
        let remembered =
            |log: &Log| log.entries.iter().filter(|it| it.is_remembered()).cloned().collect();
        locked_in_time(&self.0).map_or_else(Vec::new, |log| remembered(&log))
    }

    /// Replaces the acquisition of a thread's exit, now that the thread has ended, by what that thread
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
            segment: Segment { thread: number, index: 0, lineage: None },
            resets: RESETS.load(Relaxed),
        }
    }

    const EXIT: Tag = Tag::from_bits(0);

    fn locks(log: &AcquisitionLog) -> Vec<u64> {
        log.entries().iter().map(|it| it.wanted.tag.lock()).collect()
    }

    #[test]
    fn what_says_nothing_new_is_left_out() {
        let log = AcquisitionLog::new();
        log.absorb(EXIT, &[logged(1, &[], 1), logged(1, &[2], 1), logged(3, &[2], 1)]);
        assert_eq!(locks(&log), [1, 3]);
        log.absorb(EXIT, &[logged(3, &[], 1), logged(1, &[], 2)]);
        assert_eq!(locks(&log), [1, 3, 3, 1]);
    }

    #[test]
    fn an_exit_gives_way_to_what_its_thread_acquired() {
        let log = AcquisitionLog::new();
        let exit = logged(9, &[], 1);
        log.absorb(EXIT, &[logged(1, &[], 1), exit.clone()]);
        log.absorb(exit.wanted.tag, &[logged(2, &[], 2)]);
        assert_eq!(locks(&log), [1, 2]);
    }

    #[test]
    fn it_has_an_end() {
        let log = AcquisitionLog::new();
        let many: Vec<_> = (1..1_000).map(|lock| logged(lock, &[], 1)).collect();
        log.absorb(EXIT, &many);
        assert_eq!(locks(&log).len(), MAX_ENTRIES);
    }
}
