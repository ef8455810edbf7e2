//! [`Iter`], [`TryIter`] and [`IntoIter`].
//!
use std::fmt;

use super::{Loop, Receiver};

/// [`std::sync::mpsc::Iter`]: see [`Receiver::iter`].
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::channel();
/// std::thread::spawn(move || sender.send(1));
/// let mut messages: mpsc::Iter<'_, i32> = receiver.iter();
/// assert_eq!((messages.next(), messages.next()), (Some(1), None));
/// ```
pub struct Iter<'a, T: 'a> {
    pub(super) rx: &'a Receiver<T>,
    pub(super) in_loop: Loop,
}

/// [`std::sync::mpsc::TryIter`]: see [`Receiver::try_iter`].
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::channel::<i32>();
/// let mut messages: mpsc::TryIter<'_, i32> = receiver.try_iter();
/// assert_eq!(messages.next(), None);
/// sender.send(1).unwrap();
/// assert_eq!(messages.next(), Some(1));
/// ```
#[derive(Debug)]
pub struct TryIter<'a, T: 'a> {
    pub(super) rx: &'a Receiver<T>,
}

/// [`std::sync::mpsc::IntoIter`]: the iterator of a `for` loop over a [`Receiver`].
///
/// ```
/// # use lockdep::sync::mpsc;
/// let (sender, receiver) = mpsc::channel();
/// std::thread::spawn(move || sender.send(1));
/// let messages: mpsc::IntoIter<i32> = receiver.into_iter();
/// assert_eq!(messages.last(), Some(1));
/// ```
pub struct IntoIter<T> {
    pub(super) rx: Receiver<T>,
    pub(super) in_loop: Loop,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.rx.recv_in_loop(&self.in_loop).ok()
    }
}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.rx.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.rx.recv_in_loop(&self.in_loop).ok()
    }
}

/// As derived by std, which requires `T: Debug`.
#[allow(clippy::missing_fields_in_debug, reason = "std's has no other field")]
impl<T: fmt::Debug> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("rx", self.rx).finish()
    }
}

#[allow(clippy::missing_fields_in_debug, reason = "std's has no other field")]
impl<T: fmt::Debug> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("rx", &self.rx).finish()
    }
}
