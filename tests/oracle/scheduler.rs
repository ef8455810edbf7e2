//! Every interleaving of a program, one after the other.
//!
//! Owns the rules by which a thread waits, written down as plainly as they are defined,
//! and shares no code with the library. Knows a program's steps; not where it came from.
//!
//! A thread that must wait does so in two steps: it arrives (a writer is *queued* from
//! then on), and it proceeds when nobody holds it up any more. Only a queued writer that
//! has nothing but readers before it holds readers up. While an upgradable reader is
//! there, `parking_lot` lets other readers pass a writer, who does not even get to wait for
//! them: `lock_exclusive_slow` sets `WRITER_BIT` once `UPGRADABLE_BIT` is gone.
//!
//! Left out: a reader of `parking_lot`, recursive or not, that arrived while the lock was held
//! exclusively, behind a writer, is not woken when the lock is then downgraded, or is taken by
//! another reader before that writer gets to it. It waits for that reader.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    hash::BuildHasherDefault,
};

use rustc_hash::FxHasher;

use crate::program::{Kind, Lock, MAX_LOCKS, MAX_THREADS, Mode, Program, Step, Thread, name};

/// Whether a lock that is held in one mode cannot be had in another by somebody else.
pub(crate) fn excludes(held: Mode, wanted: Mode) -> bool {
    match wanted {
        Mode::Exclusive | Mode::Upgrade => true,
        Mode::Shared | Mode::RecursiveShared => held == Mode::Exclusive,
        Mode::Upgradable => matches!(held, Mode::Exclusive | Mode::Upgradable),
    }
}

/// Whether it waits for writers who came before it and wait themselves.
pub(crate) fn waits_behind_writers(wanted: Mode) -> bool {
    matches!(wanted, Mode::Shared | Mode::Upgradable)
}

/// All that can become of a program.
pub(crate) struct Exploration {
    /// One of the deadlocks, with the shortest schedule.
    pub(crate) deadlock: Option<Deadlock>,
    /// For each circle of threads that wait for each other, the locks that they wait for, in
    /// its order: who wants one of them holds the one before.
    pub(crate) circles: BTreeSet<Vec<Lock>>,
    /// The tries that can fail, by thread and step.
    pub(crate) failing_tries: BTreeSet<(Thread, usize)>,
    pub(crate) states: usize,
}

/// Threads that wait for each other for ever.
#[derive(Debug)]
pub(crate) struct Deadlock {
    /// Who did what, from the start.
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

/// A circle, which begins nowhere, as one that is equal to it wherever it began.
pub(crate) fn from_the_smallest(mut circle: Vec<Lock>) -> Vec<Lock> {
    let smallest = (0..circle.len()).min_by_key(|&at| circle[at]).unwrap_or(0);
    circle.rotate_left(smallest);
    circle
}

/// Whether the program can deadlock, and how.
pub(crate) fn deadlocks(program: &Program) -> Option<Deadlock> {
    explore(program).deadlock
}

/// Where one thread is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Position {
    /// The steps that it has done.
    done: u8,
    /// Whether it has arrived as a writer and waits.
    is_queued: bool,
    /// The locks, as bits, that it goes without as its try failed.
    missed: u8,
}

type State = [Position; MAX_THREADS];

struct Explorer<'a> {
    program: &'a Program,
    /// By thread and steps done: how each lock is held if no try failed.
    held: Vec<Vec<[Option<Mode>; MAX_LOCKS]>>,
}

/// Visits every state that can be reached, the nearest first.
pub(crate) fn explore(program: &Program) -> Exploration {
    let explorer = Explorer { program, held: program.threads.iter().map(|t| held(t)).collect() };
    let mut found = Exploration {
        deadlock: None,
        circles: BTreeSet::new(),
        failing_tries: BTreeSet::new(),
        states: 0,
    };
    let start = State::default();
    let mut known: HashSet<State, BuildHasherDefault<FxHasher>> = HashSet::from_iter([start]);
    // Each with where it was reached from, and by whom.
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

/// What a thread holds before each of its steps, and at its end.
fn held(steps: &[Step]) -> Vec<[Option<Mode>; MAX_LOCKS]> {
    let mut held = vec![[None; MAX_LOCKS]];
    for &step in steps {
        let mut now = held[held.len() - 1];
        match step {
            Step::Acquire(lock, mode) | Step::TryAcquire(lock, mode) => {
                now[lock] = Some(mode.once_held());
            }
            Step::Release(lock) => now[lock] = None,
        }
        held.push(now);
    }
    held
}

impl Explorer<'_> {
    fn next_step(&self, state: &State, thread: Thread) -> Option<Step> {
        self.program.threads[thread].get(usize::from(state[thread].done)).copied()
    }

    fn holds(&self, state: &State, thread: Thread, lock: Lock) -> Option<Mode> {
        let Position { done, missed, .. } = state[thread];
        if missed & 1 << lock != 0 {
            return None;
        }
        self.held[thread][usize::from(done)][lock]
    }

    /// Whom an acquisition by a thread has to wait for.
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

    /// The state after a thread's next step; `None` if it has to wait or has ended.
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
                    // A queue of others can be seen only where there are readers.
                    let is_writer = matches!(mode, Mode::Exclusive | Mode::Upgrade)
                        && self.program.locks[lock] == Kind::RwLock;
                    if !is_writer || position.is_queued {
                        return None;
                    }
                    position.is_queued = true;
                    return Some(next);
                }
            }
        }
        position.done += 1;
        position.is_queued = false;
        Some(next)
    }

    /// The threads that have not ended, in a state in which none can move.
    fn stuck(&self, state: &State) -> Vec<Stuck> {
        let stuck = |thread| match self.next_step(state, thread)? {
            Step::Acquire(lock, mode) => {
                let holds = (0..self.program.locks.len())
                    .filter_map(|lock| Some((lock, self.holds(state, thread, lock)?)))
                    .collect();
                Some(Stuck { thread, holds, wants: (lock, mode) })
            }
            _ => None,
        };
        (0..self.program.threads.len()).filter_map(stuck).collect()
    }

    /// The circles among threads that wait, by the locks that they wait for.
    fn add_circles(&self, state: &State, circles: &mut BTreeSet<Vec<Lock>>) {
        let wants = |thread| match self.next_step(state, thread) {
            Some(Step::Acquire(lock, mode)) => Some((lock, mode)),
            _ => None,
        };
        let mut paths: Vec<Vec<Thread>> =
            (0..self.program.threads.len()).map(|t| vec![t]).collect();
        while let Some(path) = paths.pop() {
            let Some((lock, mode)) = wants(path[path.len() - 1]) else { continue };
            for other in self.holding_up(state, path[path.len() - 1], lock, mode) {
                if other == path[0] {
                    let mut locks: Vec<_> =
                        path.iter().filter_map(|&t| Some(wants(t)?.0)).collect();
                    // A reader and the writer before it want the same lock.
                    locks.dedup();
                    if locks.len() > 1 && locks.first() == locks.last() {
                        locks.pop();
                    }
                    circles.insert(from_the_smallest(locks));
                } else if !path.contains(&other) {
                    paths.push([path.as_slice(), &[other]].concat());
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
        // Not nested: the first is given back before the second.
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
        // Who stands at the gate need not be one of the two.
        assert!(can_deadlock("lock C, lock A, lock B // lock C // lock B, lock A"));
    }

    #[test]
    fn philosophers() {
        assert!(can_deadlock("lock A, lock B // lock B, lock C // lock C, lock A"));
        assert!(!can_deadlock("lock A, lock B // lock B, lock C // lock A, lock C"));
        // Two seats of three are one thread's.
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
        // Two upgradable readers are never there at once.
        assert!(!can_deadlock("upgradable_read A, upgrade A // upgradable_read A, upgrade A"));
        assert!(!can_deadlock(
            "upgradable_read A, lock B, upgrade A // upgradable_read A, lock B, upgrade A"
        ));
        // Who waits to upgrade holds readers up.
        assert!(can_deadlock("read A, lock B // lock B, read A // upgradable_read A, upgrade A"));
        assert!(!can_deadlock("read A, lock B // lock B, read A // upgradable_read A"));
    }

    /// `parking_lot` lets them pass.
    #[test]
    fn an_upgradable_reader_keeps_a_writer_from_holding_readers_up() {
        assert!(!can_deadlock("upgradable_read A, lock B // lock B, read A // write A"));
    }

    #[test]
    fn a_try_does_not_wait() {
        assert!(!can_deadlock("lock A, try_lock B // lock B, lock A"));
        assert!(can_deadlock("try_lock A, lock B // lock B, lock A"));
        // Past a gate that could not be had.
        let program = Program::parse("try_lock C, lock A, lock B // lock C, lock B, lock A");
        let found = explore(&program);
        assert!(found.deadlock.is_some());
        assert_eq!(found.failing_tries, BTreeSet::from([(0, 0)]));
        assert!(!can_deadlock("try_upgradable_read A, upgrade A // read A // upgradable_read A"));
    }
}
