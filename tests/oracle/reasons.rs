//! Reasons why a reported cycle cannot close.
//!
//! Owns the reasons, from the coarsest to the finest, and a brute-force search for threads that
//! could close a cycle. It uses only what a validator can know: which locks each thread held when
//! it wanted another. It does not know interleavings.

use std::collections::BTreeSet;

use crate::{
    forks::{Apart, Forks, Segment, is_boundary},
    paths::Paths,
    program::{Lock, Mode, Step, Thread, exit, is_exit, members},
    scheduler::{excludes, waits_behind_writers},
};

/// Ordered from coarse to fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// No thread waits at one of its edges: a bug in the validator.
    NoCycle,
    /// One thread acquires all of its locks.
    OneThread,
    /// It has more edges than there are threads.
    SameThreadTwice,
    /// Two of its threads hold a common lock, of the cycle or another, in modes that exclude each
    /// other.
    Gate,
    /// A thread passes its edge before it spawns another thread of the cycle, or an ancestor of
    /// one, or after it has joined it.
    Ordered,
    /// A third thread joined one of two threads before it spawned the other.
    InSequence,
    /// It has more edges than there are threads, and more than the threads that the validator
    /// distinguishes at an edge. That many have done the same, so it assumes that another one may.
    AnotherThread,
    /// Its readers wait for readers only behind a writer, and the only thread that writes that lock
    /// is itself part of the cycle.
    OnlyWriter,
    /// As above, but each writer of the lock is part of the cycle, or excluded by locks that the
    /// cycle's threads hold.
    NoWriter,
    /// As above, but all writes of the lock come before the other threads are spawned, or after
    /// they were joined.
    WriterApart,
    /// The locks held at its edges do not prevent it. But on the way there, each of two threads
    /// acquires a lock that the other one already holds, so one of them never arrives.
    Unreachable,
}

impl Reason {
    pub(crate) const ALL: [(Self, &str); 11] = [
        (Self::NoCycle, "is no cycle"),
        (Self::OneThread, "is taken by one thread alone"),
        (Self::SameThreadTwice, "has more edges than threads"),
        (Self::Gate, "has a gate"),
        (Self::Ordered, "is ordered by spawns and joins"),
        (Self::InSequence, "is of threads in sequence"),
        (Self::AnotherThread, "needs a fourth thread to do the same"),
        (Self::OnlyWriter, "has one thread to write, and needs it"),
        (Self::NoWriter, "has no thread left to write"),
        (Self::WriterApart, "has been written at other times"),
        (Self::Unreachable, "has edges that exclude each other"),
    ];
}

/// The number of threads with the same behaviour that the validator distinguishes.
const KEPT_APART: usize = 3;

/// A blocking acquisition, and the locks held at it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Context {
    thread: Thread,
    held: Vec<(Lock, Mode)>,
    /// The exits of the thread and of all threads that wait for its end.
    exits: Vec<Lock>,
    wanted: Lock,
    mode: Mode,
    segment: Segment,
}

impl Context {
    fn holds(&self, lock: Lock) -> Option<Mode> {
        self.held.iter().find(|&&(held, _)| held == lock).map(|&(_, mode)| mode)
    }

    /// Returns the mode in which it prevents other threads from acquiring a lock, or from passing
    /// an exit.
    fn keeps(&self, lock: Lock) -> Option<Mode> {
        if is_exit(lock) {
            return self.exits.contains(&lock).then_some(Mode::Exclusive);
        }
        self.holds(lock)
    }

    fn can_be_there_with(&self, other: &Self) -> bool {
        self.thread != other.thread && self.is_free_of(other)
    }

    /// Returns `true` if no lock that both hold prevents two threads from being there at once.
    fn is_free_of(&self, other: &Self) -> bool {
        self.held.iter().all(|&(lock, mode)| {
            other.holds(lock).is_none_or(|held| !excludes(held, mode) && !excludes(mode, held))
        })
    }

    /// Returns `true` if another thread at this point would have done what this one did, and is
    /// excluded by no further lock.
    fn is_like(&self, other: &Self, lock: Lock) -> bool {
        let excludes_as_much = |held: Mode, theirs: Mode| {
            held == theirs || theirs == Mode::Exclusive || held == Mode::Shared
        };
        (self.wanted, self.mode, self.keeps(lock)) == (other.wanted, other.mode, other.keeps(lock))
            && self.held.iter().all(|&(lock, mode)| {
                other.holds(lock).is_some_and(|theirs| excludes_as_much(mode, theirs))
            })
    }
}

/// Returns the reason why the threads on these paths cannot close a cycle of locks, given in its
/// order.
pub(crate) fn reason(paths: &[Paths], forks: &Forks, cycle: &[Lock]) -> Reason {
    let contexts = contexts(paths, forks);
    let choices = (0..cycle.len()).map(|at| {
        let (held, wanted) = (cycle[at], cycle[(at + 1) % cycle.len()]);
        let is_edge =
            |context: &&Context| context.keeps(held).is_some() && context.wanted == wanted;
        contexts.iter().filter(is_edge).collect::<Vec<_>>()
    });
    // All ways to choose a context for each edge.
    let mut chosen: Vec<Vec<&Context>> = vec![Vec::new()];
    for choices in choices {
        chosen = chosen
            .iter()
            .flat_map(|before| {
                choices.iter().map(|&next| before.iter().copied().chain([next]).collect())
            })
            .collect();
    }
    let obstacle = |chosen: &Vec<&Context>| obstacle(&contexts, forks, cycle, chosen);
    chosen.iter().map(obstacle).max().unwrap_or(Reason::NoCycle)
}

/// Returns what prevents these contexts, one for each edge of the cycle, from occurring at once.
fn obstacle(contexts: &[Context], forks: &Forks, cycle: &[Lock], chosen: &[&Context]) -> Reason {
    let mut unaided = Vec::new();
    for (at, &lock) in cycle.iter().enumerate() {
        let into = chosen[(at + cycle.len() - 1) % cycle.len()];
        let Some(held) = chosen[at].keeps(lock) else { return Reason::NoCycle };
        if !excludes(held, into.mode) {
            let is_writer = |context: &&Context| {
                context.wanted == lock && matches!(context.mode, Mode::Exclusive | Mode::Upgrade)
            };
            let writers: Vec<_> = contexts.iter().filter(is_writer).collect();
            if held != Mode::Shared || !waits_behind_writers(into.mode) || writers.is_empty() {
                return Reason::NoCycle;
            }
            unaided.push((lock, writers));
        }
    }
    let can_meet = |chosen: &[&Context], next: &Context| {
        let is_apart = |it: &&Context| forks.apart(it.segment, next.segment).is_some();
        can_join(chosen, next) && !chosen.iter().any(is_apart)
    };
    let is_one_of_a_kind = |at: usize| chosen[..at].iter().all(|c| c.thread != chosen[at].thread);
    if chosen.iter().all(|context| context.thread == chosen[0].thread) {
        Reason::OneThread
    } else if !(0..chosen.len()).all(is_one_of_a_kind) {
        if is_supposed(contexts, cycle, chosen) {
            Reason::AnotherThread
        } else {
            Reason::SameThreadTwice
        }
    } else if !(0..chosen.len()).all(|at| can_join(&chosen[..at], chosen[at])) {
        Reason::Gate
    } else if let Some(reason) = order(forks, chosen) {
        reason
    } else if !can_be_aided(chosen, &unaided, &can_join) {
        let is_only_writer = |(_, writers): &(Lock, Vec<&Context>)| is_only_writer(chosen, writers);
        if unaided.iter().any(is_only_writer) { Reason::OnlyWriter } else { Reason::NoWriter }
    } else if !can_be_aided(chosen, &unaided, &can_meet) {
        Reason::WriterApart
    } else {
        Reason::Unreachable
    }
}

/// Returns `true` if one thread alone writes a lock, and is one of those that are chosen.
fn is_only_writer(chosen: &[&Context], writers: &[&Context]) -> bool {
    let writer = writers[0].thread;
    writers.iter().all(|it| it.thread == writer) && chosen.iter().any(|it| it.thread == writer)
}

/// Returns how spawns and joins prevent these contexts from occurring at once, if they do.
fn order(forks: &Forks, chosen: &[&Context]) -> Option<Reason> {
    let pairs = (0..chosen.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
    let apart = pairs.filter_map(|(a, b)| forks.apart(chosen[a].segment, chosen[b].segment));
    let reason = |apart| match apart {
        Apart::InLine => Reason::Ordered,
        Apart::Otherwise => Reason::InSequence,
    };
    apart.map(reason).min()
}

/// Returns `true` if the cycle can close with a further thread for each one that is needed twice,
/// where as many threads have done the same as the validator distinguishes.
fn is_supposed(contexts: &[Context], cycle: &[Lock], chosen: &[&Context]) -> bool {
    let is_common = |at: usize| is_done_by_many(contexts, chosen[at], cycle[at]);
    let may_go_together = |one: usize, other: usize| {
        let are_two = chosen[one].thread != chosen[other].thread;
        chosen[one].is_free_of(chosen[other]) && (are_two || is_common(one) || is_common(other))
    };
    chosen.len() > KEPT_APART
        && (0..chosen.len()).all(|one| (0..one).all(|other| may_go_together(one, other)))
}

/// Returns `true` if as many threads have done this as the validator distinguishes.
fn is_done_by_many(contexts: &[Context], context: &Context, held: Lock) -> bool {
    let like = contexts.iter().filter(|other| other.is_like(context, held));
    like.map(|other| other.thread).collect::<BTreeSet<_>>().len() >= KEPT_APART
}

fn can_join(chosen: &[&Context], next: &Context) -> bool {
    chosen.iter().all(|context| context.can_be_there_with(next))
}

/// Returns `true` if each lock whose readers need a writer has one that can run beside the others.
/// Only readers may be in the queue before that writer.
fn can_be_aided(
    chosen: &[&Context],
    unaided: &[(Lock, Vec<&Context>)],
    can_join: &dyn Fn(&[&Context], &Context) -> bool,
) -> bool {
    let Some(((lock, writers), rest)) = unaided.split_first() else { return true };
    let has_only_readers =
        chosen.iter().all(|context| matches!(context.holds(*lock), None | Some(Mode::Shared)));
    has_only_readers
        && writers.iter().any(|writer| {
            can_join(chosen, writer) && can_be_aided(&[chosen, &[writer]].concat(), rest, can_join)
        })
}

/// Returns every join and every blocking acquisition, including those with no lock held.
fn contexts(paths: &[Paths], forks: &Forks) -> Vec<Context> {
    let mut contexts = Vec::new();
    for (thread, paths) in paths.iter().enumerate() {
        let exits: Vec<_> = [thread].into_iter().chain(forks.joiners(thread)).map(exit).collect();
        for path in paths {
            let mut held: Vec<(Lock, Mode)> = Vec::new();
            let mut segment = 0;
            for &step in path {
                let joined = members(step.joins()).map(|thread| (exit(thread), Mode::Exclusive));
                let acquired = match step {
                    Step::Acquire(wanted, mode) => Some((wanted, mode)),
                    _ => None,
                };
                for (wanted, mode) in acquired.into_iter().chain(joined) {
                    let (held, exits, segment) = (held.clone(), exits.clone(), (thread, segment));
                    let context = Context { thread, held, exits, wanted, mode, segment };
                    if !contexts.contains(&context) {
                        contexts.push(context);
                    }
                }
                segment += usize::from(is_boundary(step));
                held.retain(|&(held, _)| step.lock() != Some(held));
                if let Step::Acquire(lock, mode) | Step::TryAcquire(lock, mode) = step {
                    held.push((lock, mode.once_held()));
                }
            }
        }
    }
    contexts
}
