//! Explores every interleaving of a program.
//!
//! Owns the rules by which a thread waits, written down as directly as they are defined. Shares no
//! code with the library. Knows the steps of a program, but not where the program came from.
//!
//! A thread that must wait does so in two steps: it arrives (a writer is *queued* from then on),
//! and it proceeds when no other thread blocks it any more. Only a queued writer that has nothing
//! but readers before it blocks readers. While an upgradable reader holds the lock, `parking_lot`
//! lets other readers pass a writer, and the writer does not even wait for them:
//! `lock_exclusive_slow` sets `WRITER_BIT` once `UPGRADABLE_BIT` is clear.
//!
//! One case is left out: a reader of `parking_lot`, recursive or not, that arrived behind a writer
//! while the lock was held exclusively is not woken when the lock is then downgraded, or is
//! acquired by another reader before that writer. It waits for that reader.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    hash::BuildHasherDefault,
};

use rustc_hash::FxHasher;

use crate::program::{
    Kind, Lock, MAX_LOCKS, MAX_THREADS, Mode, Program, Step, Thread, exit, is_exit, members, name,
};

/// Returns `true` if a lock that one thread holds in one mode cannot be acquired in another mode by
/// another thread.
pub(crate) fn excludes(held: Mode, wanted: Mode) -> bool {
    match wanted {
        Mode::Exclusive | Mode::Upgrade => true,
        Mode::Shared | Mode::RecursiveShared => held == Mode::Exclusive,
        Mode::Upgradable => matches!(held, Mode::Exclusive | Mode::Upgradable),
    }
}

/// Returns `true` if an acquisition waits for writers that are already in the queue.
pub(crate) fn waits_behind_writers(wanted: Mode) -> bool {
    matches!(wanted, Mode::Shared | Mode::Upgradable)
}

/// The possible outcomes of a program.
pub(crate) struct Exploration {
    /// A deadlock with the shortest schedule.
    pub(crate) deadlock: Option<Deadlock>,
    /// For each deadlock cycle, the locks that its threads wait for, in order: the thread that
    /// wants a lock holds the one before it.
    pub(crate) circles: BTreeSet<Vec<Lock>>,
    /// The attempts that can fail, by thread and step.
    pub(crate) failing_tries: BTreeSet<(Thread, usize)>,
    pub(crate) states: usize,
}

/// Threads that wait for each other for ever.
#[derive(Debug)]
pub(crate) struct Deadlock {
    /// The steps with their threads, from the start.
    schedule: Vec<(Thread, String)>,
    pub(crate) stuck: Vec<Stuck>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    pub(crate) thread: Thread,
    pub(crate) holds: Vec<(Lock, Mode)>,
    pub(crate) wants: (Lock, Mode),
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (thread, step) in &self.schedule {
            writeln!(f, "    thread {thread}: {step}")?;
        }
        for Stuck { thread, holds, wants: (wanted, mode) } in &self.stuck {
            let holds: Vec<_> =
                holds.iter().map(|&(lock, mode)| format!("{} ({mode:?})", name(lock))).collect();
            let (holds, wanted) = (holds.join(", "), name(*wanted));
            writeln!(f, "    thread {thread} holds [{holds}] and wants {wanted} ({mode:?})")?;
        }
        Ok(())
    }
}

/// Rotates a cycle so that it starts at its smallest lock. Of consecutive exits, only the first is
/// kept: to wait for a thread is to wait for whatever that thread waits for.
pub(crate) fn canonical(circle: &[Lock]) -> Vec<Lock> {
    let before = |at: usize| circle[(at + circle.len() - 1) % circle.len()];
    let is_left = |&at: &usize| !is_exit(circle[at]) || !is_exit(before(at));
    let mut circle: Vec<_> = (0..circle.len()).filter(is_left).map(|at| circle[at]).collect();
    let smallest = (0..circle.len()).min_by_key(|&at| circle[at]).unwrap_or(0);
    circle.rotate_left(smallest);
    circle
}

/// Returns a deadlock of the program, if it has one.
pub(crate) fn deadlocks(program: &Program) -> Option<Deadlock> {
    explore(program).deadlock
}

/// The state of one thread.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Position {
    /// The number of steps done.
    done: u8,
    /// `true` for a writer that has arrived and waits.
    is_queued: bool,
    /// The locks, as a bit set, that it does not hold because an attempt failed.
    missed: u8,
}

type State = [Position; MAX_THREADS];

struct Explorer<'a> {
    program: &'a Program,
    /// How each lock is held if no attempt failed, by thread and number of steps done.
    held: Vec<Vec<[Option<Mode>; MAX_LOCKS]>>,
    /// The thread and the step that spawn a thread.
    spawned: [Option<(Thread, usize)>; MAX_THREADS],
}

/// Visits every reachable state, breadth first.
pub(crate) fn explore(program: &Program) -> Exploration {
    let explorer = Explorer::new(program);
    let mut found = Exploration {
        deadlock: None,
        circles: BTreeSet::new(),
        failing_tries: BTreeSet::new(),
        states: 0,
    };
    let start = State::default();
    let mut known: HashSet<State, BuildHasherDefault<FxHasher>> = HashSet::from_iter([start]);
    // Each with its predecessor, and the thread that made the step.
    let mut states: Vec<(State, usize, Thread)> = vec![(start, 0, 0)];
    while let Some(&(state, ..)) = states.get(found.states) {
        let mut is_at_end = true;
        for thread in 0..program.threads.len() {
            let Some(next) = explorer.advance(&state, thread) else { continue };
            is_at_end = false;
            if next[thread].missed > state[thread].missed {
                found.failing_tries.insert((thread, state[thread].done.into()));
            }
            if known.insert(next) {
                states.push((next, found.states, thread));
            }
        }
        if is_at_end {
            let stuck = explorer.stuck(&state);
            if !stuck.is_empty() {
                explorer.add_circles(&state, &mut found.circles);
                found.deadlock.get_or_insert_with(|| Deadlock {
                    schedule: explorer.schedule(&states, found.states),
                    stuck,
                });
            }
        }
        found.states += 1;
    }
    found
}

/// Returns how a thread holds each lock before each of its steps, and at its end.
fn held(steps: &[Step]) -> Vec<[Option<Mode>; MAX_LOCKS]> {
    let mut held = vec![[None; MAX_LOCKS]];
    for &step in steps {
        let mut now = held[held.len() - 1];
        match step {
            Step::Acquire(lock, mode) | Step::TryAcquire(lock, mode) => {
                now[lock] = Some(mode.once_held());
            }
            Step::Release(lock) => now[lock] = None,
            _ => {}
        }
        held.push(now);
    }
    held
}

/// Returns an order in which all threads do all of their steps and no thread ever waits. Where
/// several threads can continue, the first one in `by_preference` does, unless that leads to a
/// deadlock. `None` if every order deadlocks.
pub(crate) fn schedule(program: &Program, by_preference: &[Thread]) -> Option<Vec<Thread>> {
    let explorer = Explorer::new(program);
    let mut known: HashSet<State, BuildHasherDefault<FxHasher>> = HashSet::default();
    let mut path = vec![(State::default(), 0)];
    let mut schedule = Vec::new();
    loop {
        let (state, tried) = path.last_mut()?;
        let state = *state;
        let Some(&thread) = by_preference.get(*tried) else {
            path.pop();
            schedule.pop();
            continue;
        };
        *tried += 1;
        let next = explorer.advance(&state, thread).filter(|next| !next[thread].is_queued);
        if let Some(next) = next.filter(|&next| known.insert(next)) {
            schedule.push(thread);
            if by_preference.iter().all(|&thread| explorer.has_ended(&next, thread)) {
                return Some(schedule);
            }
            path.push((next, 0));
        }
    }
}

impl<'a> Explorer<'a> {
    fn new(program: &'a Program) -> Self {
        let mut spawned = [None; MAX_THREADS];
        for (thread, steps) in program.threads.iter().enumerate() {
            for (at, &step) in steps.iter().enumerate() {
                if let Step::Spawn(child) = step {
                    spawned[child] = Some((thread, at));
                }
            }
        }
        Self { program, held: program.threads.iter().map(|t| held(t)).collect(), spawned }
    }

    fn is_spawned(&self, state: &State, thread: Thread) -> bool {
        self.spawned[thread].is_none_or(|(by, at)| usize::from(state[by].done) > at)
    }

    fn has_ended(&self, state: &State, thread: Thread) -> bool {
        self.is_spawned(state, thread)
            && usize::from(state[thread].done) == self.program.threads[thread].len()
    }

    /// Returns the next step of a thread. `None` if it is not spawned yet, or has ended.
    fn next_step(&self, state: &State, thread: Thread) -> Option<Step> {
        let done = usize::from(state[thread].done);
        let step = self.program.threads[thread].get(done).copied();
        step.filter(|_| self.is_spawned(state, thread))
    }

    /// Returns the threads that a thread has to wait for before its next step, each with the lock
    /// or exit.
    fn waits(&self, state: &State, thread: Thread) -> Vec<(Thread, Lock)> {
        match self.next_step(state, thread) {
            Some(Step::Acquire(lock, mode)) => {
                let others = self.holding_up(state, thread, lock, mode);
                others.into_iter().map(|other| (other, lock)).collect()
            }
            Some(step) => {
                let is_alive = |&other: &Thread| !self.has_ended(state, other);
                let others = members(step.joins()).filter(is_alive);
                others.map(|other| (other, exit(other))).collect()
            }
            None => Vec::new(),
        }
    }

    fn holds(&self, state: &State, thread: Thread, lock: Lock) -> Option<Mode> {
        let Position { done, missed, .. } = state[thread];
        if missed & 1 << lock != 0 {
            return None;
        }
        self.held[thread][usize::from(done)][lock]
    }

    /// Returns the threads that an acquisition has to wait for.
    fn holding_up(&self, state: &State, thread: Thread, lock: Lock, mode: Mode) -> Vec<Thread> {
        let others = || (0..self.program.threads.len()).filter(|&other| other != thread);
        let has_only_readers_before = |writer| {
            others()
                .chain([thread])
                .filter(|&other| other != writer)
                .all(|other| matches!(self.holds(state, other, lock), None | Some(Mode::Shared)))
        };
        others()
            .filter(|&other| {
                let holds = self.holds(state, other, lock);
                let is_queued = state[other].is_queued
                    && matches!(self.next_step(state, other), Some(Step::Acquire(wanted, _)) if wanted == lock);
                holds.is_some_and(|held| excludes(held, mode))
                    || is_queued && waits_behind_writers(mode) && has_only_readers_before(other)
            })
            .collect()
    }

    /// Returns the state after a thread's next step. `None` if it has to wait or has ended.
    fn advance(&self, state: &State, thread: Thread) -> Option<State> {
        let mut next = *state;
        let position = &mut next[thread];
        match self.next_step(state, thread)? {
            Step::Release(lock) => position.missed &= !(1 << lock),
            Step::TryAcquire(lock, mode) => {
                if !self.holding_up(state, thread, lock, mode).is_empty() {
                    position.missed |= 1 << lock;
                }
            }
            Step::Acquire(lock, Mode::Upgrade) if position.missed & 1 << lock != 0 => {}
            Step::Acquire(lock, mode) => {
                if !self.holding_up(state, thread, lock, mode).is_empty() {
                    // Only readers can observe a queue.
                    let is_writer = matches!(mode, Mode::Exclusive | Mode::Upgrade)
                        && self.program.locks[lock] == Kind::RwLock;
                    if !is_writer || position.is_queued {
                        return None;
                    }
                    position.is_queued = true;
                    return Some(next);
                }
            }
            Step::Spawn(_) | Step::OpenScope => {}
            Step::Join(_) | Step::CloseScope(_) => {
                if !self.waits(state, thread).is_empty() {
                    return None;
                }
            }
        }
        position.done += 1;
        position.is_queued = false;
        Some(next)
    }

    /// Returns the waiting threads in a state in which no thread can continue.
    fn stuck(&self, state: &State) -> Vec<Stuck> {
        let stuck = |thread| {
            let wants = match self.next_step(state, thread)? {
                Step::Acquire(lock, mode) => (lock, mode),
                _ => (self.waits(state, thread).first()?.1, Mode::Exclusive),
            };
            let holds = (0..self.program.locks.len())
                .filter_map(|lock| Some((lock, self.holds(state, thread, lock)?)))
                .collect();
            Some(Stuck { thread, holds, wants })
        };
        (0..self.program.threads.len()).filter_map(stuck).collect()
    }

    /// Adds the cycles among waiting threads, as the locks that they wait for.
    fn add_circles(&self, state: &State, circles: &mut BTreeSet<Vec<Lock>>) {
        // The threads of a path, and the locks that all but the last of them wait for.
        let mut paths: Vec<(Vec<Thread>, Vec<Lock>)> =
            (0..self.program.threads.len()).map(|t| (vec![t], Vec::new())).collect();
        while let Some((path, locks)) = paths.pop() {
            for (other, lock) in self.waits(state, path[path.len() - 1]) {
                let mut locks = [locks.as_slice(), &[lock]].concat();
                if other == path[0] {
                    // A reader and the writer before it want the same lock.
                    locks.dedup();
                    if locks.len() > 1 && locks.first() == locks.last() {
                        locks.pop();
                    }
                    circles.insert(canonical(&locks));
                } else if !path.contains(&other) {
                    paths.push(([path.as_slice(), &[other]].concat(), locks));
                }
            }
        }
    }

    fn schedule(&self, states: &[(State, usize, Thread)], mut at: usize) -> Vec<(Thread, String)> {
        let mut schedule = Vec::new();
        while at != 0 {
            let (after, before, thread) = states[at];
            let (before_state, ..) = states[before];
            let step = self.next_step(&before_state, thread).expect("it had a step to do");
            let text = self.program.step(step);
            let outcome = if after[thread].is_queued {
                ": waits"
            } else if after[thread].missed > before_state[thread].missed {
                ": fails"
            } else {
                ""
            };
            schedule.push((thread, text + outcome));
            at = before;
        }
        schedule.reverse();
        schedule
    }
}

mod tests {
    use super::*;

    fn can_deadlock(text: &str) -> bool {
        deadlocks(&Program::parse(text)).is_some()
    }

    #[test]
    fn two_locks() {
        assert!(can_deadlock("lock A, lock B // lock B, lock A"));
        assert!(!can_deadlock("lock A, lock B // lock A, lock B"));
        assert!(!can_deadlock("lock A, release A, lock B // lock B, lock A"));
        // Not nested: the first lock is released before the second is acquired.
        assert!(can_deadlock("lock A, lock B, release A, lock C // lock C, lock B"));
        assert!(!can_deadlock("lock A, lock B, release B, lock C // lock C, lock B"));
    }

    #[test]
    fn a_schedule_leads_there() {
        let deadlock = deadlocks(&Program::parse("lock A, lock B // lock B, lock A")).unwrap();
        let schedule = [(0, "lock A".to_owned()), (1, "lock B".to_owned())];
        assert_eq!(deadlock.schedule, schedule);
        let stuck = |thread, held, wanted| Stuck {
            thread,
            holds: vec![(held, Mode::Exclusive)],
            wants: (wanted, Mode::Exclusive),
        };
        assert_eq!(deadlock.stuck, [stuck(0, 0, 1), stuck(1, 1, 0)]);
    }

    #[test]
    fn a_gate_keeps_two_threads_apart() {
        assert!(!can_deadlock("lock C, lock A, lock B // lock C, lock B, lock A"));
        assert!(!can_deadlock("write C, lock A, lock B // read C, lock B, lock A"));
        assert!(can_deadlock("read C, lock A, lock B // read C, lock B, lock A"));
        assert!(can_deadlock("lock C, lock A, release C, lock B // lock C, lock B, lock A"));
        assert!(!can_deadlock("lock A, lock B, release B, release A, lock B, lock A"));
        // A third thread can hold the gate.
        assert!(can_deadlock("lock C, lock A, lock B // lock C // lock B, lock A"));
    }

    #[test]
    fn philosophers() {
        assert!(can_deadlock("lock A, lock B // lock B, lock C // lock C, lock A"));
        assert!(!can_deadlock("lock A, lock B // lock B, lock C // lock A, lock C"));
        // One thread takes two of the three seats.
        assert!(!can_deadlock(
            "lock A, lock B, release B, release A, lock B, lock C // lock C, lock A"
        ));
        let third_finishes = "lock A, lock B // lock B, lock A // lock C";
        let found = explore(&Program::parse(third_finishes));
        assert_eq!(found.deadlock.unwrap().stuck.len(), 2);
        assert_eq!(found.circles, BTreeSet::from([vec![0, 1]]));
    }

    #[test]
    fn a_circle_is_told_from_those_who_wait_for_it() {
        let found = explore(&Program::parse("lock A, lock B // lock B, lock A // lock C, lock A"));
        assert_eq!(found.circles, BTreeSet::from([vec![0, 1]]));
        assert_eq!(found.deadlock.unwrap().stuck.len(), 3);
    }

    #[test]
    fn readers_wait_for_readers_behind_a_writer_alone() {
        let readers = "read A, read B // read B, read A";
        assert!(!can_deadlock(readers));
        assert!(!can_deadlock(&format!("{readers} // write A")));
        assert!(can_deadlock(&format!("{readers} // write A // write B")));
        assert!(!can_deadlock(&format!("{readers} // try_write A // try_write B")));
        assert!(can_deadlock("read A, lock B // lock B, read A // write A"));
        assert!(!can_deadlock("read A, lock B // lock B, read_recursive A // write A"));
        assert!(can_deadlock("write A, lock B // lock B, read_recursive A"));
    }

    #[test]
    fn upgrades() {
        assert!(can_deadlock("read A, lock B // upgradable_read A, lock B, upgrade A"));
        assert!(!can_deadlock("read A, lock B // lock B, upgradable_read A"));
        assert!(can_deadlock("upgradable_read A, lock B // lock B, upgradable_read A"));
        // An upgradable reader excludes another.
        assert!(!can_deadlock("upgradable_read A, upgrade A // upgradable_read A, upgrade A"));
        assert!(!can_deadlock(
            "upgradable_read A, lock B, upgrade A // upgradable_read A, lock B, upgrade A"
        ));
        // A thread that waits to upgrade blocks readers.
        assert!(can_deadlock("read A, lock B // lock B, read A // upgradable_read A, upgrade A"));
        assert!(!can_deadlock("read A, lock B // lock B, read A // upgradable_read A"));
    }

    /// `parking_lot` lets them pass.
    #[test]
    fn an_upgradable_reader_keeps_a_writer_from_holding_readers_up() {
        assert!(!can_deadlock("upgradable_read A, lock B // lock B, read A // write A"));
    }

    #[test]
    fn joins() {
        assert!(can_deadlock("spawn 1, lock A, join 1 // lock A"));
        assert!(!can_deadlock("spawn 1, lock A, release A, join 1 // lock A"));
        assert!(!can_deadlock("lock A, spawn 1, release A, join 1 // lock A"));
        assert!(can_deadlock("open scope, spawn 1, lock A, close scope // lock A"));
        let chain =
            explore(&Program::parse("spawn 1, lock A, join 1 // spawn 2, join 2 // lock A"));
        assert_eq!(chain.circles, BTreeSet::from([vec![0, exit(1)]]));
        assert_eq!(chain.deadlock.unwrap().stuck.len(), 3);
        // A thread runs from its spawn to its join.
        let other = "lock B, lock A";
        assert!(!can_deadlock(&format!(
            "lock A, lock B, release A, release B, spawn 1 // {other}"
        )));
        assert!(!can_deadlock(&format!("spawn 1, join 1, lock A, lock B // {other}")));
        assert!(can_deadlock(&format!("spawn 1, lock A, lock B // {other}")));
        // The third one is joined by the second.
        assert!(!can_deadlock(&format!(
            "spawn 1, spawn 2, join 2, lock A, lock B // {other} // join 1"
        )));
    }

    #[test]
    fn schedules_without_waiting() {
        let by = |text: &str, order: &[Thread]| schedule(&Program::parse(text), order);
        let text = "spawn 1, lock A, join 1 // lock A";
        assert_eq!(by(text, &[0, 1]), Some(vec![0, 1, 1, 0, 0, 0]));
        assert_eq!(by(text, &[1, 0]), by(text, &[0, 1]));
        let text = "spawn 1, lock A // lock A";
        assert_eq!(by(text, &[0, 1]), Some(vec![0, 0, 0, 1, 1]));
        assert_eq!(by(text, &[1, 0]), Some(vec![0, 1, 1, 0, 0]));
        assert_eq!(by("lock A, spawn 1, join 1 // lock A", &[0, 1]), None);
    }

    #[test]
    fn a_try_does_not_wait() {
        assert!(!can_deadlock("lock A, try_lock B // lock B, lock A"));
        assert!(can_deadlock("try_lock A, lock B // lock B, lock A"));
        // The gate's attempt may fail.
        let program = Program::parse("try_lock C, lock A, lock B // lock C, lock B, lock A");
        let found = explore(&program);
        assert!(found.deadlock.is_some());
        assert_eq!(found.failing_tries, BTreeSet::from([(0, 0)]));
        assert!(!can_deadlock("try_upgradable_read A, upgrade A // read A // upgradable_read A"));
    }
}
