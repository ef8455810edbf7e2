//! Branches of one task: futures that it polls side by side, by `join!`, `select!` and their like.
//!
//! What one branch holds, another does not. So an edge from a lock that a task holds to one that it wants counts
//! only if the two are proved to be one after the other. The proof is the count of the task's wakers: if nothing
//! can wake the task while it first polls an operation, then no sibling of that operation waits for anything;
//! and if there was only one waker whenever the task came to rest, no sibling has waited since. There may still be
//! one that waits for nothing, as a stream that is not polled now: where symbols are known, the [path](paths) of
//! the later acquisition must not lead through a function that may poll others. Where any of this is not so, the
//! paths of the two may prove that they are in sequence.

use std::{cell::LazyCell, ptr, sync::atomic::Ordering::Relaxed};

use smallvec::SmallVec;

use super::{
    Task,
    block_on::own_holds,
    hands::Whereabouts,
    paths::{self, Path},
    polled, with_polled,
};
use crate::validator::{Context, Entry, Tag, ThreadState};

/// Returns `true` if no sibling of the future that is being polled can be about to run, because nothing could
/// wake it.
#[inline]
pub(crate) fn is_alone() -> bool {
    with_polled(|task| task.wakers() == 0).unwrap_or(true)
}

/// Returns `true` if the calling task holds something of which it is unknown whether this future has it or a
/// sibling.
#[inline]
pub(crate) fn is_in_doubt() -> bool {
    with_polled(|task| task.has_doubtful.load(Relaxed)).unwrap_or(false)
}

/// The calling task has acquired a lock, whose path [is wanted](paths::is_wanted).
#[cold]
#[inline(never)]
pub(crate) fn keep_path(context: &'static Context, acquired: Entry) {
    let local = 0_u8;
    let place = place_in_stack(&local);
    let _inside = context.enter(ThreadState::InValidator);
    paths::note_seen(acquired.site);
    let tag = acquired.tag.once_held();
    // Of several readers, it is not known which one is left when another is gone.
    if context.held.iter().filter(|held| held.tag == tag).count() != 1 {
        return;
    }
    with_polled(|task| {
        if let Some(path) = Path::between(task.root.load(Relaxed), place) {
            task.paths.lock().push((tag, path));
            task.has_paths.store(true, Relaxed);
        }
    });
}

/// A task has acquired a lock again: forgets how it was acquired before.
#[cold]
pub(super) fn forget_path(task: &Task, context: &'static Context, tag: Tag) {
    let _inside = context.enter(ThreadState::InValidator);
    let mut paths = task.paths.lock();
    paths.retain(|(of, _)| *of != tag && context.held.last_of(*of).is_some());
    task.has_paths.store(!paths.is_empty(), Relaxed);
}

/// Where a local variable is. All functions that led to the one which has it stand further out.
fn place_in_stack(local: &u8) -> usize {
    ptr::from_ref(std::hint::black_box(local)).addr()
}

/// Takes out of what the calling task holds, until the result is dropped, whatever a sibling of the future may
/// hold; and the wanted lock, unless it can be acquired again: there may be a time-out, and the census tells what
/// is certain.
#[inline(never)]
pub(crate) fn suspend_doubtful(
    context: &'static Context,
    wanted: Tag,
    is_alone: bool,
) -> SuspendedHolds {
    let local = 0_u8;
    let place = place_in_stack(&local);
    let _inside = context.enter(ThreadState::InValidator);
    let is_held = |tag: Tag| context.held.iter().any(|held| held.tag == tag);
    let doubtful = with_polled(|task| {
        let mut doubtful = task.doubtful.lock();
        doubtful.retain(|tag| is_held(*tag));
        task.has_doubtful.store(!doubtful.is_empty(), Relaxed);
        doubtful.clone()
    });
    let doubtful = doubtful.unwrap_or_default();
    let later = LazyCell::new(|| {
        with_polled(|task| Path::between(task.root.load(Relaxed), place)).flatten()
    });
    // A guard of a static lock may have left without a trace.
    let is_of_static = |tag: Tag| {
        with_polled(|task| task.loose.lock().contains(&(tag, Whereabouts::Free))).unwrap_or(false)
    };
    // What a thread held before it blocks on the task stays held.
    let own = polled().map(|task| own_holds(&task, context)).unwrap_or_default();
    let is_left_out = |held: &Entry| {
        let is_same = held.tag.lock() == wanted.lock();
        let is_again = wanted.mode().queues_behind_writers(held.tag.mode());
        if is_same && (!is_again || is_of_static(held.tag)) {
            return true;
        }
        // A sibling may hold it that waits for nothing, as a stream that is not polled now.
        let has_siblings = || later.as_ref().is_some_and(paths::may_have_siblings);
        let is_in_doubt = !is_alone || doubtful.contains(&held.tag) || has_siblings();
        is_in_doubt && !is_proved(held, &later)
    };
    let suspended: SmallVec<[Entry; 4]> = own.into_iter().filter(is_left_out).collect();
    for held in &suspended {
        context.held.remove(held.tag);
    }
    SuspendedHolds(context, suspended)
}

/// Returns `true` if what the calling task holds was acquired before it takes this path, and is held until its end.
fn is_proved(held: &Entry, later: &LazyCell<Option<Path>, impl FnOnce() -> Option<Path>>) -> bool {
    let earlier = with_polled(|task| {
        let paths = task.paths.lock();
        paths.iter().find(|(of, _)| *of == held.tag).map(|(_, path)| path.clone())
    });
    paths::want(held.site);
    let Some(earlier) = earlier.flatten() else { return false };
    later.as_ref().is_some_and(|later| paths::are_in_sequence(&earlier, later))
}

/// Holds that are taken out of the held set, until this is dropped.
pub(crate) struct SuspendedHolds(&'static Context, SmallVec<[Entry; 4]>);

impl Drop for SuspendedHolds {
    fn drop(&mut self) {
        self.1.drain(..).for_each(|held| self.0.held.push_anywhere(held));
    }
}
