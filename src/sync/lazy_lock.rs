//! [`LazyLock`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::{RefUnwindSafe, UnwindSafe},
};

use super::OnceLock;
use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::{Initializer, Tracked},
};

/// [`std::sync::LazyLock`], checked: the thread that runs the initializer holds it, and other
/// callers wait for it. Reading an initialized value is no acquisition, but if its
/// initializer took locks, a use under one of them is an
/// [`OrderedInversion`](crate::FindingKind::OrderedInversion).
///
/// Built from a [`OnceLock`] and the initializer, because std's `LazyLock` does not say when it
/// starts to run the initializer.
///
/// ```
/// use lockdep::sync::LazyLock;
///
/// static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| vec![2, 3, 5, 7]);
///
/// assert_eq!(PRIMES[2], 5);
/// ```
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    init: Initializer<F>,
}

const POISONED: &str = "LazyLock instance has previously been poisoned";

impl<T, F> LazyLock<T, F> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "LazyLock",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Initializer,
    };
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// As [`std::sync::LazyLock::new`]. Reports show the caller's location as the place of
    /// creation.
    #[track_caller]
    #[inline]
    pub const fn new(f: F) -> Self {
        Self { value: OnceLock::new(), init: Initializer::new(f) }
    }

    /// As [`std::sync::LazyLock::force`].
    ///
    /// # Panics
    ///
    /// As std's if the initializer panics or has panicked, and if waiting for it here is a finding
    /// at [`Level::Deny`](crate::Level::Deny) (for example within its own initializer, where std
    /// would hang).
    #[track_caller]
    #[inline]
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init_as(Self::KIND, || this.init.run(POISONED))
    }

    /// As [`std::sync::LazyLock::force_mut`].
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
}

impl<T, F> LazyLock<T, F> {
    /// As [`std::sync::LazyLock::get`]. Never a finding: it does not block.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        this.value.get()
    }

    /// As [`std::sync::LazyLock::get_mut`].
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        this.value.get_mut()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        self.value.tracked()
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[track_caller]
    #[inline]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[track_caller]
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("LazyLock");
        match self.value.get() {
            Some(value) => tuple.field(value),
            None => tuple.field(&format_args!("<uninit>")),
        };
        tuple.finish()
    }
}

// As std's. Derived implementations would be more permissive, because of the mutex.
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
