//! Checks an acquisition whose chain is not in the caches.
//!
//! Runs [`InValidator`](super::ThreadState::InValidator). Takes the lock around [`graph`] several
//! times, and never holds it while the program's code runs, which compares keys.

use std::{mem, ptr};

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::{
    chain_cache,
    context::{
        Context,
        held::Entry,
        job::{self, HeldBelow},
        lineage::Segment,
    },
    deadlock::has_one_holder,
    found::{self, Found, capture, own_edge},
    graph::{
        self, Acquisition, Cycle, Graph, Learned,
        annotations::load_config,
        declared,
        observations::{Observation, Settled},
        unshared::Question,
    },
    lock_id::known_locks,
    tasks,
};
use crate::{
    finding::{Detail, FindingKind, InJob, Level, Mode, Role},
    ledger,
    stack::{RawStack, Stack},
};

type Held = SmallVec<[Entry; 8]>;

/// The result of a check.
pub(super) struct Judged {
    pub(super) found: Vec<Found>,
    /// No cache may have the chain, because the next time tells more.
    pub(super) is_provisional: bool,
}

impl From<Vec<Found>> for Judged {
    fn from(found: Vec<Found>) -> Self {
        Self { found, is_provisional: false }
    }
}

/// Checks a new chain and adds its edges to the graph. A [use](Mode::Initialized) of an initialized
/// cell breaks no declared order, and adds nothing to the record.
pub(super) fn judge(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) -> Judged {
    judge_at(context, acquisition, key, context.segment())
}

/// As [`judge`], for a thread in this segment. What was found for a job is no answer for others.
pub(super) fn judge_at(
    context: &'static Context,
    acquisition: &Acquisition<'_>,
    key: u64,
    segment: Segment,
) -> Judged {
    load_config();
    let wanted = &acquisition.wanted;
    let is_use = wanted.tag.mode() == Mode::Initialized;
    let mut held: Held = context.held.iter().collect();
    if let Some(exit) = context.awaited_exit().filter(|_| !is_use) {
        held.insert(0, exit);
    }
    let again = reentry(context, &held, wanted);
    if let Some(found) = again.filter(|it| !found::may_be_elsewhere(&it.cycle)) {
        if ledger::level(found.kind) < Level::Deny {
            graph::lock().settle(chain_cache::by(key, context.number_in_segment()));
        }
        return vec![found].into();
    }
    let is_of_job = segment.job.is_some();
    let observation = Observation::new(segment, held.iter().map(|held| held.tag));
    held.retain(|held| held.tag.lock() != wanted.tag.lock());
    if observation.has_repeats() {
        // A thread may hold one lock several times for reading; that makes one edge.
        let mut tags = FxHashSet::default();
        held.retain(|held| tags.insert(held.tag));
    }
    let mut found = if is_use { Vec::new() } else { against_declared(context, &mut held, wanted) };

    // A stack is captured only if something is new, and outside the lock. Locks that are all
    // ordered by key add nothing.
    let is_known = are_known(&held, wanted) && graph::lock().knows(&held, wanted, &observation);
    let backtrace = if is_known { RawStack::EMPTY } else { capture() };

    let mut graph = graph::lock();
    let is_recorded = ledger::records() && !is_use;
    let learned = match &held[..] {
        [] => Learned::default(),
        held => loop {
            match graph.learn(context, held, acquisition, &observation, &backtrace, is_recorded) {
                Ok(learned) => break learned,
                Err(questions) => graph = answered(graph, questions),
            }
        },
    };
    let Learned { mut cycles, mut questions, new, settled, is_provisional, is_new_way } = learned;
    while !questions.is_empty() {
        graph = answered(graph, mem::take(&mut questions));
        match graph.findings_of_classes_again(context, (&held, wanted), &new, &backtrace) {
            Ok(found) => cycles.extend(found),
            Err(further) => questions = further,
        }
    }
    cycles.retain(|cycle| !found::may_be_elsewhere(&cycle.edges));
    cycles.iter_mut().for_each(Cycle::end_with_lease);
    let new = if is_recorded { &new[..] } else { &[] };
    let new = graph.edges_for_record(context, new, &held, wanted);
    let denies = |kind| ledger::level(kind) >= Level::Deny;
    let kinds = cycles.iter().map(|cycle| cycle.kind).chain(found.iter().map(|found| found.kind));
    // Most locks nest once, so a new chain does not go to the process-wide cache before it recurs;
    // the thread's own cache has it. Chains of many locks go there at once, as they take long to
    // check.
    if (is_known || held.len() > 2)
        && !is_of_job
        && !is_provisional
        && !kinds.into_iter().any(denies)
    {
        // A chain with a denied finding is not settled, so it is checked and denied each time.
        graph.settle(match settled {
            Settled::ForAll => key,
            Settled::ForFamily => chain_cache::by_family(key, context.segment().family()),
            Settled::No => chain_cache::by(key, context.number_in_segment()),
        });
    }
    let is_cut = graph.take_record_cut();
    drop(graph);
    if is_new_way {
        context.trace_again();
    }
    ledger::record_edges(&new);
    if is_cut {
        ledger::note_full_record();
    }
    if is_known {
        for cycle in &mut cycles {
            cycle.edges[0].backtrace = Stack::from(&capture());
        }
    }
    found.extend(cycles.into_iter().map(Found::from));
    Judged { found, is_provisional }
}

/// Asks the source questions, without the graph's lock, and tells the graph the answers.
pub(super) fn answered(graph: Graph, questions: Vec<Question>) -> Graph {
    drop(graph);
    let answers: Vec<_> = questions.iter().map(|it| ledger::is_unshared(&it.edge)).collect();
    let mut graph = graph::lock();
    for (question, is_unshared) in questions.into_iter().zip(answers) {
        graph.answer(question, is_unshared);
    }
    graph
}

/// Returns `true` if the graph may contain all of these locks. If not, it lacks an edge of the
/// chain.
fn are_known(held: &[Entry], wanted: &Entry) -> bool {
    held.iter().chain([wanted]).all(|entry| known_locks::may_be_known(entry.tag.lock()))
}

impl Cycle {
    /// Weakens an inversion if a lease ends one of its waits.
    fn end_with_lease(&mut self) {
        let kind = &mut self.kind;
        let is_denied = matches!(kind, FindingKind::Inversion | FindingKind::SingleThreadInversion);
        if is_denied && self.edges.iter().any(|edge| edge.wanted.lease().is_some()) {
            *kind = FindingKind::LeasedInversion;
        }
    }
}

impl From<Cycle> for Found {
    fn from(Cycle { kind, edges: cycle, detail, .. }: Cycle) -> Self {
        Self { kind, cycle, detail }
    }
}

/// Returns the violations of declared orders. Removes locks from `held` that need no edge: those
/// ordered by key, whether or not the order is violated, and those whose acquisition is denied,
/// because it will not happen.
///
/// Compares keys, which runs the program's code, without any lock of lockdep.
fn against_declared(context: &Context, held: &mut Held, wanted: &Entry) -> Vec<Found> {
    let mut found = Vec::new();
    if !graph::is_any_declared() {
        return found;
    }
    // Not `retain`: its frame, of another crate, would appear in backtraces.
    for entry in mem::take(held) {
        let (breach, keys) = graph::lock().declared(&entry, wanted);
        let by_key = keys.and_then(|(held, wanted)| declared::compare(&*held, &*wanted));
        let denies = ledger::level(FindingKind::DeclaredOrder) >= Level::Deny;
        if by_key.is_none() && !(breach.is_some() && denies) {
            held.push(entry);
        }
        for declaration in breach.into_iter().chain(by_key.and_then(Result::err)) {
            let edge = own_edge(context, &entry, wanted, wanted.site, &capture());
            let detail = Detail::Declared(declaration);
            found.push(Found { kind: FindingKind::DeclaredOrder, cycle: vec![edge], detail });
        }
    }
    found
}

/// Finds an acquisition of a lock that the thread already holds in a conflicting mode, so that the
/// thread would wait forever.
fn reentry(context: &Context, held: &[Entry], wanted: &Entry) -> Option<Found> {
    let mode = wanted.tag.mode();
    if matches!(mode, Mode::Upgrade | Mode::Initialized) {
        // An upgrade requires that the thread holds the lock. An initialized cell is free.
        return None;
    }
    let mut same = held.iter().filter(|held| held.tag.lock() == wanted.tag.lock());
    let queues = same.clone().find(|held| mode.queues_behind_writers(held.tag.mode()));
    let queues = queues.filter(|held| held.kind().readers_may_queue());
    let (kind, entry) = match (same.find(|held| mode.waits_for(held.tag.mode(), false)), queues) {
        // Other threads that owe the event may answer.
        (Some(entry), _) if entry.kind().is_event() && !has_one_holder(entry.tag.lock()) => {
            return None;
        }
        // Any thread or task may add a permit.
        (Some(entry), _) | (None, Some(entry)) if entry.kind().role == Role::Pool => {
            (FindingKind::PoolExhaustion, entry)
        }
        // Another thread may have the guard by now. If none can, the wait is reported as a deadlock.
        (Some(entry), _) if entry.kind().guards_can_be_sent() => return None,
        (Some(entry), _) => (FindingKind::SelfDeadlock, entry),
        // In a thread, the first guard may have been sent away. For a task, entries that may have
        // been sent were left out before.
        (None, Some(entry)) if entry.kind().is_awaited() && !tasks::is_known() => return None,
        (None, Some(entry)) => (FindingKind::RecursiveRead, entry),
        (None, None) => return None,
    };
    let cycle = vec![own_edge(context, entry, wanted, entry.site, &capture())];
    let is_it = |held: Entry| held.tag == entry.tag && ptr::eq(held.site, entry.site);
    let below = context.held.iter().position(is_it).and_then(job::held_below);
    let detail = below.map_or(Detail::None, |HeldBelow { waits_at, is_stolen }| {
        Detail::InJob(InJob { waits_at: waits_at.into(), is_stolen })
    });
    Some(Found { kind, cycle, detail })
}
