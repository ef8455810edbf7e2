//! Joins of threads: a thread waits for the end of another by acquiring its [exit](ThreadExit).

use std::{panic::Location, sync::Arc};

use super::{blocking::begin_wait, events::about_to_wait_for};
use crate::{
    finding::{Mode, Until, WaitKind},
    validator::{
        acquire::{about_to_block, unjudged},
        attach::current,
        context::{
            Context, State as ThreadState,
            held::{Entry, Tag},
            spawn_order::Spawn,
            thread_exit::ThreadExit,
        },
        found::{Found, submit},
        graph::{self, Acquisition},
        identity::Identity,
        lock_id::LockId,
        tasks,
    },
};

impl ThreadExit {
    /// Creates the exit of a thread that the calling one is about to spawn. `None` if the calling
    /// thread is not tracked.
    pub(crate) fn new(id: LockId, spawned_at: &'static Location<'static>) -> Option<Arc<Self>> {
        let context = current().filter(|context| !context.is_suspended())?;
        let _inside = context.enter(ThreadState::InValidator);
        let entry = Entry { tag: Tag::new(id, Mode::Exclusive), site: spawned_at };
        let spawn = Spawn::by(|| tasks::actor(context));
        Some(Self::with(entry, context.spawns(), spawn))
    }

    /// Called when the calling thread has waited for the end of the thread or of its body.
    pub(crate) fn joined(&self) {
        if let Some(context) = current().filter(|context| !context.is_suspended()) {
            let _inside = context.enter(ThreadState::InValidator);
            context.has_joined(self.lineage());
        }
    }
}

/// The state of a thread that is being joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Running,
    /// It has finished, but only by chance before the join.
    Finished,
    /// The joining thread has checked that under the locks that it holds now, so the join cannot
    /// block.
    FoundFinished,
}

/// Waits for the end of a thread by acquiring its exit, whose identity is given. Always calls
/// `wait`, unless it panics.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny), before the wait begins.
#[track_caller]
pub(crate) fn join<R>(
    exit: &Arc<ThreadExit>,
    identity: &Identity,
    joined_at: &'static Location<'static>,
    progress: Progress,
    wait: impl FnOnce() -> R,
) -> R {
    let Some(context) = current().filter(|context| !context.is_suspended()) else { return wait() };
    let wanted = exit.acquired_at(joined_at);
    let own = context.exit();
    let joining = own.as_deref().map(Joining);
    if progress != Progress::FoundFinished && context.holds_for_condition() {
        // This thread has waited for a condition under its only lock, usually that the others are
        // done with that lock. If they are not, the deadlock is reported when it happens.
        let _inside = context.enter(ThreadState::InValidator);
        if let Some(own) = &own {
            own.begin_to_join(exit);
        }
        exit.await_all();
    } else if progress != Progress::FoundFinished {
        let found = {
            let _inside = context.enter(ThreadState::InValidator);
            begin_join(context, own.as_deref(), exit)
        };
        if !found.is_empty() && !context.is(ThreadState::Allowing) {
            submit(context, found);
        }
        let place = context.held.any_place_for(wanted.tag);
        if let Some(chain) = unjudged(context, place) {
            about_to_block(context, &Acquisition { identity, wanted, named_at: joined_at }, chain);
        }
    }
    let is_running = progress == Progress::Running;
    if is_running {
        about_to_wait_for(context, &wanted, WaitKind::Join);
    }
    let waited = is_running.then(|| begin_wait(context, identity, &wanted, Until::Acquired));
    let result = wait();
    drop(waited);
    drop(joining);
    // A join of a thread that was found to have finished does not wait for what that thread
    // acquired.
    if let Some(own) = own.filter(|_| progress != Progress::FoundFinished) {
        let _inside = context.enter(ThreadState::InValidator);
        own.log().absorb(exit.entry().tag, &exit.log().entries());
    }
    result
}

/// Marks the thread of this exit as waiting for another one, until it is dropped.
struct Joining<'a>(&'a ThreadExit);

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        self.0.end_join();
    }
}

/// Called when a thread is about to wait for the end of another. If it holds a lock, or its own
/// exit is awaited, enters the acquisitions of the other. Returns the class inversions.
fn begin_join(context: &Context, own: Option<&ThreadExit>, exit: &Arc<ThreadExit>) -> Vec<Found> {
    let is_awaited = own.is_some_and(|own| own.begin_to_join(exit));
    if context.held.is_empty() && !is_awaited {
        return Vec::new();
    }
    let enter = |exit: Arc<ThreadExit>| {
        let acquired = exit.log().entries();
        graph::lock().enter_logged(&exit.entry(), &acquired)
    };
    exit.await_all().into_iter().flat_map(enter).map(Found::from).collect()
}
