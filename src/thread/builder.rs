//! [`Builder`], and [`spawn`].

use std::{io, thread};

use super::{
    JoinHandle, Scope, ScopedJoinHandle,
    spawned::{Spawned, Until},
};

/// As [`std::thread::spawn`].
///
/// # Panics
///
/// As std's, if the operating system cannot create a thread.
#[track_caller]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("failed to spawn thread")
}

/// [`std::thread::Builder`], checked.
///
/// ```
/// use lockdep::thread::Builder;
///
/// let worker = Builder::new().name("worker".into()).spawn(|| 1).unwrap();
/// assert_eq!(worker.thread().name(), Some("worker"));
/// # worker.join().unwrap();
/// ```
#[must_use = "must eventually spawn the thread"]
#[derive(Debug)]
pub struct Builder {
    inner: thread::Builder,
    name: Option<String>,
}

impl Builder {
    /// As [`std::thread::Builder::new`].
    #[allow(clippy::new_without_default, reason = "std's has no default")]
    pub fn new() -> Self {
        Self { inner: thread::Builder::new(), name: None }
    }

    /// As [`std::thread::Builder::name`].
    pub fn name(self, name: String) -> Self {
        Self { inner: self.inner.name(name.clone()), name: Some(name) }
    }

    /// As [`std::thread::Builder::stack_size`].
    pub fn stack_size(self, size: usize) -> Self {
        Self { inner: self.inner.stack_size(size), ..self }
    }

    /// As [`std::thread::Builder::spawn`].
    ///
    /// # Errors
    ///
    /// If the operating system cannot create a thread.
    #[track_caller]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (spawned, body) = Spawned::new(self.name, Until::ThreadEnds, f);
        let inner = started(spawned.as_ref(), self.inner.spawn(body))?;
        Ok(JoinHandle { inner, spawned })
    }

    /// As [`std::thread::Builder::spawn_unchecked`].
    ///
    /// # Errors
    ///
    /// If the operating system cannot create a thread.
    ///
    /// # Safety
    ///
    /// As for [`std::thread::Builder::spawn_unchecked`]: the thread must end before its borrows do.
    #[track_caller]
    #[allow(unsafe_code, reason = "std has it")]
    pub unsafe fn spawn_unchecked<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send,
        T: Send,
    {
        let (spawned, body) = Spawned::new(self.name, Until::ThreadEnds, f);
        // SAFETY: the caller upholds the same contract.
        let inner = started(spawned.as_ref(), unsafe { self.inner.spawn_unchecked(body) })?;
        Ok(JoinHandle { inner, spawned })
    }

    /// As [`std::thread::Builder::spawn_scoped`].
    ///
    /// # Errors
    ///
    /// If the operating system cannot create a thread.
    #[track_caller]
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (spawned, body) = Spawned::new(self.name, Until::BodyEnds, f);
        let inner = started(spawned.as_ref(), self.inner.spawn_scoped(scope.inner, body))?;
        scope.add(spawned.as_ref());
        Ok(ScopedJoinHandle { inner, spawned })
    }
}

/// Reports a failed spawn to `spawned`, and returns the result.
fn started<T>(spawned: Option<&Spawned>, result: io::Result<T>) -> io::Result<T> {
    if let (Some(spawned), Err(_)) = (spawned, &result) {
        spawned.was_not_spawned();
    }
    result
}
