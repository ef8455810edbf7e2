//! Uses of initialized cells, and the cycles through them.
//!
//! A thread that uses an initialized cell waits for nothing. Had the initializer still been
//! running, it would have waited, so the use is an edge to the cell, with
//! its [own mode](Mode::Initialized). But a program may make sure that the initializer has run,
//! in ways that lockdep does not see. So a cycle with such an edge is at most an
//! [`OrderedInversion`](FindingKind::OrderedInversion), and all of this must hold:
//!
//! - the initializer took locks (otherwise, wrappers do not ask);
//! - no spawn or join puts the use [after the initialization](Initialization::precedes);
//! - the threads of all edges are different, hold no common lock, and have met.
//!
//! Cycles of acquisitions alone are searched for first, without these edges.

use petgraph::graph::EdgeIndex;

use super::{
    Edges, LockGraph,
    budget::{Budget, Exhausted},
    cycles::{Cycle, MAX_SEARCHED, Through},
    feasible::{Feasible, Goal, Query},
    observations::{self, Choice, Observation},
    topology::Follow,
};
use crate::{
    finding::{Detail, FindingKind, Mode},
    validator::{
        context::spawn_order::{Actor, Initialization},
        lock_id::LockId,
    },
};

impl LockGraph {
    /// Called when the initializer of a cell ends. Returns `true` if it took locks, so that uses of
    /// the cell are checked. `end` is called only then.
    pub(in crate::validator) fn note_initialized(
        &mut self,
        cell: LockId,
        end: impl FnOnce() -> Initialization,
    ) -> bool {
        let took_locks = self.order.leads_on(cell);
        if took_locks {
            self.initialized.insert(cell, end());
        }
        took_locks
    }

    /// Returns `true` if a thread or task that uses an initialized cell does so after the
    /// initialization, as far as is known.
    pub(in crate::validator) fn is_initialized_before(&self, cell: LockId, actor: &Actor) -> bool {
        self.initialized.get(&cell).is_none_or(|end| end.precedes(actor))
    }

    /// Called when a thread or task has used an initialized cell while it held nothing.
    pub(in crate::validator) fn note_user(&mut self, cell: LockId, number: u64) {
        if let Some(end) = self.initialized.get_mut(&cell) {
            end.note_user(number);
        }
    }

    /// Returns `true` if an edge uses an initialized cell.
    pub(super) fn is_use(&self, edge: EdgeIndex) -> bool {
        self.order.graph()[edge].wanted == Mode::Initialized
    }

    /// Returns the cycles to report that begin with one of these edges and use an initialized cell:
    /// the shortest through each edge that could have closed.
    pub(super) fn cycles_of_uses(
        &self,
        edges: &Edges,
        now: &Observation,
        budget: &mut Budget,
    ) -> Through {
        let firsts: Vec<EdgeIndex> = edges.iter().map(|&(edge, _)| edge).collect();
        let shortest =
            budget.with_half(|budget| self.order.shortest_cycles(&firsts, &Follow::ANY, budget));
        let are_any = budget.is_exhausted() || shortest.iter().any(Option::is_some);
        let mut found: Vec<Option<Vec<EdgeIndex>>> = vec![None; firsts.len()];
        let (mut goals, mut of_goals) = (Vec::new(), Vec::new());
        for (at, cycle) in shortest.into_iter().enumerate() {
            let Some(cycle) = cycle else { continue };
            let is_meant =
                budget.with_half(|budget| self.is_use_meant(edges[at], &cycle, now, budget));
            if is_meant == Ok(true) {
                found[at] = Some(cycle);
            } else if cycle.len() <= MAX_SEARCHED {
                goals.push(Goal { first: cycle[0], shortest: cycle.len() });
                of_goals.push(at);
            }
        }
        let first = Choice::now(now, 0);
        let is_meant = |goal: usize, cycle: &[EdgeIndex], budget: &mut Budget| {
            self.is_use_meant(edges[of_goals[goal]], cycle, now, budget)
        };
        let query =
            Query { goals: &goals, first: Some(&first), follow: Follow::ANY, is_meant: &is_meant };
        let longer = budget.with_half(|budget| self.feasible_cycles(&query, budget));
        for (&at, cycle) in of_goals.iter().zip(longer) {
            found[at] = cycle.map(|Feasible { edges, .. }| edges);
        }
        let cycle = |edges: &Vec<EdgeIndex>| {
            let choices = self.alone(edges, Some(now));
            let chosen = budget.with_half(|budget| observations::assign_met(&choices, budget));
            let chosen = chosen.ok()??;
            let shown = edges.iter().zip(chosen).map(|(&edge, at)| self.edge(edge, at)).collect();
            Some(Cycle {
                kind: FindingKind::OrderedInversion,
                edges: shown,
                path: edges.clone(),
                detail: Detail::None,
            })
        };
        Through { to_report: found.iter().flatten().filter_map(cycle).collect(), are_any }
    }

    /// Returns `true` if a cycle uses an initialized cell and could have closed, and is not known
    /// yet. `first` is its first edge, and whether that is new.
    fn is_use_meant(
        &self,
        (first, is_new): (EdgeIndex, bool),
        cycle: &[EdgeIndex],
        now: &Observation,
        budget: &mut Budget,
    ) -> Result<bool, Exhausted> {
        if !cycle.iter().any(|&edge| self.is_use(edge))
            || observations::assign_met(&self.alone(cycle, Some(now)), budget)?.is_none()
        {
            return Ok(false);
        }
        let is_told = is_new || self.order.graph()[first].closes();
        Ok(is_told || observations::assign_met(&self.alone(cycle, None), budget)?.is_none())
    }

    /// Returns the observations that each edge of a cycle offers, none of which stands for other
    /// threads.
    fn alone(&self, cycle: &[EdgeIndex], now: Option<&Observation>) -> Vec<Vec<Choice>> {
        let mut choices = self.choices(cycle, now);
        choices.iter_mut().flatten().for_each(Choice::suppose_nothing);
        choices
    }
}
