//! Finds the cycles through edges, and decides what to report about each.

use petgraph::{
    Direction::Incoming,
    graph::{EdgeIndex, NodeIndex},
    visit::EdgeRef,
};

use super::{
    Edges, LockGraph,
    budget::{self, Budget, Exhausted},
    facts::EdgeFacts,
    feasible::{Accept, Feasible, Goal, Query},
    observations::{self, Choice, Observation, Verdict},
    topology::{EdgeData, Follow, Tail},
    unshared::Question,
};
use crate::{
    finding::{Detail, Edge, FindingKind, Mode, Role},
    ledger,
    validator::{context::held::Tag, lock_id::LockId},
};

/// A cycle in the lock order, with the verdict on whether it can close.
#[derive(Clone)]
pub(in crate::validator) struct Cycle {
    pub(in crate::validator) kind: FindingKind,
    pub(in crate::validator) edges: Vec<Edge>,
    /// The same edges in the graph. Empty if one is not of this cycle's locks.
    pub(super) path: Vec<EdgeIndex>,
    pub(in crate::validator) detail: Detail,
}

/// The cycles through some edges.
#[derive(Default)]
pub(super) struct Through {
    pub(super) to_report: Vec<Cycle>,
    /// `true` if there are cycles, reported or not, or if the budget did not suffice to find out.
    pub(super) are_any: bool,
}

/// If the shortest cycle through an edge cannot close and is longer than this, longer ones are not
/// searched for.
pub(super) const MAX_SEARCHED: usize = 16;

impl LockGraph {
    /// Returns the cycles to report for an acquisition, each starting with one of `edges`, which
    /// are being observed now. Those that [use](super::uses) initialized cells are reported only if
    /// there are no others.
    pub(super) fn cycles_now(
        &self,
        edges: &Edges,
        now: &Observation,
        budget: &mut Budget,
    ) -> Through {
        let is_use = edges.first().is_some_and(|&(edge, _)| self.is_use(edge));
        let mut through = if is_use {
            Through::default()
        } else {
            self.cycles_of_acquisitions(edges, now, budget)
        };
        if self.has_uses && through.to_report.is_empty() {
            let of_uses = self.cycles_of_uses(edges, now, budget);
            through.to_report = of_uses.to_report;
            through.are_any |= of_uses.are_any;
        }
        through
    }

    /// Returns the cycles of acquisitions to report: the shortest cycle through each edge that can
    /// close, or if none can, the shortest of all.
    fn cycles_of_acquisitions(
        &self,
        edges: &Edges,
        now: &Observation,
        budget: &mut Budget,
    ) -> Through {
        let counts = |edge: EdgeIndex| self.order.graph()[edge].tail() != Tail::Unshared;
        let edges: Edges = edges.iter().copied().filter(|&(edge, _)| counts(edge)).collect();
        let firsts: Vec<EdgeIndex> = edges.iter().map(|&(edge, _)| edge).collect();
        let is_told = |at: usize| {
            let (edge, is_new) = edges[at];
            is_new || self.order.graph()[edge].closes()
        };
        // An edge that did not close the cycle reports it only if this observation changes its
        // kind.
        let becomes_feasible = |at: usize, cycle: &[EdgeIndex], budget: &mut Budget| {
            Ok::<_, Exhausted>(is_told(at) || !self.was_feasible(cycle, budget)?)
        };
        let changes_kind = |at: usize, cycle: &[EdgeIndex], budget: &mut Budget| {
            Ok::<_, Exhausted>(is_told(at) || self.kind_changes(cycle, now, budget)?)
        };
        self.cycles_through(
            &firsts,
            Some(now),
            &|_| true,
            [&becomes_feasible, &changes_kind],
            budget,
        )
    }

    /// Records that a lock is written, so that its readers may wait for each other. Returns the
    /// cycles in which they now do: the shortest through each acquisition of the lock that can
    /// close, or if none can, the shortest of all. If that depends on the source, returns questions, and must
    /// be called again with the answers.
    pub(in crate::validator) fn first_writer(
        &mut self,
        lock: LockId,
    ) -> Result<Vec<Cycle>, Vec<Question>> {
        let Some(node) = self.order.node(lock) else { return Ok(Vec::new()) };
        // Another thread may already have recorded that, with a new edge of the lock.
        self.order.note_writer(lock);
        let mut budget = Budget::new(budget::STEPS);
        let mut cycles = self.cycles_of_readers(node, &mut budget);
        while self.settle_new_tails(&cycles, 0)?.is_some() {
            cycles = self.cycles_of_readers(node, &mut budget);
        }
        note_cut_short(&budget);
        Ok(cycles)
    }

    pub(super) fn cycles_of_readers(&self, node: NodeIndex, budget: &mut Budget) -> Vec<Cycle> {
        let graph = self.order.graph();
        let any: &Accept<'_> = &|_, _, _| Ok(true);
        let mut cycles = Vec::new();
        for wanted in [Mode::Shared, Mode::Upgradable] {
            let into = graph.edges_directed(node, Incoming);
            let is_one =
                |edge: &EdgeData<EdgeFacts>| edge.wanted == wanted && edge.tail() != Tail::Unshared;
            let firsts: Vec<EdgeIndex> =
                into.filter(|edge| is_one(edge.weight())).map(|edge| edge.id()).collect();
            // Other cycles through the lock were reported earlier.
            let leaves =
                |held| wanted.queues_behind_writers(held) && !wanted.waits_for(held, false);
            let through = self.cycles_through(&firsts, None, &leaves, [any, any], budget);
            cycles.extend(through.to_report);
        }
        let is_feasible = |cycle: &Cycle| cycle.kind == FindingKind::Inversion;
        if cycles.iter().any(is_feasible) {
            cycles.retain(is_feasible);
        } else {
            cycles.sort_by_key(|cycle| cycle.edges.len());
            cycles.truncate(1);
        }
        cycles
    }

    /// Returns the shortest cycle through each of these edges that can close and that the first of
    /// `is_meant` accepts. If there is none, returns the shortest cycle of all that the second
    /// accepts.
    ///
    /// The edges share a head, wanted in one mode; `now` is the current observation of them. Leaves
    /// out cycles that the budget does not suffice to decide.
    fn cycles_through(
        &self,
        firsts: &[EdgeIndex],
        now: Option<&Observation>,
        leaves_head: &dyn Fn(Mode) -> bool,
        [is_meant, is_meant_anyway]: [&Accept<'_>; 2],
        budget: &mut Budget,
    ) -> Through {
        let follow = Follow { leaves_head, with_uses: false };
        let shortest =
            budget.with_half(|budget| self.order.shortest_cycles(firsts, &follow, budget));
        let are_any = budget.is_exhausted() || shortest.iter().any(Option::is_some);
        let mut found = vec![None; firsts.len()];
        let (mut goals, mut of_goals) = (Vec::new(), Vec::new());
        for (at, cycle) in shortest.iter().enumerate() {
            let Some(cycle) = cycle else { continue };
            let decided = budget.with_half(|budget| {
                let observations = self.assign(cycle, now, budget)?;
                let is_meant = observations.is_some() && is_meant(at, cycle, budget)?;
                Ok::<_, Exhausted>(observations.filter(|_| is_meant))
            });
            if let Ok(Some(observations)) = decided {
                found[at] = Some(Feasible { edges: cycle.clone(), observations });
            } else if cycle.len() <= MAX_SEARCHED {
                goals.push(Goal { first: cycle[0], shortest: cycle.len() });
                of_goals.push(at);
            }
        }
        let first = now.map(|now| Choice::now(now, 0));
        let is_meant = |goal: usize, cycle: &[EdgeIndex], budget: &mut Budget| {
            is_meant(of_goals[goal], cycle, budget)
        };
        let query = Query { goals: &goals, first: first.as_ref(), follow, is_meant: &is_meant };
        let longer = budget.with_half(|budget| self.feasible_cycles(&query, budget));
        for (&at, cycle) in of_goals.iter().zip(longer) {
            found[at] = cycle;
        }
        if found.iter().any(Option::is_some) {
            let found = found.iter().flatten();
            let to_report = found.map(|found| self.feasible_cycle(found, now, budget)).collect();
            return Through { to_report, are_any };
        }
        let mut shortest: Vec<_> = shortest.into_iter().enumerate().collect();
        shortest.sort_by_key(|(_, cycle)| cycle.as_ref().map(Vec::len));
        let decided = shortest.into_iter().find_map(|(at, cycle)| {
            let cycle = cycle?;
            budget
                .with_half(|budget| {
                    let stored = &cycle[usize::from(now.is_some())..];
                    // Another thread may be asking the source before it adds an observation.
                    let is_meant = stored.iter().all(|&edge| self.is_observed(edge))
                        && is_meant_anyway(at, &cycle, budget)?;
                    let judged = is_meant.then(|| self.judged_cycle(&cycle, now, budget));
                    Ok::<_, Exhausted>(judged.transpose()?.flatten())
                })
                .ok()?
        });
        Through { to_report: decided.into_iter().collect(), are_any }
    }

    /// Returns `true` if an observation of a cycle's first edge changes the cycle's kind.
    fn kind_changes(
        &self,
        cycle: &[EdgeIndex],
        now: &Observation,
        budget: &mut Budget,
    ) -> Result<bool, Exhausted> {
        let before = kind(&observations::judge(&self.choices(cycle, None), budget)?);
        let now = kind(&observations::judge(&self.choices(cycle, Some(now)), budget)?);
        // Every other kind except a guarded inversion is more severe.
        Ok(match now {
            FindingKind::OrderedInversion => before == FindingKind::GuardedInversion,
            _ => now != before,
        })
    }

    /// Returns `true` if the known observations of a cycle let it close, without any thread that is
    /// only [assumed](observations::Settled). A new assumption reports no cycle.
    fn was_feasible(&self, cycle: &[EdgeIndex], budget: &mut Budget) -> Result<bool, Exhausted> {
        let mut choices = self.choices(cycle, None);
        choices.iter_mut().flatten().for_each(Choice::suppose_nothing);
        Ok(observations::assign(&choices, budget)?.is_some())
    }

    /// Chooses an observation for each edge of a cycle, if it can close.
    fn assign(
        &self,
        cycle: &[EdgeIndex],
        now: Option<&Observation>,
        budget: &mut Budget,
    ) -> Result<Option<Vec<usize>>, Exhausted> {
        observations::assign(&self.choices(cycle, now), budget)
    }

    /// Returns the observations that each edge of a cycle offers.
    pub(super) fn choices(
        &self,
        cycle: &[EdgeIndex],
        now: Option<&Observation>,
    ) -> Vec<Vec<Choice>> {
        let stored = |&edge: &EdgeIndex| self.choices_of(edge);
        let mut choices: Vec<_> = cycle.iter().map(stored).collect();
        if let Some(now) = now {
            choices[0] = vec![Choice::now(now, 0)];
        }
        choices
    }

    /// Returns `true` if an edge has an observation.
    pub(super) fn is_observed(&self, edge: EdgeIndex) -> bool {
        !matches!(self.order.graph()[edge].facts, EdgeFacts::Unseen)
    }

    /// Returns the tail of an edge, in the mode in which it is held.
    pub(super) fn held_of(&self, edge: EdgeIndex) -> Tag {
        let graph = self.order.graph();
        let (tail, _) = graph.edge_endpoints(edge).expect("the edge is in the graph");
        Tag::new(graph[tail].lock, graph[edge].held)
    }

    fn feasible_cycle(
        &self,
        Feasible { edges, observations }: &Feasible,
        now: Option<&Observation>,
        budget: &mut Budget,
    ) -> Cycle {
        let choices = self.choices(edges, now);
        // Only a remark in the report, which may be missing.
        let in_sequence = budget.with_half(|budget| observations::is_in_sequence(&choices, budget));
        let detail = if in_sequence == Ok(true) { Detail::InSequence } else { Detail::None };
        let path = edges.clone();
        let edges =
            edges.iter().zip(observations).map(|(&edge, &at)| self.edge(edge, at)).collect();
        Cycle { kind: FindingKind::Inversion, edges, path, detail }
    }

    /// Returns a cycle that may not be feasible, with the reason. `None` if it passes through a pool and needs a
    /// thread or job in two places, or two that never run at once: that is how one job uses its own locks.
    fn judged_cycle(
        &self,
        edges: &[EdgeIndex],
        now: Option<&Observation>,
        budget: &mut Budget,
    ) -> Result<Option<Cycle>, Exhausted> {
        let choices = self.choices(edges, now);
        let verdict = observations::judge(&choices, budget)?;
        let is_harmless = match &verdict {
            Verdict::OneThreadTwice => self.has_pool(edges),
            Verdict::Ordered => self.has_pool(edges) && is_of_one_flow(&choices),
            Verdict::Feasible | Verdict::Guarded(_) => false,
        };
        if is_harmless {
            return Ok(None);
        }
        let shown = match &verdict {
            Verdict::Ordered => observations::assign_at_any_time(&choices, budget)?,
            _ => None,
        };
        let shown = shown.unwrap_or_else(|| vec![0; edges.len()]);
        let gate = |&lock: &LockId| Some(self.lock(&self.order.graph()[self.order.node(lock)?]));
        Ok(Some(Cycle {
            kind: kind(&verdict),
            edges: edges.iter().zip(shown).map(|(&edge, at)| self.edge(edge, at)).collect(),
            path: edges.to_vec(),
            detail: match &verdict {
                Verdict::Guarded(gates) => Detail::Gates(gates.iter().filter_map(gate).collect()),
                Verdict::Feasible | Verdict::Ordered | Verdict::OneThreadTwice => Detail::None,
            },
        }))
    }

    /// Returns `true` if a cycle passes through a thread pool.
    fn has_pool(&self, edges: &[EdgeIndex]) -> bool {
        let graph = self.order.graph();
        let tails = edges.iter().filter_map(|&edge| graph.edge_endpoints(edge));
        tails
            .into_iter()
            .any(|(tail, _)| self.origins.get(graph[tail].facts).kind.role == Role::Jobs)
    }
}

/// Returns `true` if all jobs in a cycle come from one thread.
fn is_of_one_flow(choices: &[Vec<Choice>]) -> bool {
    let mut flows = choices.iter().flatten().filter_map(Choice::flow);
    let first = flows.next();
    flows.all(|flow| Some(flow) == first)
}

/// Counts a search that exhausted its budget.
pub(super) fn note_cut_short(budget: &Budget) {
    if budget.is_exhausted() {
        ledger::note_cut_short();
    }
}

fn kind(verdict: &Verdict) -> FindingKind {
    match verdict {
        Verdict::Feasible => FindingKind::Inversion,
        Verdict::Ordered => FindingKind::OrderedInversion,
        Verdict::OneThreadTwice => FindingKind::SingleThreadInversion,
        Verdict::Guarded(_) => FindingKind::GuardedInversion,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::{
        finding::{Mode, ThreadInfo},
        stack::RawStack,
        validator::{
            context::{held::Entry, registry},
            graph::Acquisition,
            identity::Identity,
        },
    };

    /// Between the first write of a lock and its being recorded here, another thread adds an edge
    /// of the lock and records the writer. The cycles of readers must be found nevertheless.
    #[test]
    fn another_thread_may_note_the_first_writer() {
        let mut graph = LockGraph::default();
        // No real lock of a test has these ids, or shares a counter with them.
        let [a, b, c] = [16_005, 16_006, 16_007];
        let (written, other) = (Identity::new(), Identity::new());
        let context = registry::take_up();
        let mut nest = |number, held, wanted, identity: &Identity| {
            context.begin(ThreadInfo { number, ..ThreadInfo::default() }, None);
            let entry =
                |lock| Entry { tag: Tag::new(lock, Mode::Shared), site: Location::caller() };
            let (held, wanted) = (entry(held), entry(wanted));
            let acquisition = Acquisition { identity, wanted, named_at: wanted.site };
            let observation = Observation::new(context.segment(), [held.tag]);
            let learned =
                graph.learn(context, &[held], &acquisition, &observation, &RawStack::EMPTY, false);
            assert!(learned.is_ok_and(|learned| learned.cycles.is_empty()));
        };
        assert!(other.note_writer());
        nest(1, a, b, &other);
        nest(2, b, a, &written);
        assert!(written.note_writer());
        nest(3, c, a, &written);
        assert!(graph.first_writer(a).is_ok_and(|cycles| cycles.len() == 1));
        for lock in [a, b, c] {
            graph.forget(lock);
        }
        registry::give_back(context);
    }
}
