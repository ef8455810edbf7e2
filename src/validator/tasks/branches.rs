//! Branches of one task: futures that it polls concurrently, through `join!`, `select!` and
//! similar.
//!
//! What one branch holds, another does not. So an edge from a lock that a task holds to one that it
//! wants counts only if the two acquisitions are proved to be in sequence. The proof is the count
//! of the task's wakers. If nothing can wake the task while it first polls an operation, then no
//! sibling of that operation waits for anything. If there was only one waker whenever the task came
//! to rest, no sibling has waited since. There may still be a sibling that waits for nothing, such
//! as a stream that is not being polled. So where symbols are known, the [path](paths) of the later
//! acquisition must not lead through a function that may poll other futures. If any of this fails,
//! the paths of the two may prove that they are in sequence.

use std::{cell::LazyCell, ptr, sync::atomic::Ordering::Relaxed};

use smallvec::SmallVec;

use super::{
    Task,
    block_on::own_holds,
    hands::Whereabouts,
    paths::{self, Path},
    polled, with_polled,
};
use crate::validator::context::{
    Context, State as ThreadState,
    held::{Entry, Tag},
};

/// Returns `true` if no sibling of the future being polled can be about to run, because nothing
/// could wake it.
#[inline]
pub(crate) fn is_alone() -> bool {
    with_polled(|task| task.wakers() == 0).unwrap_or(true)
}

/// Returns `true` if the calling task holds something that either this future or a sibling may
/// have.
#[inline]
pub(crate) fn is_in_doubt() -> bool {
    with_polled(|task| task.has_doubtful.load(Relaxed)).unwrap_or(false)
}

/// Stores the path of an acquisition by the calling task, if it [is wanted](paths::is_wanted).
#[cold]
#[inline(never)]
pub(crate) fn keep_path(context: &'static Context, acquired: Entry) {
    let local = 0_u8;
    let place = place_in_stack(&local);
    let _inside = context.enter(ThreadState::InValidator);
    paths::note_seen(acquired.site);
    let tag = acquired.tag.once_held();
    // With several read locks, it is unknown which one is left when another is released.
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

/// Called when a task has acquired a lock again. Forgets the path of the earlier acquisition.
#[cold]
pub(super) fn forget_path(task: &Task, context: &'static Context, tag: Tag) {
    let _inside = context.enter(ThreadState::InValidator);
    let mut paths = task.paths.lock();
    paths.retain(|(of, _)| *of != tag && context.held.last_of(*of).is_some());
    task.has_paths.store(!paths.is_empty(), Relaxed);
}

/// Returns the address of a local variable. The frames of all its callers are above it.
fn place_in_stack(local: &u8) -> usize {
    ptr::from_ref(std::hint::black_box(local)).addr()
}

/// Removes from the held set, until the result is dropped, everything that a sibling of the future
/// may hold. Also removes the wanted lock, unless it can be acquired again: there may be a timeout,
/// and the census finds what is certain.
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
    // A guard of a static lock may have left without a trace. A connection most likely is where it was taken.
    let may_have_left = |held: &Entry| {
        let is_free = |task: &Task| task.loose.lock().contains(&(held.tag, Whereabouts::Free));
        !held.kind().is_outside() && with_polled(is_free).unwrap_or(false)
    };
    // What a thread held before it blocked on the task stays held.
    let own = polled().map(|task| own_holds(&task, context)).unwrap_or_default();
    let is_left_out = |held: &Entry| {
        if with_polled(|task| task.owed.lock().contains(&held.tag)).unwrap_or(false) {
            return false;
        }
        let is_same = held.tag.lock() == wanted.lock();
        let is_again = wanted.mode().queues_behind_writers(held.tag.mode());
        if is_same && (!is_again || may_have_left(held)) {
            return true;
        }
        // A sibling that waits for nothing may hold it, such as a stream that is not being polled.
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

/// An event that the future being polled owes, and so all that it polls, until this is dropped.
pub(crate) struct Owing(Tag);

impl Owing {
    /// Called when the poll of the future begins.
    pub(crate) fn begin(event: Tag) -> Self {
        with_polled(|task| task.owed.lock().push(event));
        Self(event)
    }
}

impl Drop for Owing {
    fn drop(&mut self) {
        with_polled(|task| {
            let mut owed = task.owed.lock();
            if let Some(at) = owed.iter().rposition(|it| *it == self.0) {
                owed.remove(at);
            }
        });
    }
}

/// Returns `true` if a held lock was acquired before the task takes this path, and is held until
/// its end.
fn is_proved(held: &Entry, later: &LazyCell<Option<Path>, impl FnOnce() -> Option<Path>>) -> bool {
    let earlier = with_polled(|task| {
        let paths = task.paths.lock();
        paths.iter().find(|(of, _)| *of == held.tag).map(|(_, path)| path.clone())
    });
    paths::want(held.site);
    let Some(earlier) = earlier.flatten() else { return false };
    later.as_ref().is_some_and(|later| paths::are_in_sequence(&earlier, later))
}

/// The locks that were removed. Dropping this puts them back.
pub(crate) struct SuspendedHolds(&'static Context, SmallVec<[Entry; 4]>);

impl Drop for SuspendedHolds {
    fn drop(&mut self) {
        self.1.drain(..).for_each(|held| self.0.held.push_anywhere(held));
    }
}
