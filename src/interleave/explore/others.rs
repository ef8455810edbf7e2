//! The threads of the process that have no part in a run, and those that may come to have one.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use super::SILENCE;
use crate::{interleave::thread_group::ThreadGroup, os_threads};

/// What is known of threads that have not come to a point.
pub(super) struct Others {
    family: ThreadGroup,
    /// The one that runs the test.
    test: Option<u64>,
    /// The one that conducts.
    conducting: Option<u64>,
    /// They will not come.
    strangers: HashSet<u64>,
    /// They may, and were first seen then.
    newborn: HashMap<u64, Instant>,
}

impl Others {
    /// All threads but the calling one are strangers.
    pub(super) fn new(family: ThreadGroup) -> Self {
        let test = os_threads::own();
        let mut strangers: HashSet<_> = os_threads::all().into_iter().collect();
        test.map(|own| strangers.remove(&own));
        Self { family, test, conducting: None, strangers, newborn: HashMap::new() }
    }

    /// The calling thread conducts.
    pub(super) fn add_this_thread(&mut self) {
        self.conducting = os_threads::own();
        self.strangers.extend(self.conducting);
    }

    /// Orders threads as they were started: those that were there before, and then those after the
    /// one that conducts; when the numbers are used up, they begin again.
    pub(super) fn age(&self, thread: Option<u64>) -> impl Ord + use<> {
        let is_new = thread != self.test && thread.is_none_or(|it| !self.strangers.contains(&it));
        (is_new, is_new && thread < self.conducting, thread)
    }

    /// The threads beside those that are known that were started meanwhile, and may be on their way to
    /// a point.
    pub(super) fn newborn(&mut self, known: &[u64]) -> Vec<u64> {
        let mut newborn = Vec::new();
        for thread in os_threads::all() {
            if known.contains(&thread) || self.strangers.contains(&thread) {
                continue;
            }
            let since = *self.newborn.entry(thread).or_insert_with(Instant::now);
            // Whose it is may not be known. Then it has some time to come.
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
