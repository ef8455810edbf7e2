//! deadpool: a pool for tasks.
//!
//! Under `cargo lockdep` no adapter is needed: deadpool's pool is one of tokio's semaphores, which is checked.

use deadpool::managed::{Manager, Object, PoolError};
use lockdep::external::{Held, Mode, Resource};

/// A pool whose objects are checked.
pub struct Pool<M: Manager> {
    inner: deadpool::managed::Pool<M>,
    resource: Resource,
}

impl<M: Manager> Pool<M> {
    /// Wraps a pool, under a name that no other one has.
    #[track_caller]
    #[must_use]
    pub fn new(name: &str, inner: deadpool::managed::Pool<M>) -> Self {
        let permits = inner.status().max_size;
        Self { inner, resource: Resource::new("deadpool", name).permits(permits) }
    }

    /// Takes an object out of the pool, and waits until there is one.
    ///
    /// # Errors
    ///
    /// If the pool is closed, or an object cannot be made.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Held<Object<M>>, PoolError<M::Error>>> {
        self.resource.acquire_async(Mode::Shared, self.inner.get())
    }
}
