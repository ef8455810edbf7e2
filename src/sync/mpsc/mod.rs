//! [`std::sync::mpsc`], checked. A wait for a message, or for space in a full channel, while a lock
//! is held is a [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding). [`held`](crate::held)
//! shows which threads wait at which channel.
//!
//! ```
//! use lockdep::sync::mpsc; // was: use std::sync::mpsc;
//!
//! let (sender, receiver) = mpsc::channel();
//! std::thread::spawn(move || sender.send("done"));
//! assert_eq!(receiver.recv(), Ok("done"));
//! ```

mod iter;
mod receiver;
mod sender;

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};
use std::{
    panic::Location,
    sync::{Arc, mpsc},
};

pub use self::{
    iter::{IntoIter, Iter, TryIter},
    receiver::Receiver,
    sender::{Sender, SyncSender},
};
use crate::{
    finding::LockKind,
    tracked::Tracked,
    validator::{ChannelSpace, Receiving},
};

/// As [`std::sync::mpsc::channel`]. Reports show the caller's location as the place of creation.
#[track_caller]
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let tracked = Tracked::new();
    let channel = Arc::new(Channel { kind: Receiver::<T>::CHANNEL, space: None, tracked });
    let (sender, receiver) = mpsc::channel();
    (Sender { inner: sender }, Receiver { inner: receiver, channel })
}

/// As [`std::sync::mpsc::sync_channel`]. Reports show the caller's location as the place of
/// creation.
#[track_caller]
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (space, tracked) = (Some(ChannelSpace::new(bound)), Tracked::new());
    let channel = Arc::new(Channel { kind: Receiver::<T>::SYNC_CHANNEL, space, tracked });
    let (sender, receiver) = mpsc::sync_channel(bound);
    let sender = SyncSender { inner: sender, channel: Arc::clone(&channel) };
    (sender, Receiver { inner: receiver, channel })
}

/// The state shared by the receiver and, in a bounded channel, its senders.
struct Channel {
    kind: &'static LockKind,
    /// `Some` if the channel is bounded.
    space: Option<ChannelSpace>,
    // Dropped last, because `space` is known by the id in it.
    tracked: Tracked,
}

impl Channel {
    /// Marks the calling thread as receiving until the returned value is dropped.
    #[track_caller]
    fn receive(&self) -> Option<Receiving<'_>> {
        self.space.as_ref()?.receive(false, || self.tracked.number(self.kind))
    }

    /// As [`receive`](Self::receive), for a thread that loops over the messages.
    #[track_caller]
    fn receive_in_loop(&self) -> Option<Receiving<'_>> {
        let space = self.space.as_ref()?;
        let receiving = space.receive(true, || self.tracked.number(self.kind));
        if let Some(receiving) = &receiving {
            space.begin_loop(receiving, || self.tracked.number(self.kind));
        }
        receiving
    }

    /// The calling thread is about to send and may have to wait for space.
    #[track_caller]
    fn about_to_send(&self) {
        if let Some(space) = &self.space {
            space.about_to_send(self.tracked.identity(), || self.tracked.number(self.kind));
        }
    }

    /// The calling thread has tried to send.
    fn note_send(&self) {
        if let Some(space) = &self.space {
            space.note_send();
        }
    }
}

/// Marks a loop over the messages of a bounded channel, until it is dropped.
struct Loop {
    /// `None` if the channel is unbounded.
    channel: Option<Arc<Channel>>,
    begun_at: &'static Location<'static>,
}

impl Loop {
    #[track_caller]
    fn new(channel: &Arc<Channel>) -> Self {
        let channel = channel.space.is_some().then(|| Arc::clone(channel));
        Self { channel, begun_at: Location::caller() }
    }

    /// Returns `true` if the caller is the `for` loop that owns the iterator: then `next` is called
    /// at the location where the iterator was created. Any other caller may move the iterator to
    /// another thread, or receive without it.
    #[track_caller]
    fn is_for(&self) -> bool {
        let (next, begun) = (Location::caller(), self.begun_at);
        (next.file(), next.line()) == (begun.file(), begun.line())
            && next.column() <= begun.column()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Some(channel) = &self.channel
            && let Some(space) = &channel.space
        {
            space.end_loop(|| channel.tracked.number(channel.kind));
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let (Some(space), Some(id)) = (&self.space, self.tracked.identity().assigned()) {
            space.forget(id);
        }
    }
}
