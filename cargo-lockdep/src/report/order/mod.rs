//! A global lock order, proposed from the nestings of all processes: the one that the fewest of them contradict.
//!
//! A nesting is a pair of places in the source: one where a lock is acquired, and one where another is acquired while
//! the first is held. If two orders are contradicted by equally many, the order with fewer threads and processes
//! against it is proposed; then the one that the helps of the findings propose.

pub(crate) mod declarations;
mod feedback;

use std::collections::BTreeMap;

use lockdep::{
    FindingKind,
    record::{MergedLock, MergedOrder},
};
use petgraph::unionfind::UnionFind;

use self::feedback::{Arc, Solution, Weight};
use super::{
    Judged, Report, Verdict,
    formats::{drawn, steps},
};

/// The locks that are nested, in the proposed order.
#[derive(Debug)]
pub(crate) struct ProposedOrder<'a> {
    report: &'a Report,
    /// Those of one group stand together.
    pub(crate) locks: Vec<OrderedLock>,
    /// The pairs of locks that are acquired against the order, the worst first.
    pub(crate) against: Vec<Against>,
    /// The locks of which two are nested that were created alike, as indices in the graph.
    alike: Vec<usize>,
    /// The number of nestings, and of those that follow the order.
    pub(crate) nestings: usize,
    pub(crate) following: usize,
    /// No order is contradicted by fewer nestings.
    pub(crate) is_exact: bool,
    /// The edges of findings between two locks: the indices of the finding and in its cycle.
    edges: BTreeMap<(usize, usize), Vec<(usize, usize)>>,
}

/// A lock in the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderedLock {
    /// Its index in the graph.
    pub(crate) lock: usize,
    /// Locks of different groups are never nested, directly or through others.
    pub(crate) group: usize,
    /// It was never acquired while another was held.
    pub(crate) is_outermost: bool,
    /// It was never held while another was acquired.
    pub(crate) is_leaf: bool,
}

/// Two locks that are acquired against the order, as indices in [`ProposedOrder::locks`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Against {
    pub(crate) held: usize,
    /// This one should be acquired first.
    pub(crate) wanted: usize,
    /// That of the worst finding with this acquisition.
    pub(crate) verdict: Option<Verdict>,
}

/// Where a thread acquires a lock while it holds another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acquisition<'a> {
    /// The places where reports show it, not those of helpers.
    pub(crate) held_at: &'a str,
    pub(crate) acquired_at: &'a str,
    /// The thread or task and its test, if these are known for this pair of places.
    pub(crate) who: Option<(String, &'a str)>,
    /// Its finding's index in the report.
    pub(crate) finding: Option<usize>,
}

impl<'a> ProposedOrder<'a> {
    pub(crate) fn new(report: &'a Report) -> Self {
        let mut edges = BTreeMap::<_, Vec<_>>::new();
        for (number, Judged { finding, .. }) in report.findings.iter().enumerate() {
            for (step, edge) in finding.cycle.iter().enumerate() {
                if let Some(ends) = drawn::ends(&report.graph, edge) {
                    edges.entry(ends).or_default().push((number, step));
                }
            }
        }
        let mut order = Self {
            report,
            locks: Vec::new(),
            against: Vec::new(),
            alike: Vec::new(),
            nestings: 0,
            following: 0,
            is_exact: true,
            edges,
        };
        order.propose();
        order
    }

    fn propose(&mut self) {
        let graph = &self.report.graph;
        let pairs = || graph.edges.chunk_by(|a, b| ends(a) == ends(b));
        // Per lock of the graph: whether others are acquired while it is held, and it while others are.
        let mut is_held = vec![false; graph.locks.len()];
        let mut is_wanted = vec![false; graph.locks.len()];
        let mut groups = UnionFind::<usize>::new(graph.locks.len());
        for (held, wanted) in pairs().map(|pair| ends(&pair[0])) {
            is_held[held] = true;
            is_wanted[wanted] = true;
            groups.union(held, wanted);
            if held == wanted {
                self.alike.push(held);
            }
        }
        let arcs: Vec<_> = pairs().map(|pair| self.arc(pair)).collect();
        let Solution { order, is_exact } = feedback::solve(graph.locks.len(), &arcs);
        self.is_exact = is_exact;

        let groups = groups.into_labeling();
        let mut sizes = vec![0; graph.locks.len()];
        for &group in &groups {
            sizes[group] += 1;
        }
        let mut numbers = BTreeMap::new();
        for lock in order.into_iter().filter(|&lock| sizes[groups[lock]] > 1) {
            let next = numbers.len();
            let group = *numbers.entry(groups[lock]).or_insert(next);
            let (is_outermost, is_leaf) = (!is_wanted[lock], !is_held[lock]);
            self.locks.push(OrderedLock { lock, group, is_outermost, is_leaf });
        }
        self.locks.sort_by_key(|lock| lock.group);

        let mut places = vec![None; graph.locks.len()];
        for (place, ordered) in self.locks.iter().enumerate() {
            places[ordered.lock] = Some(place);
        }
        for pair in pairs() {
            let (held, wanted) = ends(&pair[0]);
            let (Some(of_held), Some(of_wanted)) = (places[held], places[wanted]) else { continue };
            if of_held < of_wanted {
                let nestings = nestings(pair);
                self.nestings += nestings;
                self.following += nestings;
            } else if of_held > of_wanted {
                self.nestings += self.acquisitions(of_held, of_wanted).len();
                let of_findings = self.edges.get(&(held, wanted)).into_iter().flatten();
                let verdict = of_findings.map(|&(it, _)| self.report.findings[it].verdict).min();
                self.against.push(Against { held: of_held, wanted: of_wanted, verdict });
            }
        }
        self.against.sort_by_key(|it| (it.verdict.is_none(), it.verdict, it.wanted, it.held));
    }

    /// Returns what the order costs if it contradicts these edges between two locks: nestings, then observers, then
    /// what no help gives up.
    fn arc(&self, pair: &[MergedOrder]) -> Arc {
        let (from, to) = ends(&pair[0]);
        let observers: usize = pair.iter().map(|order| order.threads.len() + order.processes).sum();
        // The first edge of a finding is the one that its help replaces.
        let is_first = self.edges.get(&(from, to)).is_some_and(|it| it.iter().any(|it| it.1 == 0));
        let parts = [nestings(pair), observers, usize::from(!is_first)];
        // The sums of each part stay below 2⁴⁰.
        let weight =
            parts.into_iter().fold(0, |weight: Weight, part| (weight << 40) + part as Weight);
        Arc { from, to, weight }
    }

    /// Returns the number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.locks.last().map_or(0, |last| last.group + 1)
    }

    /// Returns the lock at a place in the order.
    pub(crate) fn lock(&self, place: usize) -> &'a MergedLock {
        &self.report.graph.locks[self.locks[place].lock]
    }

    /// Returns the name of the lock at a place in the order.
    pub(crate) fn name(&self, place: usize) -> &str {
        self.report.name(self.locks[place].lock)
    }

    /// Returns the names of the locks of which two are nested that were created alike.
    pub(crate) fn names_alike(&self) -> impl Iterator<Item = &str> {
        self.alike.iter().map(|&lock| self.report.name(lock))
    }

    /// Returns where one lock is acquired while another is held, both by their places in the order: first as the
    /// findings show it, then what is only in records.
    pub(crate) fn acquisitions(&self, held: usize, wanted: usize) -> Vec<Acquisition<'a>> {
        let pair = (self.locks[held].lock, self.locks[wanted].lock);
        let mut acquisitions = Vec::<Acquisition<'a>>::new();
        let mut in_findings = Vec::new();
        for &(number, step) in self.edges.get(&pair).into_iter().flatten() {
            let finding = &self.report.findings[number].finding;
            let edge = &finding.cycle[step];
            let [held_at, acquired_at] = steps::places(finding, step);
            in_findings.push((&*edge.held_at, &*edge.acquired_at));
            let is_known =
                |it: &Acquisition<'_>| (it.held_at, it.acquired_at) == (held_at, acquired_at);
            if !acquisitions.iter().any(is_known) {
                let who = Some((edge.who(), &*edge.test));
                acquisitions.push(Acquisition { held_at, acquired_at, who, finding: Some(number) });
            }
        }
        for order in self.orders(pair) {
            // Records have 16 names at most of each pair of locks, and do not say which goes with which place.
            let who = match (&*order.threads, &*order.tests) {
                ([thread], [test]) => Some((who(thread), &**test)),
                _ => None,
            };
            for place in &order.places {
                let (held_at, acquired_at) = (&*place.held_at, &*place.acquired_at);
                let is_known =
                    |it: &Acquisition<'_>| (it.held_at, it.acquired_at) == (held_at, acquired_at);
                if !in_findings.contains(&(held_at, acquired_at))
                    && !acquisitions.iter().any(is_known)
                {
                    acquisitions.push(Acquisition {
                        held_at,
                        acquired_at,
                        who: who.clone(),
                        finding: None,
                    });
                }
            }
        }
        acquisitions
    }

    /// Returns the first threads and tests that acquire one lock while they hold another, sorted.
    pub(crate) fn observers(&self, against: Against) -> [Vec<&'a str>; 2] {
        let orders = self.orders((self.locks[against.held].lock, self.locks[against.wanted].lock));
        [|order: &'a MergedOrder| &order.threads, |order: &'a MergedOrder| &order.tests].map(
            |names| {
                let mut names: Vec<_> =
                    orders.iter().flat_map(|it| names(it).iter().map(String::as_str)).collect();
                names.sort_unstable();
                names.dedup();
                names
            },
        )
    }

    /// Returns the kinds of the findings with an acquisition, the worst first.
    pub(crate) fn kinds(&self, against: Against) -> Vec<FindingKind> {
        let pair = (self.locks[against.held].lock, self.locks[against.wanted].lock);
        let mut kinds = Vec::new();
        for &(number, _) in self.edges.get(&pair).into_iter().flatten() {
            let Judged { verdict, finding, .. } = &self.report.findings[number];
            if Some(*verdict) == against.verdict && !kinds.contains(&finding.kind) {
                kinds.push(finding.kind);
            }
        }
        kinds
    }

    fn orders(&self, pair: (usize, usize)) -> &'a [MergedOrder] {
        let edges = &self.report.graph.edges;
        let start = edges.partition_point(|order| ends(order) < pair);
        let end = edges.partition_point(|order| ends(order) <= pair);
        &edges[start..end]
    }
}

fn ends(order: &MergedOrder) -> (usize, usize) {
    (order.held, order.wanted)
}

/// Returns the number of nestings of two locks.
fn nestings(pair: &[MergedOrder]) -> usize {
    pair.iter().map(|order| order.places.len()).sum()
}

/// Returns a thread of the graph as part of a sentence. A task is named after its spawn, and so is
/// a thread without a name.
fn who(thread: &str) -> String {
    let is_place =
        ["task spawned at ", "thread spawned at "].iter().any(|it| thread.starts_with(it));
    if is_place { format!("a {thread}") } else { format!("thread `{thread}`") }
}
