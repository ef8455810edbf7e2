//! What is there to say of an acquisition whose chain is not known?
//!
//! Runs [`Inside`](super::ThreadState::Inside); the lock around [`knowledge`] is taken several
//! times and never held while the program's code runs, which compares keys.

use super::{
    Acquisition, Context, Entry, Found, capture, declared, judge,
    knowledge::{self, Cycle},
    own_edge, seen,
    sightings::Sighting,
};
use crate::{
    finding::{Detail, FindingKind, Level, Mode, Stack},
    ledger,
};

/// Judges a chain that is not known to be harmless, and learns its edges.
pub(super) fn judge(
    context: &'static Context,
    acquisition: &Acquisition<'_>,
    key: u64,
) -> Vec<Found> {
    let wanted = &acquisition.wanted;
    let mut held: Vec<Entry> = context.held.iter().collect();
    if let Some(found) = reentry(context, &held, wanted) {
        if ledger::level(found.kind) < Level::Deny {
            knowledge::lock().settle(seen::by(key, context.number()));
        }
        return vec![found];
    }
    let sighting = Sighting::new(context.number(), held.iter().map(|held| held.tag));
    held.retain(|held| held.tag.lock() != wanted.tag.lock());
    let mut found = against_declared(context, &mut held, wanted);

    // The stack is captured only if there is news, and outside the lock. Locks that are all
    // ordered by key make none.
    let is_known = knowledge::lock().knows(&held, wanted, &sighting);
    let backtrace = if is_known { Stack::default() } else { capture() };

    let mut knowledge = knowledge::lock();
    let new = if ledger::records() { knowledge.without_edge(&held, wanted) } else { Vec::new() };
    let mut cycles = match &held[..] {
        [] => Vec::new(),
        held => knowledge.learn(context, held, acquisition, &sighting, backtrace),
    };
    let new = knowledge.edges_for_record(&new, &held, wanted);
    let denies = |kind| ledger::level(kind) >= Level::Deny;
    let kinds = cycles.iter().map(|cycle| cycle.kind).chain(found.iter().map(|found| found.kind));
    if !kinds.into_iter().any(denies) {
        // Otherwise the chain is judged again each time, and denied each time.
        let is_settled = knowledge.is_settled(&held, wanted, &sighting);
        knowledge.settle(if is_settled { key } else { seen::by(key, context.number()) });
    }
    drop(knowledge);
    ledger::record_edges(&new);
    if is_known {
        for cycle in &mut cycles {
            cycle.edges[0].backtrace = capture();
        }
    }
    found.extend(cycles.into_iter().map(Found::from));
    found
}

impl From<Cycle> for Found {
    fn from(Cycle { kind, edges: cycle, detail }: Cycle) -> Self {
        Self { kind, cycle, detail }
    }
}

/// What breaks an order that was declared. Locks that are ordered by key need no edge, whether
/// they agree or not, nor does what is denied, and so will not happen: they are taken out of
/// those that are held.
///
/// Compares keys: runs code of the program, without any lock of ours.
fn against_declared(context: &Context, held: &mut Vec<Entry>, wanted: &Entry) -> Vec<Found> {
    let mut found = Vec::new();
    held.retain(|held| {
        let (breach, keys) = knowledge::lock().declared(held, wanted);
        let by_key = keys.and_then(|(held, wanted)| declared::compare(&*held, &*wanted));
        let denies = ledger::level(FindingKind::DeclaredOrder) >= Level::Deny;
        let needs_edge = by_key.is_none() && !(breach.is_some() && denies);
        for declaration in breach.into_iter().chain(by_key.and_then(Result::err)) {
            let edge = own_edge(context, held, wanted, wanted.site, capture());
            let detail = Detail::Declared(declaration);
            found.push(Found { kind: FindingKind::DeclaredOrder, cycle: vec![edge], detail });
        }
        needs_edge
    });
    found
}

/// Whether the thread already holds the lock, in a mode that makes it wait for
/// itself.
fn reentry(context: &Context, held: &[Entry], wanted: &Entry) -> Option<Found> {
    let mode = wanted.tag.mode();
    if mode == Mode::Upgrade {
        // It holds the lock, as it must.
        return None;
    }
    let mut same = held.iter().filter(|held| held.tag.lock() == wanted.tag.lock());
    let queues = same.clone().find(|held| mode.queues_behind_writers(held.tag.mode()));
    let (kind, entry) = match (same.find(|held| judge::waits(mode, held.tag.mode(), false)), queues)
    {
        (Some(entry), _) => (FindingKind::SelfDeadlock, entry),
        (None, Some(entry)) => (FindingKind::RecursiveRead, entry),
        (None, None) => return None,
    };
    Some(Found::new(kind, vec![own_edge(context, entry, wanted, entry.site, capture())]))
}
