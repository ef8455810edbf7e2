//! What the jobs of each pool have acquired.
//!
//! A thread that waits in a call into a pool may run any job of the pool meanwhile, and so may wait
//! for whatever a job acquires. These acquisitions are edges from the pool. Most pools are never
//! waited for under a lock. So the acquisitions are kept here, outside the order graph, until one
//! is. Then the pool is *awaited*, and its edges are entered.
//!
//! A thread that is no worker waits until *some* worker is free. So a pool is two locks: one that any
//! of its jobs holds, and one that only as many jobs as it has workers hold together.
//!
//! The lock guards the table only.

use std::{panic::Location, sync::Arc};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{
    acquisition_log::Logged,
    held::Tag,
    lineage::Segment,
    obligations::Owed,
    position::{Job, Position},
};
use crate::validator::lock_id::LockId;

/// The number of acquisitions kept for one pool. Older ones are dropped.
const MAX_ACQUIRED: usize = 256;

/// The number kept for one lock, unless more workers than that can wait for it.
const MAX_PER_LOCK: usize = 8;

static POOLS: Mutex<Option<FxHashMap<LockId, Pool>>> = Mutex::new(None);

/// The two locks that a pool is, and the number of its workers.
#[derive(Clone, Copy)]
pub(in crate::validator) struct PoolIds {
    /// Held by each job.
    pub(in crate::validator) any: LockId,
    /// Held by as many jobs as there are workers.
    pub(in crate::validator) all: LockId,
    pub(in crate::validator) workers: usize,
    /// `true` if the program handles panics of detached jobs.
    pub(in crate::validator) handles_panics: bool,
}

impl PartialEq for PoolIds {
    fn eq(&self, other: &Self) -> bool {
        self.any == other.any
    }
}

/// What the jobs of one pool have acquired.
#[derive(Default)]
struct Pool {
    acquired: Vec<Owed>,
    is_any_awaited: bool,
    is_all_awaited: bool,
    workers: usize,
}

/// The acquisitions on which a wait depends, for each of a pool's locks that is awaited.
#[derive(Default)]
pub(in crate::validator) struct Awaited {
    pub(in crate::validator) any: Vec<Owed>,
    pub(in crate::validator) all: Vec<Owed>,
}

/// Returns the lock around the table, for a fork.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &POOLS
}

/// Adds an acquisition of a job that was begun at a place. Returns what must be entered into the graph.
pub(in crate::validator) fn add(
    pool: PoolIds,
    since: &'static Location<'static>,
    acquired: Logged,
) -> Awaited {
    let new = Owed { since, acquired };
    let mut all = POOLS.lock();
    let (workers, pool) = (pool.workers, all.get_or_insert_default().entry(pool.any).or_default());
    pool.workers = workers;
    let is_new = pool.add(&new);
    let mut awaited = Awaited::default();
    if is_new && pool.is_any_awaited {
        awaited.any.push(new.clone());
    }
    if is_new && pool.is_all_awaited {
        awaited.all.extend(pool.filling_with(new.acquired.wanted.tag, pool.workers, None));
    }
    awaited
}

/// Called when a thread that holds a lock is about to wait for any job of a pool. Returns what they have acquired.
pub(in crate::validator) fn wait_for_any(pool: PoolIds) -> Vec<Owed> {
    let mut all = POOLS.lock();
    let pool = all.get_or_insert_default().entry(pool.any).or_default();
    pool.is_any_awaited = true;
    pool.remembered().cloned().collect()
}

/// Called when a thread that holds a lock, at this point, is about to wait for a worker of a pool to be free. Returns
/// what as many jobs as the pool has workers have acquired.
pub(in crate::validator) fn wait_for_all(pool: PoolIds, waiting: &Segment) -> Vec<Owed> {
    let PoolIds { any, workers, .. } = pool;
    let mut all = POOLS.lock();
    let pool = all.get_or_insert_default().entry(any).or_default();
    pool.is_all_awaited = true;
    let mut tags: Vec<Tag> = pool.remembered().map(|owed| owed.acquired.wanted.tag).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter().filter_map(|tag| pool.filling_with(tag, workers, Some(waiting))).collect()
}

/// Forgets a pool that has ended.
pub(in crate::validator) fn forget(pool: LockId) {
    let mut all = POOLS.lock();
    let forgotten = all.as_mut().map(|all| all.remove(&pool));
    drop(all);
    drop(forgotten);
}

impl Pool {
    fn remembered(&self) -> impl Iterator<Item = &Owed> {
        self.acquired.iter().filter(|owed| owed.acquired.is_remembered())
    }

    /// Adds an acquisition. Returns `false` if the same job has made it before, with no more locks held.
    fn add(&mut self, new: &Owed) -> bool {
        self.acquired.retain(|owed| owed.acquired.is_remembered());
        let is_alike = |owed: &Owed| owed.acquired.wanted.tag == new.acquired.wanted.tag;
        let is_covered = |owed: &Owed| {
            is_alike(owed)
                && owed.acquired.segment.thread == new.acquired.segment.thread
                && owed.acquired.held.iter().all(|tag| new.acquired.held.contains(tag))
        };
        if self.acquired.iter().any(is_covered) {
            return false;
        }
        let most = MAX_PER_LOCK.max(self.workers).min(MAX_ACQUIRED / 4);
        if self.acquired.iter().filter(|owed| is_alike(owed)).count() >= most {
            let oldest = self.acquired.iter().position(is_alike);
            oldest.map(|oldest| self.acquired.remove(oldest));
        } else if self.acquired.len() >= MAX_ACQUIRED {
            self.acquired.remove(0);
        }
        self.acquired.push(new.clone());
        true
    }

    /// Returns an acquisition that as many jobs of one flow have made as there are workers, all of which can run at
    /// once, and while a thread waits as given.
    fn filling_with(&self, tag: Tag, workers: usize, waiting: Option<&Segment>) -> Option<Owed> {
        let is_meant = |owed: &&Owed| {
            owed.acquired.wanted.tag == tag
                && !waiting.is_some_and(|waiting| waiting.is_apart_from(&owed.acquired.segment))
        };
        // The latest are the most likely to meet.
        let mut latest: Vec<&Owed> = self.remembered().filter(is_meant).collect();
        latest.reverse();
        let flow = |owed: &Owed| owed.acquired.segment.job.as_ref().map(|job| job.flow);
        latest.iter().find_map(|first| {
            let mut together: Vec<&Owed> = Vec::new();
            for owed in latest.iter().filter(|owed| flow(owed) == flow(first)) {
                if together.len() < workers && together.iter().all(|it| may_meet(it, owed)) {
                    together.push(owed);
                }
            }
            let flow = flow(first).filter(|_| together.len() == workers)?;
            let jobs = together.iter().filter_map(|it| it.acquired.segment.job.as_ref());
            let at: Box<[Position]> = jobs.flat_map(|job| job.at.iter().cloned()).collect();
            let mut owed = (*together.first()?).clone();
            owed.acquired.segment.job = Some(Arc::new(Job { flow, at }));
            Some(owed)
        })
    }
}

/// Returns `true` if two acquisitions can be made at the same time.
fn may_meet(one: &Owed, other: &Owed) -> bool {
    let [one, other] = [one, other].map(|it| &it.acquired.segment);
    one.thread != other.thread && !one.is_apart_from(other)
}
