//! What a report says of a finding: which of its edges, at which places, and what its locks are called.

use std::collections::HashMap;

use super::{
    climb::{Way, climb},
    lock_names::Names,
};
use crate::{
    finding::{Detail, Edge, Finding, FindingKind, LockInfo, Role},
    source::{Lifetime, Sources},
};

/// The maximum number of edges of a cycle that are shown.
pub(super) const MAX_EDGES: usize = 8;

/// What a report shows of a finding. `title.rs`, `words.rs`, `helpers.rs` and `help.rs` have its sentences.
pub(super) struct Story<'a> {
    pub(super) finding: &'a Finding,
    /// The edges that are shown, at the places where they are shown.
    pub(super) shown: Vec<Edge>,
    /// How each is shown.
    pub(super) ways: Vec<Way>,
    /// How long the guard of each held lock lives, if it is a temporary.
    pub(super) lifetimes: Vec<Option<Lifetime>>,
    pub(super) names: Names,
}

impl<'a> Story<'a> {
    /// Looks up the symbols of the stacks and reads the sources.
    pub(super) fn new(finding: &'a Finding, sources: &mut Sources) -> Self {
        let acquired = &finding.cycle[..finding.cycle.len().min(MAX_EDGES)];
        let mut shown = acquired.to_vec();
        let ways = climb(finding, &mut shown, sources);
        let passed = passed(acquired, &ways, sources);
        let gates: &[LockInfo] = match &finding.detail {
            Detail::Gates(gates) => gates,
            _ => &[],
        };
        // The records name the locks of all edges.
        let locks = finding.cycle.iter().flat_map(|edge| [&edge.held, &edge.wanted]).chain(gates);
        let mentions = acquired
            .iter()
            .flat_map(|edge| [(&edge.held, &edge.held_at), (&edge.wanted, &edge.acquired_at)]);
        let mut names = Names::with(sources, locks, mentions, &passed);
        for (edge, at) in acquired.iter().zip(&shown) {
            names.show_at(&edge.held, &edge.held_at, &at.held_at);
            names.show_at(&edge.wanted, &edge.acquired_at, &at.acquired_at);
            if edge.held.kind.role == Role::Exit {
                names.suggest(&edge.held, &edge.thread);
            }
            // A call of a pool's method names the pool, one without a pool does not.
            if edge.held.kind.role == Role::Jobs
                && let Some(name) = sources.receiver(&edge.held_at)
            {
                names.suggest_pool(&edge.held, name);
            }
        }
        // These have one place.
        let may_be = !matches!(
            finding.kind,
            FindingKind::LeakedGuard | FindingKind::HeldAcrossAwait | FindingKind::ExpiredLease
        );
        let mut lifetime = |(edge, way): (&Edge, &Way)| {
            let is_guard = may_be && edge.held.kind.role.is_lock() && !edge.is_queued;
            let needed = way.release_before().unwrap_or(&edge.acquired_at);
            is_guard.then(|| sources.lifetime(&edge.held_at, needed)).flatten()
        };
        let lifetimes = shown.iter().zip(&ways).map(&mut lifetime).collect();
        Self { finding, shown, ways, lifetimes, names }
    }
}

/// Returns what the callers of helpers pass to them, by lock.
fn passed(edges: &[Edge], ways: &[Way], sources: &mut Sources) -> HashMap<u64, String> {
    let mut passed = HashMap::new();
    for (edge, way) in edges.iter().zip(ways) {
        let ends = [(&edge.held, &edge.held_at), (&edge.wanted, &edge.acquired_at)];
        for ((lock, site), lines) in ends.into_iter().zip(way.lines()) {
            let Some(receiver) = sources.receiver_of(lock, site) else { continue };
            if lines.len() > 1
                && lines[0] == site
                && let Some(name) = sources.handed_over(receiver, &lines)
            {
                passed.entry(lock.id).or_insert(name);
            }
        }
    }
    passed
}
