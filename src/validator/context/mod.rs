//! One thread's state: the locks that it holds, the one that it waits for, and its special states.
//!
//! Mostly written by the thread itself, and read by any thread at any time.

pub(super) mod acquisition_log;
pub(super) mod awaited_calls;
mod blocked_on;
pub(super) mod current;
mod given_away;
mod handler_stack;
pub(super) mod held;
pub(super) mod job;
pub(super) mod job_log;
pub(super) mod leaks;
pub(super) mod lineage;
pub(super) mod notes;
pub(super) mod obligations;
pub(super) mod orphans;
pub(super) mod position;
pub(super) mod registry;
pub(super) mod spawn_order;
pub(super) mod thread_exit;
mod tracing;
pub(super) mod unattached;
pub(super) mod wait;

use std::{
    mem,
    panic::Location,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
            compiler_fence, fence,
        },
    },
};

use once_cell::race::OnceRef;
use parking_lot::Mutex;
use smallvec::SmallVec;

use self::{
    acquisition_log::AcquisitionLog,
    blocked_on::BlockedOn,
    given_away::GivenAway,
    handler_stack::HandlerStack,
    held::{Entry, HeldSet, Slot, Tag},
    lineage::{JOINED, Lineage, SPAWNED, Segment, SegmentIndex},
    notes::Notes,
    thread_exit::ThreadExit,
    tracing::Tracing,
    wait::Waiting,
};
use super::{
    atomic_ref::Published, chain_cache::Recent, clock::Moment, interrupted,
    lock_id::creation_sites::IdStock,
};
use crate::{
    finding::{Mode, ScopeId, ThreadInfo},
    os_threads,
};

/// The state of one thread.
pub(crate) struct Context {
    flags: AtomicU8,
    pub(crate) held: HeldSet,
    /// Read locks taken while the thread was [suspended](Self::is_suspended) and not released yet.
    /// `held` may have the same lock from before.
    suspended_reads: HandlerStack,
    pub(super) recent: Recent,
    /// Stays with the context when another thread reuses it.
    pub(super) ids: IdStock,
    pub(super) waiting: Waiting,
    /// Locks whose guards were sent to other threads and released there. The thread itself removes
    /// them from `held` before it checks a chain that contains them.
    released_elsewhere: Mutex<Vec<Tag>>,
    /// `true` if `released_elsewhere` is not empty.
    has_released_elsewhere: AtomicBool,
    given_away: GivenAway,
    /// Copies of fields of `thread`, which the thread itself reads without locking.
    number: AtomicU64,
    /// The operating system's id of the thread, or 0.
    os_thread: AtomicU64,
    scope: AtomicU64,
    thread: Mutex<ThreadInfo>,
    /// The location where the task was spawned that is polled in this context, if any.
    task: Published<Location<'static>>,
    /// The tasks that the thread blocks on.
    blocked_on: BlockedOn,
    tracing: Tracing,
    /// The number of locks held when the panic for a finding began. Locks that destructors take
    /// during unwinding are not forgiven.
    denied_with: AtomicUsize,
    /// The log of the thread, if it keeps one.
    log: Mutex<Option<Arc<AcquisitionLog>>>,
    /// The thread's recent acquisitions, if it owes events.
    pub(super) notes: Notes,
    /// The exit of a thread spawned through the mirror of `std::thread`.
    exit: Mutex<Option<Arc<ThreadExit>>>,
    /// `true` if there is an exit. `exit_slot` has a copy that other threads read without locking.
    has_exit: AtomicBool,
    exit_slot: Slot,
    /// The last lock whose guard a condition variable has returned, and the location of its
    /// acquisition. For the thread itself.
    condition: Slot,
    /// The [segment](lineage) of the thread's life.
    segment: AtomicU64,
    /// The thread's lineage and family, if its parent is known or it has spawned a thread itself.
    lineage: Mutex<Option<Arc<Lineage>>>,
    family: AtomicU64,
    /// `true` in a fork, if the thread does not exist there and held locks.
    is_orphan: AtomicBool,
    /// The innermost [awaited call](awaited_calls) that waits for the job in which the thread waits.
    waits_in_job_of: AtomicU64,
    /// The awaited call in which the thread waits for jobs.
    waits_in_call: AtomicU64,
    /// The next context in the list of all.
    pub(super) next: OnceRef<'static, Context>,
}

/// A special state of a thread, which keeps it off the fast path. Only the thread itself reads and
/// writes it.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum State {
    /// The thread runs validator code and may hold the order graph's lock. Locks that a global
    /// allocator takes meanwhile are not checked.
    InValidator = 1,
    /// The thread calls a hook of the program, or renders a report.
    Reporting = 2,
    /// The thread is inside [`lockdep::allow`](crate::allow).
    Allowing = 4,
    /// The panic for a finding unwinds the thread. The locks that it releases must not be poisoned.
    Unwinding = 8,
    /// The thread keeps the [stacks](tracing) of the locks that it holds.
    Tracing = 16,
    /// A script may stop the thread at [points](crate::points).
    Directed = 32,
    /// The thread is about to close a predicted cycle, to prove that it can close. Nothing is
    /// reported before that.
    Confirming = 64,
}

/// The states in which acquisitions are not tracked.
const BLIND: u8 = State::InValidator as u8 | State::Reporting as u8;

impl Context {
    pub(super) fn new() -> Self {
        Self {
            flags: AtomicU8::new(0),
            held: HeldSet::new(),
            suspended_reads: HandlerStack::new(),
            recent: Recent::new(),
            ids: IdStock::new(),
            waiting: Waiting::new(),
            released_elsewhere: Mutex::new(Vec::new()),
            has_released_elsewhere: AtomicBool::new(false),
            given_away: GivenAway::default(),
            number: AtomicU64::new(0),
            os_thread: AtomicU64::new(0),
            scope: AtomicU64::new(0),
            thread: Mutex::default(),
            task: Published::new(),
            blocked_on: BlockedOn::new(),
            tracing: Tracing::default(),
            denied_with: AtomicUsize::new(0),
            log: Mutex::new(None),
            notes: Notes::default(),
            exit: Mutex::new(None),
            has_exit: AtomicBool::new(false),
            exit_slot: Slot::new(),
            condition: Slot::new(),
            segment: AtomicU64::new(0),
            lineage: Mutex::new(None),
            family: AtomicU64::new(0),
            is_orphan: AtomicBool::new(false),
            waits_in_job_of: AtomicU64::new(0),
            waits_in_call: AtomicU64::new(0),
            next: OnceRef::new(),
        }
    }

    pub(crate) fn info(&self) -> ThreadInfo {
        if let Some(spawned_at) = self.task.load() {
            return ThreadInfo::of_task(self.number(), spawned_at, self.scope());
        }
        let os_id = self.os_thread().and_then(os_threads::as_in_panics);
        ThreadInfo { os_id, ..self.thread.lock().clone() }
    }

    /// Returns `true` while a task is polled in this context.
    pub(super) fn is_of_task(&self) -> bool {
        self.task.load().is_some()
    }

    /// Called when a task is about to be polled in this context. For the thread itself.
    #[inline]
    pub(super) fn begin_task(
        &self,
        number: u64,
        spawned_at: &'static Location<'static>,
        scope: Option<ScopeId>,
    ) {
        self.number.store(number, Relaxed);
        self.scope.store(scope.map_or(0, ScopeId::get), Relaxed);
        self.task.store(spawned_at);
    }

    /// Called when the task is no longer polled and holds nothing here. For the thread itself.
    #[inline]
    pub(super) fn end_task(&self) {
        self.task.clear();
    }

    /// Returns the tasks that the thread blocks on.
    pub(super) fn blocked_on(&self) -> &BlockedOn {
        &self.blocked_on
    }

    /// Returns the thread's number. For the thread itself.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// Returns the operating system's id of the thread, if it has one.
    pub(super) fn os_thread(&self) -> Option<u64> {
        Some(self.os_thread.load(Relaxed)).filter(|&thread| thread != 0)
    }

    /// Records the calling thread's id.
    pub(super) fn note_os_thread(&self) {
        self.os_thread.store(os_threads::own().unwrap_or(0), Relaxed);
    }

    /// Returns the innermost scope of the thread. For the thread itself.
    pub(super) fn scope(&self) -> Option<ScopeId> {
        ScopeId::new(self.scope.load(Relaxed))
    }

    /// Moves the thread into a scope of [`testing`](crate::testing), or out of any. Returns the
    /// previous one. For the thread itself; the task that it polls has its own.
    pub(super) fn set_scope(&'static self, scope: Option<ScopeId>) -> Option<ScopeId> {
        let _inside = self.enter(State::InValidator);
        let before = self.scope();
        self.scope.store(scope.map_or(0, ScopeId::get), Relaxed);
        if !self.is_of_task() {
            self.thread.lock().scope = scope;
        }
        before
    }

    /// Assigns the context to a thread, with its exit if the mirror of `std::thread` has spawned
    /// it.
    pub(super) fn begin(&self, mut info: ThreadInfo, exit: Option<Arc<ThreadExit>>) {
        info.spawned_at = exit.as_ref().map(|exit| exit.entry().site.into());
        self.number.store(info.number, Relaxed);
        self.note_os_thread();
        self.scope.store(0, Relaxed);
        self.task.clear();
        *self.thread.lock() = info;
        if let Some(exit) = exit {
            *self.log.lock() = Some(Arc::clone(exit.log()));
            self.held.set_logged(true);
            self.family.store(exit.lineage().family(), Relaxed);
            *self.lineage.lock() = Some(Arc::clone(exit.lineage()));
            self.exit_slot.fill(&exit.entry());
            *self.exit.lock() = Some(exit);
            self.has_exit.store(true, Release);
        }
    }

    /// Releases the thread's exit, if it has one, and stops its log. What the thread does from now
    /// on may happen after it was joined.
    pub(super) fn release_exit(&self) {
        self.family.store(0, Relaxed);
        drop(self.lineage.lock().take());
        self.has_exit.store(false, Release);
        self.held.set_logged(false);
        drop(self.exit.lock().take());
        drop(self.log.lock().take());
    }

    /// Called when a condition that other threads bring about is met, under a held lock. For the
    /// thread itself.
    pub(super) fn note_condition(&self, tag: Tag) {
        if let Some(held) = self.held.last_of(tag) {
            self.condition.fill(&held);
        }
    }

    /// Returns `true` if the only held lock is one whose guard a condition variable has returned.
    /// For the thread itself.
    pub(super) fn holds_for_condition(&self) -> bool {
        let (Some(held), Some(condition)) = (self.held.only(), self.condition.read()) else {
            return false;
        };
        held.tag == condition.tag && std::ptr::eq(held.site, condition.site)
    }

    /// Returns the current segment of the thread's life. For the thread itself.
    pub(super) fn segment(&self) -> Segment {
        self.segment_at(self.segment_index())
    }

    /// Returns a segment of the thread's life by index. For any thread, while this one lives.
    pub(super) fn segment_at(&self, index: SegmentIndex) -> Segment {
        let has_lineage = self.family.load(Relaxed) != 0;
        let lineage = if has_lineage { self.lineage.lock().clone() } else { None };
        Segment { thread: self.number(), index, lineage, job: None }
    }

    pub(super) fn segment_index(&self) -> SegmentIndex {
        self.segment.load(Relaxed)
    }

    /// Returns the thread's number combined with the number of threads it has spawned. Both are in
    /// the key of a chain, because after a spawn the same chain may be concurrent with the new
    /// thread.
    pub(super) fn number_in_segment(&self) -> u64 {
        self.number() ^ lineage::spawned(self.segment_index()) << 40
    }

    /// Returns the thread's family, unless it is alone in it.
    pub(super) fn family(&self) -> Option<u64> {
        Some(self.family.load(Relaxed)).filter(|&family| family != 0)
    }

    /// Called when the thread is about to spawn another. Returns the new thread's lineage. All
    /// chains of this thread are checked again afterwards. For the thread itself.
    pub(super) fn spawns(&self) -> Arc<Lineage> {
        let mut lineage = self.lineage.lock();
        let own = lineage.get_or_insert_with(|| Lineage::root(self.number()));
        self.family.store(own.family(), Relaxed);
        let index = self.segment_index();
        let child = own.child(self.number(), index);
        self.segment.store(index + SPAWNED, Relaxed);
        self.recent.clear_own();
        child
    }

    /// Called when the thread has joined another. For the thread itself.
    pub(super) fn has_joined(&self, other: &Lineage) {
        let index = self.segment_index() + JOINED;
        self.segment.store(index, Relaxed);
        other.joined(self.number(), self.lineage.lock().as_deref(), index);
    }

    /// Returns the log of the thread's acquisitions, if it keeps one. For the thread itself.
    pub(super) fn log(&self) -> Option<Arc<AcquisitionLog>> {
        if !self.held.is_logged() {
            return None;
        }
        self.log.lock().clone()
    }

    /// Returns `true` if the thread still adds to a log of its acquisitions. For the thread itself.
    pub(super) fn keeps_log(&self) -> bool {
        self.log.lock().as_ref().is_some_and(|log| !log.is_over())
    }

    /// Returns the thread's exit, if the mirror of `std::thread` has spawned it. Another thread may see
    /// an earlier state.
    #[inline]
    pub(super) fn exit(&self) -> Option<Arc<ThreadExit>> {
        if !self.has_exit.load(Relaxed) {
            return None;
        }
        self.exit.lock().clone()
    }

    /// Returns the thread's exit if another thread may wait for it while holding a lock. For the
    /// thread itself.
    #[inline]
    pub(super) fn awaited_exit(&self) -> Option<Entry> {
        self.exit().filter(|exit| exit.is_awaited()).map(|exit| exit.entry())
    }

    /// Called when the thread has ended and holds nothing. Prepares the context for another thread.
    pub(super) fn end(&self) {
        self.end_wait();
        self.release_exit();
        self.notes.end();
        self.segment.store(0, Relaxed);
        self.os_thread.store(0, Relaxed);
        self.released_elsewhere.lock().clear();
        self.given_away.end();
        self.recent.clear();
        self.flags.store(0, Relaxed);
        self.held.set_special(false);
        self.tracing.end();
    }

    /// Called in a fork, in which the thread does not exist. It holds nothing and waits for
    /// nothing.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn abandon(&self) {
        self.end_wait();
        self.os_thread.store(0, Relaxed);
        self.flags.store(0, Relaxed);
        self.held.clear();
        self.tracing.abandon();
    }

    /// As `abandon`, for a thread that holds locks: they are [orphaned](orphans). Nothing else
    /// changes, so that what it holds and the stacks of that can be read.
    #[cfg(all(unix, not(loom)))]
    fn orphan(&self) {
        self.end_wait();
        self.is_orphan.store(true, Relaxed);
    }

    /// Returns the locks around parts of the context.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn locks(&'static self) -> [&'static dyn crate::fork_lock::ForkLock; 9] {
        [
            self.blocked_on.lock(),
            &self.released_elsewhere,
            self.given_away.lock(),
            &self.thread,
            self.tracing.lock(),
            &self.log,
            &self.exit,
            &self.lineage,
            self.notes.lock(),
        ]
    }

    #[inline]
    pub(crate) fn is(&self, state: State) -> bool {
        self.flags.load(Relaxed) & state as u8 != 0
    }

    /// Returns `true` if acquisitions are not tracked now.
    ///
    /// A signal handler may acquire locks at any time. The thread holds locks of lockdep only while
    /// it is suspended, so a handler whose acquisitions are tracked may wait for those locks.
    pub(crate) fn is_suspended(&self) -> bool {
        self.flags.load(Relaxed) & BLIND != 0 || self.held.is_changing()
    }

    /// Records a lock taken while the thread is [suspended](Self::is_suspended).
    pub(crate) fn acquired_blind(&self, tag: Tag) {
        // Only a shared lock can be held twice, so only its release could be mistaken for that of a
        // hold in `held`.
        if tag.mode() == Mode::Shared {
            self.suspended_reads.push(tag);
        }
    }

    /// Records a release while the thread is suspended. Returns `true` if `held` must not be
    /// searched for it.
    pub(crate) fn released_blind(&self, tag: Tag) -> bool {
        tag.mode() == Mode::Shared && self.suspended_reads.remove(tag) || self.held.is_changing()
    }

    /// Ends [`State::Unwinding`] in the calling thread if the panic was caught. Called at the next
    /// acquisition or release; until then, a new panic looks the same.
    pub(crate) fn end_unwinding(&self) {
        if self.is(State::Unwinding) && !std::thread::panicking() {
            self.set(State::Unwinding, false);
        }
    }

    /// Called when the panic for a finding is about to begin.
    pub(super) fn begin_unwinding(&self) {
        self.denied_with.store(self.held.iter().count(), Relaxed);
        self.set(State::Unwinding, true);
    }

    /// Called when a lock that was held then is put back into `held`.
    pub(crate) fn denied_with_one_more(&self) {
        self.denied_with.fetch_add(1, Relaxed);
    }

    /// Returns `true` if the lock that is about to be released was held when the panic for a
    /// finding began.
    pub(crate) fn forgives(&self, tag: Tag) -> bool {
        let held_then = self.denied_with.load(Relaxed);
        let last = self.held.iter().enumerate().filter(|(_, held)| held.tag == tag).last();
        let was_held_then = last.is_some_and(|(at, _)| at < held_then);
        if was_held_then {
            self.denied_with.store(held_then - 1, Relaxed);
        }
        was_held_then
    }

    pub(crate) fn set(&self, state: State, on: bool) {
        // Signal handlers must see the state during all of its work.
        compiler_fence(SeqCst);
        let others = self.flags.load(Relaxed) & !(state as u8);
        let flags = others | if on { state as u8 } else { 0 };
        interrupted::here();
        self.flags.store(flags, Relaxed);
        compiler_fence(SeqCst);
        interrupted::here();
        self.held.set_special(flags != 0);
        compiler_fence(SeqCst);
        if flags & BLIND == 0 {
            // A guard that outlives the state in which it was taken is not tracked.
            self.suspended_reads.clear();
        }
    }

    /// Enters a state until the guard is dropped.
    pub(crate) fn enter(&'static self, state: State) -> Entered {
        let before = self.is(state);
        self.set(state, true);
        Entered { context: self, state, before }
    }

    /// Called by another thread, which has released a lock that this one acquired.
    pub(super) fn note_released_elsewhere(&self, tag: Tag) {
        self.released_elsewhere.lock().push(tag);
        self.has_released_elsewhere.store(true, Relaxed);
    }

    /// Returns `true` if a lock may have been released elsewhere. For the thread itself.
    #[inline]
    pub(super) fn has_released_elsewhere(&self) -> bool {
        self.has_released_elsewhere.load(Relaxed)
    }

    /// Returns the locks that were released elsewhere but are still in `held`. For the thread
    /// itself, after it has removed what it held.
    pub(super) fn take_released_elsewhere(&self) -> Vec<Tag> {
        // A thread that adds to the list from now on sees what was removed.
        fence(SeqCst);
        if !self.has_released_elsewhere() {
            return Vec::new();
        }
        self.has_released_elsewhere.store(false, Relaxed);
        mem::take(&mut *self.released_elsewhere.lock())
    }

    /// Removes an entry that another thread, the caller, has added too late. Returns `false` if
    /// this thread has already seen it.
    pub(super) fn forget_released_elsewhere(&self, tag: Tag) -> bool {
        let mut noted = self.released_elsewhere.lock();
        let at = noted.iter().rposition(|&it| it == tag);
        at.map(|at| noted.swap_remove(at)).is_some()
    }

    /// Called when the thread is about to spawn another, whose exit this is, or to send something to any: its guards
    /// may go with it. For the thread itself.
    pub(super) fn gives_away(&self, to: Option<&Arc<ThreadExit>>) {
        let sendable = self.held.iter().filter(|held| held.kind().guards_can_be_sent());
        let guards: SmallVec<[Tag; 4]> = sendable.map(|held| held.tag).collect();
        self.given_away.add(&guards, to);
        if let Some(exit) = self.given_away.pass_on().then(|| self.exit()).flatten() {
            exit.pass_on();
        }
    }

    /// Returns `true` if the thread has nothing to [give away](Self::gives_away). For the thread itself.
    #[inline]
    pub(super) fn has_nothing_to_give(&self) -> bool {
        self.held.is_empty() && self.given_away.is_settled()
    }

    /// Called when the thread holds nothing, so that it has given nothing away. For the thread itself.
    pub(super) fn has_no_guards(&self) {
        self.given_away.forget();
    }

    /// Returns `true` if the guard of a held lock may be with another thread than the `stuck` ones. For any thread.
    pub(super) fn may_have_given_away(&self, tag: Tag, stuck: &[&Context]) -> bool {
        let stuck: SmallVec<[Arc<ThreadExit>; 4]> =
            stuck.iter().filter_map(|it| it.exit()).collect();
        self.given_away.may_be_with_another(tag, &stuck)
    }

    /// Returns what the thread holds, without what was released elsewhere, and since when. For any
    /// thread.
    pub(super) fn holds(&self) -> Vec<(Entry, Moment)> {
        let mut released = self.released_elsewhere.lock().clone();
        let is_held = |(entry, _): &(Entry, Moment)| {
            let at = released.iter().position(|&tag| tag == entry.tag);
            at.map(|at| released.swap_remove(at)).is_none()
        };
        self.held.iter_with_age().filter(is_held).collect()
    }

    /// Returns the first of the `among` oldest locks that satisfies `is_it`, unless it was released
    /// elsewhere. The thread's exit comes before all of them. For any thread.
    pub(super) fn first_held(&self, among: usize, is_it: impl Fn(&Entry) -> bool) -> Option<Entry> {
        if let Some(exit) = self.exit_entry().filter(&is_it) {
            return Some(exit);
        }
        let held = self.held.iter().take(among).find(is_it)?;
        let mut holds = self.holds().into_iter().map(|(held, _)| held);
        holds.find(|it| it.tag == held.tag)
    }

    /// Returns all of the `among` oldest locks that satisfy `is_it`, without those that were released elsewhere. For any
    /// thread.
    pub(super) fn all_held_among(
        &self,
        among: usize,
        is_it: impl Fn(&Entry) -> bool,
    ) -> SmallVec<[Entry; 2]> {
        let mut held: SmallVec<[Entry; 2]> = self.held.iter().take(among).filter(is_it).collect();
        if !held.is_empty() && self.has_released_elsewhere() {
            for tag in &*self.released_elsewhere.lock() {
                if let Some(at) = held.iter().position(|it| it.tag == *tag) {
                    held.remove(at);
                }
            }
        }
        held
    }

    /// Returns the thread's exit, if it has one. For any thread.
    fn exit_entry(&self) -> Option<Entry> {
        if self.has_exit.load(Acquire) { self.exit_slot.read() } else { None }
    }

    /// Returns everything that the thread holds, its exit first. For the thread itself.
    pub(crate) fn all_held(&self) -> impl Iterator<Item = Entry> {
        self.exit_entry().into_iter().chain(self.held.iter())
    }

    /// Sets the innermost awaited call that waits for the job in which the thread is about to wait. Returns the last
    /// one. For the thread itself.
    pub(super) fn wait_in_job_of(&self, call: u64) -> u64 {
        self.waits_in_job_of.swap(call, Relaxed)
    }

    /// Sets the awaited call in which the thread is about to wait for jobs. Returns the last one. For the thread
    /// itself.
    pub(super) fn wait_in_call(&self, call: u64) -> u64 {
        self.waits_in_call.swap(call, Relaxed)
    }

    /// Returns `true` if the thread, which waits for jobs, waits for the job in which the other waits.
    pub(super) fn waits_for_job_of(&self, other: &Self) -> bool {
        let call = self.waits_in_call.load(Relaxed);
        call != 0 && awaited_calls::waits_for(call, other.waits_in_job_of.load(Relaxed))
    }

    /// Ends the thread's wait, if there is one. For the thread itself.
    pub(crate) fn end_wait(&self) {
        self.waiting.end();
    }
}

/// Ends a [`State`] that was [entered](Context::enter).
pub(crate) struct Entered {
    context: &'static Context,
    state: State,
    before: bool,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.context.set(self.state, self.before);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::finding::Mode;

    /// Read locks beyond the stored ones are only counted. The release of a writer must not be
    /// counted as one of them.
    #[test]
    fn a_writer_is_not_taken_for_one_of_many_suspended_readers() {
        let context = Context::new();
        (1..20).for_each(|lock| context.acquired_blind(Tag::new(lock, Mode::Shared)));
        assert!(!context.released_blind(Tag::new(20, Mode::Exclusive)));
        assert!((1..20).all(|lock| context.released_blind(Tag::new(lock, Mode::Shared))));
    }

    #[test]
    fn a_context_whose_thread_has_ended_is_in_no_state() {
        let states = [State::Allowing, State::Unwinding, State::Confirming];
        let context = Context::new();
        for state in states {
            context.set(state, true);
        }
        assert!(states.iter().all(|&state| context.is(state)));
        context.end();
        assert!(!states.iter().any(|&state| context.is(state)));
    }
}
