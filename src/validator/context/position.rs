//! Where a job of a fork-join computation stands in it, and so which jobs can run at the same time.
//! Pure.
//!
//! John Mellor-Crummey, "On-the-fly Detection of Data Races for Programs with Nested Fork-Join
//! Parallelism", 1991. There a label of a thread is a list of pairs: in which fork of its parent it
//! began, and as which of the forked threads. The labels of two threads agree up to the flow that
//! both come from. If they then differ in the fork, one thread had ended before the other began; if
//! they differ in the thread only, both can run at once.
//!
//! Two things are added, as jobs are also spawned without being waited for at once. A job of a scope
//! can run at the same time as everything in the scope that did not happen before its spawn. A
//! detached job can run at the same time as everything after its spawn.

/// A job within the flow that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::validator) struct Step {
    /// The number of the call within its flow.
    pub(in crate::validator) call: u32,
    /// Distinguishes the jobs of one call. Those spawned in a scope are numbered from 1.
    pub(in crate::validator) job: u32,
    pub(in crate::validator) how: How,
    /// The number of jobs that had been spawned in the scope.
    pub(in crate::validator) spawned: u32,
}

/// How a job began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Together with all other jobs of its call, which waits for them.
    Forked,
    /// As `Forked`, on a worker that no other can take it from.
    Broadcast,
    /// It is the body of a scope.
    Body,
    /// The body of a scope has spawned it, at whose end it is waited for.
    Spawned,
    /// Another job has spawned it in a scope.
    SpawnedByJob,
    /// No call waits for it.
    Detached,
}

impl Step {
    fn is_same_job(&self, other: &Self) -> bool {
        (self.call, self.job) == (other.call, other.job)
    }

    /// Returns `true` if what was done in this job of a scope is known to have happened before the other one of the
    /// same scope was spawned.
    fn is_before_spawn_of(&self, other: &Self) -> bool {
        let may_have_spawned = match other.how {
            How::Spawned => self.how == How::Body,
            // It is not known which one has spawned it.
            How::SpawnedByJob => true,
            How::Forked | How::Broadcast | How::Body | How::Detached => false,
        };
        may_have_spawned && self.spawned < other.job
    }
}

/// A point in a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// From the thread that is no worker, or from the first job, to this one.
    pub(in crate::validator) steps: Box<[Step]>,
    /// The number of the last call that this job has begun.
    pub(in crate::validator) call: u32,
    /// `true` if that call has not ended.
    pub(in crate::validator) is_waiting: bool,
}

/// The points that a segment stands for: usually one, or some that must all be reached at once.
#[derive(Debug)]
pub(crate) struct Job {
    /// The number of the thread at the beginning of all steps.
    pub(in crate::validator) flow: u64,
    pub(in crate::validator) at: Box<[Position]>,
}

impl Position {
    fn is_detached(&self, from: usize) -> bool {
        self.steps[from..].iter().any(|step| step.how == How::Detached)
    }

    /// Returns `true` if two points of one flow cannot be reached at the same time, or are points of one job.
    pub(in crate::validator) fn is_apart_from(&self, other: &Self) -> bool {
        let steps = self.steps.iter().zip(&other.steps);
        let common = steps.take_while(|(own, theirs)| own.is_same_job(theirs)).count();
        match (self.steps.get(common), other.steps.get(common)) {
            (None, None) => true,
            (None, Some(step)) => self.is_apart_from_job(step.call, other.is_detached(common)),
            (Some(step), None) => other.is_apart_from_job(step.call, self.is_detached(common)),
            (Some(own), Some(theirs)) if own.call == theirs.call => {
                own.is_before_spawn_of(theirs) && !self.is_detached(common)
                    || theirs.is_before_spawn_of(own) && !other.is_detached(common)
            }
            (Some(own), Some(theirs)) => {
                let first = if own.call < theirs.call { self } else { other };
                !first.is_detached(common)
            }
        }
    }

    /// Returns `true` if this point cannot be reached while a job runs that a call of this job has begun.
    fn is_apart_from_job(&self, call: u32, is_detached: bool) -> bool {
        match call {
            call if call > self.call => true,
            call if call == self.call && self.is_waiting => false,
            _ => !is_detached,
        }
    }
}

impl Job {
    /// Returns `true` if some of the points cannot be reached at the same time. Nothing is known about points of
    /// different flows.
    pub(in crate::validator) fn is_apart_from(&self, other: &Self) -> bool {
        let any_of = |own: &Position| other.at.iter().any(|theirs| own.is_apart_from(theirs));
        self.flow == other.flow && self.at.iter().any(any_of)
    }

    /// Returns `true` if what the thread at the beginning of the flow does itself, without a job, is not known to
    /// happen meanwhile.
    pub(in crate::validator) fn is_of(&self, thread: u64) -> bool {
        self.flow == thread
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.flow == other.flow && self.at == other.at
    }
}

/// Random programs, in which the order of all events is known as a graph.
#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a job does.
    #[derive(Clone, Debug)]
    enum Action {
        Acquire,
        /// Waits for these jobs.
        Fork(Vec<Vec<Action>>),
        /// The body and what it spawns before each of its actions.
        Scope(Vec<(Option<Vec<Action>>, Action)>),
        Detach(Vec<Action>),
    }

    fn any_job() -> impl Strategy<Value = Vec<Action>> {
        let leaf = prop::collection::vec(Just(Action::Acquire), 0..3);
        leaf.prop_recursive(4, 24, 4, |job| {
            let action = prop_oneof![
                3 => Just(Action::Acquire),
                2 => prop::collection::vec(job.clone(), 1..3).prop_map(Action::Fork),
                1 => job.clone().prop_map(Action::Detach),
            ];
            let spawned = prop::option::of(job);
            let scope =
                prop::collection::vec((spawned, action.clone()), 0..4).prop_map(Action::Scope);
            prop::collection::vec(prop_oneof![4 => action, 1 => scope], 0..5)
        })
    }

    /// An acquisition, or a wait, which begins and ends at two nodes.
    struct Event {
        at: Position,
        nodes: [usize; 2],
    }

    /// The order of events, as edges between nodes.
    #[derive(Default)]
    struct Order {
        edges: Vec<Vec<usize>>,
        events: Vec<Event>,
    }

    impl Order {
        fn node(&mut self, after: &[usize]) -> usize {
            self.edges.push(Vec::new());
            let node = self.edges.len() - 1;
            for &it in after {
                self.edges[it].push(node);
            }
            node
        }

        fn reaches(&self, from: usize, to: usize) -> bool {
            let (mut open, mut seen) = (vec![from], vec![false; self.edges.len()]);
            while let Some(node) = open.pop() {
                if node == to {
                    return true;
                }
                if !std::mem::replace(&mut seen[node], true) {
                    open.extend(&self.edges[node]);
                }
            }
            false
        }

        fn are_apart(&self, one: &Event, other: &Event) -> bool {
            self.reaches(one.nodes[1], other.nodes[0]) || self.reaches(other.nodes[1], one.nodes[0])
        }

        /// Runs an action of a job that is at a node. Returns the node after it.
        fn act(&mut self, action: &Action, steps: &[Step], call: &mut u32, now: usize) -> usize {
            let step = |call, job, how, spawned| {
                let new = Step { call, job, how, spawned };
                steps.iter().copied().chain([new]).collect::<Vec<_>>()
            };
            let steps_here = || steps.iter().copied().collect();
            let (start, ends) = match action {
                Action::Acquire => {
                    let node = self.node(&[now]);
                    let at = Position { steps: steps_here(), call: *call, is_waiting: false };
                    self.events.push(Event { at, nodes: [node; 2] });
                    return node;
                }
                Action::Detach(job) => {
                    *call += 1;
                    let node = self.node(&[now]);
                    self.run(job, &step(*call, 0, How::Detached, 0), node);
                    return node;
                }
                Action::Fork(jobs) => {
                    *call += 1;
                    let start = self.node(&[now]);
                    let mut ends = vec![start];
                    for (job, actions) in (0..).zip(jobs) {
                        ends.push(self.run(actions, &step(*call, job, How::Forked, 0), start));
                    }
                    (start, ends)
                }
                Action::Scope(body) => {
                    *call += 1;
                    let start = self.node(&[now]);
                    let (mut ends, mut now) = (Vec::new(), start);
                    let (mut spawned, mut calls) = (0, 0);
                    for (job, action) in body {
                        if let Some(job) = job {
                            spawned += 1;
                            now = self.node(&[now]);
                            ends.push(self.run(
                                job,
                                &step(*call, spawned, How::Spawned, spawned),
                                now,
                            ));
                        }
                        let steps = step(*call, 0, How::Body, spawned);
                        now = self.act(action, &steps, &mut calls, now);
                    }
                    ends.push(now);
                    // Before its end, the body acts as well.
                    let end = self.node(&ends);
                    return end.max(start);
                }
            };
            let end = self.node(&ends);
            let at = Position { steps: steps_here(), call: *call, is_waiting: true };
            self.events.push(Event { at, nodes: [start, end] });
            end
        }

        /// Runs a job from a node on. Returns its last node.
        fn run(&mut self, job: &[Action], steps: &[Step], mut now: usize) -> usize {
            let mut calls = 0;
            for action in job {
                now = self.act(action, steps, &mut calls, now);
            }
            now
        }
    }

    proptest! {
        /// Agrees with the order of events.
        #[test]
        fn agrees_with_the_order_of_events(job in any_job()) {
            let mut order = Order::default();
            let start = order.node(&[]);
            order.run(&job, &[], start);
            for one in &order.events {
                for other in &order.events {
                    let is_same = std::ptr::eq(one, other);
                    let expected = is_same || order.are_apart(one, other);
                    prop_assert_eq!(one.at.is_apart_from(&other.at), expected, "{:?} {:?}", one.at, other.at);
                }
            }
        }
    }

    /// If a job spawns into a scope, what came before is not known exactly.
    #[test]
    fn a_job_spawned_by_a_job_is_apart_from_all_before() {
        let at = |job, how, spawned| Position {
            steps: Box::new([Step { call: 1, job, how, spawned }]),
            call: 0,
            is_waiting: false,
        };
        let spawned = at(3, How::SpawnedByJob, 3);
        for (before, is_apart) in [
            (at(0, How::Body, 2), true),
            (at(1, How::Spawned, 2), true),
            (at(1, How::Spawned, 3), false),
            (at(0, How::Body, 3), false),
        ] {
            assert_eq!(before.is_apart_from(&spawned), is_apart);
            assert_eq!(spawned.is_apart_from(&before), is_apart);
        }
    }
}
