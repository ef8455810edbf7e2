//! Acquisitions by tasks: they wait without blocking the thread.

use std::{
    panic::Location,
    task::{self, Poll},
};

use super::{FastAcquire, PendingAcquire, Tracked};
use crate::{
    finding::{LockKind, Mode},
    points::{self, Passing},
    validator::{
        self, Entry, Tag, ThreadState,
        tasks::{self, Operation, Wanted},
    },
};

/// What a guard lets the program do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardKind {
    /// It borrows the lock, so it stays with the future that has acquired it.
    Borrowed,
    /// It owns the lock, so it may be sent to another task.
    Owned,
    /// As an owned one, but it is assumed to stay with the task until the task spawns another one.
    Staying,
}

/// One acquisition by a task, from the call until the lock is taken. Part of the lock's future.
pub struct Awaited {
    kind: &'static LockKind,
    mode: Mode,
    guard: GuardKind,
    site: &'static Location<'static>,
    is_write: bool,
    is_judged: bool,
    operation: Operation,
    /// Its passage through the points of the acquisition, if a script has it.
    passing: Option<Box<Passing>>,
}

impl Awaited {
    /// Creates an acquisition that is requested at the caller's location.
    #[track_caller]
    #[must_use]
    pub fn new(kind: &'static LockKind, mode: Mode, guard: GuardKind) -> Self {
        let site = Location::caller();
        let operation = Operation::default();
        let is_write = false;
        Self { kind, mode, guard, site, is_write, is_judged: false, operation, passing: None }
    }

    /// Creates a write acquisition of a lock that also has readers. After the first write, readers
    /// may have to wait for each other.
    #[track_caller]
    #[must_use]
    pub fn write(kind: &'static LockKind, guard: GuardKind) -> Self {
        Self { is_write: true, ..Self::new(kind, Mode::Exclusive, guard) }
    }

    /// Creates an upgrade, by a guard with which the lock is held upgradable.
    #[track_caller]
    #[must_use]
    pub fn upgrade(kind: &'static LockKind, guard: GuardKind) -> Self {
        Self { is_write: true, ..Self::new(kind, Mode::Upgrade, guard) }
    }

    /// Polls the wrapped lock's operation, `poll`, and records the lock as taken if that succeeds.
    /// The acquisition is checked at the first poll.
    ///
    /// Nothing is tracked outside a known task, because there one thread may poll many futures in
    /// turn, and one future may move between threads.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn poll<P, E>(
        &mut self,
        tracked: &Tracked,
        cx: &mut task::Context<'_>,
        poll: impl FnOnce(&mut task::Context<'_>) -> Poll<Result<P, E>>,
    ) -> Poll<Result<P, E>> {
        if !tasks::is_known() {
            tasks::note_unknown();
            return poll(cx);
        }
        let future = std::ptr::from_ref(self).addr();
        let mut pending = self.pending(tracked);
        if points::are_active() {
            if self.is_stopped(pending.wanted(), cx) {
                return Poll::Pending;
            }
            pending = self.pending(tracked);
        }
        if !self.is_judged {
            pending = self.judged(tracked, pending);
            if self.is_write && !tracked.identity.has_writer() {
                pending.note_first_writer();
                pending = self.pending(tracked);
            }
        }
        let is_writer = self.is_write && tracked.identity.has_writer();
        let wanted = Wanted { entry: pending.wanted(), is_writer };
        let polled =
            if self.is_uncertain() { poll(cx) } else { self.operation.poll(wanted, cx, poll) };
        if let Poll::Ready(Ok(_)) = polled {
            if self.operation.has_waited() || self.is_uncertain() {
                self.operation = Operation::default();
                // The program's wakers, which ran meanwhile, may have released something held.
                pending = self.pending(tracked);
            }
            // A combinator such as `Shared` may poll this future for several tasks.
            let guard = if tasks::is_of_task(cx.waker()) { self.guard } else { GuardKind::Owned };
            pending.acquired_in_task(guard, future);
            if tasks::is_path_wanted(self.site)
                && let Some(context) = pending.context()
            {
                tasks::keep_path(context, pending.wanted());
            }
        }
        if let Some(passing) = &mut self.passing {
            match polled {
                Poll::Pending => passing.wait(cx),
                Poll::Ready(_) => self.passing = None,
            }
        }
        polled
    }

    /// Polls a wait after which nothing more is held. Checks it at the first poll, if the task is known, unless the wait
    /// `is_uncertain`.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn poll_wait<R>(
        &mut self,
        tracked: &Tracked,
        is_uncertain: impl FnOnce() -> bool,
        cx: &mut task::Context<'_>,
        poll: impl FnOnce(&mut task::Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        if !tasks::is_known() {
            tasks::note_unknown();
        } else if !self.is_judged {
            self.is_judged = true;
            if !is_uncertain() {
                let pending = self.pending(tracked);
                let pending = self.judged(tracked, pending);
                if self.is_write && !tracked.identity.has_writer() {
                    pending.note_first_writer();
                }
            }
        }
        poll(cx)
    }

    /// Checks the acquisition.
    #[track_caller]
    fn judged<'a>(
        &mut self,
        tracked: &'a Tracked,
        pending: PendingAcquire<'a>,
    ) -> PendingAcquire<'a> {
        self.is_judged = true;
        if is_unremarkable(&pending) {
            return pending;
        }
        pending.judge_in_task();
        self.pending(tracked)
    }

    /// Passes the points of the acquisition. Returns `true` if a script stops the future there.
    #[cold]
    fn is_stopped(&mut self, wanted: Entry, cx: &task::Context<'_>) -> bool {
        if !self.is_judged && self.passing.is_none() {
            self.passing = Passing::acquire(wanted);
        }
        self.passing.as_mut().is_some_and(|passing| passing.poll(cx).is_pending())
    }

    /// Fast path of the first poll. Returns what records the lock as taken if its chain is
    /// validated and nothing else needs to be done. If the lock is not free after all, the caller
    /// continues with [`poll`](Self::poll).
    ///
    /// Limited to a few acquisitions in each poll of the task: an attempt does not consume the
    /// runtime's cooperative budget, which makes tasks yield.
    #[inline]
    pub fn try_fast(&self, tracked: &Tracked) -> Option<FastAcquire> {
        let is_plain = self.guard == GuardKind::Borrowed && !self.is_judged && !self.is_uncertain();
        let identity = &tracked.identity;
        let lock = identity.id_or_0();
        if !is_plain || lock == 0 || (self.is_write && !identity.has_writer()) {
            return None;
        }
        let context = validator::current_if_attached()?;
        let tag = Tag::new(lock, self.mode);
        let place = context.held.place_for(tag)?;
        if tasks::is_path_wanted(self.site) {
            return None;
        }
        let (future, lock) = (std::ptr::from_ref(self).addr(), std::ptr::from_ref(tracked).addr());
        if !tasks::may_acquire_at_once(future, lock) {
            return None;
        }
        let is_judged = place.is_unremarkable()
            || tasks::is_alone()
                && !tasks::is_in_doubt()
                && validator::is_judged_for_task(context, place);
        is_judged.then_some(FastAcquire { context, place, entry: Entry { tag, site: self.site } })
    }

    /// Returns `true` if nothing is certain about the wait: for a lock that other processes hold as well, and for one
    /// that any task may take before the one that was woken.
    fn is_uncertain(&self) -> bool {
        self.kind.is_outside() || self.kind.is_only_woken()
    }

    #[inline]
    fn pending<'a>(&self, tracked: &'a Tracked) -> PendingAcquire<'a> {
        tracked.resume_at(self.kind, self.mode, self.site)
    }
}

/// Returns `true` if the task holds nothing.
#[inline]
fn is_unremarkable(pending: &PendingAcquire<'_>) -> bool {
    matches!(pending.slot, Some((_, place)) if place.is_unremarkable())
}

impl Tracked {
    /// Runs a poll of a future that owes this event, and has since this place.
    pub(crate) fn owe_during<R>(
        &self,
        kind: &'static LockKind,
        since: &'static Location<'static>,
        poll: impl FnOnce() -> R,
    ) -> R {
        let owed = self.resume_at(kind, Mode::Shared, since).acquired();
        let _owing = tasks::Owing::begin(owed.tag);
        poll()
    }

    /// Runs an attempt to acquire the lock without waiting, and records the lock as taken if that
    /// succeeds.
    ///
    /// `is_in_task` returns `true` while the runtime polls a task. Nothing is tracked in a task
    /// that was given to the runtime directly, which lockdep does not know.
    #[track_caller]
    pub fn try_awaited<P, E>(
        &self,
        kind: &'static LockKind,
        mode: Mode,
        guard: GuardKind,
        is_in_task: fn() -> bool,
        attempt: impl FnOnce() -> Result<P, E>,
    ) -> Result<P, E> {
        if !tasks::is_known() && is_in_task() {
            return attempt();
        }
        let pending = self.about_to_try(kind, mode);
        let result = attempt();
        match result {
            // The address of its future is unknown.
            Ok(_) => pending.acquired_in_task(guard, 0),
            Err(_) => pending.abandon(),
        }
        result
    }

    /// Acquires the lock by blocking the thread: `attempt` first, and if that fails, `block`.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn block_on_awaited<P, E>(
        &self,
        kind: &'static LockKind,
        mode: Mode,
        guard: GuardKind,
        attempt: impl FnOnce() -> Option<P>,
        block: impl FnOnce() -> Result<P, E>,
    ) -> Result<P, E> {
        self.about_to_block(kind, mode).block_on_awaited(guard, attempt, block)
    }

    /// As `block_on_awaited`, to write a lock that also has readers. After the first write, readers
    /// may have to wait for each other.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn block_to_write_awaited<P, E>(
        &self,
        kind: &'static LockKind,
        guard: GuardKind,
        attempt: impl FnOnce() -> Option<P>,
        block: impl FnOnce() -> Result<P, E>,
    ) -> Result<P, E> {
        self.about_to_write(kind, Mode::Exclusive).block_on_awaited(guard, attempt, block)
    }

    /// Records that the lock is now held in another mode.
    pub fn change_mode_awaited(&self, from: Mode, to: Mode, guard: GuardKind) {
        let tag = |mode| Tag::new(self.identity().id_or_0(), mode);
        // A task that has spawned another since then has no record of its guards, not even of
        // borrowed ones.
        let is_held = guard == GuardKind::Borrowed && validator::is_held(tag(from));
        if is_held || !tasks::change_mode(tag(from), tag(to)) {
            self.held(from).into_mode(to).forget();
        }
    }
}

impl PendingAcquire<'_> {
    #[track_caller]
    fn block_on_awaited<P, E>(
        mut self,
        guard: GuardKind,
        attempt: impl FnOnce() -> Option<P>,
        block: impl FnOnce() -> Result<P, E>,
    ) -> Result<P, E> {
        let permit = match attempt() {
            Some(permit) => permit,
            None => self.wait(block)?,
        };
        // A hook may have released what this thread held.
        self.slot = self.slot_again();
        match guard {
            GuardKind::Borrowed => self.acquired().forget(),
            GuardKind::Owned => self.acquired_owned(),
            GuardKind::Staying => self.acquired_to_send(),
        }
        Ok(permit)
    }

    /// Records a lock taken by a guard that may move anywhere. It belongs to the task as a loose
    /// hold, and to no thread.
    fn acquired_owned(self) {
        let Entry { tag, site } = self.wanted();
        let is_of_task = tasks::acquired_owned(Entry { tag: tag.once_held(), site });
        if self.is_directed() {
            points::acquired(self.wanted());
        } else if !is_of_task {
            let _released = self.acquired().release();
        }
    }

    /// Records a lock taken by a guard that can be sent, but most likely stays with the thread or task.
    pub(crate) fn acquired_to_send(mut self) {
        // What the program ran meanwhile may have released something held.
        self.slot = self.slot_again();
        let tag = self.wanted().tag.once_held();
        self.acquired().forget();
        tasks::acquired_to_send(tag);
    }

    /// Records a lock taken by the future at this address.
    fn acquired_in_task(self, guard: GuardKind, future: usize) {
        match guard {
            GuardKind::Owned => self.acquired_owned(),
            GuardKind::Staying => self.acquired_to_send(),
            GuardKind::Borrowed => {
                let tag = self.wanted().tag.once_held();
                self.acquired().forget();
                tasks::acquired_at(tag, future, std::ptr::from_ref(self.tracked).addr());
            }
        }
    }

    /// Checks an acquisition of a task that already holds something.
    #[track_caller]
    fn judge_in_task(self) {
        let is_alone = tasks::is_alone();
        match self.slot {
            Some((context, place))
                if is_alone
                    && !tasks::is_in_doubt()
                    && validator::is_judged_for_task(context, place) => {}
            _ => self.judge_what_is_certain(is_alone),
        }
    }

    /// Checks the chain without the locks that a sibling future may hold.
    #[cold]
    #[track_caller]
    fn judge_what_is_certain(self, is_alone: bool) {
        let Some(context) = self.context() else { return };
        context.end_unwinding();
        let suspended = tasks::suspend_doubtful(context, self.tag, is_alone);
        let place = context.held.any_place_for(self.tag);
        if let Some(key) = validator::unjudged(context, place) {
            validator::about_to_block(context, &self.acquisition(self.site), key);
        }
        drop(suspended);
        if context.held.place_for(self.tag).is_none() && !context.is(ThreadState::InValidator) {
            validator::prepare(context, self.tag);
        }
    }
}
