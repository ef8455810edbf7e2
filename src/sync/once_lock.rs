//! [`OnceLock`].

use std::{fmt, sync};

use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::Tracked,
};

/// [`std::sync::OnceLock`], checked: the thread that runs the initializer holds it, and other
/// callers wait for it. Reading an initialized cell is no acquisition.
///
/// ```
/// use lockdep::sync::OnceLock;
///
/// fn config() -> &'static str {
///     static CONFIG: OnceLock<String> = OnceLock::new();
///     CONFIG.get_or_init(|| "read from a file".to_owned())
/// }
/// assert_eq!(config().as_ptr(), config().as_ptr());
/// ```
pub struct OnceLock<T> {
    tracked: Tracked,
    inner: sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "OnceLock",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Initializer,
    };

    /// As [`std::sync::OnceLock::new`]. Reports show the caller's location as the place of
    /// creation.
    #[track_caller]
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { tracked: Tracked::new(), inner: sync::OnceLock::new() }
    }

    /// As [`std::sync::OnceLock::get`]. Never a finding: it does not block.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.inner.get()
    }

    /// As [`std::sync::OnceLock::get_mut`].
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.inner.get_mut()
    }

    /// As [`std::sync::OnceLock::wait`].
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn wait(&self) -> &T {
        if let Some(value) = self.inner.get() {
            return value;
        }
        self.tracked.wait_initialized(Self::KIND, || self.inner.wait())
    }

    /// As [`std::sync::OnceLock::set`].
    ///
    /// # Errors
    ///
    /// Returns the value if the cell already has one.
    ///
    /// # Panics
    ///
    /// If it has to wait for a running initializer, and that is a finding at
    /// [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.inner.get().is_some() {
            return Err(value);
        }
        self.tracked.wait_initialized(Self::KIND, || self.inner.set(value))
    }

    /// As [`std::sync::OnceLock::get_or_init`].
    ///
    /// # Panics
    ///
    /// If waiting for another initializer here is a finding at [`Level::Deny`](crate::Level::Deny)
    /// (for example within the cell's own initializer, where std would hang).
    #[track_caller]
    #[inline]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        self.get_or_init_as(Self::KIND, f)
    }

    /// For a type that is built on this one but has its own name in reports.
    #[track_caller]
    #[inline]
    pub(super) fn get_or_init_as(&self, kind: &'static LockKind, f: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.inner.get() {
            return value;
        }
        self.tracked.initialize(kind, |pending| {
            self.inner.get_or_init(|| {
                let _held = pending.begin_init();
                f()
            })
        })
    }

    /// As [`std::sync::OnceLock::into_inner`].
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        self.inner.into_inner()
    }

    /// As [`std::sync::OnceLock::take`].
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        self.inner.take()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl<T> Default for OnceLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        Self { tracked: Tracked::new(), inner: self.inner.clone() }
    }
}

impl<T> From<T> for OnceLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self { tracked: Tracked::new(), inner: sync::OnceLock::from(value) }
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
