//! Compares the graph with an oracle that knows nothing of orders or searches: the relation "this
//! edge's wanted lock waits for that edge's held lock", closed by brute force.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use proptest::prelude::*;

use super::*;
use crate::validator::graph::budget::Budget;

const LOCKS: u64 = 6;

#[derive(Clone, Debug)]
enum Op {
    Edge(LockId, LockId, Mode, Mode),
    Writer(LockId),
    Remove(LockId),
    /// An edge does not count until it is taken again.
    Unshare(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    let lock = 1..=LOCKS;
    let wanted = prop::sample::select(Mode::ALL.to_vec());
    let held = prop::sample::select(vec![Mode::Exclusive, Mode::Shared, Mode::Upgradable]);
    prop_oneof![
        12 => (lock.clone(), lock.clone(), held, wanted).prop_map(|(a, b, h, w)| Op::Edge(a, b, h, w)),
        1 => lock.clone().prop_map(Op::Writer),
        2 => lock.prop_map(Op::Remove),
        2 => any::<prop::sample::Index>().prop_map(Op::Unshare),
    ]
}

#[derive(Default)]
struct Oracle {
    edges: Vec<(LockId, LockId, Mode, Mode)>,
    unshared: BTreeSet<(LockId, LockId, u8, u8)>,
    writers: BTreeSet<LockId>,
}

impl Oracle {
    /// Returns the number of edges of the shortest cycle through an edge that passes every lock
    /// once. Computes all reachable sets of passed locks, step by step.
    fn shortest_cycle(&self, edge: usize) -> Option<usize> {
        let follows = |a: usize, b: usize| {
            let ((_, head, _, wanted), (tail, _, held, _)) = (self.edges[a], self.edges[b]);
            let counts = |edge: usize| !self.unshared.contains(&key(self.edges[edge]));
            head == tail
                && wanted.waits_for(held, self.writers.contains(&head))
                && counts(a)
                && counts(b)
        };
        let mut frontier = BTreeSet::from([(edge, 1_u64 << self.edges[edge].0)]);
        for length in 1..=usize::try_from(LOCKS).unwrap() {
            if frontier.iter().any(|&(last, _)| follows(last, edge)) {
                return Some(length);
            }
            frontier = frontier
                .into_iter()
                .flat_map(|(last, passed)| {
                    (0..self.edges.len())
                        .filter(move |&next| follows(last, next))
                        .map(move |next| (next, passed, 1 << self.edges[next].0))
                })
                .filter(|&(_, passed, tail)| passed & tail == 0)
                .map(|(next, passed, tail)| (next, passed | tail))
                .collect();
        }
        None
    }
}

fn key((tail, head, held, wanted): (LockId, LockId, Mode, Mode)) -> (LockId, LockId, u8, u8) {
    (tail, head, held as u8, wanted as u8)
}

/// `exact`: no mode holds a lock shared, so that the shortest walk is a cycle.
fn run(ops: Vec<Op>, exact: bool) {
    let mut order: AcyclicGraph<(), ()> = AcyclicGraph::default();
    let mut oracle = Oracle::default();
    for op in ops {
        match op {
            Op::Edge(a, b, ..) if a == b => {}
            Op::Edge(a, b, held, wanted) => {
                let known = oracle.edges.iter().position(|&edge| edge == (a, b, held, wanted));
                let nodes = order.node(a).zip(order.node(b));
                let found = nodes.and_then(|(a, b)| order.find(a, b, (held, wanted)));
                assert_eq!(known.is_some(), found.is_some());
                let edge = found.unwrap_or_else(|| {
                    let (tail, head) =
                        (order.node_or_insert(a, || ()), order.node_or_insert(b, || ()));
                    oracle.edges.push((a, b, held, wanted));
                    order.insert(tail, head, (held, wanted), ())
                });
                if oracle.unshared.remove(&key((a, b, held, wanted))) {
                    order.note_tail(edge, Tail::Shared);
                }
                let cycle = order.shortest_cycle(edge);
                let known = known.unwrap_or(oracle.edges.len() - 1);
                let expected = oracle.shortest_cycle(known);
                assert_eq!(cycle.is_some(), expected.is_some());
                assert!(cycle.as_ref().map(Vec::len) >= expected);
                assert!(!exact || cycle.as_ref().map(Vec::len) == expected);
                if let Some(cycle) = cycle {
                    assert_eq!(cycle[0], edge);
                    for (at, &edge) in cycle.iter().enumerate() {
                        let next = cycle[(at + 1) % cycle.len()];
                        let (_, head) = order.graph.edge_endpoints(edge).unwrap();
                        let (tail, _) = order.graph.edge_endpoints(next).unwrap();
                        assert_eq!(head, tail);
                        let (vertex, edge, next) =
                            (&order.graph[head], &order.graph[edge], &order.graph[next]);
                        assert!(edge.wanted.waits_for(next.held, vertex.has_writer));
                    }
                }
            }
            Op::Writer(lock) => {
                if order.node(lock).is_some() {
                    order.note_writer(lock);
                    oracle.writers.insert(lock);
                }
            }
            Op::Remove(lock) => {
                order.remove(lock, drop);
                oracle.writers.remove(&lock);
                oracle.edges.retain(|&(a, b, ..)| a != lock && b != lock);
                oracle.unshared.retain(|&(a, b, ..)| a != lock && b != lock);
            }
            Op::Unshare(index) if !oracle.edges.is_empty() => {
                let edge = *index.get(&oracle.edges);
                let [tail, head] = [edge.0, edge.1].map(|lock| order.node(lock).unwrap());
                let found = order.find(tail, head, (edge.2, edge.3)).unwrap();
                if oracle.unshared.insert(key(edge)) {
                    order.note_tail(found, Tail::Unshared);
                }
            }
            Op::Unshare(_) => {}
        }
        order.check();
    }
}

/// Each lock costs a node and an edge. One more byte of data in an edge would cost four.
#[test]
fn nodes_and_edges_are_small() {
    assert_eq!(size_of::<petgraph::graph::Node<Vertex<u32>>>(), 24);
    assert_eq!(size_of::<petgraph::graph::Edge<EdgeData<[u8; 5]>>>(), 24);
}

/// An edge of the naive store, with a unique number.
type Known = ((LockId, LockId, Mode, Mode), u32);

/// Compares everything that the store returns with a list of edges in insertion order.
fn check_store(order: &AcyclicGraph<LockId, u32>, locks: &BTreeSet<LockId>, edges: &[Known]) {
    order.check();
    let is_here = |edge: EdgeIndex| {
        let (tail, head) = order.graph.edge_endpoints(edge).unwrap();
        order.is_here(tail) && order.is_here(head)
    };
    assert_eq!(order.locks().collect::<BTreeSet<_>>(), *locks);
    for lock in 1..=STORED {
        let Some(node) = order.node(lock).filter(|_| locks.contains(&lock)) else {
            assert_eq!(order.node(lock), None);
            continue;
        };
        assert_eq!((order.graph[node].lock, order.graph[node].facts), (lock, lock));
        for direction in [Outgoing, Incoming] {
            let is_of_lock = |&&((tail, head, ..), _): &&Known| {
                lock == if direction == Outgoing { tail } else { head }
            };
            let edges_here = order.graph.edges_directed(node, direction);
            let found = edges_here.filter(|edge| is_here(edge.id())).map(|edge| {
                let lock = |node: NodeIndex| order.graph[node].lock;
                let data = edge.weight();
                ((lock(edge.source()), lock(edge.target()), data.held, data.wanted), data.facts)
            });
            assert!(found.eq(edges.iter().rev().filter(is_of_lock).copied()));
        }
    }
    let all = order.map(|vertex| vertex.lock, |edge| order.graph[edge].facts);
    let all =
        all.edge_references().map(|edge| (all[edge.source()], all[edge.target()], *edge.weight()));
    let expected = edges.iter().map(|&((tail, head, ..), number)| (tail, head, number));
    assert_eq!(all.collect::<BTreeSet<_>>(), expected.collect::<BTreeSet<_>>());
}

/// The number of locks in the random sequences below.
const STORED: u64 = 12;

#[derive(Clone, Debug)]
enum StoreOp {
    Insert(LockId, LockId, Mode, Mode),
    Remove(LockId),
    /// Removes this many locks of the graph, from this one downwards.
    RemoveMany(LockId, usize),
}

fn store_op() -> impl Strategy<Value = StoreOp> {
    let lock = 1..=STORED;
    let mode = || prop::sample::select(Mode::ALL.to_vec());
    prop_oneof![
        16 => (lock.clone(), lock.clone(), mode(), mode())
            .prop_map(|(a, b, h, w)| StoreOp::Insert(a, b, h, w)),
        2 => lock.clone().prop_map(StoreOp::Remove),
        1 => (lock, 2..10_usize).prop_map(|(lock, many)| StoreOp::RemoveMany(lock, many)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Compaction changes the indices of nodes and edges, but not what they lead to.
    #[test]
    fn the_store_agrees_with_a_list(ops in prop::collection::vec(store_op(), 0..120)) {
        let mut order: AcyclicGraph<LockId, u32> = AcyclicGraph::default();
        let mut locks = BTreeSet::new();
        let mut edges: Vec<Known> = Vec::new();
        for (number, op) in (1..).zip(ops) {
            let gone = match op {
                StoreOp::Insert(a, b, ..) if a == b => continue,
                StoreOp::Insert(a, b, held, wanted) => {
                    locks.extend([a, b]);
                    let [tail, head] = [a, b].map(|lock| order.node_or_insert(lock, || lock));
                    let known = edges.iter().find(|&&(it, _)| it == (a, b, held, wanted));
                    let found = order.find(tail, head, (held, wanted));
                    let facts = found.map(|edge| order.graph[edge].facts);
                    prop_assert_eq!(facts, known.map(|&(_, number)| number));
                    if found.is_none() {
                        order.insert(tail, head, (held, wanted), number);
                        edges.push(((a, b, held, wanted), number));
                    }
                    Vec::new()
                }
                StoreOp::Remove(lock) => vec![lock],
                StoreOp::RemoveMany(from, many) => {
                    locks.range(..=from).rev().take(many).copied().collect()
                }
            };
            for gone in gone {
                let mut forgotten = BTreeSet::new();
                let was_there = order.remove(gone, |number| assert!(forgotten.insert(number)));
                prop_assert_eq!(was_there, locks.remove(&gone));
                let is_gone = |&((a, b, ..), number): &Known| {
                    (a == gone || b == gone).then_some(number)
                };
                prop_assert_eq!(forgotten, edges.iter().filter_map(is_gone).collect());
                edges.retain(|edge| is_gone(edge).is_none());
            }
            check_store(&order, &locks, &edges);
        }
    }

    #[test]
    fn agrees_with_the_oracle(ops in prop::collection::vec(op(), 0..80)) {
        run(ops, false);
    }

    #[test]
    fn finds_the_shortest(mut ops in prop::collection::vec(op(), 0..80)) {
        for op in &mut ops {
            if let Op::Edge(_, _, held, wanted) = op {
                (*held, *wanted) = (Mode::Exclusive, Mode::Exclusive);
            }
        }
        run(ops, true);
    }
}

/// Compares locks that come, are nested and go with a naive search, for `LOCKDEP_ORACLE_OPERATIONS`
/// operations.
#[test]
fn agrees_with_naive_reachability() {
    const LOCKS: u64 = 300;
    let operations = std::env::var("LOCKDEP_ORACLE_OPERATIONS");
    let operations = operations.map_or(10_000, |number| number.parse().expect("a number"));
    let mut state = 1_u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 33) % bound
    };
    // A lock that comes back is a new one.
    let mut locks: Vec<LockId> = (0..LOCKS).collect();
    let mut next = LOCKS;
    let mut order: AcyclicGraph<(), ()> = AcyclicGraph::default();
    let mut edges: BTreeMap<LockId, BTreeSet<LockId>> = BTreeMap::new();
    let mut cycles = 0;
    for operation in 0..operations {
        let (a, b) = (below(LOCKS), below(LOCKS));
        if below(10) == 0 {
            let gone = mem::replace(&mut locks[usize::try_from(a).unwrap()], next);
            next += 1;
            order.remove(gone, drop);
            edges.remove(&gone);
            for heads in edges.values_mut() {
                heads.remove(&gone);
            }
        } else if a != b {
            // Mostly in one order, and near each other.
            let inverted = below(200) == 0;
            let (low, high) = (a.min(b), a.min(b) + 1 + (a.abs_diff(b) - 1) % 8);
            let ends = if inverted { (high, low) } else { (low, high) };
            let lock = |at: u64| locks[usize::try_from(at).unwrap()];
            let (tail, head) = (lock(ends.0), lock(ends.1));
            let is_new = edges.entry(tail).or_default().insert(head);
            let nodes = (order.node_or_insert(tail, || ()), order.node_or_insert(head, || ()));
            let modes = (Mode::Exclusive, Mode::Exclusive);
            let known = order.find(nodes.0, nodes.1, modes);
            assert_eq!(known.is_none(), is_new);
            let edge = known.unwrap_or_else(|| order.insert(nodes.0, nodes.1, modes, ()));
            let found = order.shortest_cycle(edge).map(|cycle| cycle.len());
            assert_eq!(found, distance(&edges, head, tail).map(|steps| steps + 1));
            assert!(!is_new || found.is_some() || !order.back_edges().contains(&edge));
            cycles += u64::from(found.is_some());
        }
        if operation % 1_000 == 0 {
            order.check();
        }
    }
    assert!(operations < 10_000 || cycles > operations / 1_000, "{cycles} cycles");
}

/// Returns the number of steps from one lock to another.
fn distance(edges: &BTreeMap<LockId, BTreeSet<LockId>>, from: LockId, to: LockId) -> Option<usize> {
    let mut reached = BTreeSet::from([from]);
    let mut frontier = vec![from];
    for steps in 0.. {
        if frontier.contains(&to) {
            return Some(steps);
        }
        let next = frontier.iter().filter_map(|lock| edges.get(lock)).flatten().copied();
        frontier = next.filter(|&lock| reached.insert(lock)).collect();
        if frontier.is_empty() {
            return None;
        }
    }
    None
}

/// Adds an exclusive edge. Returns `true` if it closes a cycle.
fn edge(order: &mut AcyclicGraph<(), ()>, a: LockId, b: LockId) -> bool {
    let (tail, head) = (order.node_or_insert(a, || ()), order.node_or_insert(b, || ()));
    let edge = order.insert(tail, head, (Mode::Exclusive, Mode::Exclusive), ());
    order.shortest_cycle(edge).is_some()
}

/// Long chains, discovered in every order, neither recurse nor cost more per edge than short ones.
/// A quadratic algorithm would take minutes here.
#[test]
fn long_chains_are_linear() {
    const LENGTH: u64 = 100_000;
    let tail_first: Vec<u64> = (1..LENGTH).rev().collect();
    let head_first: Vec<u64> = (1..LENGTH).collect();
    let shuffled: Vec<u64> = (1..LENGTH).map(|i| i * 48_271 % (LENGTH - 1) + 1).collect();
    for starts in [tail_first, head_first, shuffled] {
        let mut order = AcyclicGraph::default();
        for start in starts {
            assert!(!edge(&mut order, start, start + 1));
        }
        assert!(edge(&mut order, LENGTH, 1));
    }
}

/// The tail-first chain again, over locks whose order was already set the other way round by a lock
/// that was held around each.
#[test]
fn chains_against_a_given_order_are_linear() {
    const LENGTH: u64 = 20_000;
    let mut order = AcyclicGraph::default();
    for lock in (1..=LENGTH).rev() {
        assert!(!edge(&mut order, LENGTH + 1, lock));
    }
    for start in (1..LENGTH).rev() {
        assert!(!edge(&mut order, start, start + 1));
    }
    order.check();
}

/// Destroying locks that were all nested in one is fast, in any order. A quadratic algorithm would
/// take minutes here. Nothing is left of them.
#[test]
fn destroying_many_nested_locks_is_linear() {
    const LOCKS: u64 = 100_000;
    let oldest_first: Vec<u64> = (2..LOCKS).collect();
    let newest_first: Vec<u64> = (2..LOCKS).rev().collect();
    let shuffled: Vec<u64> = (2..LOCKS).map(|i| i * 48_271 % (LOCKS - 1) + 2).collect();
    for locks in [oldest_first, newest_first, shuffled] {
        let mut order = AcyclicGraph::default();
        for &lock in &locks {
            assert!(!edge(&mut order, 1, lock));
        }
        assert!(!edge(&mut order, 1, LOCKS + 2));
        for &lock in &locks {
            order.remove(lock, drop);
        }
        let left = order.graph.node_count() + order.graph.edge_count();
        assert!(u64::try_from(left).unwrap() < LOCKS, "{left} of twice as many");
        assert_eq!(order.locks().count(), 2);
        // The remaining graph is unchanged.
        assert!(edge(&mut order, LOCKS + 2, 1));
        order.check();
    }
}

/// One lock that stays alive behind many removed ones does not make later locks slower.
#[test]
fn churn_behind_a_large_graph_is_linear() {
    let mut order = AcyclicGraph::default();
    for lock in 2..50_000 {
        edge(&mut order, 1, lock);
    }
    for lock in 2..49_999 {
        order.remove(lock, drop);
    }
    for lock in 50_000..500_000 {
        edge(&mut order, 1, lock);
        order.remove(lock, drop);
    }
    assert_eq!(order.locks().count(), 2);
}

/// An outer and an inner lock, with many others acquired in between. Their edge, which exists since
/// the first of these, is not searched for among all others, neither while the others live nor
/// during churn.
#[test]
fn finding_the_edge_around_many_others_is_linear() {
    const LOCKS: u64 = 50_000;
    let exclusive = (Mode::Exclusive, Mode::Exclusive);
    for stay in [true, false] {
        let mut order = AcyclicGraph::default();
        assert!(!edge(&mut order, 1, 2));
        for lock in 3..2 * LOCKS {
            assert!(!edge(&mut order, 1, lock) && !edge(&mut order, lock, 2));
            let (outer, inner) = (order.node(1).unwrap(), order.node(2).unwrap());
            let found = order.find(outer, inner, exclusive).unwrap();
            assert_eq!(order.graph.edge_endpoints(found), Some((outer, inner)));
            if lock > LOCKS && !stay {
                order.remove(lock, drop);
            }
        }
    }
}

/// Only an edge against a path of the topological order is a back edge, because each back edge
/// makes searches longer.
#[test]
fn an_edge_that_closes_a_cycle_through_a_back_edge_is_none() {
    let mut order = AcyclicGraph::default();
    assert!(!edge(&mut order, 1, 3) && !edge(&mut order, 2, 3));
    assert!(edge(&mut order, 3, 2));
    assert!(!edge(&mut order, 2, 4));
    assert!(edge(&mut order, 4, 1));
    assert_eq!(order.back_edges().len(), 1);
    order.check();
}

#[test]
fn one_report_does_not_hide_the_next() {
    let mut order = AcyclicGraph::default();
    assert!(!edge(&mut order, 1, 2));
    assert!(edge(&mut order, 2, 1));
    // Through the back edge 2 → 1, which is not in the topological order.
    assert!(!edge(&mut order, 1, 3));
    assert!(edge(&mut order, 3, 2));
    // A destroyed lock takes its cycles with it.
    assert!(order.remove(2, drop));
    assert!(order.back_edges().is_empty());
    assert!(edge(&mut order, 3, 1));
}

/// A cycle through more edges than a search may scan is not found, and the search is cut short. An
/// edge around all cycles takes no steps.
#[test]
fn a_search_of_a_huge_region_is_cut_short() {
    const LENGTH: u64 = 20_000;
    let mut order = AcyclicGraph::default();
    for lock in 1..=LENGTH {
        // Not `edge`, which searches.
        let (tail, head) =
            (order.node_or_insert(lock, || ()), order.node_or_insert(lock + 1, || ()));
        order.insert(tail, head, (Mode::Exclusive, Mode::Exclusive), ());
    }
    let node = |lock| order.node(lock).unwrap();
    let [before, first, last, after] = [node(1), node(2), node(LENGTH), node(LENGTH + 1)];
    let mut insert = |tail, head| order.insert(tail, head, (Mode::Exclusive, Mode::Exclusive), ());
    let closing = insert(last, first);
    let around = insert(before, after);
    let [steps, cut] = [LENGTH * 6, LENGTH * 3].map(|steps| {
        let mut budget = Budget::new(u32::try_from(steps).unwrap());
        let found = order.shortest_cycles(&[closing], &Follow::ANY, &mut budget).remove(0);
        (found.map(|cycle| cycle.len() as u64), budget.is_exhausted())
    });
    assert_eq!((steps, cut), ((Some(LENGTH - 1), false), (None, true)));
    let mut budget = Budget::new(10);
    assert_eq!(order.shortest_cycles(&[around], &Follow::ANY, &mut budget), [None]);
    assert!(!budget.is_exhausted());
}
