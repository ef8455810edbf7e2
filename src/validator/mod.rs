//! The validator: checks whether an acquisition is safe in the order seen so far.
//!
//! Owns what every thread holds and the order seen so far. Knows locks by their identity and facts,
//! not by their types. Submits findings to the ledger, and panics if the ledger says so. This file
//! lists what rooms above call; none of it holds a lock of lockdep when it calls the ledger.

#![allow(clippy::inline_always, reason = "measured: see `tracked`")]

mod acquire;
mod atomic;
mod atomic_ref;
mod attach;
mod chain_cache;
mod check;
mod clock;
mod context;
mod deadlock;
mod destroyed;
mod found;
mod graph;
mod handed_over;
mod helpers;
mod identity;
mod initialized;
mod interrupted;
pub mod jobs;
mod lock_id;
mod monitor;
mod pools;
mod process;
mod releases;
pub mod root_poll;
#[cfg(all(test, shuttle))]
mod shuttle_models;
mod signal_mask;
pub mod tasks;
mod thread_snapshot;
mod waits;

use std::time::Duration;

pub(crate) use self::{
    acquire::{about_to_block, first_writer, is_judged_for_task, prepare, unjudged},
    attach::{current, current_unless_in_handler, release_exit},
    context::{
        Context, State as ThreadState,
        current::{
            acquired_unattached, change_mode_unattached, current_if_attached, direct_new_threads,
            ignore_this_thread, inside, may_give_guards_away, released_unattached, set_exit,
        },
        held::{Entry, Place, Tag},
        thread_exit::ThreadExit,
    },
    destroyed::destroyed,
    graph::{
        Acquisition,
        annotations::{
            allow_pair, class, declare_order, name, name_of, order_by_key, resource, set_rank,
        },
        declared::{Ordered, Rank},
    },
    identity::Identity,
    initialized::{about_to_use, initialized},
    lock_id::LockId,
    pools::Pool,
    releases::{changed_hands, held_too_long},
    waits::{
        barrier_order::{Arrival, BarrierOrder},
        blocking::{Waited, begin_wait},
        channel_space::{ChannelSpace, Receiving},
        events::{about_to_wait, about_to_wait_for},
        join::{Progress, join},
    },
};
use self::{context::leaks, lock_id::tried};
use crate::{
    finding::{OrderGraph, ScopeId, Stats, ThreadSnapshot},
    ledger,
};

/// See [`crate::watchdog`].
pub(crate) fn watch(limit: Duration) {
    let settings = ledger::settings();
    if !settings.off && !settings.no_watchdog {
        inside(|| monitor::watchdog::start(settings.watchdog.unwrap_or(limit)));
    }
}

/// Returns `true` if `held` prevents `wanted` from being acquired.
pub(crate) fn blocks(held: Tag, wanted: Tag) -> bool {
    held.lock() == wanted.lock() && wanted.mode().waits_for(held.mode(), false)
}

/// Called when a destructor of a thread-local has released a lock after the thread returned its
/// context, so the lock may be recorded as leaked.
pub(crate) fn released_at_last(tag: Tag) {
    if leaks::are_any() {
        inside(|| leaks::released(tag));
    }
}

/// Called when the first acquisition of a lock is an attempt.
pub(crate) fn note_tried(lock: LockId) {
    tried::note(lock);
}

/// Called when a thread is about to acquire a lock, and would wait for it.
#[inline]
pub(crate) fn note_waited_for(lock: LockId) {
    tried::forget(lock);
}

/// Returns `true` if the calling thread, or the task that it polls, is known to hold a lock.
pub(crate) fn is_held(tag: Tag) -> bool {
    current_if_attached().is_some_and(|context| context.held.last_of(tag).is_some())
}

/// Returns the number of the calling thread, or of the task that it polls, and `true` for a task.
pub(crate) fn actor_number() -> Option<(u64, bool)> {
    let of_thread = || Some((current_if_attached()?.number(), false));
    tasks::polled_number().map(|number| (number, true)).or_else(of_thread)
}

/// Returns `true` if the calling thread, or the task that it polls, is known to hold a lock in any mode,
/// wherever its guard is.
pub(crate) fn holds(lock: LockId) -> bool {
    let is_it = |held: &Entry| held.tag.lock() == lock;
    let of_thread =
        || current_if_attached().is_some_and(|context| context.held.iter().any(|it| is_it(&it)));
    of_thread() || tasks::all_held_loosely().iter().any(is_it)
}

/// Returns the number of locks that the calling thread, or the task that it polls, holds.
pub(crate) fn depth() -> usize {
    current_if_attached().map_or(0, |context| context.held.depth())
}

/// Returns how many times the calling thread, or the task that it polls, holds a lock.
pub(crate) fn times_held(lock: LockId) -> usize {
    let is_it = |held: &Entry| held.tag.lock() == lock;
    current_if_attached().map_or(0, |context| context.held.iter().filter(is_it).count())
}

/// Called when a thread that did not acquire a lock has released it.
pub(crate) fn released_elsewhere(tag: Tag) {
    inside(|| tasks::released_elsewhere(tag));
}

/// Puts the calling thread, or the task that it polls, into a scope of
/// [`testing`](crate::testing), or into none. Returns the previous one.
pub(crate) fn set_scope(scope: Option<ScopeId>) -> Option<ScopeId> {
    let context = current()?;
    if context.is_of_task() {
        tasks::set_scope(scope);
    }
    context.set_scope(scope)
}

/// Called when a condition variable has returned the calling thread's guard of this lock.
pub(crate) fn note_condition(tag: Tag) {
    if let Some(context) = current_if_attached().filter(|context| !context.is_suspended()) {
        context.note_condition(tag);
    }
}

/// Returns a hash of what the calling thread holds. `None` if that is unknown.
pub(crate) fn held_now() -> Option<u64> {
    current().map(|context| context.held.chain())
}

/// Returns `true` if anything is checked.
pub(crate) fn is_on() -> bool {
    crate::enabled::ENABLED && !ledger::settings().off
}

/// See [`crate::allow`].
pub(crate) fn allow<R>(body: impl FnOnce() -> R) -> R {
    let _allowing = current().map(|context| context.enter(ThreadState::Allowing));
    body()
}

/// Forgets the order. Names and held locks stay.
pub(crate) fn reset() {
    context::acquisition_log::forget_all();
    inside(|| graph::lock().reset());
    tasks::reset();
    context::registry::forget_chains();
}

/// Makes every chain be checked again, because a level has changed.
pub(crate) fn rejudge() {
    context::registry::forget_chains();
}

/// See [`crate::order_graph`].
pub(crate) fn order_graph() -> OrderGraph {
    inside(|| graph::lock().snapshot())
}

/// See [`crate::stats`].
pub(crate) fn stats() -> Stats {
    let edges = inside(|| graph::lock().edges());
    Stats { locks: Identity::count(), edges, cut_short: ledger::cut_short() }
}

/// Returns what every thread holds and waits for. Threads are read one by one, while they run.
pub(crate) fn snapshot() -> Vec<ThreadSnapshot> {
    inside(monitor::snapshot::of_locks)
}

/// As [`snapshot`], with the operating system's state of all threads.
pub(crate) fn snapshot_of_all_threads() -> Vec<ThreadSnapshot> {
    inside(monitor::snapshot::all)
}
