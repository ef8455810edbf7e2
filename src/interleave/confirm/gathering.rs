//! One attempt: threads stop where they have a part in the deadlock, until all are there.

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::outcome::{NotReached, Part, Replay, Why};
use crate::{
    finding::{ScopeId, ThreadInfo, ThreadSnapshot},
    interleave::{family::Family, rng::Rng},
    points::{self, Passage, Script},
    render,
    validator::{self, Context, Entry, LockId, ThreadState},
};

pub(super) struct Gathering {
    parts: Arc<[Part]>,
    limit: Duration,
    scope: ScopeId,
    /// Whose threads are looked at.
    family: Family,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// From the second attempt on, decides who stops.
    rng: Option<Rng>,
    /// All who have stopped, in this order.
    stops: Vec<Stop>,
    /// What was first seen to keep threads apart.
    apart: Option<Why>,
    /// All were there: nobody stops any more.
    lets_all_go: bool,
    /// The program has ended.
    is_closed: bool,
}

/// A thread that is stopped, or was.
struct Stop {
    thread: ThreadInfo,
    /// By part: the locks that it holds as that part wants it. Empty if it is not for this thread.
    holds: Vec<Vec<LockId>>,
    wants: LockId,
    at: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Stopped,
    /// All were there.
    LetGo,
    /// The others did not come in time.
    GoneOn,
    /// The same, and the thread has ended.
    Ended,
}

impl Gathering {
    pub(super) fn new(replay: &Replay, limit: Duration, scope: ScopeId, family: Family) -> Self {
        let Replay { parts, attempt, seed } = replay;
        let rng = (*attempt > 0).then(|| Rng::new(seed.wrapping_add((*attempt).into())));
        Self {
            parts: Arc::clone(parts),
            limit,
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

    /// Lets all go on, and says what kept them apart, if anything did.
    pub(super) fn close(&self) -> NotReached {
        let mut state = self.state.lock();
        state.lets_all_go = true;
        state.is_closed = true;
        self.changed.notify_all();
        let stop_at = |part: usize| state.stops.iter().find(|stop| !stop.holds[part].is_empty());
        let missing = (0..self.parts.len()).find(|&part| stop_at(part).is_none());
        let why = match (&state.apart, missing) {
            (Some(apart), _) => apart.clone(),
            _ if state.stops.iter().any(|stop| stop.at == Standing::LetGo) => Why::WentOn,
            (None, Some(missing)) => {
                Why::NotPassed { place: self.parts[missing].wanted_at.to_string() }
            }
            (None, None) => Why::NotTogether,
        };
        let thread = |part| stop_at(part).map(|stop| stop.thread.to_string());
        let parts = self.parts.iter().enumerate();
        NotReached { why, parts: parts.map(|(at, part)| (part.clone(), thread(at))).collect() }
    }

    /// By part: which of the locks that the thread holds that part wants, if the thread is about to
    /// take the lock of that part.
    fn holds(&self, context: &Context, wanted: &Entry) -> Vec<Vec<LockId>> {
        let holds = |part: &Part| {
            let is_meant =
                |held: &Entry| part.wanted_at.is(wanted.site) && part.held_at.is(held.site);
            context.all_held().filter(is_meant).map(|held| held.tag.lock()).collect()
        };
        self.parts.iter().map(holds).collect()
    }

    /// The thread has a part, and waits for the others. Whether all came.
    fn stop(&self, thread: ThreadInfo, holds: Vec<Vec<LockId>>, wants: LockId) -> bool {
        let mut state = self.state.lock();
        let is_skipped = state.rng.as_mut().is_some_and(|rng| rng.below(2) == 0);
        if state.lets_all_go || is_skipped {
            return false;
        }
        state.note_who_is_late(&holds, &thread);
        let own = state.stops.len();
        state.stops.push(Stop { thread, holds, wants, at: Standing::Stopped });
        if let Some(all) = state.all_there(self.parts.len()) {
            for stop in all {
                state.stops[stop].at = Standing::LetGo;
            }
            state.lets_all_go = true;
            self.changed.notify_all();
        }
        let deadline = Instant::now() + self.limit / state.waits_in_vain(own);
        while state.stops[own].at == Standing::Stopped && !state.lets_all_go {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                state.note_gate(own);
                state.stops[own].at = Standing::GoneOn;
            }
        }
        state.stops[own].at == Standing::LetGo
    }
}

impl State {
    /// For each part a stopped thread, each of which wants what the next one holds.
    fn all_there(&self, parts: usize) -> Option<Vec<usize>> {
        let mut chosen = Vec::new();
        self.choose(parts, &mut chosen).then_some(chosen)
    }

    /// Finds a thread for the next part, and for all after it. A cycle has few parts, and few
    /// threads are stopped.
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
            if stop.at == Standing::Stopped && fits && !chosen.contains(&number) {
                chosen.push(number);
                if self.choose(parts, chosen) {
                    return true;
                }
                chosen.pop();
            }
        }
        false
    }

    /// How often threads have waited where this one does, with it. Who waits in a loop would
    /// otherwise take the limit each time.
    fn waits_in_vain(&self, own: usize) -> u32 {
        let is_same = |stop: &&Stop| {
            let mut parts = stop.holds.iter().zip(&self.stops[own].holds);
            stop.at != Standing::Stopped && parts.all(|(it, own)| it.is_empty() == own.is_empty())
        };
        1 + u32::try_from(self.stops.iter().filter(is_same).count()).unwrap_or(u32::MAX - 1)
    }

    /// A thread comes to a part when one with another part has ended already.
    fn note_who_is_late(&mut self, holds: &[Vec<LockId>], thread: &ThreadInfo) {
        let is_other = |stop: &&Stop| {
            let shares =
                |(theirs, ours): (&Vec<_>, &Vec<_>)| !theirs.is_empty() && !ours.is_empty();
            stop.at == Standing::Ended && !stop.holds.iter().zip(holds).any(shares)
        };
        if let Some(ended) = self.stops.iter().find(is_other) {
            let why = Why::Ended { thread: ended.thread.to_string(), late: thread.to_string() };
            self.apart.get_or_insert(why);
        }
    }

    /// Some thread waits for a lock that a stopped one holds.
    fn note_gate(&mut self, stop: usize) {
        let holder = &self.stops[stop].thread;
        let threads = validator::snapshot();
        let Some(own) = threads.iter().find(|it| it.thread == *holder) else { return };
        let wanted = |lock: u64| {
            let waits = |it: &&ThreadSnapshot| {
                it.waiting.as_ref().is_some_and(|(wanted, _)| wanted.lock.id == lock)
            };
            threads.iter().find(waits)
        };
        let gate = own.held.iter().find_map(|held| Some((held, wanted(held.lock.id)?)));
        if let Some((held, waiter)) = gate {
            self.apart.get_or_insert(Why::Gate {
                lock: render::lock_name(&held.lock, &held.since),
                holder: holder.to_string(),
                waiter: waiter.thread.to_string(),
            });
        }
    }
}

/// The scope that a thread was in before it took its part, if it was in one.
struct Before(Option<ScopeId>);

/// A thread that may come to a part.
struct Player {
    gathering: Arc<Gathering>,
    /// Its number, once it has stopped.
    stopped: Cell<Option<u64>>,
    /// While it takes its part: the scope that it was in before.
    scope_before: Cell<Option<Before>>,
}

impl Player {
    /// The thread takes its part: what is found of it belongs to the attempt, and is not denied
    /// before the deadlock is there.
    fn begin(&self, context: &Context) {
        let before = validator::set_scope(Some(self.gathering.scope));
        self.scope_before.set(Some(Before(before)));
        context.set(ThreadState::Confirming, true);
    }

    fn end(&self) {
        if let (Some(Before(scope)), Some(context)) =
            (self.scope_before.take(), validator::current_if_attached())
        {
            validator::set_scope(scope);
            context.set(ThreadState::Confirming, false);
        }
    }
}

impl Script for Gathering {
    fn cast(self: Arc<Self>) -> Option<Rc<dyn points::Part>> {
        self.family.may_employ_this_thread().then(|| self.role(""))
    }

    fn role(self: Arc<Self>, _: &str) -> Rc<dyn points::Part> {
        Rc::new(Player { gathering: self, stopped: Cell::new(None), scope_before: Cell::new(None) })
    }

    fn is_for_all(&self) -> bool {
        true
    }
}

impl points::Part for Player {
    fn script(&self) -> Arc<dyn Script> {
        Arc::clone(&self.gathering) as _
    }

    fn is_over(&self) -> bool {
        self.gathering.state.lock().is_closed
    }

    fn arrives(&self, passage: &Passage<'_>, may_block: bool) {
        if matches!(passage, Passage::Wait(..)) {
            return;
        }
        self.end();
        let (Passage::Acquire(wanted), Some(context)) = (passage, validator::current()) else {
            return;
        };
        // Where nothing can be thrown, a deadlock that happens is not broken.
        if validator::is_retaken(wanted.site.file()) {
            return;
        }
        let holds = self.gathering.holds(context, wanted);
        if may_block && holds.iter().any(|held| !held.is_empty()) {
            self.stopped.set(Some(context.info().number()));
            if self.gathering.stop(context.info(), holds, wanted.tag.lock()) {
                self.begin(context);
            }
        }
    }

    fn passed(&self, passage: &Passage<'_>) {
        if matches!(passage, Passage::Acquire(_)) {
            self.end();
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.end();
        let own = self.stopped.get();
        for stop in &mut self.gathering.state.lock().stops {
            if stop.at == Standing::GoneOn && Some(stop.thread.number()) == own {
                stop.at = Standing::Ended;
            }
        }
    }
}
