//! One run of a program: the outcome of its tasks, and its reports.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use lockdep::{Finding, FindingKind, Level};

use crate::{
    executor::Choose,
    program::{LOCKS, Program, name},
    truth::{Edge, Wait},
    world::{FIRST_LINE, World},
};

/// A report of tasks that will never continue.
#[derive(Clone, Debug)]
pub(crate) struct Accusation {
    #[allow(dead_code, reason = "it is printed")]
    pub(crate) kind: FindingKind,
    pub(crate) tasks: Vec<usize>,
}

/// The results of one run.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) accusations: Vec<Accusation>,
    pub(crate) has_inversion: bool,
    /// Tasks that have not ended.
    pub(crate) stuck: BTreeSet<usize>,
    /// Stuck tasks that only locks of other stuck tasks can wake.
    pub(crate) certain: BTreeSet<usize>,
    /// The smallest groups of those, each waiting only for each other: reported, and missed.
    pub(crate) reported: Vec<BTreeSet<usize>>,
    pub(crate) missed: Vec<BTreeSet<usize>>,
    /// Such groups where a guard or an operation may have left its task.
    pub(crate) loose: usize,
    /// Such groups that another task keeps waiting as well.
    pub(crate) mixed: usize,
    /// Such groups that wait for permits of which some are in no guard.
    pub(crate) partial: usize,
    /// Tasks that wait for each other's locks, one of which something else might wake.
    pub(crate) hidden: usize,
    /// Edges of the order, between tokio's locks.
    pub(crate) edges: BTreeSet<Edge>,
    /// The edges in the text of the program.
    pub(crate) true_edges: BTreeSet<Edge>,
    /// Those of them that are from guards and futures which cannot have left their task.
    pub(crate) firm_edges: BTreeSet<Edge>,
}

/// The kinds that may be found.
const KINDS: [FindingKind; 11] = [
    FindingKind::ClassInversion,
    FindingKind::Deadlock,
    FindingKind::Futurelock,
    FindingKind::GuardedInversion,
    FindingKind::HeldAcrossAwait,
    FindingKind::Inversion,
    FindingKind::OrderedInversion,
    FindingKind::PoolExhaustion,
    FindingKind::RecursiveRead,
    FindingKind::SelfDeadlock,
    FindingKind::SingleThreadInversion,
];

/// Runs one test at a time, as all findings of the process are taken. Nothing is denied: each task
/// continues as without the library, so that the end of a run shows the truth.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in KINDS {
        lockdep::set_level(kind, Level::Allow);
    }
    // Findings from what was dropped at the end of another run.
    drop(lockdep::take_findings());
    one
}

/// Runs a program in the chosen order.
pub(crate) fn run(program: &Program, seed: u64, choice: &mut impl Choose) -> Run {
    let _one = alone();
    let world = World::new(program, seed);
    let tasks = 0..program.tasks.len();
    tasks.filter(|&task| !program.is_spawned(task)).for_each(|task| world.start(task));
    world.executor.run(choice);
    let findings = lockdep::take_findings();
    let run = Run::new(program, &world, &findings);
    world.shut_down();
    run
}

fn lock_of(lock: &lockdep::LockInfo) -> Option<usize> {
    let site = lock.created_at().filter(|site| site.file().ends_with("task_oracle/world.rs"))?;
    let at = site.line().checked_sub(FIRST_LINE)? as usize;
    (at < LOCKS).then_some(at)
}

impl Run {
    fn new(program: &Program, world: &World, findings: &[Finding]) -> Self {
        let is_started = |&task: &usize| world.started(task).is_some();
        let started: Vec<_> = (0..program.tasks.len()).filter(is_started).collect();
        let with_number = |number| {
            let at = world.executor.with_number(number);
            started.iter().copied().find(|&task| at.is_some() && world.started(task) == at)
        };
        let accusation = |finding: &Finding| {
            use FindingKind::{Deadlock, Futurelock, SelfDeadlock};
            let kind = finding.kind();
            let tasks = finding.cycle().iter().filter_map(|it| with_number(it.thread().number()));
            matches!(kind, Deadlock | Futurelock | SelfDeadlock)
                .then(|| Accusation { kind, tasks: tasks.collect() })
        };
        let is_stuck =
            |&task: &usize| !world.started(task).is_some_and(|at| world.executor.is_done(at));
        let graph = lockdep::order_graph();
        let edges = graph.as_petgraph().edge_weights();
        let mut run = Self {
            accusations: findings.iter().filter_map(accusation).collect(),
            has_inversion: findings.iter().any(|it| it.kind() == FindingKind::Inversion),
            stuck: started.iter().copied().filter(is_stuck).collect(),
            edges: edges
                .filter_map(|it| Some((lock_of(it.held())?, lock_of(it.wanted())?)))
                .collect(),
            true_edges: world.truth.edges(),
            firm_edges: world.truth.firm_edges(),
            ..Self::default()
        };
        let waits = world.truth.waits();
        let is_known = |task: usize| !world.has_unknown_waker(task);
        run.certain = certainly_stuck(&run.stuck, &waits, is_known);
        let all = certainly_stuck(&run.stuck, &waits, |_| true);
        run.hidden = all.len() - run.certain.len();
        run.compare(&waits, program.is_loose());
        run
    }

    /// Compares the stuck tasks with the reported ones.
    ///
    /// A group with loose members is reported only after the end of a run, even if they are no
    /// longer loose by then.
    fn compare(&mut self, waits: &[Wait], is_loose: bool) {
        let groups: BTreeSet<_> =
            self.certain.iter().map(|&task| self.waited_for(task, waits)).collect();
        for group in &groups {
            if groups.iter().any(|other| other.is_subset(group) && other != group) {
                continue;
            }
            let is_in =
                |accusation: &Accusation| accusation.tasks.iter().all(|task| group.contains(task));
            if self.accusations.iter().any(is_in) {
                self.reported.push(group.clone());
            } else if is_loose {
                self.loose += 1;
            } else if waits.iter().any(|it| group.contains(&it.waiter) && it.is_partial) {
                self.partial += 1;
            } else if waits.iter().any(|it| group.contains(&it.waiter) && !self.is_closed(it)) {
                self.mixed += 1;
            } else {
                self.missed.push(group.clone());
            }
        }
    }

    /// Returns `true` if all tasks that a task waits for are stuck.
    fn is_closed(&self, wait: &Wait) -> bool {
        wait.blockers.iter().all(|it| it.is_some_and(|blocker| self.certain.contains(&blocker)))
    }

    /// Returns a task, the stuck tasks that it waits for, those that they wait for, and so on.
    fn waited_for(&self, task: usize, waits: &[Wait]) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([task]);
        loop {
            let next = waits.iter().filter(|it| all.contains(&it.waiter));
            let next = next.flat_map(|it| it.blockers.iter().copied().flatten());
            let next: Vec<_> = next.filter(|it| self.certain.contains(it)).collect();
            let before = all.len();
            all.extend(next);
            if all.len() == before {
                return all;
            }
        }
    }

    /// Returns `true` if a task is reported that can continue.
    pub(crate) fn has_false_accusation(&self) -> bool {
        let mut accused = self.accusations.iter().flat_map(|it| &it.tasks);
        let is_empty = |it: &Accusation| it.tasks.is_empty();
        self.accusations.iter().any(is_empty) || accused.any(|task| !self.certain.contains(task))
    }

    pub(crate) fn has_invented_edge(&self) -> bool {
        !self.edges.is_subset(&self.true_edges)
    }
}

/// Returns the tasks that wait for locks, and for each other only.
fn certainly_stuck(
    stuck: &BTreeSet<usize>,
    waits: &[Wait],
    is_known: impl Fn(usize) -> bool,
) -> BTreeSet<usize> {
    let of = |task: usize| waits.iter().filter(move |it| it.waiter == task);
    let waiting = stuck.iter().copied().filter(|&task| is_known(task) && of(task).next().is_some());
    let mut left: BTreeSet<_> = waiting.collect();
    loop {
        let (stay, go): (BTreeSet<_>, BTreeSet<_>) =
            left.iter().partition(|&&task| of(task).all(|wait| wait.is_for_ever(&left)));
        if go.is_empty() {
            return stay;
        }
        left = stay;
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edges = |edges: &BTreeSet<Edge>| {
            let text = |(from, to): &Edge| format!("{}{}", name(*from), name(*to));
            edges.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        writeln!(f, "not done: {:?}, certainly stuck: {:?}", self.stuck, self.certain)?;
        writeln!(f, "reported: {:?}; missed: {:?}", self.accusations, self.missed)?;
        writeln!(f, "edges: {}; in the text: {}", edges(&self.edges), edges(&self.true_edges))
    }
}
