//! [`OnceCell`].

use std::{convert::Infallible, fmt};

use ::once_cell::sync;

use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::Tracked,
};

/// [`once_cell::sync::OnceCell`], checked: the thread that runs the initializer holds it, and other
/// callers wait for it. Reading an initialized cell is no acquisition, but if its initializer took
/// locks, a use under one of them is an [`OrderedInversion`](crate::FindingKind::OrderedInversion).
///
/// ```
/// use lockdep::once_cell::sync::OnceCell;
///
/// fn config() -> &'static str {
///     static CONFIG: OnceCell<String> = OnceCell::new();
///     CONFIG.get_or_init(|| "read from a file".to_owned())
/// }
/// assert_eq!(config().as_ptr(), config().as_ptr());
/// ```
pub struct OnceCell<T> {
    tracked: Tracked,
    /// The value, unless its initializer took locks. So the fast path is that of once_cell.
    free: sync::OnceCell<T>,
    /// Runs the initializer. Has the value if that took locks.
    checked: sync::OnceCell<Option<Box<T>>>,
}

impl<T> OnceCell<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "OnceCell",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Initializer,
    };

    /// As [`sync::OnceCell::new`].
    #[track_caller]
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            tracked: Tracked::new(),
            free: sync::OnceCell::new(),
            checked: sync::OnceCell::new(),
        }
    }

    /// As [`sync::OnceCell::with_value`].
    #[track_caller]
    #[inline]
    pub const fn with_value(value: T) -> Self {
        Self {
            tracked: Tracked::new(),
            free: sync::OnceCell::with_value(value),
            checked: sync::OnceCell::new(),
        }
    }

    /// As [`sync::OnceCell::get`]. Never a finding: it does not block.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        match self.free.get() {
            Some(value) => Some(value),
            None => self.checked.get()?.as_deref(),
        }
    }

    /// As [`sync::OnceCell::wait`].
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

    /// As [`sync::OnceCell::get_mut`].
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        match self.free.get_mut() {
            Some(value) => Some(value),
            None => self.checked.get_mut()?.as_deref_mut(),
        }
    }

    /// As [`sync::OnceCell::get_unchecked`].
    ///
    /// # Safety
    ///
    /// The cell must be initialized, and the calling thread must have observed that.
    #[allow(unsafe_code, reason = "once_cell has it")]
    #[inline]
    pub unsafe fn get_unchecked(&self) -> &T {
        match self.get() {
            Some(value) => value,
            // SAFETY: by the contract, the cell is initialized.
            None => unsafe { std::hint::unreachable_unchecked() },
        }
    }

    /// As [`sync::OnceCell::set`].
    ///
    /// # Errors
    ///
    /// Returns the value if the cell already has one.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        self.try_insert(value).map(drop).map_err(|(_, value)| value)
    }

    /// As [`sync::OnceCell::try_insert`].
    ///
    /// # Errors
    ///
    /// Returns the value in the cell and the rejected one, if the cell already has one.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    #[track_caller]
    pub fn try_insert(&self, value: T) -> Result<&T, (&T, T)> {
        let mut value = Some(value);
        let there = self.get_or_init(|| value.take().expect("initialized once"));
        match value {
            None => Ok(there),
            Some(value) => Err((there, value)),
        }
    }

    /// As [`sync::OnceCell::get_or_init`].
    ///
    /// # Panics
    ///
    /// If waiting for another initializer here is a finding at [`Level::Deny`](crate::Level::Deny)
    /// (for example within the cell's own initializer, where once_cell would hang).
    #[track_caller]
    #[inline]
    pub fn get_or_init<F>(&self, f: F) -> &T
    where
        F: FnOnce() -> T,
    {
        self.get_or_init_as(Self::KIND, f)
    }

    /// As [`sync::OnceCell::get_or_try_init`].
    ///
    /// # Errors
    ///
    /// The error of the initializer.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    #[track_caller]
    #[inline]
    pub fn get_or_try_init<F, E>(&self, f: F) -> Result<&T, E>
    where
        F: FnOnce() -> Result<T, E>,
    {
        self.get_or_try_init_as(Self::KIND, f)
    }

    /// For a type that is built on this one but has its own name in reports.
    #[track_caller]
    #[inline]
    pub(super) fn get_or_init_as(&self, kind: &'static LockKind, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init_as(kind, || Ok::<T, Infallible>(f())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    #[track_caller]
    #[inline]
    fn get_or_try_init_as<E>(
        &self,
        kind: &'static LockKind,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        if let Some(value) = self.free.get() {
            return Ok(value);
        }
        self.get_or_try_init_slow(kind, f)
    }

    #[cold]
    #[track_caller]
    fn get_or_try_init_slow<E>(
        &self,
        kind: &'static LockKind,
        f: impl FnOnce() -> Result<T, E>,
    ) -> Result<&T, E> {
        if self.checked.get().is_some() {
            return Ok(self.use_initialized());
        }
        self.tracked.initialize(kind, |pending| {
            self.checked.get_or_try_init(|| {
                let held = pending.begin_init();
                let value = f()?;
                Ok(self.place(value, held.end_init()))
            })
        })?;
        Ok(self.get().expect("it is initialized"))
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

    /// As [`sync::OnceCell::take`].
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        let checked = self.checked.take().flatten();
        self.free.take().or(checked.map(|value| *value))
    }

    /// As [`sync::OnceCell::into_inner`].
    #[inline]
    pub fn into_inner(self) -> Option<T> {
        let checked = self.checked.into_inner().flatten();
        self.free.into_inner().or(checked.map(|value| *value))
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl<T> Default for OnceCell<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("OnceCell");
        match self.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("Uninit")),
        };
        tuple.finish()
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        match self.get() {
            Some(value) => Self::with_value(value.clone()),
            None => Self::new(),
        }
    }
}

impl<T> From<T> for OnceCell<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::with_value(value)
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}
