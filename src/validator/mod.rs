//! Is this acquisition safe in the order seen so far?
//!
//! Owns what every thread holds and what is known of the order. Knows locks by
//! their identity and facts, not by their types; says what it finds to the ledger,
//! and panics if the ledger says so. This file is the events, in the order of a
//! lock's life; none of them holds a lock of ours when it calls the ledger.

mod atomic;
mod circle;
mod clock;
mod deadlock;
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
mod snapshot;
mod threads;
mod waiting;
mod watchdog;

use std::{panic::Location, time::Duration};

use self::{clock::Moment, deadlock::Deadlock, identity::LockId, knowledge::SEEN, leaks::Leak};
pub(crate) use self::{
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
    if !SEEN.contains(key) {
        let found = {
            let _inside = context.enter(ThreadState::Inside);
            judge(context, acquisition, key)
        };
        if !found.is_empty() {
            return submit(context, found);
        }
    }
    context.recent.insert(key);
}

/// Judges a chain that is not known to be harmless, and learns its edges.
fn judge(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) -> Vec<Found> {
    let wanted = &acquisition.wanted;
    let mut held: Vec<Entry> = context.held.iter().collect();
    if let Some(found) = reentry(context, &held, wanted) {
        return vec![found];
    }
    held.retain(|held| held.tag.lock() != wanted.tag.lock());

    // The stack is captured only if an edge is new, and outside the lock.
    let is_known = knowledge::lock().has_all_edges(&held, wanted);
    let backtrace = if is_known { Stack::default() } else { capture() };

    let mut knowledge = knowledge::lock();
    let new = if ledger::records() { knowledge.without_edge(&held, wanted) } else { Vec::new() };
    let cycles = knowledge.learn(context, &held, acquisition, backtrace);
    let new = knowledge.edges_for_record(&new, &held, wanted);
    if cycles.is_empty() || ledger::level(FindingKind::Inversion) == Level::Allow {
        // Otherwise the chain is judged again each time, and denied each time.
        knowledge.settle(key);
    }
    drop(knowledge);
    ledger::record_edges(&new);
    cycles.into_iter().map(|cycle| Found::new(FindingKind::Inversion, cycle)).collect()
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
    if context.held.is_empty() || leaks::process_is_exiting() {
        return;
    }
    let held: Vec<Entry> = context.holds().into_iter().map(|(held, _)| held).collect();
    let leak = |held: &Entry| {
        let edge = own_edge(context, held, held, held.site, Stack::default());
        Found::new(FindingKind::LeakedGuard, vec![edge])
    };
    let found = held.iter().map(leak).collect();
    for entry in held {
        context.held.remove(entry.tag);
        leaks::add(entry, context.info());
    }
    if let Some(message) = report(context, found) {
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
        let found = |cycle| {
            let detail = Detail::Writer(writer.clone());
            Found { kind: FindingKind::Inversion, cycle, detail }
        };
        cycles.into_iter().map(found).collect()
    };
    submit(context, found);
}

/// Hands findings to the ledger, and does what it says.
#[track_caller]
fn submit(context: &'static Context, found: Vec<Found>) {
    if let Some(message) = report(context, found) {
        context.set(ThreadState::Denied, true);
        panic!("{message}");
    }
}

/// Hands findings to the ledger. What is to be thrown, if anything is.
fn report(context: &'static Context, found: Vec<Found>) -> Option<String> {
    let _reporting = context.enter(ThreadState::Reporting);
    let scope = context.info().scope;
    let submit = |Found { kind, cycle, detail }| match ledger::submit(kind, cycle, detail, scope) {
        Verdict::Proceed => None,
        Verdict::Panic(message) => Some(message),
    };
    let messages: Vec<String> = found.into_iter().filter_map(submit).collect();
    (!messages.is_empty()).then(|| messages.join("\n"))
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
}

/// Forgets a lock that may be known.
#[cold]
fn forget(lock: LockId) {
    inside(|| knowledge::lock().forget(lock));
}

/// Runs our own code, in which the program's locks are not looked at.
fn inside<R>(body: impl FnOnce() -> R) -> R {
    let _inside = current_if_attached().map(|context| context.enter(ThreadState::Inside));
    body()
}

/// See [`crate::name`].
pub(crate) fn name(identity: &Identity, name: &str) {
    inside(|| knowledge::lock().name(identity.id(), name));
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
