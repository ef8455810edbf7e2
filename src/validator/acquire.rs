//! Acquisitions that may block: the chain of each is looked up in the caches, and checked if it is
//! not there.

use super::{
    chain_cache,
    check::{self, Judged, answered},
    context::{
        Context, State as ThreadState,
        acquisition_log::Logged,
        held::{Entry, Place, Tag},
        job::{self, InJob},
        job_log,
        obligations::Owed,
    },
    destroyed,
    found::{Found, submit},
    graph::{self, Acquisition, Cycle, SEEN},
    lock_id::{LockId, known_locks},
    signal_mask::blocks_signals,
    tasks,
};
use crate::{
    finding::{Detail, Mode, Writer},
    stack::RawStack,
};

/// Returns the chain that a lock would make at its place, unless the thread has it in its recent
/// chains. The chain of a first lock counts only if the thread keeps a
/// [log](super::context::acquisition_log).
#[inline(always)]
pub(crate) fn unjudged(context: &Context, place: Place) -> Option<u64> {
    let chain = place.chain();
    if place.is_unremarkable() || context.recent.contains(chain) {
        return None;
    }
    Some(chain)
}

/// Returns `true` if the chain is in the recent chains, for an acquisition of a task.
#[inline]
pub(crate) fn is_judged_for_task(context: &Context, place: Place) -> bool {
    let chain = place.chain();
    context.recent.contains(chain)
        || context.recent.contains(chain_cache::by(chain, context.number()))
}

/// Checks an acquisition that may block and whose chain is [unjudged].
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(crate) fn about_to_block(context: &'static Context, acquisition: &Acquisition<'_>, chain: u64) {
    if context.is(ThreadState::Allowing) || context.is(ThreadState::Confirming) {
        return;
    }
    if !context.held.is_whole() {
        // This is a signal handler that has interrupted an acquisition.
        return;
    }
    if tasks::settle_released_elsewhere(context) || destroyed::settle(context) {
        // The chain has changed.
        let place = context.held.any_place_for(acquisition.wanted.tag);
        if let Some(chain) = unjudged(context, place) {
            about_to_block(context, acquisition, chain);
        }
        return;
    }
    if context.is_of_task() && context.recent.contains(chain_cache::by(chain, context.number())) {
        return;
    }
    let wanted = acquisition.wanted;
    if let Some(log) = context.log() {
        log.record(context, wanted, || graph::await_writer(acquisition));
    }
    context.notes.record(context, wanted, || graph::await_writer(acquisition));
    if let Some(job) = job::acquiring() {
        acquire_in_job(context, acquisition, job);
    }
    let is_awaited = context.awaited_exit().is_some();
    if context.held.is_empty() && !is_awaited {
        return context.recent.insert(chain);
    }
    let (epoch, key) = (chain_cache::epoch(), chain_cache::key(chain));
    let is_new = !known_locks::may_be_known(acquisition.wanted.tag.lock());
    // While a thread waits for the end of this one, this one holds its exit as well.
    let is_known = !is_awaited && !is_new && is_known(context, key);
    if is_known {
        if !context.recent.should_insert(chain) {
            return;
        }
    } else if is_awaited || !graph::leaves::note(context, acquisition, is_new, key) {
        let Judged { found, is_provisional } = {
            let _inside = context.enter(ThreadState::InValidator);
            check::judge(context, acquisition, key)
        };
        if !found.is_empty() {
            if submit(context, found) && !is_provisional {
                let _inside = context.enter(ThreadState::InValidator);
                graph::lock().settle(chain_cache::by(key, context.number_in_segment()));
            }
            return;
        }
        if is_provisional {
            return;
        }
    }
    remember(context, chain, (epoch, key));
}

/// Records that a job acquires a lock, or uses an initialized cell.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny): threads that wait for a job of its pool hold
/// what it acquires.
#[cold]
#[track_caller]
pub(super) fn acquire_in_job(context: &'static Context, acquisition: &Acquisition<'_>, job: InJob) {
    let found: Vec<Found> = {
        let _inside = context.enter(ThreadState::InValidator);
        let InJob { pool, segment, begun, held_below } = job;
        let mut acquired = Logged::at(context, acquisition.wanted, segment, held_below);
        acquired.has_writer = graph::await_writer(acquisition);
        let awaited = job_log::add(pool, begun, acquired);
        let pools = [(pool.any, awaited.any), (pool.all, awaited.all)];
        let enter = |(pool, owed): (LockId, Vec<Owed>)| match &owed[..] {
            [] => Vec::new(),
            owed => graph::lock().enter_owed(Tag::new(pool, Mode::Exclusive), owed),
        };
        pools.into_iter().flat_map(enter).map(Found::from).collect()
    };
    if !found.is_empty() {
        submit(context, found);
    }
}

/// Adds a harmless chain to the recent ones. It was looked up in this epoch, with this key.
pub(super) fn remember(context: &Context, chain: u64, (epoch, key): (u64, u64)) {
    if context.is_of_task() && !SEEN.contains(key) {
        // The thread also polls other tasks in this context.
        context.recent.insert(chain_cache::by(chain, context.number()));
        return;
    }
    context.recent.insert(chain);
    if chain_cache::epoch() != epoch {
        // `forget_chains` may have cleared this cache before the chain was added.
        context.recent.clear();
    }
}

/// Returns `true` if a chain was found harmless for all threads, for those of this one's family, or
/// for this thread since it last spawned another.
pub(super) fn is_known(context: &Context, key: u64) -> bool {
    SEEN.contains(key)
        || SEEN.contains(chain_cache::by(key, context.number_in_segment()))
        || context.family().is_some_and(|family| SEEN.contains(chain_cache::by_family(key, family)))
}

/// Allocates what an acquisition may need: room for one more held lock, and its stack, if the
/// stacks of held locks are kept.
pub(crate) fn prepare(context: &'static Context, wanted: Tag) {
    // Locks that are only tried make no chain to check. Looks only where more room is needed.
    let grows = context.held.is_full();
    if grows && context.held.is_whole() && !blocks_signals() {
        destroyed::settle(context);
    }
    let _inside = context.enter(ThreadState::InValidator);
    context.held.make_room();
    let traces = context.is(ThreadState::Tracing) && (context.always_traces() || !blocks_signals());
    if traces && context.traces_next() {
        context.prepare_trace(wanted.once_held(), &RawStack::capture());
    }
}

/// Called when a thread is about to write a lock for the first time: from now on its readers may
/// have to queue, and wait for readers.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[cold]
#[track_caller]
pub(crate) fn first_writer(context: &'static Context, wanted: &Entry) {
    let is_quiet = context.is(ThreadState::Allowing) || context.is(ThreadState::Confirming);
    if is_quiet || !known_locks::may_be_known(wanted.tag.lock()) {
        return;
    }
    let found = {
        let _inside = context.enter(ThreadState::InValidator);
        let mut graph = graph::lock();
        let cycles = loop {
            match graph.first_writer(wanted.tag.lock()) {
                Ok(cycles) => break cycles,
                Err(questions) => graph = answered(graph, questions),
            }
        };
        let writer = Writer {
            lock: graph.lock_of(wanted, wanted.site),
            thread: context.info(),
            site: wanted.site.into(),
        };
        let found = |Cycle { kind, edges, .. }| {
            let detail = Detail::Writer(writer.clone());
            Found { kind, cycle: edges, detail }
        };
        cycles.into_iter().map(found).collect()
    };
    submit(context, found);
}
