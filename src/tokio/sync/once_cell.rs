//! [`OnceCell`].

mod init;

use std::{any::type_name, fmt, future::Future};

use ::tokio::sync::{OnceCell as Inner, Semaphore, SemaphorePermit, SetError, TryAcquireError};

use self::init::get_or_run;
use super::acquire::Acquirable;
use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::Tracked,
};

/// [`tokio::sync::OnceCell`], checked: the task that runs the initializer holds it, and other tasks
/// wait for it. Reading an initialized cell is no acquisition.
///
/// ```
/// # #[::tokio::main(flavor = "current_thread")] async fn main() {
/// use lockdep::tokio::sync::OnceCell;
///
/// async fn config() -> &'static str {
///     static CONFIG: OnceCell<String> = OnceCell::const_new();
///     CONFIG.get_or_init(async || "read from a file".to_owned()).await
/// }
/// assert_eq!(config().await.as_ptr(), config().await.as_ptr());
/// # }
/// ```
pub struct OnceCell<T> {
    tracked: Tracked,
    /// One permit is free while the cell is empty and no initializer runs. Closed when the value is
    /// set.
    free: Semaphore,
    inner: Inner<T>,
}

impl<T> OnceCell<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "tokio::OnceCell",
        of: LockOf::Awaited(type_name::<T>),
        role: Role::Initializer,
    };

    /// Creates an empty cell. Reports show the caller's location as the place of creation.
    #[track_caller]
    pub fn new() -> Self {
        Self { tracked: Tracked::new(), free: Semaphore::new(1), inner: Inner::new() }
    }

    /// Creates an empty cell in a constant context, for a `static`.
    #[track_caller]
    #[cfg(not(tokio_no_const_new))]
    pub const fn const_new() -> Self {
        Self { tracked: Tracked::new(), free: Semaphore::const_new(1), inner: Inner::const_new() }
    }

    /// Creates a cell with a value, or an empty one.
    #[track_caller]
    pub fn new_with(value: Option<T>) -> Self {
        let inner = Inner::new_with(value);
        Self { tracked: Tracked::new(), free: Semaphore::new(1), inner }
    }

    /// Creates a cell with a value in a constant context, for a `static`.
    #[track_caller]
    #[cfg(not(any(tokio_no_const_new, tokio_no_const_new_with)))]
    pub const fn const_new_with(value: T) -> Self {
        let inner = Inner::const_new_with(value);
        Self { tracked: Tracked::new(), free: Semaphore::const_new(1), inner }
    }

    /// Returns `true` if the cell has a value.
    pub fn initialized(&self) -> bool {
        self.inner.initialized()
    }

    /// Returns the value, if the cell has one. Never a finding: it does not wait.
    pub fn get(&self) -> Option<&T> {
        self.inner.get()
    }

    /// Returns the value, if the cell has one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.inner.get_mut()
    }

    /// Sets the value of an empty cell. Never a finding: it does not wait.
    ///
    /// # Errors
    ///
    /// Returns the value if the cell has one, or if an initializer runs.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        match self.free.try_acquire().map(SemaphorePermit::forget) {
            Ok(()) => {
                let set = self.inner.set(value);
                self.free.close();
                set
            }
            Err(TryAcquireError::NoPermits) => Err(SetError::InitializingError(value)),
            Err(TryAcquireError::Closed) => Err(SetError::AlreadyInitializedError(value)),
        }
    }

    /// Returns the value, and runs the initializer first if the cell is empty. If another task runs
    /// an initializer, waits for it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while its initializer runs, the cell stays empty, and the next
    /// waiting task runs its own.
    ///
    /// # Panics
    ///
    /// If the initializer panics, which leaves the cell empty, and for a finding at
    /// [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn get_or_init<F, Fut>(&self, f: F) -> impl Future<Output = &T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        get_or_run(self, f, |value| value, |value, initializing| initializing.finish(value))
    }

    /// As [`get_or_init`](Self::get_or_init), with an initializer that may fail. The cell stays
    /// empty then.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    ///
    /// If the initializer fails.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    #[track_caller]
    pub fn get_or_try_init<E, F, Fut>(&self, f: F) -> impl Future<Output = Result<&T, E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        get_or_run(self, f, Ok, |result: Result<T, E>, initializing| {
            result.map(|value| initializing.finish(value))
        })
    }

    /// Consumes the cell and returns its value, if it has one.
    pub fn into_inner(self) -> Option<T> {
        self.inner.into_inner()
    }

    /// Takes the value out of the cell, if it has one.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl<T> Acquirable for OnceCell<T> {
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    fn semaphore(&self) -> &Semaphore {
        &self.free
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
        self.inner.fmt(f)
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T> From<T> for OnceCell<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new_with(Some(value))
    }
}
