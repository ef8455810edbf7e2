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

use std::sync::{Arc, mpsc};

pub use std::sync::mpsc::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};

pub use self::{
    iter::{IntoIter, Iter, TryIter},
    receiver::Receiver,
    sender::{Sender, SyncSender},
};
use crate::{finding::LockKind, tracked::Tracked};

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
    let channel = Arc::new(Channel { kind: Receiver::<T>::CHANNEL, tracked: Tracked::new() });
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
    let channel = Arc::new(Channel { kind: Receiver::<T>::SYNC_CHANNEL, tracked: Tracked::new() });
    let (sender, receiver) = mpsc::sync_channel(bound);
    let sender = SyncSender { inner: sender, channel: Arc::clone(&channel) };
    (sender, Receiver { inner: receiver, channel })
}

/// What a channel's ends share, those that may wait.
struct Channel {
    kind: &'static LockKind,
    tracked: Tracked,
}
