//! A barrier's passage, as a lock. Each thread holds it from one passage to its next arrival. A
//! thread that waits at the barrier acquires it, and does not hold it afterwards.
//!
//! So a thread that waits while it holds a lock creates an edge from that lock to the passage. An
//! acquisition by another thread since its last passage is an edge from the passage. Both must
//! belong to one *generation*, because the threads may do different things in another one. Each
//! generation is a node of the graph, which is removed when all threads have arrived.
//!
//! Nothing is predicted if more threads arrive than the barrier is for. Acquisitions of a thread
//! before its first passage do not count.
//!
//! An inversion panics after the passage. A panic before it would leave the other threads at a
//! barrier that never fills up.

use std::{
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::{
    finding::{FindingKind, LockKind, Mode},
    validator::{
        attach::current,
        chain_cache, check,
        context::{
            Context, State as ThreadState,
            current::inside,
            held::{Entry, Tag},
            obligations::{self, Owed},
        },
        destroyed::destroyed,
        found::{Found, submit},
        graph::{self, Acquisition},
        identity::Identity,
        lock_id::LockId,
    },
};

/// The threads at one barrier and their acquisitions.
pub(crate) struct BarrierOrder(Mutex<State>);

struct State {
    /// More threads have arrived than the barrier is for.
    is_silent: bool,
    participants: Vec<Participant>,
    generation: Generation,
    /// The number of complete generations, up to [`KNOWN_AFTER`].
    generations: u8,
}

/// The number of generations with the same threads after which no other thread is expected to take
/// part.
const KNOWN_AFTER: u8 = 2;

/// A thread that has arrived.
struct Participant {
    number: u64,
    has_arrived: bool,
    passed: Option<Passed>,
}

/// The count of a thread's [notes](crate::validator::context::notes) when it passed, and where.
type Passed = (u64, &'static Location<'static>);

/// More threads have arrived than the barrier is for.
struct TooMany;

/// The lock that stands for one generation. Leaves the graph when it is dropped.
struct Node {
    identity: Identity,
    /// Where the barrier was created.
    created: Option<&'static Location<'static>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(lock) = self.identity.assigned() {
            destroyed(lock);
        }
    }
}

/// The threads that will pass together.
#[derive(Default)]
struct Generation {
    node: Option<Arc<Node>>,
    owed: Vec<Owed>,
    is_awaited: bool,
}

/// A checked arrival.
pub(crate) struct Arrival {
    context: &'static Context,
    site: &'static Location<'static>,
    found: Vec<Found>,
    /// The generation, while something may still be found about it.
    node: Option<Arc<Node>>,
}

// A panic cannot leave it inconsistent, because nothing panics while the lock is held.
impl UnwindSafe for BarrierOrder {}
impl RefUnwindSafe for BarrierOrder {}

impl BarrierOrder {
    pub(crate) const fn new() -> Self {
        let generation = Generation { node: None, owed: Vec::new(), is_awaited: false };
        Self(Mutex::new(State {
            is_silent: false,
            participants: Vec::new(),
            generation,
            generations: 0,
        }))
    }

    /// Called when the calling thread arrives at the barrier, which is for this many threads and was
    /// created there.
    #[track_caller]
    pub(crate) fn arrive(
        &self,
        threads: u64,
        kind: &'static LockKind,
        barrier: &Identity,
        created: Option<&'static Location<'static>>,
    ) -> Option<Arrival> {
        let Some(context) = current().filter(|context| !context.is_suspended()) else {
            self.give_up(barrier);
            return None;
        };
        let site = Location::caller();
        let inside = context.enter(ThreadState::InValidator);
        let barrier_id = barrier.id(kind, created);
        let Ok(passed) = self.participant(context.number(), threads, barrier_id) else {
            context.notes.pass_barrier();
            drop(inside);
            self.give_up(barrier);
            return None;
        };
        let acquired: Vec<Owed> = passed.map_or_else(Vec::new, |(count, since)| {
            let acquired = context.notes.since(count).into_iter();
            acquired.map(|acquired| Owed { since, acquired }).collect()
        });
        context.notes.pass_barrier();
        let awaits = !context.held.is_empty()
            && context.held.is_whole()
            && !context.is(ThreadState::Allowing)
            && !context.is(ThreadState::Confirming);
        let mut arrival = Arrival { context, site, found: Vec::new(), node: None };
        let is_awaited = {
            let generation = &mut self.0.lock().generation;
            if awaits || !acquired.is_empty() {
                let node = generation
                    .node
                    .get_or_insert_with(|| Arc::new(Node { identity: Identity::new(), created }));
                arrival.node = Some(Arc::clone(node));
            }
            generation.owed.extend(acquired);
            generation.is_awaited |= awaits;
            generation.is_awaited
        };
        if let Some(node) = &arrival.node {
            let tag = Tag::new(node.identity.id(kind, node.created), Mode::Exclusive);
            if awaits {
                let owed = self.0.lock().generation.owed.clone();
                arrival.found = judge(context, &Entry { tag, site }, node, &owed);
            }
            if is_awaited {
                // Edges that were added meanwhile: one of two threads that arrive concurrently
                // finds the cycle.
                let owed = self.0.lock().generation.owed.clone();
                let cycles = graph::lock().enter_owed(tag, &owed);
                arrival.found.extend(cycles.into_iter().map(Found::from));
            }
            // A thread's own acquisitions do not delay its own wait.
            arrival.found.retain(|found| found.kind != FindingKind::SingleThreadInversion);
        }
        drop(inside);
        Some(arrival)
    }

    /// Stops tracking the barrier, because too many threads arrive. Not called inside the
    /// validator, because the generation leaves the graph.
    fn give_up(&self, barrier: &Identity) {
        Self::forget(barrier);
        let mut state = self.0.lock();
        state.is_silent = true;
        let forgotten = mem::take(&mut state.generation);
        drop(state);
        drop(forgotten);
    }

    /// Forgets the threads at a barrier, which is destroyed or has too many of them.
    pub(crate) fn forget(barrier: &Identity) {
        if let Some(id) = barrier.assigned() {
            inside(|| obligations::forget(id));
        }
    }

    /// Returns when the thread last passed, if it has. Fails if it is one too many.
    fn participant(
        &self,
        number: u64,
        threads: u64,
        barrier: LockId,
    ) -> Result<Option<Passed>, TooMany> {
        let mut state = self.0.lock();
        if state.is_silent {
            return Err(TooMany);
        }
        if let Some(known) = state.participants.iter().find(|it| it.number == number) {
            let passed = known.passed;
            if state.generations == KNOWN_AFTER {
                let numbers: Vec<u64> = state.participants.iter().map(|it| it.number).collect();
                drop(state);
                obligations::set_obligors(barrier, numbers);
            }
            return Ok(passed);
        }
        if state.participants.len() as u64 >= threads {
            return Err(TooMany);
        }
        state.participants.push(Participant { number, has_arrived: false, passed: None });
        Ok(None)
    }

    /// Called when the thread is about to block, or is the last one. It counts as arrived before it
    /// blocks.
    pub(crate) fn arrived(&self, arrival: &Arrival, threads: u64) {
        let mut state = self.0.lock();
        let number = arrival.context.number();
        if let Some(own) = state.participants.iter_mut().find(|it| it.number == number) {
            own.has_arrived = true;
        }
        let arrived = state.participants.iter().filter(|it| it.has_arrived).count();
        let mut over = Generation::default();
        if arrived as u64 == threads {
            state.participants.iter_mut().for_each(|it| it.has_arrived = false);
            over = mem::take(&mut state.generation);
            state.generations = KNOWN_AFTER.min(state.generations + 1);
        }
        drop(state);
        drop(over);
    }

    /// Called when the thread has passed.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub(crate) fn passed(&self, arrival: Arrival) {
        let Arrival { context, site, found, node } = arrival;
        let count = {
            let _inside = context.enter(ThreadState::InValidator);
            context.notes.begin_window(context)
        };
        let number = context.number();
        if let Some(own) = self.0.lock().participants.iter_mut().find(|it| it.number == number) {
            own.passed = Some((count, site));
        }
        // Dropping the last of these removes the generation from the graph.
        drop(node);
        if !found.is_empty() && !context.is(ThreadState::Allowing) {
            submit(context, found);
        }
    }
}

/// Checks a wait for the other threads while locks are held.
fn judge(context: &'static Context, passage: &Entry, node: &Node, owed: &[Owed]) -> Vec<Found> {
    let held: SmallVec<[Entry; 4]> = context.held.iter().collect();
    graph::lock().enter_owed_to(passage, owed, &held);
    let acquisition =
        Acquisition { identity: &node.identity, wanted: *passage, named_at: passage.site };
    let place = context.held.any_place_for(passage.tag);
    check::judge(context, &acquisition, chain_cache::key(place.chain())).found
}
