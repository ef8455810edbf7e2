//! bb8: a pool for tasks. sqlx's is wrapped in the same way.

use bb8::{ManageConnection, PooledConnection, RunError};
use lockdep::external::{Held, Mode, Resource};

/// A pool whose connections are checked.
pub struct Pool<M: ManageConnection> {
    inner: bb8::Pool<M>,
    resource: Resource,
}

impl<M: ManageConnection> Pool<M> {
    /// Wraps a pool of this size, under a name that no other one has.
    #[track_caller]
    #[must_use]
    pub fn new(name: &str, max_size: u32, inner: bb8::Pool<M>) -> Self {
        Self { inner, resource: Resource::new("bb8", name).permits(max_size as usize) }
    }

    /// Takes a connection out of the pool, and waits until there is one.
    ///
    /// # Errors
    ///
    /// If no connection becomes free in time, or a new one cannot be opened.
    #[track_caller]
    pub fn get(
        &self,
    ) -> impl Future<Output = Result<Held<PooledConnection<'_, M>>, RunError<M::Error>>> {
        self.resource.acquire_async(Mode::Shared, self.inner.get())
    }
}
