//! What a task holds between two polls.
//!
//! At the end of a poll, the holds move from the held set of the context, in which the thread will
//! poll the next task, to the task and to the [index by lock](hands), where other threads look for
//! them. At the next poll they move back. A hold can always be found in one of the two places: it
//! is added to the second before it is removed from the first. A guard that another task or thread
//! drops meanwhile is removed from the index, and the thread that moves the hold notices.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Task,
    block_on::own_holds,
    branches,
    hands::{self, Holder, Whereabouts},
    statics::is_static,
    with_polled,
};
use crate::{
    finding::FindingKind,
    stack::{RawStack, Stack},
    validator::{
        clock::Moment,
        context::{
            Context, State as ThreadState,
            current::{current_if_attached, inside},
            held::{Entry, Tag},
            registry,
        },
        found::{Found, own_edge, submit},
        lock_id::tried::is_only_tried,
        pools,
    },
};

/// A hold, with the stack of its acquisition if stacks are kept.
pub(super) struct Kept {
    pub(super) entry: Entry,
    pub(super) stack: Stack,
}

/// Called when the future of a task is pending while the task holds locks.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[cold]
#[track_caller]
pub(in crate::validator) fn come_to_rest(task: &Arc<Task>, context: &'static Context) {
    settle_released_elsewhere(context);
    let held = own_holds(task, context);
    if held.iter().any(|it| !it.kind().is_awaited()) {
        report_blocking_guards(context, &held);
    }
    if task.wakers() > 1 {
        note_doubt(task, context, &held);
    }
    keep(task, context);
}

/// Called when the task is no longer polled. Moves what it holds out of the context.
#[cold]
pub(in crate::validator) fn keep(task: &Arc<Task>, context: &'static Context) {
    settle_released_elsewhere(context);
    let _inside = context.enter(ThreadState::InValidator);
    let loose = std::mem::take(&mut *task.loose.lock());
    let mut kept = task.kept.lock();
    for entry in own_holds(task, context) {
        let known = loose.iter().find(|(tag, _)| *tag == entry.tag);
        let whereabouts = known.map_or(Whereabouts::Task, |(_, whereabouts)| *whereabouts);
        let since = Moment::UNKNOWN;
        hands::hold(Holder { task: Arc::clone(task), entry, whereabouts, since });
        kept.push(Kept { entry, stack: context.take_trace(entry.tag) });
    }
    for Kept { entry, .. } in kept.iter().rev() {
        context.held.remove(entry.tag);
    }
    // Released by other threads while it was in both places, and recorded in the place that it has
    // left.
    for tag in context.take_released_elsewhere() {
        match kept.iter().position(|it| it.entry.tag == tag) {
            Some(at) if hands::take_back(task, tag).is_some() => drop(kept.remove(at)),
            Some(_) => {}
            // A lock of the thread that blocks on the task.
            None => drop(context.held.remove(tag)),
        }
    }
    task.has_kept.store(!kept.is_empty(), Relaxed);
}

/// Called when the task is about to be polled. Moves what it holds into the context.
#[cold]
pub(in crate::validator) fn resume(task: &Arc<Task>, context: &'static Context) {
    let _inside = context.enter(ThreadState::InValidator);
    let mut kept = task.kept.lock();
    task.has_kept.store(false, Relaxed);
    for Kept { entry, stack } in kept.drain(..) {
        context.held.make_room();
        context.held.push_anywhere(entry);
        match hands::take_back(task, entry.tag) {
            Some(holder) => {
                if holder.whereabouts != Whereabouts::Task {
                    task.loose.lock().push((entry.tag, holder.whereabouts));
                }
                context.put_trace(entry.tag, &stack);
            }
            // Another thread has released it meanwhile.
            None => _ = context.held.remove(entry.tag),
        }
    }
}

/// Called when the task has ended. Forgets what it holds.
#[cold]
pub(in crate::validator) fn forget(context: &'static Context) {
    let _inside = context.enter(ThreadState::InValidator);
    let held: Vec<Tag> = context.held.iter().map(|it| it.tag).collect();
    for tag in held {
        context.held.remove(tag);
        context.drop_trace(tag);
    }
}

/// Called when the calling thread, or the task that it polls, has acquired a lock with an owned
/// guard, which may move anywhere. Returns `false` if it polls no task, so that nothing is known
/// about the guard.
pub(crate) fn acquired_owned(entry: Entry) -> bool {
    let Some(task) = super::polled() else { return false };
    inside(|| {
        let (whereabouts, since) = (Whereabouts::Unknown, Moment::now());
        hands::hold(Holder { task, entry, whereabouts, since });
    });
    true
}

/// Returns what the polled task holds by guards that may have left it.
pub(crate) fn all_held_loosely() -> Vec<Entry> {
    let Some(task) = super::polled() else { return Vec::new() };
    let is_own = |it: &Holder| !it.is_kept() && Arc::ptr_eq(&it.task, &task);
    inside(|| hands::all().into_iter().filter(is_own).map(|it| it.entry).collect())
}

/// Returns one of these by its tag.
pub(crate) fn held_loosely(tag: Tag) -> Option<Entry> {
    all_held_loosely().into_iter().find(|held| held.tag == tag)
}

/// Called when a future at this address has acquired a lock at `lock` for the polled task.
pub(crate) fn acquired_at(tag: Tag, future: usize, lock: usize) {
    let Some(context) = current_if_attached() else { return };
    with_polled(|task| {
        if task.has_paths.load(Relaxed) {
            branches::forget_path(task, context, tag);
        }
        let whereabouts = match task.contains(future) {
            _ if is_static(lock) => Whereabouts::Free,
            true => return,
            false => Whereabouts::Box,
        };
        note_loose(task, context, tag, whereabouts);
    });
}

/// Called when the polled task has acquired a lock with a guard that may leave it.
pub(crate) fn acquired_to_send(tag: Tag) {
    let Some(context) = current_if_attached() else { return };
    with_polled(|task| {
        if task.has_paths.load(Relaxed) {
            branches::forget_path(task, context, tag);
        }
        note_loose(task, context, tag, Whereabouts::Free);
    });
}

fn note_loose(task: &Task, context: &'static Context, tag: Tag, whereabouts: Whereabouts) {
    let is_known = task.loose.lock().iter().any(|(of, _)| *of == tag);
    if !is_known {
        let _inside = context.enter(ThreadState::InValidator);
        let mut loose = task.loose.lock();
        // Drops entries of locks that were released since.
        loose.retain(|(tag, _)| context.held.last_of(*tag).is_some());
        loose.push((tag, whereabouts));
    }
}

/// Called when a lock is released that the calling thread or task does not hold. Returns `false` if
/// no task is known to hold it either.
pub(in crate::validator) fn released(tag: Tag) -> bool {
    let own = with_polled(|task| task.number);
    inside(|| {
        let Some(holder) = hands::release(tag, own) else { return false };
        if Some(holder.task.number) != own {
            pools::note_handed_over(tag.lock());
        }
        if holder.is_kept() {
            let mut kept = holder.task.kept.lock();
            if let Some(at) = kept.iter().position(|it| it.entry.tag == tag) {
                kept.remove(at);
            }
        }
        true
    })
}

/// Records that a lock whose guard may have left its task is now held in another mode. Returns
/// `false` if no such guard is known.
pub(crate) fn change_mode(from: Tag, to: Tag) -> bool {
    inside(|| hands::turn(from, to))
}

/// Called when the task spawns another one. Guards of locks that live as long as the program may
/// move there, and boxes with futures in them.
pub(in crate::validator) fn loosen(task: &Task) {
    loosen_what(task, |_| true);
}

/// Called when the task passes a closure to a thread. Guards of its static locks may move there.
/// Other guards are assumed to stay, because a lock is often held during a blocking call.
pub(super) fn loosen_static(task: &Task) {
    let is_free = |(_, whereabouts): &(Tag, Whereabouts)| *whereabouts == Whereabouts::Free;
    if task.loose.lock().iter().any(is_free) {
        loosen_what(task, |whereabouts| whereabouts == Some(Whereabouts::Free));
    }
}

/// Makes the whereabouts of those holds unknown for which `may_leave` returns `true`.
fn loosen_what(task: &Task, may_leave: impl Fn(Option<Whereabouts>) -> bool) {
    let Some(context) = current_if_attached().filter(|context| !context.is_suspended()) else {
        return;
    };
    if task.pending.load(Relaxed) > 0 {
        task.operations.lock().iter().for_each(|operation| operation.loosen());
    }
    settle_released_elsewhere(context);
    if context.held.is_empty() {
        return;
    }
    let Some(task) = super::polled() else { return };
    let _inside = context.enter(ThreadState::InValidator);
    let since = Moment::now();
    let loose = task.loose.lock().clone();
    let known = |tag: Tag| loose.iter().find(|(of, _)| *of == tag).map(|(_, known)| *known);
    let leaves = |it: &Entry| it.kind().is_awaited() && may_leave(known(it.tag));
    let held: Vec<Entry> = context.held.iter().filter(leaves).collect();
    task.loose.lock().retain(|(tag, _)| !held.iter().any(|it| it.tag == *tag));
    for &entry in &held {
        let is_free = known(entry.tag) == Some(Whereabouts::Free);
        let whereabouts = if is_free { Whereabouts::Unknown } else { Whereabouts::Spawned };
        hands::hold(Holder { task: Arc::clone(&task), entry, whereabouts, since });
        context.held.remove(entry.tag);
        context.drop_trace(entry.tag);
    }
    // Released by other threads while it was in both places, and recorded in the place that it has
    // left.
    for tag in context.take_released_elsewhere() {
        if held.iter().any(|it| it.tag == tag) {
            drop(hands::release(tag, Some(task.number)));
        } else {
            context.note_released_elsewhere(tag);
        }
    }
}

/// Records that a sibling future may be about to run, to which the current holds do not belong.
#[cold]
fn note_doubt(task: &Task, context: &'static Context, held: &[Entry]) {
    let _inside = context.enter(ThreadState::InValidator);
    let mut doubtful = task.doubtful.lock();
    doubtful.clear();
    doubtful.extend(held.iter().map(|it| it.tag));
    task.has_doubtful.store(!doubtful.is_empty(), Relaxed);
}

/// Reports guards that the thread cannot release until it polls this task again.
#[cold]
#[track_caller]
fn report_blocking_guards(context: &'static Context, held: &[Entry]) {
    if context.is(ThreadState::Allowing) {
        return;
    }
    let found: Vec<Found> = {
        let _inside = context.enter(ThreadState::InValidator);
        let blocks = |held: &&Entry| !held.kind().is_awaited() && !is_only_tried(held.tag.lock());
        let across = held.iter().filter(blocks);
        let edge = |held: &Entry| own_edge(context, held, held, held.site, &RawStack::EMPTY);
        across.map(|held| Found::new(FindingKind::HeldAcrossAwait, vec![edge(held)])).collect()
    };
    if !found.is_empty() {
        submit(context, found);
    }
}

/// Removes locks that other threads have released from what the calling thread holds. Returns
/// `true` if there were any.
#[inline]
pub(in crate::validator) fn settle_released_elsewhere(context: &'static Context) -> bool {
    context.has_released_elsewhere() && take_out_released_elsewhere(context)
}

#[cold]
fn take_out_released_elsewhere(context: &'static Context) -> bool {
    let _inside = context.enter(ThreadState::InValidator);
    let released_elsewhere = context.take_released_elsewhere();
    for &tag in &released_elsewhere {
        // Meanwhile the thread may have released another guard of the lock, one that was acquired
        // elsewhere.
        if context.held.remove(tag).is_some() {
            context.drop_trace(tag);
        } else if !released(tag) {
            registry::released_elsewhere(tag);
        }
    }
    !released_elsewhere.is_empty()
}

/// Called when a thread or a task releases a lock that it does not hold. Finds the holder, at rest
/// or not.
pub(in crate::validator) fn released_elsewhere(tag: Tag) {
    // A hold may move from a place that was not checked yet to one that was. No task moves one
    // twice during three rounds, unless it is polled twice.
    for _ in 0..3 {
        if released(tag) {
            return;
        }
        if registry::released_elsewhere(tag) {
            pools::note_handed_over(tag.lock());
            return;
        }
    }
    crate::validator::context::leaks::released(tag);
}
