//! [`Resource`], and [`Held`], its guard.

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    time::Duration,
};

use super::outside::{Outside, Token};
use crate::finding::Mode;

/// A lock that is not in this process: a key in Redis, a row or an advisory lock of a database, a
/// lock file; or a connection pool.
///
/// It is identified by its system and its key. All values with the same two are one lock, so a
/// `Resource` can be made wherever it is needed. The lock is acquired and released by the program;
/// `Resource` says when, and has its place in the lock order.
///
/// In a build that is [not checked](crate#the-switch), each acquisition is the call that it is given,
/// and nothing else.
///
/// ```
/// use lockdep::external::{Mode, Resource};
/// # struct Client;
/// # struct Lease;
/// # impl Client { fn lock(&self, _: &str) -> Result<Lease, std::io::Error> { Ok(Lease) } }
/// # let (client, id) = (Client, 42);
///
/// let key = format!("order:{id}");
/// let lease = Resource::new("redis", &key).acquire(Mode::Exclusive, || client.lock(&key))?;
/// // ... the order is ours until `lease` is dropped.
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Resource(Outside);

impl Resource {
    /// Describes the resource of this system that has this key.
    ///
    /// Its [class](crate::class) is what remains of the key without its numbers, UUIDs and long
    /// hexadecimal words: `order:42` is of the class `order:{}`. Where that is not the kind of lock, see
    /// [`class`](Self::class).
    #[track_caller]
    #[must_use]
    pub fn new(system: &'static str, key: impl fmt::Display) -> Self {
        Self(Outside::new(system, key))
    }

    /// Sets its class, such as `order:{}`.
    ///
    /// What the first acquisition of a resource says of it holds for all: class, permits, and whether a lease ends a
    /// wait for it.
    #[must_use]
    pub fn class(mut self, pattern: &'static str) -> Self {
        self.0.class(pattern);
        self
    }

    /// Makes it a pool, which as many can hold at once. The mode of an acquisition does not matter
    /// then.
    ///
    /// Who waits for another permit with one held is a
    /// [`PoolExhaustion`](crate::FindingKind::PoolExhaustion). If all permits are held by threads that wait for each other,
    /// that is a [`Deadlock`](crate::FindingKind::Deadlock), as a warning. A pool is not part of the lock order.
    #[must_use]
    pub fn permits(mut self, permits: usize) -> Self {
        self.0.permits(permits);
        self
    }

    /// Says how long the resource is held at most: a key in Redis expires, even if its holder still works.
    ///
    /// - A cycle through it does not hang, so it is a
    ///   [`LeasedInversion`](crate::FindingKind::LeasedInversion), at [`Level::Warn`](crate::Level::Warn),
    ///   and no [`Inversion`](crate::FindingKind::Inversion).
    /// - A guard that is dropped later than that is an
    ///   [`ExpiredLease`](crate::FindingKind::ExpiredLease), because another process may have acquired
    ///   the resource meanwhile. Where the client renews the lease, say nothing here.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.0.lease(lease);
        self
    }

    /// Lets a thread or task acquire what it holds already, as the rows and the advisory locks of a
    /// database can be within one session. Such an acquisition is not checked, and its guard does
    /// nothing.
    ///
    /// Only for a system in which it never waits: one connection for each thread or task.
    #[must_use]
    pub fn reentrant(mut self) -> Self {
        self.0.reentrant();
        self
    }

    /// Acquires the resource by a call that waits until it has it, such as `SELECT ... FOR UPDATE`.
    /// Checks the acquisition first. If the call fails, nothing is held, but the order is known from
    /// then on.
    ///
    /// In a task, use [`acquire_async`](Self::acquire_async).
    ///
    /// # Errors
    ///
    /// Those of the call.
    ///
    /// # Panics
    ///
    /// Before the call, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub fn acquire<R, E>(
        &self,
        mode: Mode,
        acquire: impl FnOnce() -> Result<R, E>,
    ) -> Result<Held<R>, E> {
        self.0.acquire(mode, acquire).map(Held::new)
    }

    /// As [`acquire`](Self::acquire), by a future, for the task that awaits it. Checks the acquisition
    /// when it is first polled.
    ///
    /// Nothing is checked outside of [known tasks](crate::as_task()).
    ///
    /// # Cancel safety
    ///
    /// That of the future: dropping this one drops it.
    ///
    /// # Errors
    ///
    /// Those of the future.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::external::{Mode, Resource};
    /// # async fn lock_row(_: u64) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn example(id: u64) -> Result<(), std::io::Error> {
    /// let row = Resource::new("shop.accounts", id);
    /// let row = row.acquire_async(Mode::Exclusive, lock_row(id)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    #[inline]
    pub fn acquire_async<F, R, E>(
        &self,
        mode: Mode,
        acquire: F,
    ) -> impl Future<Output = Result<Held<R>, E>> + use<F, R, E>
    where
        F: Future<Output = Result<R, E>>,
    {
        let acquired = self.0.acquire_async(mode, acquire);
        async { acquired.await.map(Held::new) }
    }

    /// Acquires the resource by a call that does not wait, such as `SELECT ... NOWAIT`. Never a
    /// finding. If the call fails, nothing is known from it.
    ///
    /// # Errors
    ///
    /// Those of the call.
    #[track_caller]
    #[inline]
    pub fn try_acquire<R, E>(
        &self,
        mode: Mode,
        acquire: impl FnOnce() -> Result<R, E>,
    ) -> Result<Held<R>, E> {
        self.0.try_acquire(mode, acquire).map(Held::new)
    }

    /// Records that the calling thread or task has acquired the resource by other means, until the
    /// guard is dropped. Never a finding.
    #[track_caller]
    #[inline]
    pub fn acquired(&self, mode: Mode) -> Held<()> {
        let acquired = self.0.try_acquire(mode, || Ok::<_, std::convert::Infallible>(()));
        match acquired {
            Ok(held) => Held::new(held),
            Err(never) => match never {},
        }
    }

    /// Returns the lock's id; `None` in a build that is not checked.
    pub(crate) fn number(&self) -> Option<u64> {
        self.0.number()
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An acquired [`Resource`]. When this is dropped, the resource counts as released, and then the value
/// is dropped that the acquisition has returned: the client's own guard, or a connection.
///
/// Where the release is a separate call, take the value out with [`into_inner`](Self::into_inner), or
/// drop this just before the call. A transaction's end releases all that was acquired in it, so a
/// transaction keeps a `Held<()>` for each: see [`split`](Self::split).
///
/// It can be sent to another thread or task. From then on it is not known who has it.
#[must_use = "if unused, the resource counts as released at once"]
#[clippy::has_significant_drop]
pub struct Held<R> {
    // Dropped first: what is no longer locked cannot be held by two.
    token: Token,
    value: R,
}

impl<R> Held<R> {
    fn new((token, value): (Token, R)) -> Self {
        Self { token, value }
    }

    /// Releases the resource, and returns the value that the acquisition has returned.
    pub fn into_inner(self) -> R {
        self.value
    }

    /// Separates the value from the resource, which stays held.
    pub fn split(self) -> (Held<()>, R) {
        (Held { token: self.token, value: () }, self.value)
    }
}

impl<R> Deref for Held<R> {
    type Target = R;

    #[inline]
    fn deref(&self) -> &R {
        &self.value
    }
}

impl<R> DerefMut for Held<R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut R {
        &mut self.value
    }
}

impl<R: fmt::Debug> fmt::Debug for Held<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.value).finish()
    }
}
