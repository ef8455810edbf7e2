//! The order of a graph's nodes that the least weight of its arcs contradicts. These arcs are a minimum feedback arc
//! set.
//!
//! Of two opposite arcs, any order contradicts one, so only their difference counts. Then only arcs within a strongly
//! connected component can be part of a cycle, and each component is solved alone:
//!
//! - Up to [`MAX_EXACT`] nodes, by dynamic programming over subsets (Lawler, *A comment on minimum feedback arc
//!   sets*, 1964): the best order of a set, given its last node, is the best order of the others, then that node.
//! - Above, by a greedy sequence (Eades, Lin and Smyth, *A fast and effective heuristic for the feedback arc set
//!   problem*, 1993): sinks go to the end, sources to the front, otherwise the node whose arcs leave most. Then each
//!   node moves to its best position, as long as that helps.
//!
//! A topological order of the remaining arcs joins the components. Pure, and independent of the order of the arcs.

use std::{cmp::Reverse, collections::BinaryHeap};

use petgraph::{
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
};

/// The cost of an arc that the order contradicts.
pub(crate) type Weight = i128;

/// The largest component that is solved exactly: 2 MB, and 4 million steps.
const MAX_EXACT: usize = 16;

/// How often all nodes of a larger component are moved. Few graphs need more than five.
const MAX_PASSES: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Arc {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) weight: Weight,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Solution {
    pub(crate) order: Vec<usize>,
    /// No order contradicts less.
    pub(crate) is_exact: bool,
}

/// Orders the nodes `0..nodes`. Where the arcs leave a choice, smaller nodes come first.
pub(crate) fn solve(nodes: usize, arcs: &[Arc]) -> Solution {
    let graph = net(nodes, arcs);
    let mut is_exact = true;
    let mut places = vec![(0, 0); nodes];
    for (number, mut component) in kosaraju_scc(&graph).into_iter().enumerate() {
        component.sort_unstable();
        is_exact &= component.len() <= MAX_EXACT;
        for (place, at) in order_component(&graph, &component).into_iter().enumerate() {
            places[component[at].index()] = (number, place);
        }
    }
    let follows = |arc| {
        let (from, to) = graph.edge_endpoints(arc)?;
        let [from, to] = [from, to].map(|node| places[node.index()]);
        (from.0 != to.0 || from.1 < to.1).then_some(())
    };
    let acyclic = graph.filter_map(|_, ()| Some(()), |arc, _| follows(arc));
    Solution { order: topological(&acyclic), is_exact }
}

type Graph = DiGraph<(), Weight>;

/// Returns the graph with one arc for each pair of nodes, in the direction that outweighs the other.
fn net(nodes: usize, arcs: &[Arc]) -> Graph {
    let mut pairs: Vec<_> = arcs
        .iter()
        .filter(|arc| arc.from != arc.to)
        .map(
            |&Arc { from, to, weight }| {
                if from < to { ((from, to), weight) } else { ((to, from), -weight) }
            },
        )
        .collect();
    pairs.sort_unstable();
    let mut graph = Graph::with_capacity(nodes, pairs.len());
    for _ in 0..nodes {
        graph.add_node(());
    }
    for of_pair in pairs.chunk_by(|a, b| a.0 == b.0) {
        let (low, high) = of_pair[0].0;
        let weight: Weight = of_pair.iter().map(|(_, weight)| weight).sum();
        let [low, high] = [low, high].map(NodeIndex::new);
        if weight > 0 {
            graph.add_edge(low, high, weight);
        } else if weight < 0 {
            graph.add_edge(high, low, -weight);
        }
    }
    graph
}

/// Returns an order of a strongly connected component, as indices in its sorted nodes.
fn order_component(graph: &Graph, component: &[NodeIndex]) -> Vec<usize> {
    if component.len() == 1 {
        return vec![0];
    }
    let neighbours = Neighbours::new(graph, component);
    if component.len() <= MAX_EXACT {
        return neighbours.exact();
    }
    let mut order = neighbours.greedy();
    neighbours.sift(&mut order);
    order
}

/// The neighbours of each node of a component, with the weight of the arc between them: positive if it leads to the
/// neighbour, negative if it comes from there.
struct Neighbours(Vec<Vec<(usize, Weight)>>);

impl Neighbours {
    fn new(graph: &Graph, component: &[NodeIndex]) -> Self {
        let mut neighbours = vec![Vec::new(); component.len()];
        for (from, &node) in component.iter().enumerate() {
            for arc in graph.edges(node) {
                let target = petgraph::visit::EdgeRef::target(&arc);
                if let Ok(to) = component.binary_search(&target) {
                    neighbours[from].push((to, *arc.weight()));
                    neighbours[to].push((from, -*arc.weight()));
                }
            }
        }
        Self(neighbours)
    }

    fn exact(&self) -> Vec<usize> {
        let nodes = self.0.len();
        let sets = 1_usize << nodes;
        // For each set of nodes, the least weight that an order of them contradicts, and its last node.
        let mut best = vec![(0, 0_usize); sets];
        for set in 1..sets {
            let members = (0..nodes).filter(|node| set & 1 << node != 0);
            let with_last = members.map(|last| {
                let others = set & !(1 << last);
                let to_others = self.0[last].iter().filter(|(to, _)| others & 1 << to != 0);
                let contradicted: Weight = to_others.map(|(_, weight)| *weight.max(&0)).sum();
                (best[others].0 + contradicted, last)
            });
            // Of equal ones, the largest node is last.
            best[set] =
                with_last.min_by_key(|&(cost, last)| (cost, Reverse(last))).unwrap_or_default();
        }
        let mut order = Vec::with_capacity(nodes);
        let mut set = sets - 1;
        while set != 0 {
            let last = best[set].1;
            order.push(last);
            set &= !(1 << last);
        }
        order.reverse();
        order
    }

    fn greedy(&self) -> Vec<usize> {
        let nodes = self.0.len();
        let count = |node: &Vec<(usize, Weight)>, is_out: bool| {
            node.iter().filter(|(_, weight)| (*weight > 0) == is_out).count()
        };
        let mut out: Vec<_> = self.0.iter().map(|node| count(node, true)).collect();
        let mut into: Vec<_> = self.0.iter().map(|node| count(node, false)).collect();
        let mut surplus: Vec<Weight> =
            self.0.iter().map(|node| node.iter().map(|(_, weight)| weight).sum()).collect();
        let mut is_left = vec![true; nodes];
        let (mut front, mut back) = (Vec::new(), Vec::new());
        for _ in 0..nodes {
            let left = (0..nodes).filter(|&node| is_left[node]);
            let rank =
                |node: usize| (out[node] == 0, into[node] == 0, surplus[node], Reverse(node));
            let Some(next) = left.max_by_key(|&node| rank(node)) else { break };
            is_left[next] = false;
            if out[next] == 0 {
                back.push(next);
            } else {
                front.push(next);
            }
            for &(neighbour, weight) in &self.0[next] {
                surplus[neighbour] += weight;
                if weight > 0 { into[neighbour] -= 1 } else { out[neighbour] -= 1 }
            }
        }
        front.extend(back.into_iter().rev());
        front
    }

    /// Moves each node to the position where the order contradicts least, until no move helps.
    fn sift(&self, order: &mut [usize]) {
        let mut places = vec![0; order.len()];
        for (place, &node) in order.iter().enumerate() {
            places[node] = place;
        }
        for _ in 0..MAX_PASSES {
            let mut has_moved = false;
            for node in 0..order.len() {
                let (from, to) = (places[node], self.best_place(node, &places));
                if from == to {
                    continue;
                }
                has_moved = true;
                let moved = from.min(to)..=from.max(to);
                if from < to {
                    order[moved.clone()].rotate_left(1);
                } else {
                    order[moved.clone()].rotate_right(1);
                }
                for place in moved {
                    places[order[place]] = place;
                }
            }
            if !has_moved {
                return;
            }
        }
    }

    /// Returns the best place of a node among the others; the one that it has if no other is better.
    fn best_place(&self, node: usize, places: &[usize]) -> usize {
        let mut weights = vec![0; places.len()];
        for &(neighbour, weight) in &self.0[node] {
            weights[places[neighbour]] = weight;
        }
        let now = places[node];
        // Behind a neighbour, the order contradicts the arc to it, and no longer the one from it.
        let (mut cost, mut cost_now) = (0, 0);
        let mut best = (0, 0);
        for (place, weight) in weights.into_iter().enumerate() {
            if place == now {
                cost_now = cost;
            }
            cost += weight;
            if cost < best.0 {
                best = (cost, place + 1);
            }
        }
        match best {
            (cost, _) if cost >= cost_now => now,
            // Without the node, those behind it are one place further to the front.
            (_, place) if place > now => place - 1,
            (_, place) => place,
        }
    }
}

/// Returns the topological order of an acyclic graph in which smaller nodes come first.
fn topological(graph: &DiGraph<(), ()>) -> Vec<usize> {
    let mut into = vec![0; graph.node_count()];
    for arc in graph.raw_edges() {
        into[arc.target().index()] += 1;
    }
    let free = (0..into.len()).filter(|&node| into[node] == 0);
    let mut free: BinaryHeap<_> = free.map(Reverse).collect();
    let mut order = Vec::with_capacity(into.len());
    while let Some(Reverse(node)) = free.pop() {
        order.push(node);
        for next in graph.neighbors(NodeIndex::new(node)) {
            into[next.index()] -= 1;
            if into[next.index()] == 0 {
                free.push(Reverse(next.index()));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn arcs(nodes: usize, most: usize) -> impl Strategy<Value = Vec<Arc>> {
        let arc = (0..nodes, 0..nodes, 1..6_i128);
        vec(arc.prop_map(|(from, to, weight)| Arc { from, to, weight }), 0..most)
    }

    fn cost(order: &[usize], arcs: &[Arc]) -> Weight {
        let mut places = vec![0; order.len()];
        for (place, &node) in order.iter().enumerate() {
            places[node] = place;
        }
        let contradicted = arcs.iter().filter(|arc| places[arc.from] > places[arc.to]);
        contradicted.map(|arc| arc.weight).sum()
    }

    /// Returns the least cost of all permutations.
    fn least(order: &mut Vec<usize>, fixed: usize, arcs: &[Arc]) -> Weight {
        if fixed == order.len() {
            return cost(order, arcs);
        }
        let swaps = fixed..order.len();
        let costs = swaps.map(|other| {
            order.swap(fixed, other);
            let least = least(order, fixed + 1, arcs);
            order.swap(fixed, other);
            least
        });
        costs.min().unwrap()
    }

    fn sorted(mut order: Vec<usize>) -> Vec<usize> {
        order.sort_unstable();
        order
    }

    /// Returns the net arcs of a whole graph.
    fn neighbours(nodes: usize, arcs: &[Arc]) -> Neighbours {
        let graph = net(nodes, arcs);
        Neighbours::new(&graph, &graph.node_indices().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn no_permutation_is_better(nodes in 1..7_usize, arcs in arcs(6, 24)) {
            let arcs: Vec<_> =
                arcs.into_iter().filter(|arc| arc.from.max(arc.to) < nodes).collect();
            let Solution { order, is_exact } = solve(nodes, &arcs);
            prop_assert!(is_exact);
            prop_assert_eq!(cost(&order, &arcs), least(&mut (0..nodes).collect(), 0, &arcs));
            prop_assert_eq!(sorted(order), (0..nodes).collect::<Vec<_>>());
        }

        #[test]
        fn the_order_of_the_arcs_makes_no_difference(
            (arcs, shuffled) in arcs(20, 120).prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
        ) {
            prop_assert_eq!(solve(20, &arcs), solve(20, &shuffled));
        }

        /// Also of graphs that are small enough to be solved exactly.
        #[test]
        fn an_approximation_contradicts_at_most_half(arcs in arcs(7, 40)) {
            let neighbours = neighbours(7, &arcs);
            let mut order = neighbours.greedy();
            prop_assert_eq!(sorted(order.clone()), (0..7).collect::<Vec<_>>());
            let before = cost(&order, &arcs);
            neighbours.sift(&mut order);
            let after = cost(&order, &arcs);
            let exact = cost(&neighbours.exact(), &arcs);
            let all: Weight = arcs.iter().filter(|arc| arc.from != arc.to).map(|arc| arc.weight).sum();
            prop_assert!(exact <= after && after <= before && 2 * after <= all, "{exact} {after} {before} {all}");
            // No single move is an improvement.
            for from in 0..7 {
                for to in 0..7 {
                    let mut other = order.clone();
                    let node = other.remove(from);
                    other.insert(to, node);
                    prop_assert!(cost(&other, &arcs) >= after);
                }
            }
        }
    }

    fn circle(nodes: usize) -> Vec<Arc> {
        (0..nodes).map(|from| Arc { from, to: (from + 1) % nodes, weight: 1 }).collect()
    }

    #[test]
    fn a_large_component_is_approximate_and_opposite_arcs_make_none() {
        let Solution { order, is_exact } = solve(MAX_EXACT, &circle(MAX_EXACT));
        assert!(is_exact);
        assert_eq!(cost(&order, &circle(MAX_EXACT)), 1);

        let arcs = circle(MAX_EXACT + 1);
        let Solution { order, is_exact } = solve(MAX_EXACT + 1, &arcs);
        assert!(!is_exact);
        assert_eq!(cost(&order, &arcs), 1);

        // A chain whose arcs are all contradicted once.
        let there = (1..100).map(|to| Arc { from: to - 1, to, weight: 2 });
        let back = (1..100).map(|from| Arc { from, to: from - 1, weight: 1 });
        let arcs: Vec<_> = there.chain(back).collect();
        let expected = Solution { order: (0..100).collect(), is_exact: true };
        assert_eq!(solve(100, &arcs), expected);
    }

    #[test]
    fn smaller_nodes_come_first_where_there_is_a_choice() {
        let arc = |from, to| Arc { from, to, weight: 1 };
        assert_eq!(solve(4, &[]).order, [0, 1, 2, 3]);
        assert_eq!(solve(4, &[arc(3, 0)]).order, [1, 2, 3, 0]);
        assert_eq!(solve(3, &[arc(0, 1), arc(1, 0)]).order, [0, 1, 2]);
        assert_eq!(solve(3, &[arc(2, 2), arc(2, 1)]).order, [0, 2, 1]);
    }

    /// Each pair in both directions, with weights that are far from any order.
    #[test]
    fn a_dense_graph_is_solved() {
        let nodes = 300;
        let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        let arcs: Vec<_> = pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| {
                let weight = ((from * 7919 + to * 104_729) % 1009) as Weight;
                Arc { from, to, weight: weight + 1 }
            })
            .collect();
        let Solution { order, is_exact } = solve(nodes, &arcs);
        assert!(!is_exact);
        let all: Weight = arcs.iter().map(|arc| arc.weight).sum();
        assert!(2 * cost(&order, &arcs) <= all);
        assert_eq!(sorted(order), (0..nodes).collect::<Vec<_>>());
    }

    /// Long chains and circles need no deep recursion.
    #[test]
    fn long_circles_are_solved() {
        let arcs = circle(20_000);
        let order = solve(20_000, &arcs[1..]).order;
        assert_eq!((order[0], order[19_999]), (1, 0));
        let arcs = circle(2_000);
        assert_eq!(cost(&solve(2_000, &arcs).order, &arcs), 1);
    }
}
