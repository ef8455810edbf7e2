//! [`Lazy`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::{RefUnwindSafe, UnwindSafe},
};

use super::OnceCell;
use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::{Initializer, Tracked},
};

/// [`once_cell::sync::Lazy`], checked: the thread that runs the initializer holds it, and other
/// callers wait for it. Reading an initialized value is no acquisition, but if its
/// initializer took locks, a use under one of them is an
/// [`OrderedInversion`](crate::FindingKind::OrderedInversion).
///
/// ```
/// use lockdep::once_cell::sync::Lazy;
///
/// static PRIMES: Lazy<Vec<u32>> = Lazy::new(|| vec![2, 3, 5, 7]);
///
/// assert_eq!(PRIMES[2], 5);
/// ```
pub struct Lazy<T, F = fn() -> T> {
    value: OnceCell<T>,
    init: Initializer<F>,
}

const POISONED: &str = "Lazy instance has previously been poisoned";

impl<T, F> Lazy<T, F> {
    /// As [`Lazy::new`](::once_cell::sync::Lazy::new).
    #[track_caller]
    #[inline]
    pub const fn new(f: F) -> Self {
        Self { value: OnceCell::new(), init: Initializer::new(f) }
    }

    /// As [`Lazy::into_value`](::once_cell::sync::Lazy::into_value).
    ///
    /// # Errors
    ///
    /// Returns the initializer if it has not run.
    ///
    /// # Panics
    ///
    /// If the initializer has panicked.
    pub fn into_value(this: Self) -> Result<T, F> {
        this.value.into_inner().ok_or_else(|| this.init.into_inner(POISONED))
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        self.value.tracked()
    }
}

impl<T, F> Lazy<T, F> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "Lazy",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Initializer,
    };
}

impl<T, F: FnOnce() -> T> Lazy<T, F> {
    /// As [`Lazy::force`](::once_cell::sync::Lazy::force).
    ///
    /// # Panics
    ///
    /// As once_cell's if the initializer panics or has panicked, and if waiting for it here is a
    /// finding at [`Level::Deny`](crate::Level::Deny) (for example within its own initializer,
    /// where once_cell would hang).
    #[track_caller]
    #[inline]
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init_as(Self::KIND, || this.init.run(POISONED))
    }

    /// As [`Lazy::force_mut`](::once_cell::sync::Lazy::force_mut).
    ///
    /// # Panics
    ///
    /// As [`force`](Self::force).
    #[track_caller]
    pub fn force_mut(this: &mut Self) -> &mut T {
        // With exclusive access, an initialized value is never waited for.
        if this.value.get().is_none() {
            Self::force(this);
        }
        this.value.get_mut().expect("it was just initialized")
    }

    /// As [`Lazy::get`](::once_cell::sync::Lazy::get). Never a finding: it does not block.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        this.value.get()
    }

    /// As [`Lazy::get_mut`](::once_cell::sync::Lazy::get_mut).
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.value.get_mut()
    }
}

impl<T, F: FnOnce() -> T> Deref for Lazy<T, F> {
    type Target = T;

    #[track_caller]
    #[inline]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for Lazy<T, F> {
    #[track_caller]
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for Lazy<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").field("cell", &self.value).field("init", &"..").finish()
    }
}

// As once_cell's. Derived implementations would be more permissive, because of the mutex.
impl<T, F: UnwindSafe> UnwindSafe for Lazy<T, F> where OnceCell<T>: UnwindSafe {}
impl<T, F: RefUnwindSafe> RefUnwindSafe for Lazy<T, F> where OnceCell<T>: RefUnwindSafe {}
