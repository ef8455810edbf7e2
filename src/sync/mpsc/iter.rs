//! [`Iter`], [`TryIter`] and [`IntoIter`].
//!
use std::fmt;

use super::{Loop, Receiver};

/// [`std::sync::mpsc::Iter`]: see [`Receiver::iter`].
pub struct Iter<'a, T: 'a> {
    pub(super) rx: &'a Receiver<T>,
    pub(super) in_loop: Loop,
}

/// [`std::sync::mpsc::TryIter`]: see [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T: 'a> {
    pub(super) rx: &'a Receiver<T>,
}

/// [`std::sync::mpsc::IntoIter`]: the iterator of a `for` loop over a [`Receiver`].
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
