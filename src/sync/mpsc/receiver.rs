//! [`Receiver`].

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{self, RecvError, RecvTimeoutError, TryRecvError},
    },
    time::Duration,
};

use super::{Channel, IntoIter, Iter, Loop, TryIter};
use crate::finding::{LockKind, LockOf, Role, WaitKind};

/// [`std::sync::mpsc::Receiver`], checked: a wait for a message while a lock is held is a
/// [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding), by default one that is only
/// recorded.
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::channel();
/// std::thread::spawn(move || (1..=3).for_each(|number| sender.send(number).unwrap()));
/// assert_eq!(receiver.recv(), Ok(1));
/// for number in receiver {
///     println!("{number}");
/// }
/// ```
pub struct Receiver<T> {
    pub(super) inner: mpsc::Receiver<T>,
    pub(super) channel: Arc<Channel>,
}

impl<T> Receiver<T> {
    /// The kind of an unbounded channel.
    pub(super) const CHANNEL: &'static LockKind = &LockKind {
        wrapper: "channel",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Channel,
    };

    /// The kind of a bounded channel.
    pub(super) const SYNC_CHANNEL: &'static LockKind = &LockKind {
        wrapper: "sync_channel",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Channel,
    };

    /// As [`std::sync::mpsc::Receiver::try_recv`].
    ///
    /// # Errors
    ///
    /// If there is no message, whether or not a sender is left.
    ///
    /// # Panics
    ///
    /// If something that this thread acquired since it last received from a bounded channel is a
    /// finding at [`Level::Deny`](crate::Level::Deny), because another thread sends while it holds
    /// that.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let _receiving = self.channel.receive();
        self.inner.try_recv()
    }

    /// As [`std::sync::mpsc::Receiver::recv`].
    ///
    /// # Errors
    ///
    /// If there is no message, and no sender is left.
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny), and as
    /// [`try_recv`](Self::try_recv).
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let _receiving = self.channel.receive();
        self.recv_now()
    }

    /// Receives for an iterator over the messages.
    #[track_caller]
    pub(super) fn recv_in_loop(&self, of: &Loop) -> Result<T, RecvError> {
        let is_for = of.is_for();
        let _receiving =
            if is_for { self.channel.receive_in_loop() } else { self.channel.receive() };
        self.recv_now()
    }

    #[track_caller]
    fn recv_now(&self) -> Result<T, RecvError> {
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => {
                let Channel { kind, tracked, .. } = &*self.channel;
                tracked.wait_for(kind, WaitKind::Recv, || self.inner.recv())
            }
        }
    }

    /// As [`std::sync::mpsc::Receiver::recv_timeout`].
    ///
    /// # Errors
    ///
    /// If there is no message in time, or no sender is left.
    ///
    /// # Panics
    ///
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let _receiving = self.channel.receive();
        if timeout.is_zero() {
            // Not `try_recv`: in a channel without capacity, that one never meets a `try_send`.
            return self.inner.recv_timeout(timeout);
        }
        match self.inner.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {
                let Channel { kind, tracked, .. } = &*self.channel;
                let wait = || self.inner.recv_timeout(timeout);
                tracked.wait_in_time(kind, WaitKind::Recv, wait)
            }
        }
    }

    /// As [`std::sync::mpsc::Receiver::iter`]. The iterator waits as [`recv`](Self::recv) does.
    #[inline]
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "std's is none")]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { rx: self, in_loop: Loop::new(&self.channel) }
    }

    /// As [`std::sync::mpsc::Receiver::try_iter`].
    #[inline]
    #[allow(clippy::must_use_candidate, reason = "std's is none")]
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter { rx: self }
    }
}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    #[track_caller]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    #[track_caller]
    fn into_iter(self) -> IntoIter<T> {
        let in_loop = Loop::new(&self.channel);
        IntoIter { rx: self, in_loop }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
