//! One attempt: threads stop at their parts in the deadlock until all have arrived.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::outcome::{NotReached, Obstacle, Part, Replay};
use crate::{
    finding::{ScopeId, ThreadInfo, ThreadSnapshot},
    interleave::{rng::Rng, thread_group::ThreadGroup},
    points::Suspension,
    render,
    validator::{self, Context, Entry, LockId},
};

pub(super) struct Rendezvous {
    parts: Arc<[Part]>,
    timeout: Duration,
    pub(super) scope: ScopeId,
    /// The threads that may take a part.
    pub(super) family: ThreadGroup,
    pub(super) state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    /// From the second attempt on, decides which threads stop.
    rng: Option<Rng>,
    /// All threads that have stopped, in order of arrival.
    pub(super) stops: Vec<Stop>,
    /// The first reason found why threads did not meet.
    apart: Option<Obstacle>,
    /// All have arrived: no thread stops any more.
    lets_all_go: bool,
    /// The program has ended.
    pub(super) is_closed: bool,
}

/// A thread that is or was stopped.
pub(super) struct Stop {
    pub(super) thread: ThreadInfo,
    /// For each part, the locks that the thread holds as that part requires. Empty if the part is
    /// not for this thread.
    pub(super) holds: Vec<Vec<LockId>>,
    pub(super) wants: LockId,
    pub(super) at: Status,
    /// For a future, which does not block its thread.
    pub(super) suspension: Option<Arc<Suspension>>,
}

impl Stop {
    fn let_go(&mut self) {
        self.at = Status::LetGo;
        self.wake();
    }

    fn wake(&self) {
        if let Some(suspension) = &self.suspension {
            suspension.resume();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Stopped,
    /// All have arrived.
    LetGo,
    /// The others did not arrive in time.
    GoneOn,
    /// As `GoneOn`, and the thread has ended.
    Ended,
}

impl Rendezvous {
    pub(super) fn new(
        replay: &Replay,
        timeout: Duration,
        scope: ScopeId,
        family: ThreadGroup,
    ) -> Self {
        let Replay { parts, attempt, seed } = replay;
        let rng = (*attempt > 0).then(|| Rng::new(seed.wrapping_add((*attempt).into())));
        Self {
            parts: Arc::clone(parts),
            timeout,
            scope,
            family,
            state: Mutex::new(State {
                rng,
                stops: Vec::new(),
                apart: None,
                lets_all_go: false,
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Releases all threads. Returns what kept them apart.
    pub(super) fn close(&self) -> NotReached {
        let mut state = self.state.lock();
        state.lets_all_go = true;
        state.is_closed = true;
        self.changed.notify_all();
        state.stops.iter().for_each(Stop::wake);
        let stop_at = |part: usize| state.stops.iter().find(|stop| !stop.holds[part].is_empty());
        let missing = (0..self.parts.len()).find(|&part| stop_at(part).is_none());
        let why = match (&state.apart, missing) {
            (Some(apart), _) => apart.clone(),
            _ if state.stops.iter().any(|stop| stop.at == Status::LetGo) => Obstacle::WentOn,
            (None, Some(missing)) => {
                Obstacle::NotPassed { place: self.parts[missing].wanted_at.to_string() }
            }
            (None, None) => Obstacle::NotTogether,
        };
        let thread = |part| stop_at(part).map(|stop| stop.thread.to_string());
        let parts = self.parts.iter().enumerate();
        NotReached {
            obstacle: why,
            parts: parts.map(|(at, part)| (part.clone(), thread(at))).collect(),
        }
    }

    /// Returns, for each part, the locks that the thread holds as that part requires, if the thread
    /// is about to acquire the second lock of the part.
    pub(super) fn holds(&self, context: &Context, wanted: &Entry) -> Vec<Vec<LockId>> {
        let holds = |part: &Part| {
            let is_meant =
                |held: &Entry| part.wanted_at.is(wanted.site) && part.held_at.is(held.site);
            context.all_held().filter(is_meant).map(|held| held.tag.lock()).collect()
        };
        self.parts.iter().map(holds).collect()
    }

    /// Stops the thread until the others have arrived. Returns `true` if all did.
    pub(super) fn stop(&self, stop: Stop) -> bool {
        let mut state = self.state.lock();
        let Some((own, deadline)) = self.enlist(&mut state, stop) else { return false };
        while state.is_stopped(own) {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                state.give_up(own);
            }
        }
        state.stops[own].at == Status::LetGo
    }

    /// Adds a stop, and releases all threads if it is the last one needed. Returns its number and
    /// deadline, or `None` if the thread is not to stop.
    pub(super) fn enlist(&self, state: &mut State, stop: Stop) -> Option<(usize, Instant)> {
        let is_skipped = state.rng.as_mut().is_some_and(|rng| rng.below(2) == 0);
        if state.lets_all_go || is_skipped {
            return None;
        }
        state.note_who_is_late(&stop.holds, &stop.thread);
        let own = state.stops.len();
        state.stops.push(stop);
        if let Some(all) = state.all_there(self.parts.len()) {
            for stop in all {
                state.stops[stop].let_go();
            }
            state.lets_all_go = true;
            self.changed.notify_all();
            state.stops.iter().for_each(Stop::wake);
        }
        Some((own, Instant::now() + self.timeout / state.waits_in_vain(own)))
    }
}

impl State {
    pub(super) fn is_stopped(&self, own: usize) -> bool {
        self.stops[own].at == Status::Stopped && !self.lets_all_go
    }

    /// The others did not arrive in time.
    pub(super) fn give_up(&mut self, own: usize) {
        self.note_gate(own);
        self.stops[own].at = Status::GoneOn;
    }

    /// Returns one stopped thread per part, such that each wants a lock that the next one holds.
    fn all_there(&self, parts: usize) -> Option<Vec<usize>> {
        let mut chosen = Vec::new();
        self.choose(parts, &mut chosen).then_some(chosen)
    }

    /// Backtracking search for the remaining parts. A cycle has few parts, and few threads are
    /// stopped.
    fn choose(&self, parts: usize, chosen: &mut Vec<usize>) -> bool {
        let part = chosen.len();
        if part == parts {
            let (first, last) = (&self.stops[chosen[0]], &self.stops[chosen[parts - 1]]);
            return first.holds[0].contains(&last.wants);
        }
        let before = chosen.last().map(|&before| self.stops[before].wants);
        for (number, stop) in self.stops.iter().enumerate() {
            let holds = &stop.holds[part];
            let fits = before.map_or(!holds.is_empty(), |wanted| holds.contains(&wanted));
            if stop.at == Status::Stopped && fits && !chosen.contains(&number) {
                chosen.push(number);
                if self.choose(parts, chosen) {
                    return true;
                }
                chosen.pop();
            }
        }
        false
    }

    /// Returns how many threads have waited at the same parts, including this one, so that a thread
    /// in a loop does not wait for the whole timeout each time.
    fn waits_in_vain(&self, own: usize) -> u32 {
        let is_same = |stop: &&Stop| {
            let mut parts = stop.holds.iter().zip(&self.stops[own].holds);
            stop.at != Status::Stopped && parts.all(|(it, own)| it.is_empty() == own.is_empty())
        };
        1 + u32::try_from(self.stops.iter().filter(is_same).count()).unwrap_or(u32::MAX - 1)
    }

    /// Records that a thread reaches its part after one with another part has ended.
    fn note_who_is_late(&mut self, holds: &[Vec<LockId>], thread: &ThreadInfo) {
        let is_other = |stop: &&Stop| {
            let shares =
                |(theirs, ours): (&Vec<_>, &Vec<_>)| !theirs.is_empty() && !ours.is_empty();
            stop.at == Status::Ended && !stop.holds.iter().zip(holds).any(shares)
        };
        if let Some(ended) = self.stops.iter().find(is_other) {
            let why =
                Obstacle::Ended { thread: ended.thread.to_string(), late: thread.to_string() };
            self.apart.get_or_insert(why);
        }
    }

    /// Records that a thread waits for a lock that the stopped thread holds.
    fn note_gate(&mut self, stop: usize) {
        let holder = &self.stops[stop].thread;
        let threads = validator::snapshot();
        let Some(own) = threads.iter().find(|it| it.thread == *holder) else { return };
        let wanted = |lock: u64| {
            let waits =
                |it: &&ThreadSnapshot| it.waiting.iter().any(|(wanted, _)| wanted.lock.id == lock);
            threads.iter().find(waits)
        };
        let gate = own.held.iter().find_map(|held| Some((held, wanted(held.lock.id)?)));
        if let Some((held, waiter)) = gate {
            self.apart.get_or_insert(Obstacle::Gate {
                lock: render::lock_name(&held.lock, &held.since),
                holder: holder.to_string(),
                waiter: waiter.thread.to_string(),
            });
        }
    }
}
