//! [`OnceLock`].

use std::{fmt, sync};

use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::Tracked,
};

/// [`std::sync::OnceLock`], checked: the thread that runs the initializer holds it, and other
/// callers wait for it. Reading an initialized cell is no acquisition, but if its initializer took
/// locks, a use under one of them is an [`OrderedInversion`](crate::FindingKind::OrderedInversion).
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
    /// The value, unless its initializer took locks. So the fast path is that of std.
    free: sync::OnceLock<T>,
    /// Runs the initializer. Has the value if that took locks.
    checked: sync::OnceLock<Option<Box<T>>>,
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
        Self {
            tracked: Tracked::new(),
            free: sync::OnceLock::new(),
            checked: sync::OnceLock::new(),
        }
    }

    /// As [`std::sync::OnceLock::get`]. Never a finding: it does not block.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        match self.free.get() {
            Some(value) => Some(value),
            None => self.checked.get()?.as_deref(),
        }
    }

    /// As [`std::sync::OnceLock::get_mut`].
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        match self.free.get_mut() {
            Some(value) => Some(value),
            None => self.checked.get_mut()?.as_deref_mut(),
        }
    }

    /// As [`std::sync::OnceLock::wait`].
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn wait(&self) -> &T {
        if let Some(value) = self.free.get() {
            return value;
        }
        if self.checked.get().is_some() {
            return self.use_initialized();
        }
        self.tracked.wait_initialized(Self::KIND, || self.checked.wait());
        self.get().expect("it is initialized")
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
        if self.free.get().is_some() {
            return Err(value);
        }
        if self.checked.get().is_some() {
            self.use_initialized();
            return Err(value);
        }
        self.tracked.wait_initialized(Self::KIND, || {
            let mut value = Some(value);
            self.checked.get_or_init(|| self.place(value.take().expect("it runs once"), false));
            value.map_or(Ok(()), Err)
        })
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
        if let Some(value) = self.free.get() {
            return value;
        }
        self.get_or_init_slow(kind, f)
    }

    #[cold]
    #[track_caller]
    fn get_or_init_slow(&self, kind: &'static LockKind, f: impl FnOnce() -> T) -> &T {
        if self.checked.get().is_some() {
            return self.use_initialized();
        }
        self.tracked.initialize(kind, |pending| {
            self.checked.get_or_init(|| {
                let held = pending.begin_init();
                let value = f();
                self.place(value, held.end_init())
            })
        });
        self.get().expect("it is initialized")
    }

    /// Stores the value. Returns it in a box if its initializer took locks.
    fn place(&self, value: T, took_locks: bool) -> Option<Box<T>> {
        if took_locks {
            return Some(Box::new(value));
        }
        let set = self.free.set(value);
        debug_assert!(set.is_ok(), "only one initializer runs");
        None
    }

    /// Returns the value of an initialized cell, to a caller that would otherwise have waited.
    #[track_caller]
    fn use_initialized(&self) -> &T {
        if let Some(Some(_)) = self.checked.get() {
            self.tracked.about_to_use();
        }
        self.get().expect("it is initialized")
    }

    /// As [`std::sync::OnceLock::into_inner`].
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        let checked = self.checked.into_inner().flatten();
        self.free.into_inner().or(checked.map(|value| *value))
    }

    /// As [`std::sync::OnceLock::take`].
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        let checked = self.checked.take().flatten();
        self.free.take().or(checked.map(|value| *value))
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
        let mut tuple = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        match self.get() {
            Some(value) => Self::from(value.clone()),
            None => Self::new(),
        }
    }
}

impl<T> From<T> for OnceLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self { free: sync::OnceLock::from(value), ..Self::new() }
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}
