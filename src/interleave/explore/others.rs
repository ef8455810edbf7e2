//! The threads of the process that do not take part in a run, and those that may join it.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use super::SILENCE;
use crate::{interleave::thread_group::ThreadGroup, os_threads};

/// The threads that have not reached a point.
pub(super) struct Others {
    family: ThreadGroup,
    /// The thread that runs the test.
    test: Option<u64>,
    /// The scheduler's thread.
    conducting: Option<u64>,
    /// Threads that will not reach a point.
    strangers: HashSet<u64>,
    /// Threads that may reach a point, with the time at which they were first seen.
    newborn: HashMap<u64, Instant>,
}

impl Others {
    /// All existing threads except the calling one are strangers.
    pub(super) fn new(family: ThreadGroup) -> Self {
        let test = os_threads::own();
        let mut strangers: HashSet<_> = os_threads::all().into_iter().collect();
        test.map(|own| strangers.remove(&own));
        Self { family, test, conducting: None, strangers, newborn: HashMap::new() }
    }

    /// Declares that the calling thread is the scheduler's.
    pub(super) fn add_this_thread(&mut self) {
        self.conducting = os_threads::own();
        self.strangers.extend(self.conducting);
    }

    /// Orders threads by their start: first those that existed before the run, then those started
    /// after the scheduler's. Thread ids wrap around.
    pub(super) fn age(&self, thread: Option<u64>) -> impl Ord + use<> {
        let is_new = thread != self.test && thread.is_none_or(|it| !self.strangers.contains(&it));
        (is_new, is_new && thread < self.conducting, thread)
    }

    /// Returns threads that were started meanwhile, are not in `known`, and may be on their way to
    /// a point.
    pub(super) fn newborn(&mut self, known: &[u64]) -> Vec<u64> {
        let mut newborn = Vec::new();
        for thread in os_threads::all() {
            if known.contains(&thread) || self.strangers.contains(&thread) {
                continue;
            }
            let since = *self.newborn.entry(thread).or_insert_with(Instant::now);
            // If it is unknown who started the thread, it has some time to arrive.
            let may_come = self.family.has(thread).unwrap_or_else(|| since.elapsed() < SILENCE);
            if may_come {
                newborn.push(thread);
            } else {
                self.strangers.insert(thread);
            }
        }
        newborn
    }
}
