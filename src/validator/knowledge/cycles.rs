//! The cycles that edges are on, and what there is to say of each.

use petgraph::graph::EdgeIndex;

use super::{
    Knowledge,
    feasible::{Budget, Goal},
};
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

    /// The shortest cycle through each of some edges that can close, of which something else is true
    /// as well. The edges are being seen now, and have one head. `shortest`: of each, whether it can
    /// close or not.
    pub(super) fn feasible_cycles_now(
        &self,
        shortest: &[Option<Vec<EdgeIndex>>],
        now: &Sighting,
        budget: &mut Budget,
        is_meant: impl Fn(usize, &[EdgeIndex]) -> bool,
    ) -> Vec<Cycle> {
        let (mut found, mut goals, mut of_goals) = (vec![None; shortest.len()], Vec::new(), Vec::new());
        for (at, cycle) in shortest.iter().enumerate() {
            let Some(cycle) = cycle else { continue };
            if is_meant(at, cycle) && self.can_close(cycle, Some(now)) {
                found[at] = Some(cycle.clone());
            } else if cycle.len() <= SEARCHED {
                goals.push(Goal { first: cycle[0], shortest: cycle.len() });
                of_goals.push(at);
            }
        }
        let first = Choice::now(now, 0);
        let is_it = |goal: usize, cycle: &[EdgeIndex]| is_meant(of_goals[goal], cycle);
        let longer = self.feasible_cycles(&first, &goals, budget, is_it);
        for (&at, cycle) in of_goals.iter().zip(longer) {
            found[at] = cycle;
        }
        found.iter().flatten().map(|cycle| self.cycle(cycle, Some(now))).collect()
    }

    /// The shortest cycle through an edge that can close, of which something else is true as well.
    fn feasible_cycle(
        &self,
        first: EdgeIndex,
        budget: &mut Budget,
        is_meant: impl Fn(&[EdgeIndex]) -> bool,
    ) -> Option<Cycle> {
        let shortest = self.order.shortest_cycle(first)?;
        if is_meant(&shortest) && self.can_close(&shortest, None) {
            return Some(self.cycle(&shortest, None));
        }
        if shortest.len() > SEARCHED {
            return None;
        }
        let goals = [Goal { first, shortest: shortest.len() }];
        let by = self.order.graph()[first].facts.choices(self.held_of(first));
        let of_choice = |choice: &Choice| {
            let found = self.feasible_cycles(choice, &goals, budget, |_, cycle| is_meant(cycle));
            found.into_iter().flatten().next()
        };
        let cycle = by.iter().filter_map(of_choice).min_by_key(Vec::len)?;
        Some(self.cycle(&cycle, None))
    }

    fn can_close(&self, cycle: &[EdgeIndex], now: Option<&Sighting>) -> bool {
        sightings::assign(&self.choices(cycle, now)).is_some()
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

    /// Notes that a lock is written for the first time, so that its readers may wait for each other.
    /// The cycles in which they now do.
    pub(in crate::validator) fn first_writer(&mut self, lock: LockId) -> Vec<Cycle> {
        if self.order.node(lock).is_none() {
            return Vec::new();
        }
        // Another thread may have noted it already, with a new edge of the lock.
        self.order.note_writer(lock);
        // Only what this writer makes dangerous; the rest was told before.
        let graph = self.order.graph();
        let readers_meet = |(into, out): (&EdgeIndex, &EdgeIndex)| {
            let (tail, _) = graph.edge_endpoints(*out).expect("an edge of the cycle");
            graph[tail].lock == lock && graph[*into].wanted.queues_behind_writers(graph[*out].held)
        };
        let is_meant =
            |cycle: &[EdgeIndex]| cycle.iter().zip(cycle.iter().cycle().skip(1)).any(readers_meet);
        let refused = || self.order.refused().iter();
        let mut budget = Budget::new();
        let mut cycles: Vec<Cycle> = refused()
            .filter_map(|&edge| self.feasible_cycle(edge, &mut budget, is_meant))
            .collect();
        self.cut_short.set(self.cut_short.get() + u64::from(budget.is_spent()));
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::{
        finding::{Mode, RawStack, ThreadInfo},
        validator::{Acquisition, Identity, held::Entry, threads},
    };

    /// Between the first write of a lock and its being noted here, another thread makes an edge of
    /// the lock, and notes the writer. The cycles of readers are found all the same.
    #[test]
    fn another_thread_may_note_the_first_writer() {
        let mut knowledge = Knowledge::default();
        // No real lock of a test has these numbers, nor any with which it is confused.
        let [a, b, c] = [16_005, 16_006, 16_007];
        let (written, other) = (Identity::new(), Identity::new());
        let context = threads::take_up();
        let mut nest = |number, held, wanted, identity: &Identity| {
            context.begin(ThreadInfo { number, name: None, scope: None });
            let entry =
                |lock| Entry { tag: Tag::new(lock, Mode::Shared), site: Location::caller() };
            let (held, wanted) = (entry(held), entry(wanted));
            let acquisition = Acquisition { identity, wanted, named_at: wanted.site };
            let sighting = Sighting::new(number, [held.tag]);
            let learned =
                knowledge.learn(context, &[held], &acquisition, &sighting, &RawStack::EMPTY);
            assert!(learned.cycles.is_empty());
        };
        assert!(other.note_writer());
        nest(1, a, b, &other);
        nest(2, b, a, &written);
        assert!(written.note_writer());
        nest(3, c, a, &written);
        assert_eq!(knowledge.first_writer(a).len(), 1);
        [a, b, c].into_iter().for_each(|lock| _ = knowledge.forget(lock));
        threads::give_back(context);
    }
}
