//! Is this acquisition safe in the order seen so far?
//!
//! Owns what every thread holds, the order graph and the memory of judged
//! chains. Knows locks by their identity and facts, not by their types; says what
//! it finds to the ledger and panics if the ledger says so. One lock, around
//! [`State`], taken only for a chain that was never judged before, when a lock
//! with edges is destroyed, and for snapshots. No code of the program runs under
//! it but its global allocator, whose locks are then not looked at.

mod held;
mod identity;
mod judge;
mod order;
mod presence;
mod publish;
mod seen;
mod threads;

use std::{panic::Location, sync::Arc};

use parking_lot::Mutex;
use petgraph::stable_graph::{EdgeIndex, StableDiGraph};
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use self::{
    held::{Entry, Tag},
    identity::Identity,
    threads::{Context, State as ThreadState, current, current_if_attached},
};
use self::{identity::LockId, order::Order, seen::Seen};
use crate::{
    finding::{
        Edge, FindingKind, HeldLock, Level, LockInfo, LockKind, Mode, OrderGraph, Site, Stack,
        ThreadInfo, ThreadSnapshot, Waiting, Writer,
    },
    ledger::{self, Backtraces, Verdict},
};

/// Chains judged harmless, by any thread.
static SEEN: Seen = Seen::new();

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// All that stands under the one lock.
#[derive(Default)]
struct State {
    order: Order<LockFacts, EdgeFacts>,
    names: FxHashMap<LockId, Arc<str>>,
    stacks: Interned,
    filling: seen::Filling,
}

/// What the order graph keeps of a lock.
#[derive(Debug)]
struct LockFacts {
    kind: &'static LockKind,
    created: &'static Location<'static>,
    /// Its first acquisition that had to be judged: where its name is read.
    seen: &'static Location<'static>,
}

/// What the order graph keeps of an edge: how it was first seen.
#[derive(Debug)]
struct EdgeFacts {
    held_at: &'static Location<'static>,
    held_backtrace: Stack,
    acquired_at: &'static Location<'static>,
    backtrace: Stack,
    thread: ThreadInfo,
}

/// A blocking acquisition that is about to happen.
pub(crate) struct Acquisition<'a> {
    pub(crate) identity: &'a Identity,
    /// With the mode in which it is wanted.
    pub(crate) wanted: Entry,
    /// Where the source names the lock, if not at `wanted.site`.
    pub(crate) named_at: &'static Location<'static>,
}

type Found = (FindingKind, Vec<Edge>);

/// Looks at an acquisition that may block.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[inline]
#[track_caller]
pub(crate) fn about_to_block(context: &'static Context, acquisition: &Acquisition<'_>) {
    if context.held.is_empty() {
        return;
    }
    let key = seen::key(context.held.chain(), acquisition.wanted.hash);
    if !context.recent.contains(key) {
        about_to_block_uncommonly(context, acquisition, key);
    }
}

#[cold]
#[track_caller]
fn about_to_block_uncommonly(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) {
    if context.is(ThreadState::Allowing) {
        return;
    }
    if !SEEN.contains(key) {
        let found = {
            let _inside = context.enter(ThreadState::Inside);
            judge(context, acquisition, key)
        };
        if !found.is_empty() {
            return submit(context, found, None);
        }
    }
    context.recent.insert(key);
}

/// Judges a chain that is not known to be harmless, and learns its edges.
fn judge(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) -> Vec<Found> {
    let Acquisition { identity, wanted, named_at } = acquisition;
    let mut held: Vec<Entry> = context.held.iter().collect();

    if let Some(found) = reentry(context, &held, wanted) {
        return vec![found];
    }
    held.retain(|held| held.tag.lock() != wanted.tag.lock());

    // The stack is captured only if an edge is new, and outside the lock.
    let modes = |held: &Entry| (held.tag.mode(), wanted.tag.mode());
    let all_known = {
        let mut state = STATE.lock();
        let order = &state.get_or_insert_default().order;
        held.iter().all(|h| order.find(h.tag.lock(), wanted.tag.lock(), modes(h)).is_some())
    };
    let backtrace = if all_known { Stack::default() } else { capture() };

    let mut state = STATE.lock();
    let State { order, names, stacks, filling } = state.get_or_insert_default();
    let backtrace = stacks.intern(backtrace);
    let head = enter(order, wanted, named_at);
    if identity.has_writer() {
        order.note_writer(wanted.tag.lock());
    }
    let mut found = Vec::new();
    for entry in &held {
        let tail = enter(order, entry, entry.site);
        let known = order.find(entry.tag.lock(), wanted.tag.lock(), modes(entry));
        let edge = known.unwrap_or_else(|| {
            let facts = EdgeFacts {
                held_at: entry.site,
                held_backtrace: stacks.intern(context.stack_of(entry.tag)),
                acquired_at: wanted.site,
                backtrace: backtrace.clone(),
                thread: context.info(),
            };
            order.insert(tail, head, modes(entry), facts)
        });
        let Some(cycle) = order.shortest_cycle(edge) else { continue };
        let cycle: Vec<_> = cycle.into_iter().map(|edge| public_edge(order, names, edge)).collect();
        // A cycle through another held lock contains the one through that lock.
        let is_shortest =
            cycle[1..].iter().all(|edge| held.iter().all(|h| h.tag.lock() != edge.held.id));
        if is_shortest {
            found.push((FindingKind::Inversion, cycle));
        }
    }
    if found.is_empty() || ledger::level(FindingKind::Inversion) == Level::Allow {
        // Otherwise the chain is judged again each time, and denied each time.
        SEEN.insert(key, filling);
    }
    found
}

/// Whether the thread already holds the lock, in a mode that makes it wait for
/// itself.
fn reentry(context: &Context, held: &[Entry], wanted: &Entry) -> Option<Found> {
    let mut same = held.iter().filter(|held| held.tag.lock() == wanted.tag.lock());
    let first = same.clone().next()?;
    let blocking = same.find(|held| judge::waits(wanted.tag.mode(), held.tag.mode(), false));
    let (kind, entry) = match (blocking, wanted.tag.mode()) {
        (Some(entry), _) => (FindingKind::SelfDeadlock, entry),
        (None, Mode::Shared) => (FindingKind::RecursiveRead, first),
        (None, _) => return None,
    };
    Some((kind, vec![own_edge(context, entry, wanted, wanted.site, capture())]))
}

/// The node of a lock, made if it is new.
fn enter(
    order: &mut Order<LockFacts, EdgeFacts>,
    entry: &Entry,
    seen: &'static Location<'static>,
) -> petgraph::stable_graph::NodeIndex {
    order.node_or_insert(entry.tag.lock(), || {
        presence::entered(entry.tag.lock());
        LockFacts { kind: entry.kind, created: entry.created, seen }
    })
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "not to waste one of the stack's frames")]
fn capture() -> Stack {
    match ledger::settings().backtraces {
        Backtraces::Off => Stack::default(),
        Backtraces::NewEdges | Backtraces::Full => Stack::capture(),
    }
}

/// Keeps the stack of an acquisition that has just been made, for as long as the
/// lock is held.
#[cold]
pub(crate) fn keep_stack(context: &'static Context, tag: Tag) {
    let _inside = context.enter(ThreadState::Inside);
    context.keep_stack(tag, Stack::capture());
}

/// A thread is about to wait on a condition variable, and has given back the
/// mutex of the acquisition, which it will take again.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[track_caller]
pub(crate) fn about_to_wait(context: &'static Context, acquisition: &Acquisition<'_>) {
    if context.held.is_empty() || context.is(ThreadState::Allowing) {
        return;
    }
    about_to_block(context, acquisition);
    let found = {
        let _inside = context.enter(ThreadState::Inside);
        let Acquisition { wanted, named_at, .. } = acquisition;
        let stack = capture();
        context
            .held
            .iter()
            .map(|held| own_edge(context, &held, wanted, named_at, stack.clone()))
            .collect()
    };
    submit(context, vec![(FindingKind::WaitWhileHolding, found)], None);
}

/// A thread is about to write a lock that was never written before: from now on
/// its readers may have to queue, and wait for readers.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[cold]
#[track_caller]
pub(crate) fn first_writer(context: &'static Context, wanted: &Entry) {
    if !presence::may_be_known(wanted.tag.lock()) || context.is(ThreadState::Allowing) {
        return;
    }
    let (found, writer) = {
        let _inside = context.enter(ThreadState::Inside);
        let mut state = STATE.lock();
        let Some(State { order, names, .. }) = state.as_mut() else { return };
        if !order.note_writer(wanted.tag.lock()) {
            return;
        }
        let lock = wanted.tag.lock();
        let mut found = Vec::new();
        for &edge in order.refused() {
            let Some(cycle) = order.shortest_cycle(edge) else { continue };
            let cycle: Vec<_> = cycle.iter().map(|&edge| public_edge(order, names, edge)).collect();
            // Only what this writer makes dangerous; the rest was told before.
            let readers_meet = |(into, out): (&Edge, &Edge)| {
                (out.held.id, into.wanted_mode, out.held_mode) == (lock, Mode::Shared, Mode::Shared)
            };
            if cycle.iter().zip(cycle.iter().cycle().skip(1)).any(readers_meet) {
                found.push((FindingKind::Inversion, cycle));
            }
        }
        let writer = Writer {
            lock: info_of(wanted, wanted.site, names),
            thread: context.info(),
            site: wanted.site.into(),
        };
        (found, writer)
    };
    submit(context, found, Some(writer));
}

/// Hands findings to the ledger, and does what it says.
#[track_caller]
fn submit(context: &'static Context, found: Vec<Found>, writer: Option<Writer>) {
    let messages: Vec<String> = {
        let _reporting = context.enter(ThreadState::Reporting);
        found
            .into_iter()
            .filter_map(|(kind, cycle)| match ledger::submit(kind, cycle, writer.clone()) {
                Verdict::Proceed => None,
                Verdict::Panic(message) => Some(message),
            })
            .collect()
    };
    if !messages.is_empty() {
        context.set(ThreadState::Denied, true);
        panic!("{}", messages.join("\n"));
    }
}

/// A lock is destroyed: whatever is known of it goes with it.
pub(crate) fn destroyed(lock: LockId) {
    if let Some(context) = current_if_attached() {
        if !context.held.is_empty() {
            context.held.purge(lock);
        }
        if context.is(ThreadState::Inside) {
            // The state's lock may be ours already. Only a global allocator can
            // come here, with a lock that it made and destroyed under ours.
            return;
        }
    }
    if presence::may_be_known(lock) {
        forget(lock);
    }
}

/// Forgets a lock that may be known.
#[cold]
fn forget(lock: LockId) {
    let context = current_if_attached();
    let _inside = context.map(|context| context.enter(ThreadState::Inside));
    let mut state = STATE.lock();
    let Some(state) = state.as_mut() else { return };
    if state.order.remove(lock) {
        presence::left(lock);
        state.filling.lock_destroyed();
    }
    if state.names.remove(&lock).is_some() {
        presence::left(lock);
    }
}

/// See [`crate::name`].
pub(crate) fn name(identity: &Identity, name: &str) {
    let lock = identity.id();
    let _inside = current().map(|context| context.enter(ThreadState::Inside));
    let mut state = STATE.lock();
    if state.get_or_insert_default().names.insert(lock, Arc::from(name)).is_none() {
        presence::entered(lock);
    }
}

/// See [`crate::allow`].
pub(crate) fn allow<R>(body: impl FnOnce() -> R) -> R {
    let _allowing = current().map(|context| context.enter(ThreadState::Allowing));
    body()
}

/// Forgets the order. Names, and what is held right now, stay.
pub(crate) fn reset() {
    let _inside = current().map(|context| context.enter(ThreadState::Inside));
    let mut state = STATE.lock();
    if let Some(state) = state.as_mut() {
        for vertex in state.order.graph().node_weights() {
            presence::left(vertex.lock);
        }
        state.order = Order::default();
        state.stacks = Interned::default();
    }
    seen::forget_all();
}

/// Has every chain judged again: a level has changed.
pub(crate) fn rejudge() {
    seen::forget_all();
}

/// See [`crate::order_graph`].
pub(crate) fn order_graph() -> OrderGraph {
    let _inside = current().map(|context| context.enter(ThreadState::Inside));
    let state = STATE.lock();
    let graph =
        state.as_ref().map_or_else(StableDiGraph::default, |State { order, names, .. }| {
            order.graph().map(
                |_, vertex| public_lock(vertex, names),
                |edge, _| public_edge(order, names, edge),
            )
        });
    OrderGraph { graph }
}

/// What every thread holds and waits for: a glance, thread by thread.
pub(crate) fn snapshot() -> Vec<ThreadSnapshot> {
    let _inside = current().map(|context| context.enter(ThreadState::Inside));
    let names = STATE.lock().as_ref().map_or_else(FxHashMap::default, |state| state.names.clone());
    let held_lock = |entry: Entry| HeldLock {
        lock: info_of(&entry, entry.site, &names),
        mode: entry.tag.mode(),
        since: entry.site.into(),
    };
    let mut threads: Vec<_> = threads::all()
        .into_iter()
        .map(|context| ThreadSnapshot {
            thread: context.info(),
            held: context.held.iter().map(held_lock).collect(),
            waiting: context.waiting().map(|(wanted, for_notification)| {
                let lock = held_lock(wanted);
                if for_notification { Waiting::Notification(lock) } else { Waiting::Lock(lock) }
            }),
        })
        .filter(|thread| !thread.held.is_empty() || thread.waiting.is_some())
        .collect();
    threads.sort_by_key(|thread| thread.thread.number);
    threads
}

/// An edge that the calling thread adds right now, outside the graph.
fn own_edge(
    context: &Context,
    held: &Entry,
    wanted: &Entry,
    named_at: &'static Location<'static>,
    backtrace: Stack,
) -> Edge {
    let state = STATE.lock();
    let no_names = FxHashMap::default();
    let names = state.as_ref().map_or(&no_names, |state| &state.names);
    Edge {
        held: info_of(held, held.site, names),
        held_mode: held.tag.mode(),
        held_at: held.site.into(),
        held_backtrace: context.stack_of(held.tag),
        // One lock twice is called by one name, the first.
        wanted: if held.tag.lock() == wanted.tag.lock() {
            info_of(held, held.site, names)
        } else {
            info_of(wanted, named_at, names)
        },
        wanted_mode: wanted.tag.mode(),
        acquired_at: wanted.site.into(),
        backtrace,
        thread: context.info(),
    }
}

fn public_edge(
    order: &Order<LockFacts, EdgeFacts>,
    names: &FxHashMap<LockId, Arc<str>>,
    edge: EdgeIndex,
) -> Edge {
    let graph = order.graph();
    let (tail, head) = graph.edge_endpoints(edge).expect("the edge is in the graph");
    let arc = &graph[edge];
    Edge {
        held: public_lock(&graph[tail], names),
        held_mode: arc.held,
        held_at: arc.facts.held_at.into(),
        held_backtrace: arc.facts.held_backtrace.clone(),
        wanted: public_lock(&graph[head], names),
        wanted_mode: arc.wanted,
        acquired_at: arc.facts.acquired_at.into(),
        backtrace: arc.facts.backtrace.clone(),
        thread: arc.facts.thread.clone(),
    }
}

fn public_lock(vertex: &order::Vertex<LockFacts>, names: &FxHashMap<LockId, Arc<str>>) -> LockInfo {
    LockInfo {
        id: vertex.lock,
        kind: vertex.facts.kind,
        created_at: vertex.facts.created.into(),
        seen_at: vertex.facts.seen.into(),
        name: names.get(&vertex.lock).cloned(),
    }
}

fn info_of(
    entry: &Entry,
    seen: &'static Location<'static>,
    names: &FxHashMap<LockId, Arc<str>>,
) -> LockInfo {
    LockInfo {
        id: entry.tag.lock(),
        kind: entry.kind,
        created_at: Site::from(entry.created),
        seen_at: Site::from(seen),
        name: names.get(&entry.tag.lock()).cloned(),
    }
}

/// Call stacks, one per call path however many edges were seen on it.
#[derive(Default)]
struct Interned {
    stacks: FxHashSet<Stack>,
    sweep_at: usize,
}

impl Interned {
    fn intern(&mut self, stack: Stack) -> Stack {
        if stack.is_empty() {
            return Stack::default();
        }
        if let Some(known) = self.stacks.get(&stack) {
            return known.clone();
        }
        // Stacks of edges that are gone go too, once they may be half of all.
        if self.stacks.len() >= self.sweep_at {
            self.stacks.retain(Stack::is_shared);
            self.sweep_at = (self.stacks.len() * 2).max(64);
        }
        self.stacks.insert(stack.clone());
        stack
    }
}
