//! [`Sender`] and [`SyncSender`].

use std::{
    fmt, mem,
    sync::{
        Arc,
        mpsc::{self, SendError, TrySendError},
    },
};

use super::Channel;
use crate::{finding::WaitKind, validator};

/// [`std::sync::mpsc::Sender`]. It never waits.
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::channel();
/// let other = sender.clone();
/// std::thread::spawn(move || sender.send(1));
/// std::thread::spawn(move || other.send(2));
/// assert_eq!(receiver.into_iter().sum::<i32>(), 3);
/// ```
pub struct Sender<T> {
    pub(super) inner: mpsc::Sender<T>,
}

impl<T> Sender<T> {
    /// As [`std::sync::mpsc::Sender::send`].
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is gone.
    #[inline]
    pub fn send(&self, t: T) -> Result<(), SendError<T>> {
        may_give_away::<T>();
        self.inner.send(t)
    }
}

/// Called before a message is sent: a guard may be in it.
fn may_give_away<T>() {
    if mem::needs_drop::<T>() {
        validator::may_give_guards_away(None);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// [`std::sync::mpsc::SyncSender`], checked: a [`send`](Self::send) that waits while a lock is held
/// is a [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding).
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::sync_channel(2);
/// let other = sender.clone();
/// std::thread::spawn(move || sender.send(1));
/// std::thread::spawn(move || other.send(2));
/// assert_eq!(receiver.into_iter().sum::<i32>(), 3);
/// ```
pub struct SyncSender<T> {
    pub(super) inner: mpsc::SyncSender<T>,
    pub(super) channel: Arc<Channel>,
}

impl<T> SyncSender<T> {
    /// As [`std::sync::mpsc::SyncSender::send`].
    ///
    /// # Errors
    ///
    /// Returns the message if the receiver is gone.
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny). The message is dropped
    /// then.
    #[track_caller]
    pub fn send(&self, t: T) -> Result<(), SendError<T>> {
        may_give_away::<T>();
        self.channel.about_to_send();
        match self.inner.try_send(t) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(t)) => Err(SendError(t)),
            Err(TrySendError::Full(t)) => {
                let Channel { kind, tracked, .. } = &*self.channel;
                tracked.wait_for(kind, WaitKind::Send, || self.inner.send(t))
            }
        }
    }

    /// As [`std::sync::mpsc::SyncSender::try_send`]. Never a finding: it does not wait.
    ///
    /// # Errors
    ///
    /// Returns the message if there is no space for it, or the receiver is gone.
    #[inline]
    pub fn try_send(&self, t: T) -> Result<(), TrySendError<T>> {
        may_give_away::<T>();
        self.channel.note_send();
        self.inner.try_send(t)
    }
}

impl<T> Clone for SyncSender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), channel: Arc::clone(&self.channel) }
    }
}

impl<T> fmt::Debug for SyncSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
