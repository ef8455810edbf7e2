//! Chooses an observation for each edge of a cycle, so that all threads can be there at the same
//! time.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Choice, DISTINCT_THREADS, excludes, strength};
use crate::{
    finding::Mode,
    validator::{
        graph::budget::{Budget, Exhausted, PAIR},
        lock_id::LockId,
    },
};

/// The verdict on a cycle, from the observations of its edges.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::validator) enum Verdict {
    /// The cycle can close.
    Feasible,
    /// The cycle could close if its threads had not spawned or joined each other in between.
    Ordered,
    /// The cycle needs one thread in two places.
    OneThreadTwice,
    /// These gates prevent the cycle from closing.
    Guarded(Vec<LockId>),
}

/// Which choices exclude each other.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Two choices of one thread.
    pub(super) threads: bool,
    /// Two choices with a gate between them.
    pub(super) gates: bool,
    /// Two choices that can never happen at the same time.
    pub(super) times: Times,
}

/// Which times of two choices exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// None.
    Any,
    /// Those that can never [meet](Choice::may_meet).
    Meeting,
    /// Also those that have not met so far: see [`Choice::is_in_sequence_with`].
    Met,
}

impl Rules {
    /// All reasons for which choices can exclude each other.
    const ALL: Self = Self { threads: true, gates: true, times: Times::Meeting };

    fn admits_times(self, one: &Choice, other: &Choice) -> bool {
        match self.times {
            Times::Any => true,
            Times::Meeting => one.may_meet(other),
            Times::Met => one.may_meet(other) && !one.is_in_sequence_with(other),
        }
    }
}

/// Chooses an observation for each edge of a cycle so that all threads can be there at the same
/// time. Returns their indices, or `None` if there is no such choice.
pub(in crate::validator) fn assign(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    choose(cycle, Rules::ALL, budget)
}

/// Chooses as [`assign`] does, for threads that need not be there at the same time.
pub(in crate::validator) fn assign_at_any_time(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    choose(cycle, Rules { times: Times::Any, ..Rules::ALL }, budget)
}

/// Chooses as [`assign`] does, for threads none of which was joined before another one was spawned.
pub(in crate::validator) fn assign_met(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    choose(cycle, Rules { times: Times::Met, ..Rules::ALL }, budget)
}

/// Returns `true` if, in every assignment that closes the cycle, one thread was joined before
/// another one was spawned.
pub(in crate::validator) fn is_in_sequence(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<bool, Exhausted> {
    Ok(assign_met(cycle, budget)?.is_none())
}

/// Decides whether a cycle can close, and if not, why.
pub(in crate::validator) fn judge(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<Verdict, Exhausted> {
    if assign(cycle, budget)?.is_some() {
        return Ok(Verdict::Feasible);
    }
    let by_gates = Rules { threads: false, gates: true, times: Times::Any };
    if assign_at_any_time(cycle, budget)?.is_some() {
        // A cycle that a single thread made is reported as such, which is more severe.
        let is_of_one = of_one_thread(cycle, budget)?;
        return Ok(if is_of_one { Verdict::OneThreadTwice } else { Verdict::Ordered });
    }
    let by_threads = Rules { threads: true, gates: false, times: Times::Any };
    if choose(cycle, by_gates, budget)?.is_some() && choose(cycle, by_threads, budget)?.is_none() {
        return Ok(Verdict::OneThreadTwice);
    }
    let mut gates = Vec::new();
    for (at, edge) in cycle.iter().enumerate() {
        for (one, other) in edge.iter().flat_map(|one| {
            let others = cycle[at + 1..].iter().flatten();
            others.map(move |other| (one, other))
        }) {
            budget.spend(1)?;
            gates.extend(one.observation.gate_with(&other.observation));
        }
    }
    gates.sort_unstable();
    gates.dedup();
    Ok(Verdict::Guarded(gates))
}

/// Returns `true` if one thread made all edges of a cycle, without a gate.
fn of_one_thread(cycle: &[Vec<Choice>], budget: &mut Budget) -> Result<bool, Exhausted> {
    let by_gates = Rules { threads: false, gates: true, times: Times::Any };
    for thread in cycle.first().into_iter().flatten().map(|choice| choice.observation.thread()) {
        let is_of_thread = |choice: &&Choice| choice.observation.thread() == thread;
        let own = |edge: &Vec<Choice>| edge.iter().filter(is_of_thread).cloned().collect();
        let of_thread: Vec<Vec<Choice>> = cycle.iter().map(own).collect();
        budget.spend(PAIR * cycle.len())?;
        if choose(&of_thread, by_gates, budget)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Chooses an observation for each edge so that all pairs are compatible. Returns the first
/// solution in lexicographic order.
///
/// Backtracks from edge to edge. What the remaining edges offer depends on the set of threads and
/// held locks so far, not on how it was reached, so a set that failed once is not tried again.
fn choose(
    cycle: &[Vec<Choice>],
    rules: Rules,
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    let mut chosen = Chosen::new(rules, cycle);
    let mut path: Vec<usize> = Vec::with_capacity(cycle.len());
    let mut failed: FxHashSet<(usize, u64)> = FxHashSet::default();
    let mut from = 0;
    while let Some(edge) = cycle.get(path.len()) {
        let state = (path.len(), chosen.hash);
        let mut next = None;
        if from > 0 || !failed.contains(&state) {
            for (at, choice) in edge.iter().enumerate().skip(from) {
                budget.spend(PAIR + chosen.cost_of(choice))?;
                if chosen.admits(choice) {
                    next = Some(at);
                    break;
                }
            }
        }
        if let Some(at) = next {
            chosen.push(&edge[at]);
            path.push(at);
            from = 0;
        } else {
            failed.insert(state);
            let Some(last) = path.pop() else { return Ok(None) };
            chosen.pop();
            from = last + 1;
        }
    }
    Ok(Some(chosen.all.iter().map(|choice| choice.at).collect()))
}

/// Cycles longer than this keep an [`Index`] of the choices.
const INDEX_THRESHOLD: usize = 32;

/// The choices made so far.
pub(super) struct Chosen<'a> {
    all: Vec<&'a Choice>,
    /// The sum of their hashes.
    hash: u64,
    rules: Rules,
    /// The number of edges of the cycle.
    edges: usize,
    pub(super) index: Option<Index>,
    /// `true` if times matter because the lineage of a thread is known.
    timed: bool,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(rules: Rules, cycle: &[Vec<Choice>]) -> Self {
        let edges = cycle.len();
        let index = (edges > INDEX_THRESHOLD).then(Index::default);
        let has_time = |choice: &Choice| !choice.observation.segment.is_at_any_time();
        let timed = rules.times != Times::Any && cycle.iter().flatten().any(has_time);
        Self { all: Vec::with_capacity(edges), hash: 0, rules, edges, index, timed }
    }

    /// Returns the cost of [`admits`](Self::admits) in steps.
    fn cost_of(&self, choice: &Choice) -> usize {
        match &self.index {
            Some(_) if !self.timed => choice.observation.held().len(),
            _ => self.all.len(),
        }
    }

    /// Returns `true` if a choice is compatible with all others.
    pub(super) fn admits(&self, choice: &Choice) -> bool {
        let Rules { threads, gates, .. } = self.rules;
        match &self.index {
            Some(index) => {
                (!threads || index.has_thread_for(choice, self.edges))
                    && (!gates || index.has_no_gate_with(choice))
                    && (!self.timed
                        || self.all.iter().all(|before| self.rules.admits_times(before, choice)))
            }
            None => self.all.iter().all(|before| {
                (!threads || before.is_apart_from(choice, self.edges))
                    && (!gates || before.is_free_of(choice))
                    && self.rules.admits_times(before, choice)
            }),
        }
    }

    pub(super) fn push(&mut self, choice: &'a Choice) {
        self.hash = self.hash.wrapping_add(choice.hash());
        if let Some(index) = &mut self.index {
            index.count(choice, |count| *count += 1);
        }
        self.all.push(choice);
    }

    pub(super) fn pop(&mut self) {
        let Some(choice) = self.all.pop() else { return };
        self.hash = self.hash.wrapping_sub(choice.hash());
        if let Some(index) = &mut self.index {
            index.count(choice, |count| *count -= 1);
        }
    }
}

/// The threads and held locks of the choices made so far, so that another choice is checked without
/// comparing it with each.
#[derive(Default)]
pub(super) struct Index {
    /// The number of choices of each thread: those that stand for others, and those that do not.
    threads: FxHashMap<u64, [u32; 2]>,
    /// The number of holds of each lock, by [strength].
    locks: FxHashMap<LockId, [u32; 3]>,
}

impl Index {
    fn count(&mut self, choice: &Choice, change: impl Fn(&mut u32)) {
        let thread = self.threads.entry(choice.observation.thread()).or_default();
        change(&mut thread[usize::from(!choice.stands_for_others())]);
        for tag in choice.observation.held() {
            let lock = self.locks.entry(tag.lock()).or_default();
            change(&mut lock[usize::from(strength(tag.mode()))]);
        }
    }

    /// See [`Choice::is_apart_from`].
    fn has_thread_for(&self, choice: &Choice, edges: usize) -> bool {
        let [standing, alone] =
            self.threads.get(&choice.observation.thread()).copied().unwrap_or_default();
        if edges > DISTINCT_THREADS {
            choice.stands_for_others() || alone == 0
        } else {
            standing + alone == 0
        }
    }

    /// See [`Choice::is_free_of`].
    fn has_no_gate_with(&self, choice: &Choice) -> bool {
        choice.observation.held().iter().all(|tag| {
            let counts = self.locks.get(&tag.lock()).copied().unwrap_or_default();
            let modes = [Mode::Shared, Mode::Upgradable, Mode::Exclusive];
            let held = modes.into_iter().zip(counts).filter(|&(_, count)| count > 0);
            held.into_iter().all(|(held, _)| !excludes(tag.mode(), held))
        })
    }
}
