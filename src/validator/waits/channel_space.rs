//! The space in a bounded channel, as a lock. The receiving thread holds it from one receive to the
//! next. A thread that sends acquires it, and does not hold it afterwards.
//!
//! So a thread that sends while it holds a lock creates an edge from that lock to the space, and an
//! acquisition by the receiving thread between two receives is an edge from the space. Nothing is
//! predicted once a second thread has received, or may receive because the receiver is behind a
//! lock. Acquisitions before the first receive and after the last do not delay a sender. Nor is a
//! send delayed that fits into the channel together with all sends before it.

use std::{
    panic::Location,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use smallvec::SmallVec;

use crate::{
    finding::Mode,
    validator::{
        acquire::{about_to_block, unjudged},
        atomic_ref::Published,
        attach::current,
        context::{
            Context, State as ThreadState,
            current::{current_if_attached, inside},
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

/// The receiving thread of a bounded channel.
pub(crate) struct ChannelSpace {
    /// The thread's number, or one of the constants below.
    receiver: AtomicU64,
    /// The count of its [notes](crate::validator::context::notes) when its last receive ended, and
    /// where.
    since: AtomicU64,
    received_at: Published<Location<'static>>,
    capacity: u64,
    /// The number of sends begun so far.
    sends: AtomicU64,
    /// `true` if the thread is in a loop over the messages, so that it cannot have moved the
    /// receiver elsewhere.
    is_in_loop: AtomicBool,
}

const NO_RECEIVER: u64 = 0;
const SEVERAL: u64 = u64::MAX;

/// Marks a thread as receiving, until it is dropped.
pub(crate) struct Receiving<'a> {
    space: &'a ChannelSpace,
    context: &'static Context,
    site: &'static Location<'static>,
}

impl Drop for Receiving<'_> {
    fn drop(&mut self) {
        self.space.received_at.store(self.site);
        self.space.since.store(self.context.notes.count(), Relaxed);
    }
}

impl ChannelSpace {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            receiver: AtomicU64::new(NO_RECEIVER),
            since: AtomicU64::new(0),
            received_at: Published::new(),
            capacity: capacity as u64,
            sends: AtomicU64::new(0),
            is_in_loop: AtomicBool::new(false),
        }
    }

    /// Called when the calling thread is about to receive or try to, in a `for` loop or not.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub(crate) fn receive(
        &self,
        is_in_loop: bool,
        id: impl FnOnce() -> LockId,
    ) -> Option<Receiving<'_>> {
        let Some(context) = current().filter(|context| !context.is_suspended()) else {
            // An untracked thread receives, so nothing is known about the others.
            self.receiver.store(SEVERAL, Relaxed);
            return None;
        };
        let own = context.number();
        match self.receiver.load(Relaxed) {
            SEVERAL => return None,
            receiver if receiver == own && (is_in_loop || !may_be_shared(context)) => {
                if context.notes.count() != self.since.load(Relaxed) {
                    self.end_window(context, entry(id()).tag);
                }
            }
            NO_RECEIVER
                if (is_in_loop || !may_be_shared(context))
                    && self
                        .receiver
                        .compare_exchange(NO_RECEIVER, own, Relaxed, Relaxed)
                        .is_ok() =>
            {
                let _inside = context.enter(ThreadState::InValidator);
                context.notes.begin_window(context);
            }
            _ => {
                self.receiver.store(SEVERAL, Relaxed);
                let id = id();
                self.forget(id);
                destroyed(id);
                return None;
            }
        }
        Some(Receiving { space: self, context, site: Location::caller() })
    }

    /// Called when the receiving thread is in a loop over the messages: only it will receive until
    /// that [ends](Self::end_loop).
    pub(crate) fn begin_loop(&self, receiving: &Receiving<'_>, id: impl FnOnce() -> LockId) {
        if !self.is_in_loop.load(Relaxed) {
            self.is_in_loop.store(true, Relaxed);
            let number = receiving.context.number();
            inside(|| obligations::set_obligors(id(), [number]));
        }
    }

    /// Called when a loop over the messages has ended, if there was one.
    pub(crate) fn end_loop(&self, id: impl FnOnce() -> LockId) {
        if self.is_in_loop.swap(false, Relaxed) {
            inside(|| obligations::set_obligors(id(), []));
        }
    }

    /// Adds the acquisitions of the receiving thread since its last receive, which delayed the
    /// senders.
    #[track_caller]
    fn end_window(&self, context: &'static Context, space: Tag) {
        let Some(since) = self.received_at.load() else { return };
        let found = inside(|| {
            let acquired = context.notes.since(self.since.load(Relaxed)).into_iter();
            let owed = acquired.map(|acquired| Owed { since, acquired });
            let is_awaited = obligations::add(space.lock(), owed);
            if is_awaited { enter(space) } else { Vec::new() }
        });
        if !found.is_empty() && !context.is(ThreadState::Allowing) {
            submit(context, found);
        }
    }

    /// Called when the calling thread is about to send. Checks the send if the thread holds a lock
    /// and may have to wait, because there were more sends than the channel has space for.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub(crate) fn about_to_send(&self, identity: &Identity, id: impl FnOnce() -> LockId) {
        let may_block = self.sends.fetch_add(1, Relaxed) >= self.capacity;
        let receiver = self.receiver.load(Relaxed);
        if !may_block || receiver == NO_RECEIVER || receiver == SEVERAL {
            return;
        }
        let Some(context) = current_if_attached() else { return };
        if context.is_suspended() || context.held.is_empty() || context.number() == receiver {
            return;
        }
        let id = id();
        let wanted = entry(id);
        let place = context.held.any_place_for(wanted.tag);
        let Some(chain) = unjudged(context, place) else { return };
        let is_quiet = context.is(ThreadState::Allowing) || context.is(ThreadState::Confirming);
        if !is_quiet {
            // From now on, the receiving thread enters its acquisitions.
            inside(|| {
                let held: SmallVec<[Entry; 4]> = context.held.iter().collect();
                graph::lock().enter_owed_to(&wanted, &obligations::wait_for(id), &held);
            });
        }
        let acquisition = Acquisition { identity, wanted, named_at: wanted.site };
        about_to_block(context, &acquisition, chain);
        if !is_quiet {
            // What the receiver did meanwhile: one of the two threads finds the cycle.
            let found = inside(|| enter(wanted.tag));
            if !found.is_empty() {
                submit(context, found);
            }
        }
    }

    /// Called when the calling thread has sent, or tried to, without waiting.
    pub(crate) fn note_send(&self) {
        self.sends.fetch_add(1, Relaxed);
    }

    /// Forgets the receiving thread of a channel, which is destroyed or has several of them.
    pub(crate) fn forget(&self, id: LockId) {
        if self.receiver.load(Relaxed) != NO_RECEIVER {
            inside(|| obligations::forget(id));
        }
    }
}

/// Returns `true` if the receiver may be behind a lock that the calling thread holds, where other
/// threads can use it as well.
fn may_be_shared(context: &Context) -> bool {
    let is_exclusive = |held: &Entry| held.tag.mode() == Mode::Exclusive && !held.kind().is_event();
    context.held.iter().any(|held| is_exclusive(&held))
}

/// Enters all known acquisitions of the receiving thread. Returns the cycles that these close.
fn enter(space: Tag) -> Vec<Found> {
    let owed = obligations::of(space.lock());
    graph::lock().enter_owed(space, &owed).into_iter().map(Found::from).collect()
}

/// Returns the entry of a channel's space, at the caller's location.
#[track_caller]
fn entry(id: LockId) -> Entry {
    Entry { tag: Tag::new(id, Mode::Exclusive), site: Location::caller() }
}
