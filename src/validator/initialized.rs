//! Uses of cells that are initialized: which of them are checked, and when.
//!
//! A cell whose initializer took no lock is never asked about. The others are checked where a
//! thread that holds a lock uses one, once for each chain.

use super::{
    acquire::{acquire_in_job, is_known, remember, unjudged},
    chain_cache, check,
    context::{
        Context, State as ThreadState,
        current::{current_if_attached, next_number},
        job,
        spawn_order::{Actor, Initialization},
    },
    found::submit,
    graph::{self, Acquisition},
    lock_id::{LockId, known_locks},
    signal_mask::blocks_signals,
    tasks,
};

/// Called by the thread that holds a cell, when its initializer has returned a value. Returns
/// `true` if the initializer took locks, so that [uses](about_to_use) of the cell are checked.
pub(crate) fn initialized(cell: LockId) -> bool {
    let Some(context) = current_if_attached().filter(|context| !context.is_suspended()) else {
        return false;
    };
    if !known_locks::may_be_known(cell) {
        return false;
    }
    let _inside = context.enter(ThreadState::InValidator);
    graph::lock().note_initialized(cell, || Initialization::by(context.segment(), next_number()))
}

/// Checks a use of an initialized cell whose initializer took locks.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(crate) fn about_to_use(context: &'static Context, acquisition: &Acquisition<'_>) {
    if context.is_suspended()
        || context.is(ThreadState::Allowing)
        || context.is(ThreadState::Confirming)
        || !context.held.is_whole()
    {
        return;
    }
    let place = context.held.any_place_for(acquisition.wanted.tag);
    if context.held.is_empty() {
        let own_chain = chain_cache::by(place.chain(), context.number());
        if !context.recent.contains(own_chain) && !blocks_signals() {
            let inside = context.enter(ThreadState::InValidator);
            graph::lock().note_user(acquisition.wanted.tag.lock(), context.number());
            context.recent.insert(own_chain);
            drop(inside);
            use_in_job(context, acquisition);
        }
        return;
    }
    let Some(chain) = unjudged(context, place) else { return };
    let own_chain = chain_cache::by(chain, context.number());
    if context.is_of_task() && context.recent.contains(own_chain) {
        return;
    }
    let (epoch, key) = (chain_cache::epoch(), chain_cache::key(chain));
    if !is_known(context, key) {
        if blocks_signals() {
            // A signal handler may use an initialized cell at any instruction, but not allocate.
            return;
        }
        if tasks::settle_released_elsewhere(context) {
            // The chain has changed.
            return about_to_use(context, acquisition);
        }
        let found = {
            let _inside = context.enter(ThreadState::InValidator);
            let actor = tasks::actor(context);
            let cell = acquisition.wanted.tag.lock();
            let by_this = chain_cache::by(key, context.number_in_segment());
            let mut graph = graph::lock();
            if graph.is_initialized_before(cell, &actor) {
                graph.settle(by_this);
                Vec::new()
            } else {
                drop(graph);
                check::judge(context, acquisition, key).found
            }
        };
        if !found.is_empty() {
            submit(context, found);
            return;
        }
    }
    remember(context, chain, (epoch, key));
}

/// Records that a job uses an initialized cell, unless its flow is known to come after the initialization. Jobs of one
/// flow are compared by their positions, whichever worker ran them.
#[track_caller]
fn use_in_job(context: &'static Context, acquisition: &Acquisition<'_>) {
    let Some(job) = job::acquiring() else { return };
    let is_after = {
        let _inside = context.enter(ThreadState::InValidator);
        let actor = Actor { segment: job.segment.of_flow(), is_task: false, spawn: None };
        graph::lock().is_initialized_before(acquisition.wanted.tag.lock(), &actor)
    };
    if !is_after {
        acquire_in_job(context, acquisition, job);
    }
}
