//! Who spawned a thread or task, and which initializers had run by then.
//!
//! A cell is initialized once, so a thread that was spawned after the end of its initializer, by a
//! thread that knows of that end, never waits for the initializer. Initializations are numbered as
//! they end; only those count whose initializers took locks. Each thread and task keeps how many
//! there were when it was spawned, and which thread or task spawned it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use rustc_hash::FxHashSet;

use super::lineage::Segment;

/// The number of initializations that have ended.
static ENDED: AtomicU64 = AtomicU64::new(0);

/// The number of spawns remembered in a row. In a chain of threads or tasks that each spawn the next
/// and end, there is no limit to them.
const MAX_SPAWNS: u32 = 16;

/// The number of users of a cell that are remembered. With more, all uses count as ordered.
const MAX_USERS: usize = 4096;

/// The spawn of a thread or task, after the first initialization has ended. Kept while the thread
/// or task, or one that it has spawned, exists.
#[derive(Debug)]
pub(crate) struct Spawn {
    /// The one that spawned it.
    by: Actor,
    /// The number of initializations that had ended.
    ended: u64,
    /// The number of spawns before that are remembered.
    depth: u32,
    /// `true` if the spawns before are forgotten.
    is_cut: bool,
}

/// A thread or task at some time, with what decides about the order to initializations.
#[derive(Clone, Debug)]
pub(in crate::validator) struct Actor {
    pub(in crate::validator) segment: Segment,
    pub(in crate::validator) is_task: bool,
    /// `None` if it was spawned before the first initialization ended, or if that is unknown.
    pub(in crate::validator) spawn: Option<Arc<Spawn>>,
}

/// The end of an initializer that took locks.
#[derive(Clone, Debug)]
pub(in crate::validator) struct Initialization {
    by: Segment,
    number: u64,
    /// Threads and tasks with this number or a larger one were unknown.
    unknown_from: u64,
    /// Those that have used the cell while they held nothing.
    users: FxHashSet<u64>,
}

impl Spawn {
    /// Returns the spawn that the given thread or task is about to make. `None` as long as no
    /// initialization has ended.
    pub(in crate::validator) fn by(actor: impl FnOnce() -> Actor) -> Option<Arc<Self>> {
        match ENDED.load(SeqCst) {
            0 => None,
            ended => {
                let mut by = actor();
                let depth = by.spawn.as_ref().map_or(0, |before| before.depth + 1);
                let is_cut = depth >= MAX_SPAWNS;
                if is_cut {
                    by.spawn = None;
                }
                Some(Arc::new(Self { by, ended, depth: depth % MAX_SPAWNS, is_cut }))
            }
        }
    }
}

impl Initialization {
    /// Creates the initialization that a thread or task has just ended. `next` is the number that
    /// the next thread or task will have.
    pub(in crate::validator) fn by(by: Segment, next: u64) -> Self {
        Self {
            by,
            number: ENDED.fetch_add(1, SeqCst) + 1,
            unknown_from: next,
            users: FxHashSet::default(),
        }
    }

    /// Called when a thread or task has used the cell while it held nothing. Its later uses never
    /// wait.
    pub(in crate::validator) fn note_user(&mut self, number: u64) {
        if self.users.len() < MAX_USERS {
            self.users.insert(number);
        }
    }

    /// Returns `true` if a thread or task that uses the cell, which is initialized, is known to
    /// come after the initialization, or if nothing is known about their order:
    ///
    /// - it has run the initializer itself, or has used the cell since, with no lock held;
    /// - it has joined the thread that did, or one that joined that one;
    /// - a third thread joined that thread before it spawned this one;
    /// - the thread that spawned it did so after the initialization, and comes after it as well;
    /// - it descends from a thread that had not taken any lock by then. That thread may have been
    ///   started later, after the initialization.
    pub(in crate::validator) fn precedes(&self, actor: &Actor) -> bool {
        if self.users.contains(&actor.segment.thread) || self.users.len() >= MAX_USERS {
            return true;
        }
        let mut actor = actor;
        loop {
            if self.is_known_to(actor) {
                return true;
            }
            match &actor.spawn {
                Some(spawn) if spawn.ended < self.number => return false,
                Some(spawn) if spawn.is_cut => return true,
                Some(spawn) => actor = &spawn.by,
                None => return false,
            }
        }
    }

    /// As [`precedes`](Self::precedes), without the spawns.
    fn is_known_to(&self, Actor { segment, is_task, spawn }: &Actor) -> bool {
        if segment.thread == self.by.thread {
            return true;
        }
        if *is_task {
            // A task of lockdep's own runtime that was spawned later has its spawn.
            return spawn.is_none() && segment.thread >= self.unknown_from;
        }
        segment.is_apart_from(&self.by)
            || segment.is_in_sequence_with(&self.by)
            || segment.family() >= self.unknown_from
    }
}
