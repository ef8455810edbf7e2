//! r2d2: a pool for threads.

use lockdep::external::{Held, Mode, Resource};
use r2d2::{Error, ManageConnection, PooledConnection};

/// A pool whose connections are checked.
pub struct Pool<M: ManageConnection> {
    inner: r2d2::Pool<M>,
    resource: Resource,
}

impl<M: ManageConnection> Pool<M> {
    /// Wraps a pool, under a name that no other one has.
    #[track_caller]
    #[must_use]
    pub fn new(name: &str, inner: r2d2::Pool<M>) -> Self {
        let permits = inner.max_size() as usize;
        Self { inner, resource: Resource::new("r2d2", name).permits(permits) }
    }

    /// Takes a connection out of the pool, and waits until there is one.
    ///
    /// # Errors
    ///
    /// If no connection becomes free in time.
    #[track_caller]
    pub fn get(&self) -> Result<Held<PooledConnection<M>>, Error> {
        self.resource.acquire(Mode::Shared, || self.inner.get())
    }
}
