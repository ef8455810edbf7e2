//! The cycles that edges are on, and what there is to say of each.

use petgraph::graph::EdgeIndex;

use super::Knowledge;
use crate::{
    finding::{Detail, Edge, FindingKind},
    validator::{
        held::Tag,
        identity::LockId,
        sightings::{self, Choice, Sighting, Verdict},
    },
};

/// A cycle in the order, and whether it can close.
pub(in crate::validator) struct Cycle {
    pub(in crate::validator) kind: FindingKind,
    pub(in crate::validator) edges: Vec<Edge>,
    pub(in crate::validator) detail: Detail,
}

/// How long a cycle may be for a longer one to be searched for, if it cannot close.
const SEARCHED: usize = 16;

impl Knowledge {
    /// Whether a sighting of a cycle's first edge changes what is to be said of it.
    pub(super) fn kind_changes(&self, cycle: &[EdgeIndex], now: &Sighting) -> bool {
        let kind = |now| kind(&sightings::judge(&self.choices(cycle, now)));
        kind(Some(now)) != kind(None)
    }

    /// The shortest cycle through an edge that can close, of which something else is true as
    /// well. `now`: the edge is being seen.
    pub(super) fn feasible_cycle(
        &self,
        first: EdgeIndex,
        now: Option<&Sighting>,
        is_meant: impl Fn(&[EdgeIndex]) -> bool,
    ) -> Option<Cycle> {
        let is_feasible =
            |path: &[EdgeIndex]| sightings::assign(&self.choices(path, now)).is_some();
        let shortest = self.order.shortest_cycle(first)?;
        if is_meant(&shortest) && is_feasible(&shortest) {
            return Some(self.cycle(&shortest, now));
        }
        if shortest.len() > SEARCHED {
            return None;
        }
        let cycle = self.order.shortest_cycle_where(first, |path, is_whole| {
            (!is_whole || is_meant(path)) && is_feasible(path)
        })?;
        Some(self.cycle(&cycle, now))
    }

    /// The sightings that each edge of a path offers.
    fn choices(&self, path: &[EdgeIndex], now: Option<&Sighting>) -> Vec<Vec<Choice>> {
        let stored = |&edge: &EdgeIndex| self.order.graph()[edge].facts.choices(self.held_of(edge));
        let mut choices: Vec<_> = path.iter().map(stored).collect();
        if let Some(now) = now {
            choices[0] = vec![Choice::now(now, 0)];
        }
        choices
    }

    /// The tail of an edge, in the mode in which it is held.
    pub(super) fn held_of(&self, edge: EdgeIndex) -> Tag {
        let graph = self.order.graph();
        let (tail, _) = graph.edge_endpoints(edge).expect("the edge is in the graph");
        Tag::new(graph[tail].lock, graph[edge].held)
    }

    /// A cycle with what there is to tell of it.
    pub(super) fn cycle(&self, edges: &[EdgeIndex], now: Option<&Sighting>) -> Cycle {
        let choices = self.choices(edges, now);
        let verdict = sightings::judge(&choices);
        let shown: Vec<usize> = match sightings::assign(&choices) {
            Some(chosen) => chosen.iter().map(|choice| choice.at).collect(),
            None => vec![0; edges.len()],
        };
        let gate = |&lock: &LockId| Some(self.lock(&self.order.graph()[self.order.node(lock)?]));
        Cycle {
            kind: kind(&verdict),
            edges: edges.iter().zip(shown).map(|(&edge, at)| self.edge(edge, at)).collect(),
            detail: match &verdict {
                Verdict::Guarded(gates) => Detail::Gates(gates.iter().filter_map(gate).collect()),
                Verdict::Feasible | Verdict::OneThreadTwice => Detail::None,
            },
        }
    }

    /// Notes that a lock is written, so that its readers may wait for each other.
    /// The cycles in which they now do.
    pub(in crate::validator) fn first_writer(&mut self, lock: LockId) -> Vec<Cycle> {
        if !self.order.note_writer(lock) {
            return Vec::new();
        }
        // Only what this writer makes dangerous; the rest was told before.
        let graph = self.order.graph();
        let readers_meet = |(into, out): (&EdgeIndex, &EdgeIndex)| {
            let (tail, _) = graph.edge_endpoints(*out).expect("an edge of the cycle");
            graph[tail].lock == lock && graph[*into].wanted.queues_behind_writers(graph[*out].held)
        };
        let is_meant =
            |cycle: &[EdgeIndex]| cycle.iter().zip(cycle.iter().cycle().skip(1)).any(readers_meet);
        let refused = || self.order.refused().iter();
        let mut cycles: Vec<Cycle> =
            refused().filter_map(|&edge| self.feasible_cycle(edge, None, is_meant)).collect();
        if cycles.is_empty() {
            let of_readers = |&edge: &EdgeIndex| {
                let is_so = |path: &[EdgeIndex], is_whole: bool| !is_whole || is_meant(path);
                self.order.shortest_cycle_where(edge, is_so)
            };
            let shortest = refused().filter_map(of_readers).min_by_key(Vec::len);
            cycles.extend(shortest.map(|cycle| self.cycle(&cycle, None)));
        }
        cycles
    }
}

fn kind(verdict: &Verdict) -> FindingKind {
    match verdict {
        Verdict::Feasible => FindingKind::Inversion,
        Verdict::OneThreadTwice => FindingKind::SingleThreadInversion,
        Verdict::Guarded(_) => FindingKind::GuardedInversion,
    }
}
