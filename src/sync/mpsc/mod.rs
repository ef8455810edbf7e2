//! [`std::sync::mpsc`], checked: a wait for a message, or for space in a channel that is full, while a
//! lock is held is a [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding), and
//! [`held`](crate::held) shows who waits at which channel.
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

/// As [`std::sync::mpsc::channel`]. The caller's place in the source is where the channel is said to have
/// been made.
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::channel();
/// sender.send(1).unwrap(); // never waits
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
#[track_caller]
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let tracked = Tracked::new();
    let channel = Arc::new(Channel { kind: Receiver::<T>::CHANNEL, space: None, tracked });
    let (sender, receiver) = mpsc::channel();
    (Sender { inner: sender }, Receiver { inner: receiver, channel })
}

/// As [`std::sync::mpsc::sync_channel`]. The caller's place in the source is where the channel is said to
/// have been made.
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::sync_channel(1);
/// std::thread::scope(|scope| {
///     scope.spawn(|| receiver.into_iter().sum::<u8>());
///     sender.send(1).unwrap();
///     sender.send(2).unwrap(); // waits until the first is received
///     drop(sender);
/// });
/// ```
#[track_caller]
#[must_use]
pub fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
    let (space, tracked) = (Some(ChannelSpace::new(bound)), Tracked::new());
    let channel = Arc::new(Channel { kind: Receiver::<T>::SYNC_CHANNEL, space, tracked });
    let (sender, receiver) = mpsc::sync_channel(bound);
    let sender = SyncSender { inner: sender, channel: Arc::clone(&channel) };
    (sender, Receiver { inner: receiver, channel })
}

/// What a channel's ends share, those that may wait.
struct Channel {
    kind: &'static LockKind,
    /// If it has a bound.
    space: Option<ChannelSpace>,
    // Dropped last, as the space is known by its number.
    tracked: Tracked,
}

impl Channel {
    /// The calling thread receives until this is dropped.
    #[track_caller]
    fn receive(&self) -> Option<Receiving<'_>> {
        self.space.as_ref()?.receive(false, || self.tracked.number(self.kind))
    }

    /// The same for a thread that is in a loop over the messages.
    #[track_caller]
    fn receive_in_loop(&self) -> Option<Receiving<'_>> {
        let space = self.space.as_ref()?;
        let receiving = space.receive(true, || self.tracked.number(self.kind));
        if let Some(receiving) = &receiving {
            space.begin_loop(receiving, || self.tracked.number(self.kind));
        }
        receiving
    }

    /// The calling thread is about to send, and may have to wait.
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

/// A loop over the messages of a bounded channel, until this is dropped.
struct Loop {
    /// `None` if the channel has no bound.
    channel: Option<Arc<Channel>>,
    begun_at: &'static Location<'static>,
}

impl Loop {
    #[track_caller]
    fn new(channel: &Arc<Channel>) -> Self {
        let channel = channel.space.is_some().then(|| Arc::clone(channel));
        Self { channel, begun_at: Location::caller() }
    }

    /// Returns `true` if the caller is the `for` loop that owns the iterator, which calls `next` where it is made.
    /// Any other caller may send it to another thread, or receive without it.
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
