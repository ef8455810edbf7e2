//! Is this acquisition safe in the order seen so far?
//!
//! Owns what every thread holds and what is known of the order. Knows locks by
//! their identity and facts, not by their types; says what it finds to the ledger,
//! and panics if the ledger says so. This file is the events, in the order of a
//! lock's life; none of them holds a lock of ours when it calls the ledger.

mod atomic;
mod circle;
mod classes;
mod clock;
mod deadlock;
mod declared;
mod held;
mod identity;
mod interned;
mod judge;
mod knowledge;
mod leaks;
#[cfg(unix)]
mod on_signal;
mod order;
mod presence;
mod publish;
mod seen;
mod sightings;
mod snapshot;
mod threads;
mod waiting;
mod watchdog;

use std::{ffi::OsStr, panic::Location, path::Path, sync::Arc, time::Duration};

use self::{
    clock::Moment,
    deadlock::Deadlock,
    identity::LockId,
    knowledge::{Cycle, SEEN},
    leaks::Leak,
    sightings::Sighting,
};
pub(crate) use self::{
    declared::{Key, Ordered, Rank},
    held::{Entry, Place, Tag},
    identity::Identity,
    knowledge::Acquisition,
    threads::{Context, State as ThreadState, current, current_if_attached},
};
use crate::{
    finding::{
        Detail, Edge, FindingKind, Level, Mode, OrderGraph, RawStack, ScopeId, Stack, Stats,
        ThreadSnapshot, Until, Writer,
    },
    ledger::{self, Backtraces, Verdict},
};

/// What is to be handed to the ledger.
struct Found {
    kind: FindingKind,
    cycle: Vec<Edge>,
    detail: Detail,
}

impl Found {
    fn new(kind: FindingKind, cycle: Vec<Edge>) -> Self {
        Self { kind, cycle, detail: Detail::None }
    }
}

/// The key of the chain that a lock would make at its place, unless it is the first one
/// or the thread has had this chain lately.
#[inline]
pub(crate) fn unjudged(context: &Context, place: Place) -> Option<u64> {
    if place.is_first() {
        return None;
    }
    let key = seen::key(place.chain());
    (!context.recent.contains(key)).then_some(key)
}

/// Looks at an acquisition that may block, of an [unjudged] chain.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[track_caller]
pub(crate) fn about_to_block(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) {
    if context.is(ThreadState::Allowing) {
        return;
    }
    if context.settle_released_elsewhere() {
        // The chain was another one.
        let place = context.held.any_place_for(acquisition.wanted.tag);
        if let Some(key) = unjudged(context, place) {
            about_to_block(context, acquisition, key);
        }
        return;
    }
    if !SEEN.contains(key) && !SEEN.contains(seen::by(key, context.number())) {
        let found = {
            let _inside = context.enter(ThreadState::Inside);
            judge(context, acquisition, key)
        };
        if !found.is_empty() {
            if submit(context, found) {
                let _inside = context.enter(ThreadState::Inside);
                knowledge::lock().settle(seen::by(key, context.number()));
            }
            return;
        }
    }
    context.recent.insert(key);
}

/// Judges a chain that is not known to be harmless, and learns its edges.
fn judge(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) -> Vec<Found> {
    let wanted = &acquisition.wanted;
    let mut held: Vec<Entry> = context.held.iter().collect();
    if let Some(found) = reentry(context, &held, wanted) {
        if ledger::level(found.kind) < Level::Deny {
            knowledge::lock().settle(seen::by(key, context.number()));
        }
        return vec![found];
    }
    let sighting = Sighting::new(context.number(), held.iter().map(|held| held.tag));
    held.retain(|held| held.tag.lock() != wanted.tag.lock());
    let mut found = against_declared(context, &mut held, wanted);

    // The stack is captured only if there is news, and outside the lock. Locks that are all
    // ordered by key make none.
    let is_known = knowledge::lock().knows(&held, wanted, &sighting);
    let backtrace = if is_known { Stack::default() } else { capture() };

    let mut knowledge = knowledge::lock();
    let new = if ledger::records() { knowledge.without_edge(&held, wanted) } else { Vec::new() };
    let mut cycles = match &held[..] {
        [] => Vec::new(),
        held => knowledge.learn(context, held, acquisition, &sighting, backtrace),
    };
    let new = knowledge.edges_for_record(&new, &held, wanted);
    let denies = |kind| ledger::level(kind) >= Level::Deny;
    let kinds = cycles.iter().map(|cycle| cycle.kind).chain(found.iter().map(|found| found.kind));
    if !kinds.into_iter().any(denies) {
        // Otherwise the chain is judged again each time, and denied each time.
        let is_settled = knowledge.is_settled(&held, wanted, &sighting);
        knowledge.settle(if is_settled { key } else { seen::by(key, context.number()) });
    }
    drop(knowledge);
    ledger::record_edges(&new);
    if is_known && !cycles.is_empty() {
        let backtrace = capture();
        for cycle in &mut cycles {
            cycle.edges[0].backtrace = backtrace.clone();
        }
    }
    found.extend(cycles.into_iter().map(Found::from));
    found
}

impl From<Cycle> for Found {
    fn from(Cycle { kind, edges: cycle, detail }: Cycle) -> Self {
        Self { kind, cycle, detail }
    }
}

/// What breaks an order that was declared. Locks that are ordered by key need no edge, whether
/// they agree or not, nor does what is denied, and so will not happen: they are taken out of
/// those that are held.
///
/// Compares keys: runs code of the program, without any lock of ours.
fn against_declared(context: &Context, held: &mut Vec<Entry>, wanted: &Entry) -> Vec<Found> {
    let mut found = Vec::new();
    held.retain(|held| {
        let (breach, keys) = knowledge::lock().declared(held, wanted);
        let by_key = keys.and_then(|(held, wanted)| declared::compare(&*held, &*wanted));
        let denies = ledger::level(FindingKind::DeclaredOrder) >= Level::Deny;
        let needs_edge = by_key.is_none() && !(breach.is_some() && denies);
        for declaration in breach.into_iter().chain(by_key.and_then(Result::err)) {
            let edge = own_edge(context, held, wanted, wanted.site, capture());
            let detail = Detail::Declared(declaration);
            found.push(Found { kind: FindingKind::DeclaredOrder, cycle: vec![edge], detail });
        }
        needs_edge
    });
    found
}

/// Whether the thread already holds the lock, in a mode that makes it wait for
/// itself.
fn reentry(context: &Context, held: &[Entry], wanted: &Entry) -> Option<Found> {
    let mode = wanted.tag.mode();
    if mode == Mode::Upgrade {
        // It holds the lock, as it must.
        return None;
    }
    let mut same = held.iter().filter(|held| held.tag.lock() == wanted.tag.lock());
    let queues = same.clone().find(|held| mode.queues_behind_writers(held.tag.mode()));
    let (kind, entry) = match (same.find(|held| judge::waits(mode, held.tag.mode(), false)), queues)
    {
        (Some(entry), _) => (FindingKind::SelfDeadlock, entry),
        (None, Some(entry)) => (FindingKind::RecursiveRead, entry),
        (None, None) => return None,
    };
    Some(Found::new(kind, vec![own_edge(context, entry, wanted, entry.site, capture())]))
}

/// An edge that the calling thread makes right now, outside the graph.
fn own_edge(
    context: &Context,
    held: &Entry,
    wanted: &Entry,
    named_at: &'static Location<'static>,
    backtrace: Stack,
) -> Edge {
    let knowledge = knowledge::lock();
    Edge {
        held: knowledge.lock_of(held, held.site),
        held_mode: held.tag.mode(),
        held_at: held.site.into(),
        held_backtrace: context.trace_of(held.tag),
        wanted: knowledge.lock_of(wanted, named_at),
        wanted_mode: wanted.tag.mode(),
        acquired_at: wanted.site.into(),
        backtrace,
        thread: context.info(),
        is_queued: false,
        waited: None,
    }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "not to waste one of the stack's frames")]
fn capture() -> Stack {
    match ledger::settings().backtraces {
        Backtraces::Off => Stack::default(),
        Backtraces::NewEdges | Backtraces::Full => Stack::capture(),
    }
}

/// Does what may allocate before an acquisition, whether it may block or not: room for
/// one more held lock, and its stack, if every held end of an edge is to have one.
pub(crate) fn prepare(context: &'static Context) {
    let _inside = context.enter(ThreadState::Inside);
    context.held.make_room();
    if context.is(ThreadState::Tracing) {
        context.prepare_trace(Stack::capture());
    }
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
    if let Some(key) = unjudged(context, context.held.any_place_for(acquisition.wanted.tag)) {
        about_to_block(context, acquisition, key);
    }
    let found = {
        let _inside = context.enter(ThreadState::Inside);
        let Acquisition { wanted, named_at, .. } = acquisition;
        let backtrace = capture();
        let edge = |held| own_edge(context, &held, wanted, named_at, backtrace.clone());
        context.held.iter().map(edge).collect()
    };
    submit(context, vec![Found::new(FindingKind::WaitWhileHolding, found)]);
}

/// The thread's wait for a lock, until this is dropped.
pub(crate) struct Waited(&'static Context);

impl Drop for Waited {
    fn drop(&mut self) {
        self.0.end_wait();
    }
}

/// A lock is contended, and the thread about to block. `is_writer`: of a lock with readers,
/// who will wait behind it.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[track_caller]
pub(crate) fn begin_wait(
    context: &'static Context,
    wanted: &Entry,
    until: Until,
    is_writer: bool,
) -> Waited {
    let holds = !context.held.is_empty();
    let may_capture = holds && ledger::settings().backtraces != Backtraces::Off;
    let stack = if may_capture { RawStack::capture() } else { RawStack::EMPTY };
    context.waiting.begin(wanted, until, Moment::now(), &stack);
    let waited = Waited(context);
    // A wait that is notified cannot close a circle: whoever is to take its mutex comes later.
    let may_close = until == Until::Acquired && (holds || is_writer);
    let may_last = until != Until::TimedOut && (may_close || leaks::are_any());
    if may_last && !context.is(ThreadState::Allowing) {
        let found: Vec<Found> = {
            let _inside = context.enter(ThreadState::Inside);
            let leak = leaks::blocking(wanted).map(|leak| wait_for_leak(context, wanted, leak));
            let circle = may_close.then(|| deadlock::closed_by(context)).flatten();
            leak.into_iter().chain(circle.map(Found::from)).collect()
        };
        if !found.is_empty() {
            submit(context, found);
        }
    }
    waited
}

impl From<Deadlock> for Found {
    fn from(Deadlock { cycle, threads }: Deadlock) -> Self {
        let kind = FindingKind::Deadlock;
        Self { kind, cycle, detail: Detail::Threads(threads.into()) }
    }
}

/// A lock that a thread is about to wait for was left behind by another.
fn wait_for_leak(context: &'static Context, wanted: &Entry, leak: Leak) -> Found {
    let edge = own_edge(context, &leak.held, wanted, leak.held.site, capture());
    let detail = Detail::LeftBy(leak.thread);
    Found { kind: FindingKind::LeakedGuard, cycle: vec![edge], detail }
}

/// The process has its first lock: starts what the environment asks for.
fn process_begins() {
    inside(open_record);
    let settings = ledger::settings();
    ledger::load_config(settings.config.as_deref());
    if let Some(limit) = settings.watchdog {
        watchdog::start(limit);
    }
    if let Some(signal) = &settings.signal {
        #[cfg(unix)]
        on_signal::start(signal);
        #[cfg(not(unix))]
        ledger::print(&format!("lockdep: LOCKDEP_SIGNAL={signal} is ignored: this is not Unix"));
    }
}

/// Opens the record on disk, if one is asked for, and writes what other threads were faster to
/// do meanwhile.
fn open_record() {
    ledger::open_record();
    if ledger::records() {
        let graph = knowledge::lock().snapshot();
        let edges = graph.as_petgraph().edge_weights().map(|edge| (edge.clone(), Vec::new()));
        ledger::record_edges(&edges.collect::<Vec<_>>());
    }
}

/// See [`crate::watchdog`].
pub(crate) fn watch(limit: Duration) {
    if ledger::settings().watchdog.is_none() && !ledger::settings().off {
        inside(|| watchdog::start(limit));
    }
}

/// A thread ends: what it still holds, nobody will release.
fn thread_ends(context: &'static Context) {
    if context.held.is_empty() {
        return;
    }
    let held: Vec<Entry> = context.holds().into_iter().map(|(held, _)| held).collect();
    let left: Vec<Entry> = context.held.iter().collect();
    for entry in left {
        context.held.remove(entry.tag);
    }
    if leaks::process_is_exiting() {
        return;
    }
    // A guard that can be sent may live on elsewhere.
    let leaked = || held.iter().filter(|entry| !entry.kind.guards_can_be_sent());
    let leak = |held: &Entry| {
        let edge = own_edge(context, held, held, held.site, Stack::default());
        Found::new(FindingKind::LeakedGuard, vec![edge])
    };
    let found: Vec<Found> = leaked().map(leak).collect();
    for entry in leaked() {
        leaks::add(*entry, context.info());
    }
    if !found.is_empty()
        && let Verdict::Panic(message) = report(context, found)
    {
        // A panic in a destructor of a thread's locals would abort the process.
        ledger::print(&message);
    }
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
    let found = {
        let _inside = context.enter(ThreadState::Inside);
        let mut knowledge = knowledge::lock();
        let cycles = knowledge.first_writer(wanted.tag.lock());
        let writer = Writer {
            lock: knowledge.lock_of(wanted, wanted.site),
            thread: context.info(),
            site: wanted.site.into(),
        };
        let found = |Cycle { kind, edges, .. }| {
            let detail = Detail::Writer(writer.clone());
            Found { kind, cycle: edges, detail }
        };
        cycles.into_iter().map(found).collect()
    };
    submit(context, found);
}

/// Hands findings to the ledger, and does what it says. Whether all of them are silenced.
#[track_caller]
fn submit(context: &'static Context, found: Vec<Found>) -> bool {
    match report(context, found) {
        Verdict::Proceed => false,
        Verdict::Silenced => true,
        Verdict::Panic(message) => {
            if is_retaken(Location::caller()) {
                ledger::print(&message);
                return false;
            }
            context.begin_denied();
            panic!("{message}");
        }
    }
}

/// Whether `unlocked` of lock_api takes a lock again, at this place of its own. The guard lives on
/// and would unlock what it does not hold, were it not taken: nothing can be thrown.
fn is_retaken(site: &Location<'_>) -> bool {
    let path = Path::new(site.file());
    let is_lock_api = |folder: &Path| {
        let name = folder.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name == "lock_api" || name.starts_with("lock_api-"))
    };
    (path.ends_with("src/mutex.rs") || path.ends_with("src/rwlock.rs"))
        && path.ancestors().nth(2).is_some_and(is_lock_api)
}

/// Hands findings to the ledger. What comes of all of them.
fn report(context: &'static Context, found: Vec<Found>) -> Verdict {
    let _reporting = context.enter(ThreadState::Reporting);
    let scope = context.info().scope;
    let (mut messages, mut all_silenced) = (Vec::new(), true);
    for Found { kind, cycle, detail } in found {
        match ledger::submit(kind, cycle, detail, scope) {
            Verdict::Proceed => all_silenced = false,
            Verdict::Silenced => {}
            Verdict::Panic(message) => messages.push(message),
        }
    }
    match &messages[..] {
        [] if all_silenced => Verdict::Silenced,
        [] => Verdict::Proceed,
        _ => Verdict::Panic(messages.join("\n")),
    }
}

/// A lock was released by a thread whose locals are gone: by one of them, and nobody will tell
/// whether it had been left behind.
pub(crate) fn released_at_last(tag: Tag) {
    leaks::released(tag);
}

/// A lock was released by a thread that did not take it.
pub(crate) fn released_elsewhere(tag: Tag) {
    inside(|| threads::released_elsewhere(tag));
}

/// A lock is destroyed: whatever is known of it goes with it.
pub(crate) fn destroyed(lock: LockId) {
    if let Some(context) = current_if_attached() {
        if !context.held.is_empty() {
            context.held.purge(lock);
        }
        if context.is(ThreadState::Inside) {
            // Our lock may be held by this thread. Only a global allocator can
            // come here, with a lock that it made and destroyed meanwhile.
            return;
        }
    }
    if presence::may_be_known(lock) {
        forget(lock);
    }
    leaks::destroyed(lock);
    ledger::forget_pairs(lock);
}

/// Forgets a lock that may be known.
#[cold]
fn forget(lock: LockId) {
    // Its key is the program's, and dropped without any lock of ours.
    let key = inside(|| knowledge::lock().forget(lock));
    drop(key);
}

/// Runs our own code, in which the program's locks are not looked at.
fn inside<R>(body: impl FnOnce() -> R) -> R {
    let _inside = current_if_attached().map(|context| context.enter(ThreadState::Inside));
    body()
}

/// See [`crate::name`].
pub(crate) fn name(lock: LockId, name: &str) {
    inside(|| knowledge::lock().name(lock, name));
}

/// See [`crate::class`].
pub(crate) fn class(lock: LockId, class: &'static str) {
    let is_nested = inside(|| {
        let mut knowledge = knowledge::lock();
        knowledge.class(lock, class);
        knowledge.has_nested(lock)
    });
    if is_nested {
        rejudge();
    }
}

/// See [`crate::order_by_key`].
pub(crate) fn order_by_key(lock: LockId, key: Arc<dyn Key>) {
    let (before, is_nested) = inside(|| {
        let mut knowledge = knowledge::lock();
        (knowledge.order_by_key(lock, key), knowledge.has_nested(lock))
    });
    // A million locks that get their keys when they are made have no chains yet.
    if before.is_some() || is_nested {
        rejudge();
    }
}

/// See [`crate::declare_leaf`] and [`crate::declare_outermost`].
pub(crate) fn set_rank(lock: LockId, rank: Rank) {
    inside(|| knowledge::lock().set_rank(lock, rank));
    rejudge();
}

/// See [`crate::declare_order`]. Fails with the place of what it contradicts.
pub(crate) fn declare_order(
    sequence: &[Ordered],
    site: &'static Location<'static>,
) -> Result<(), &'static Location<'static>> {
    let result = inside(|| knowledge::lock().declare_order(sequence, site));
    rejudge();
    result
}

/// See [`crate::allow_pair`].
pub(crate) fn allow_pair(pair: [LockId; 2], reason: &str) {
    inside(|| ledger::allow_pair(pair, reason));
}

/// Puts the calling thread in a scope of [`testing`](crate::testing), or in none. The one it
/// was in before.
pub(crate) fn set_scope(scope: Option<ScopeId>) -> Option<ScopeId> {
    current()?.set_scope(scope)
}

/// Whether anything is checked at all.
pub(crate) fn is_on() -> bool {
    crate::ENABLED && !ledger::settings().off
}

/// See [`crate::allow`].
pub(crate) fn allow<R>(body: impl FnOnce() -> R) -> R {
    let _allowing = current().map(|context| context.enter(ThreadState::Allowing));
    body()
}

/// Forgets the order. Names, and what is held right now, stay.
pub(crate) fn reset() {
    inside(|| knowledge::lock().reset());
    seen::forget_all();
}

/// Has every chain judged again: a level has changed.
pub(crate) fn rejudge() {
    seen::forget_all();
}

/// See [`crate::order_graph`].
pub(crate) fn order_graph() -> OrderGraph {
    inside(|| knowledge::lock().snapshot())
}

/// See [`crate::stats`].
pub(crate) fn stats() -> Stats {
    let edges = inside(|| knowledge::lock().edges());
    Stats { locks: Identity::count(), edges }
}

/// What every thread holds and waits for: a glance, thread by thread.
pub(crate) fn snapshot() -> Vec<ThreadSnapshot> {
    inside(snapshot::all)
}
