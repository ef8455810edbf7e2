//! Finds tasks and threads that will never continue.
//!
//! Runs when a task comes to rest with a waiting lock operation, and when a thread is about to
//! block. Starting from that actor, it visits every actor that would have to continue first,
//! transitively. The greatest set in which each waits for another is stuck forever. The idea is
//! that of garbage collection, as in Go's detection of leaked goroutines (Saioc et al., "Dynamic
//! Partial Deadlock Detection and Recovery via Garbage Collection", ASPLOS 2025), with owners of
//! wakers in place of references.
//!
//! Each member is read twice: a task by its polls, wakes and wakers, a thread by the epoch of its
//! wait. The hands of each lock are read in between. If anything has changed, it is no deadlock.
//! Otherwise it is reported once it has [persisted](super::standing).

use std::{
    ptr,
    sync::{Arc, atomic::Ordering::SeqCst},
};

use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::{
    Task,
    fixpoint::{Blockers, stuck},
    hands::{self, Holder, Whereabouts},
    operation::Op,
    snapshots, stacks, standing,
    task::{ENDED, RESTING},
};
use crate::{
    finding::{
        Detail, Edge, Exhausted, FindingKind, Mode, Role, ThreadInfo, ThreadSnapshot, Until,
    },
    stack::Stack,
    validator::{
        context::{Context, State as ThreadState, held::Entry, registry},
        deadlock::wait_cycle,
        found::{Found, is_handed_over},
        graph,
        lock_id::LockId,
        pools, thread_snapshot,
    },
};

/// A task or a thread.
#[derive(Clone)]
pub(super) enum Actor {
    Task(Arc<Task>),
    Thread(&'static Context),
}

/// Identifies an actor. A thread that polls a task has the task's number.
type Key = (u64, bool);

/// The state of an actor that changes whenever it continues.
pub(super) type At = (Key, (u64, u64));

impl Actor {
    fn key(&self) -> Key {
        match self {
            Self::Task(task) => (task.number, true),
            Self::Thread(context) => (context.number(), false),
        }
    }

    fn info(&self) -> ThreadInfo {
        match self {
            Self::Task(task) => task.info(),
            Self::Thread(context) => context.info(),
        }
    }

    pub(super) fn now(&self) -> At {
        let moment = match self {
            Self::Task(task) => (task.polls.load(SeqCst), task.wakes.load(SeqCst)),
            Self::Thread(context) => (context.waiting.epoch(), 0),
        };
        (self.key(), moment)
    }
}

/// An actor that may be stuck.
pub(super) struct Member {
    actor: Actor,
    at: At,
    waits: Vec<Waits>,
}

/// A lock that is waited for, with the actors that must continue before it is free.
struct Waits {
    wanted: Entry,
    /// The operation's position in the lock's queue, if known.
    place: Option<u64>,
    whereabouts: Whereabouts,
    hands: Vec<Hand>,
}

#[derive(Clone)]
struct Hand {
    whose: Actor,
    /// The lock, as held or as waited for.
    entry: Entry,
    reason: Reason,
    /// It alone blocks the other actor, regardless of the other hands.
    is_certain: bool,
    whereabouts: Whereabouts,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Holds,
    /// One of its operations was granted the lock, and was not polled since.
    WasGranted,
    /// It waits to write what the other wants to read.
    Queues,
}

impl Member {
    /// Reads a task or a thread. `None` if it can continue on its own, or if that is unknown.
    fn read(actor: Actor) -> Option<Self> {
        let at = actor.now();
        let waits = match &actor {
            Actor::Task(task) => waits_of_task(task, at.1.0)?,
            Actor::Thread(context) => vec![wait_of_thread(context)?],
        };
        Some(Self { actor, at, waits })
    }

    fn is_unchanged(&self) -> bool {
        let has_no_waker = match &self.actor {
            Actor::Task(task) => task.live.load(SeqCst) == 0,
            Actor::Thread(_) => true,
        };
        has_no_waker && self.actor.now() == self.at
    }
}

/// Returns the locks that a task waits for, if only their grants can wake it.
fn waits_of_task(task: &Arc<Task>, polls: u64) -> Option<Vec<Waits>> {
    let is_at_rest = polls & (RESTING | ENDED) == RESTING && task.recent_wakes() == 0;
    if !is_at_rest || task.live.load(SeqCst) != 0 {
        return None;
    }
    // An operation that wakes a different waker is no way for the task to continue: that waker
    // would need a clone of the task's, and no clone is left.
    let operations = task.operations.lock().clone();
    if operations.iter().any(|it| it.is_grant_under_way()) {
        return None;
    }
    let own = operations.iter().filter(|it| !it.is_granted() && it.wakes_task());
    let waits: Option<Vec<_>> =
        own.map(|it| Waits::read(it.wanted, it.whereabouts(), Some(it.place))).collect();
    waits.filter(|waits| !waits.is_empty())
}

/// Returns the lock, or the thread's exit, that a thread waits for without a timeout.
fn wait_of_thread(context: &'static Context) -> Option<Waits> {
    let wait = context.waiting.read()?;
    let role = wait.wanted.kind().role;
    let is_for_lock = wait.until == Until::Acquired && (role.is_lock() || role == Role::Exit);
    if is_for_lock { Waits::read(wait.wanted, Whereabouts::Task, None) } else { None }
}

impl Waits {
    /// Returns `None` if the lock is in transit, in no hands.
    fn read(wanted: Entry, whereabouts: Whereabouts, place: Option<u64>) -> Option<Self> {
        let hands = hands_of(wanted, place)?;
        (!hands.is_empty()).then_some(Self { wanted, place, whereabouts, hands })
    }

    /// Returns `true` if the same actors still have the lock.
    fn is_unchanged(&self) -> bool {
        let Some(now) = hands_of(self.wanted, self.place) else { return false };
        let is_there = |hand: &Hand| {
            now.iter().any(|it| it.whose.key() == hand.whose.key() && it.reason == hand.reason)
        };
        self.hands.iter().all(is_there)
    }

    /// Returns `true` if it waits for a permit of a pool.
    fn is_for_permit(&self) -> bool {
        self.wanted.kind().role == Role::Pool
    }

    fn blockers(&self) -> Blockers<Key> {
        let certain = self.hands.iter().filter(|it| it.is_certain);
        Blockers {
            alone: certain.map(|it| it.whose.key()).collect(),
            together: self.hands.iter().map(|it| it.whose.key()).collect(),
        }
    }

    /// Keeps only the hand that most certainly blocks it forever, if there is one.
    fn keep_the_surest(&mut self, stuck: &FxHashSet<Key>) {
        self.hands.retain(|it| stuck.contains(&it.whose.key()));
        let certain = self.hands.iter().filter(|it| it.is_certain);
        if let Some(surest) = certain.min_by_key(|it| it.whereabouts).cloned() {
            self.hands = vec![surest];
        }
    }
}

/// Returns the actors that must continue before a lock can be taken in the wanted mode, from a
/// position in its queue if known. `None` if one of them is unknown.
fn hands_of(wanted: Entry, place: Option<u64>) -> Option<Vec<Hand>> {
    let (lock, mode) = (wanted.tag.lock(), wanted.tag.mode());
    match wanted.kind().role {
        // Any task may add a permit to a semaphore. Of one with a single permit, that is usual.
        Role::Pool if mode == Mode::Exclusive => return None,
        Role::Pool => return hands_of_pool(lock),
        _ => {}
    }
    let blocks = |held: &Entry| held.tag.lock() == lock && mode.waits_for(held.tag.mode(), false);
    // Readers wait behind each waiting writer.
    let queues = |waiting: &Entry| {
        let is_writer = matches!(waiting.tag.mode(), Mode::Exclusive | Mode::Upgrade);
        waiting.tag.lock() == lock && is_writer && mode.queues_behind_writers(Mode::Shared)
    };
    let mut all = Vec::new();
    for context in registry::all() {
        let (whose, whereabouts) = (Actor::Thread(context), Whereabouts::Task);
        let hand = |entry, reason| {
            let is_certain = reason == Reason::Holds;
            Hand { whose, entry, reason, is_certain, whereabouts }
        };
        let wait = context.waiting.read();
        if let Some(entry) = context.first_held(wait.map_or(usize::MAX, |it| it.holds), blocks) {
            // A thread that waits for a lock is not at rest, though it may block on a task.
            let blocks_on = if wait.is_none() {
                context.blocked_on().before_release_of(entry.tag)
            } else {
                None
            };
            all.push(match blocks_on {
                Some(task) => held_by_thread_of(task, entry),
                None => hand(entry, Reason::Holds),
            });
        } else if let Some(wait) = wait
            && queues(&wait.wanted)
        {
            all.push(hand(wait.wanted, Reason::Queues));
        }
    }
    let known = hands::of(lock);
    for holder in known.holders.into_iter().filter(|it| blocks(&it.entry)) {
        let Holder { task, entry, whereabouts, .. } = holder;
        let (whose, reason) = (Actor::Task(task), Reason::Holds);
        all.push(Hand { whose, entry, reason, is_certain: true, whereabouts });
    }
    let granted = known.granted.iter().filter(|it| blocks(&it.held()));
    // No operation overtakes another one in a queue.
    let is_ahead = |it: &Op| place.is_none_or(|place| it.place < place);
    let writers = known.writers.iter().filter(|it| !it.is_granted() && queues(&it.wanted));
    let writers = writers.filter(|it| is_ahead(it));
    let granted = granted.map(|it| (it, Reason::WasGranted));
    for (operation, reason) in granted.chain(writers.map(|it| (it, Reason::Queues))) {
        let whose = Actor::Task(operation.task()?);
        let whereabouts = operation.whereabouts();
        // A grant may only mean an exhausted budget.
        let is_certain = reason == Reason::Queues && place.is_some();
        all.push(Hand { whose, entry: operation.wanted, reason, is_certain, whereabouts });
    }
    Some(all)
}

/// Describes a lock held by the thread that blocks on this task.
fn held_by_thread_of(task: Arc<Task>, entry: Entry) -> Hand {
    let may_have_gone = entry.kind().guards_can_be_sent();
    let whereabouts = if may_have_gone { Whereabouts::Unknown } else { Whereabouts::Task };
    let (whose, reason) = (Actor::Task(task), Reason::Holds);
    Hand { whose, entry, reason, is_certain: true, whereabouts }
}

/// Returns the holders of a pool's permits, all of which must be stuck for a wait to be. `None` unless they are known to
/// have all of them. So no other one has a permit that it may release, and none is free or about to be granted.
///
/// A guard can be sent. A thread that acquires permit after permit, at one place, may pass them on to others with the work
/// that they are for. So its guards count as those that most likely have not left, but may have.
fn hands_of_pool(lock: LockId) -> Option<Vec<Hand>> {
    let pool = pools::of(lock)?;
    let guards = pool.guards_of_all()?;
    let is_it = |held: &Entry| held.tag.lock() == lock;
    let mut all = Vec::new();
    for context in registry::all() {
        let wait = context.waiting.read();
        let held = context.all_held_among(wait.map_or(usize::MAX, |it| it.holds), is_it);
        let blocks_on_task =
            |it: &Entry| context.blocked_on().before_release_of::<Task>(it.tag).is_some();
        if wait.is_none() && held.iter().any(blocks_on_task) {
            return None;
        }
        let is_at_once = |it: &Entry| {
            wait.is_some_and(|wait| {
                wait.wanted.tag.lock() == lock && ptr::eq(wait.wanted.site, it.site)
            })
        };
        let may_be_sent = context.is_of_task() || held.len() > 1 || held.iter().any(is_at_once);
        let whereabouts = if may_be_sent { Whereabouts::Free } else { Whereabouts::Box };
        for entry in held {
            let (whose, reason) = (Actor::Thread(context), Reason::Holds);
            all.push(Hand { whose, entry, reason, is_certain: false, whereabouts });
        }
    }
    for Holder { task, entry, whereabouts, .. } in hands::of(lock).holders {
        let (whose, reason) = (Actor::Task(task), Reason::Holds);
        let whereabouts = whereabouts.max(Whereabouts::Box);
        all.push(Hand { whose, entry, reason, is_certain: false, whereabouts });
    }
    let holders = all.iter().map(|it| it.whose.key()).collect();
    Blockers::of_pool(guards, holders).map(|_| all)
}

/// Returns the actors that an actor is stuck with forever, itself first.
pub(super) fn stuck_with(start: Actor) -> Option<Vec<Member>> {
    let first = start.key();
    let mut stuck = stuck(start, Actor::key, |actor| {
        let member = Member::read(actor)?;
        let blockers = member.waits.iter().map(Waits::blockers).collect();
        let hands = member.waits.iter().flat_map(|it| &it.hands);
        let others = hands.map(|hand| hand.whose.clone()).collect();
        Some((member, blockers, others))
    });
    let keys: FxHashSet<_> = stuck.keys().copied().collect();
    let mut members: Vec<Member> = Vec::new();
    let mut open = vec![first];
    while let Some(next) = open.pop() {
        let Some(mut member) = stuck.remove(&next) else { continue };
        member.waits.iter_mut().for_each(|it| it.keep_the_surest(&keys));
        let hands = member.waits.iter().flat_map(|it| &it.hands);
        open.extend(hands.map(|it| it.whose.key()));
        members.push(member);
    }
    let is_certain =
        !members.is_empty() && are_unchanged(&members) && !may_have_given_away(&members);
    is_certain.then_some(members)
}

/// Returns `true` if no lock has changed hands since the members were read, and none of them has continued.
fn are_unchanged(members: &[Member]) -> bool {
    // Hands first: a lock may have changed hands after it was read, but before its former holder
    // was.
    members.iter().flat_map(|it| &it.waits).all(Waits::is_unchanged)
        && members.iter().all(Member::is_unchanged)
}

/// Returns `true` if a permit that one of the threads holds may be with another thread by now.
fn may_have_given_away(members: &[Member]) -> bool {
    let threads = || {
        members.iter().filter_map(|it| match it.actor {
            Actor::Thread(context) => Some(context),
            Actor::Task(_) => None,
        })
    };
    let stuck: SmallVec<[&Context; 4]> = threads().collect();
    let permits = members.iter().flat_map(|it| &it.waits).filter(|it| it.is_for_permit());
    permits.flat_map(|it| &it.hands).any(|hand| match hand.whose {
        Actor::Thread(context) => context.may_have_given_away(hand.entry.tag, &stuck),
        Actor::Task(_) => false,
    })
}

/// Returns `true` if a lock that the task waits for is held by a task that can be woken, or was
/// granted to one. This is the common case. It would not suffice if the lock had readers.
fn waits_for_awake(task: &Task) -> bool {
    let is_awake = |task: &Task| task.live.load(SeqCst) != 0 || task.recent_wakes() != 0;
    let operations = task.operations.lock();
    operations.iter().any(|it| match it.wanted.kind().role {
        // Any holder of a permit may release it.
        Role::Pool => hands::any_holder(it.lock(), is_awake),
        _ => !it.has_readers() && hands::any_task(it.lock(), is_awake),
    })
}

/// Checks a task that has come to rest with a waiting lock operation.
#[cold]
pub(in crate::validator) fn look(task: &Arc<Task>, context: &'static Context) {
    if task.recent_wakes() != 0 || task.live.load(SeqCst) != 0 || waits_for_awake(task) {
        return;
    }
    let _inside = context.enter(ThreadState::InValidator);
    if let Some(members) = stuck_with(Actor::Task(Arc::clone(task))) {
        standing::watch(task, &members);
    }
}

/// Returns the deadlock that a thread is about to close by blocking, if it involves tasks.
pub(in crate::validator) fn closed_by_thread(context: &'static Context) -> Option<Found> {
    if !super::operation::are_any_waiting() && !pools::are_any() {
        return None;
    }
    // A cycle of threads without a pool is found by `deadlock`.
    let look = || {
        let members = stuck_with(Actor::Thread(context))?;
        let has_pool = members.iter().flat_map(|it| &it.waits).any(Waits::is_for_permit);
        (has_task(&members) || has_pool).then_some(members)
    };
    let members = look()?;
    let certainty = if has_task(&members) { Whereabouts::Task } else { Whereabouts::Spawned };
    if whereabouts(&members) > certainty {
        // The thread cannot wait that long.
        watch_task_of(&members);
        return None;
    }
    let before = moments(&members);
    standing::settle(certainty, || are_unchanged(&members));
    let is_same =
        |members: &Vec<Member>| moments(members) == before && whereabouts(members) <= certainty;
    let members = look().filter(is_same)?;
    if first_to_report(&members) { describe(&members) } else { None }
}

fn has_task(members: &[Member]) -> bool {
    members.iter().any(|it| matches!(it.actor, Actor::Task(_)))
}

/// Lets one of the tasks report the deadlock once it has persisted.
fn watch_task_of(members: &[Member]) {
    let task = members.iter().find_map(|it| match &it.actor {
        Actor::Task(task) => Some(task),
        Actor::Thread(_) => None,
    });
    if let Some(task) = task
        && let Some(members) = stuck_with(Actor::Task(Arc::clone(task)))
    {
        standing::watch(task, &members);
    }
}

/// Returns a state that changes whenever one of the members continues.
pub(super) fn moments(members: &[Member]) -> Vec<At> {
    let mut moments: Vec<_> = members.iter().map(|it| it.at).collect();
    moments.sort_unstable();
    moments
}

/// Returns the least certain whereabouts of the guards and operations by which the members are
/// stuck.
pub(super) fn whereabouts(members: &[Member]) -> Whereabouts {
    let waits = members.iter().flat_map(|it| &it.waits);
    let all =
        waits.flat_map(|it| it.hands.iter().map(|hand| hand.whereabouts).chain([it.whereabouts]));
    all.max().unwrap_or(Whereabouts::Task)
}

/// The members of the last reported deadlocks, each with its state.
static REPORTED: Mutex<Vec<At>> = Mutex::new(Vec::new());

/// Returns the lock around the reported deadlocks, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &REPORTED
}

/// Returns `true` unless another task or thread has reported these members: two may close a cycle
/// at the same time.
pub(super) fn first_to_report(members: &[Member]) -> bool {
    const MAX_REPORTED: usize = 256;
    let mut reported = REPORTED.lock();
    if members.iter().any(|it| reported.contains(&it.at)) {
        return false;
    }
    let excess = (reported.len() + members.len()).saturating_sub(MAX_REPORTED);
    let oldest = excess.min(reported.len());
    reported.drain(..oldest);
    reported.extend(members.iter().map(|it| it.at));
    true
}

/// Returns a cycle of members as a finding: the shortest through the first member, if it is in one.
pub(super) fn describe(members: &[Member]) -> Option<Found> {
    let wait_cycle = (0..members.len()).find_map(|start| wait_cycle_through(start, members))?;
    let pool =
        wait_cycle.iter().find(|(_, link)| link.is_for_permit()).map(|(_, link)| link.wanted);
    let wait_cycle = match pool {
        Some(pool) if wait_cycle.iter().all(|(_, link)| link.wanted.tag == pool.tag) => {
            holders_at_other_places(wait_cycle, members)
        }
        _ => wait_cycle,
    };
    let next = wait_cycle.iter().cycle().skip(1);
    let cycle = wait_cycle
        .iter()
        .zip(next)
        .map(|((this, link), (_, next))| edge(&members[*this].actor, link, next.wanted));
    let cycle: Vec<_> = cycle.collect();
    let is_asleep = wait_cycle.iter().any(|(_, link)| link.hand.reason == Reason::WasGranted);
    let kind = match &wait_cycle[..] {
        _ if is_asleep => FindingKind::Futurelock,
        _ if pool.is_some() => FindingKind::Deadlock,
        [(_, link)] if link.is_by_sibling() => FindingKind::Futurelock,
        [_] => FindingKind::SelfDeadlock,
        _ => FindingKind::Deadlock,
    };
    let detail = match pool {
        Some(pool) if kind == FindingKind::Deadlock => Detail::Exhausted(exhausted(pool, members)?),
        _ if kind == FindingKind::Deadlock => {
            let of = |(this, _): &(usize, Link)| snapshot_of(&members[*this]);
            Detail::Threads(wait_cycle.iter().map(of).collect())
        }
        _ => Detail::None,
    };
    Some(Found { kind, cycle, detail })
}

/// Describes a pool all of whose permits are held by members. `None` if one of them may be with another thread or task,
/// because such guards change hands.
fn exhausted(pool: Entry, members: &[Member]) -> Option<Exhausted> {
    let permits = pools::of(pool.tag.lock())?.permits();
    let graph = graph::lock();
    let hands = || {
        let waits = members.iter().flat_map(|it| &it.waits).filter(|it| it.is_for_permit());
        waits.flat_map(|it| &it.hands)
    };
    let mut held = hands().map(|hand| hand.entry);
    if held.any(|held| is_handed_over(&graph.lock_of(&held, held.site), &held.site.into())) {
        return None;
    }
    let may_have_left = hands().any(|hand| hand.whereabouts.may_have_left());
    let pool = graph.lock_of(&pool, pool.site);
    drop(graph);
    let mut threads: Vec<_> = members.iter().map(snapshot_of).collect();
    threads.sort_by_key(|it| (it.thread.is_task(), it.thread.number()));
    Some(Exhausted { pool, permits, may_have_left, threads: threads.into() })
}

/// Extends a cycle of members that have permits of one pool and wait for another, if all of them do: by one member for each
/// further pair of places where one is held and the other wanted. The finding lists all of them.
fn holders_at_other_places(
    wait_cycle: Vec<(usize, Link)>,
    members: &[Member],
) -> Vec<(usize, Link)> {
    let pool = wait_cycle[0].1.wanted.tag;
    let wait_of = |at: usize| members[at].waits.iter().find(|it| it.wanted.tag == pool);
    let Some(hands) = wait_of(wait_cycle[0].0).map(|it| &it.hands) else { return wait_cycle };
    let held_by = |at: usize| hands.iter().find(|it| it.whose.key() == members[at].actor.key());
    let member = |at: usize| Some((at, wait_of(at)?.wanted, held_by(at)?));
    let mut shown: Vec<_> = wait_cycle.iter().filter_map(|(at, _)| member(*at)).collect();
    let places = |(_, wanted, hand): &(usize, Entry, &Hand)| {
        [hand.entry.site, wanted.site].map(ptr::from_ref)
    };
    let mut known: FxHashSet<_> = shown.iter().map(places).collect();
    let others = (0..members.len()).filter_map(member);
    shown.extend(others.filter(|it| known.insert(places(it))));
    let before = shown.iter().cycle().skip(shown.len().saturating_sub(1));
    shown
        .iter()
        .zip(before)
        .map(|(&(at, _, hand), &(_, wanted, _))| (at, Link { wanted, hand: hand.clone() }))
        .collect()
}

/// Returns the shortest cycle through a member, each with the way in which it blocks the one before
/// it. That a member has permits of the pool that it waits for is a cycle only if no other one has any.
fn wait_cycle_through(start: usize, members: &[Member]) -> Option<Vec<(usize, Link)>> {
    let at = |actor: &Actor| members.iter().position(|it| it.actor.key() == actor.key());
    wait_cycle::shortest(start, |from| {
        let waits = members[from].waits.iter();
        let is_first = |hand: &Hand| hand.whose.key() == members[from].actor.key();
        let links = waits.flat_map(|it| {
            let has_others = it.is_for_permit() && !it.hands.iter().all(is_first);
            let hands = it.hands.iter().filter(move |hand| !(has_others && is_first(hand)));
            hands.map(|hand| Link { wanted: it.wanted, hand: hand.clone() })
        });
        links.filter_map(|link| Some((at(&link.hand.whose)?, link))).collect()
    })
}

/// The way in which a member blocks the one before it.
#[derive(Clone)]
struct Link {
    /// The lock that the one before it wants.
    wanted: Entry,
    hand: Hand,
}

impl Link {
    /// Returns `true` if the member blocks the one before it with a permit of a pool.
    fn is_for_permit(&self) -> bool {
        self.wanted.kind().role == Role::Pool
    }

    /// Returns `true` if another future of the same task may hold the lock.
    fn is_by_sibling(&self) -> bool {
        match &self.hand.whose {
            Actor::Task(task) => task.doubtful.lock().contains(&self.hand.entry.tag),
            Actor::Thread(_) => false,
        }
    }
}

/// Describes the edge from the lock that a member has to the one that it wants.
fn edge(actor: &Actor, Link { wanted: blocked, hand }: &Link, wanted: Entry) -> Edge {
    let held = hand.entry;
    let is_queued = hand.reason == Reason::Queues;
    let (backtrace, waited) = stacks::of_wait(actor, &wanted);
    let held_backtrace = match hand.reason {
        Reason::Holds => stacks::of_hold(actor, held.tag),
        Reason::WasGranted => stacks::of_grant(actor, &held),
        Reason::Queues => Stack::default(),
    };
    let graph = graph::lock();
    Edge {
        held: graph.lock_of(&held, held.site),
        held_mode: if is_queued { blocked.tag.mode() } else { held.tag.mode() },
        held_at: held.site.into(),
        held_backtrace,
        wanted: graph.lock_of(&wanted, wanted.site),
        wanted_mode: wanted.tag.mode(),
        acquired_at: wanted.site.into(),
        backtrace,
        thread: actor.info(),
        is_queued,
        is_granted: hand.reason == Reason::WasGranted,
        may_have_left: hand.whereabouts.may_have_left(),
        waited,
    }
}

/// Describes what a member holds and waits for.
fn snapshot_of(member: &Member) -> ThreadSnapshot {
    match &member.actor {
        Actor::Task(task) => snapshots::of(task),
        Actor::Thread(context) => thread_snapshot::of(context),
    }
}
