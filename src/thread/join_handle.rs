//! [`JoinHandle`].

use std::{
    fmt,
    thread::{self, Result, Thread},
};

use super::spawned::{self, Spawned};

/// [`std::thread::JoinHandle`], checked: a join acquires the thread's exit.
pub struct JoinHandle<T> {
    pub(super) inner: thread::JoinHandle<T>,
    /// `None` if nothing is checked.
    pub(super) spawned: Option<Spawned>,
}

impl<T> JoinHandle<T> {
    /// As [`std::thread::JoinHandle::thread`].
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }

    /// As [`std::thread::JoinHandle::join`].
    ///
    /// # Errors
    ///
    /// If the thread panicked.
    ///
    /// # Panics
    ///
    /// If joining the thread here is a finding at [`Level::Deny`](crate::Level::Deny). It panics
    /// before the wait, and the thread continues, detached.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        let is_finished = self.inner.is_finished();
        spawned::join(self.spawned.as_ref(), is_finished, || self.inner.join())
    }

    /// As [`std::thread::JoinHandle::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let is_finished = self.inner.is_finished();
        if let Some(spawned) = &self.spawned {
            spawned.note_finished(is_finished);
        }
        is_finished
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(unix)]
impl<T> std::os::unix::thread::JoinHandleExt for JoinHandle<T> {
    fn as_pthread_t(&self) -> std::os::unix::thread::RawPthread {
        self.inner.as_pthread_t()
    }

    fn into_pthread_t(self) -> std::os::unix::thread::RawPthread {
        self.inner.into_pthread_t()
    }
}

#[cfg(windows)]
impl<T> std::os::windows::io::AsRawHandle for JoinHandle<T> {
    fn as_raw_handle(&self) -> std::os::windows::io::RawHandle {
        self.inner.as_raw_handle()
    }
}

#[cfg(windows)]
impl<T> std::os::windows::io::AsHandle for JoinHandle<T> {
    fn as_handle(&self) -> std::os::windows::io::BorrowedHandle<'_> {
        self.inner.as_handle()
    }
}

#[cfg(windows)]
impl<T> std::os::windows::io::IntoRawHandle for JoinHandle<T> {
    fn into_raw_handle(self) -> std::os::windows::io::RawHandle {
        self.inner.into_raw_handle()
    }
}

#[cfg(windows)]
impl<T> From<JoinHandle<T>> for std::os::windows::io::OwnedHandle {
    fn from(handle: JoinHandle<T>) -> Self {
        handle.inner.into()
    }
}
