//! [`scope`], and its types.
#![allow(unsafe_code, reason = "our scope lives as long as std's, which no lifetime can express")]

use std::{
    cell::Cell,
    fmt,
    marker::PhantomData,
    ptr,
    thread::{self, Result, Thread},
};

use super::{
    Builder,
    spawned::{self, Children, Spawned},
};

/// [`std::thread::Scope`], checked.
///
/// ```
/// use lockdep::thread::{self, Scope};
///
/// fn start<'scope>(scope: &'scope Scope<'scope, '_>) {
///     scope.spawn(|| println!("at work"));
/// }
///
/// thread::scope(|scope| start(scope));
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    pub(super) inner: &'scope thread::Scope<'scope, 'env>,
    children: Children,
    /// As in std's, so that the lifetimes are invariant.
    lifetimes: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

/// As [`std::thread::scope`]. Its end acquires the exits of all of its threads that were not
/// joined.
///
/// # Panics
///
/// If a thread that was not joined has panicked, or if waiting for one is a finding at
/// [`Level::Deny`](crate::Level::Deny). std resumes that panic after all threads have ended.
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    /// Frees our scope after std's has ended.
    struct Owned<'a>(&'a Cell<*mut ()>);

    impl Drop for Owned<'_> {
        fn drop(&mut self) {
            let scope = self.0.get().cast::<Scope<'_, '_>>();
            if !scope.is_null() {
                // SAFETY: the pointer comes from the box below. std's scope and all of its threads
                // have ended, so no reference of that lifetime is left.
                drop(unsafe { Box::from_raw(scope) });
            }
        }
    }

    let place = Cell::new(ptr::null_mut());
    let _owned = Owned(&place);
    let end = spawned::here();
    thread::scope(|inner| {
        let ours = Box::into_raw(Box::new(Scope {
            inner,
            children: Children::default(),
            lifetimes: PhantomData,
        }));
        place.set(ours.cast());
        // SAFETY: the scope is freed after std's scope has ended, so it outlives its lifetime
        // `'scope`.
        let ours = unsafe { &*ours };
        let result = f(ours);
        ours.children.wait(end);
        result
    })
}

impl<'scope> Scope<'scope, '_> {
    /// As [`std::thread::Scope::spawn`].
    ///
    /// # Panics
    ///
    /// As std's, if the operating system cannot create a thread.
    #[track_caller]
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f).expect("failed to spawn thread")
    }

    pub(super) fn add(&self, spawned: Option<&Spawned>) {
        self.children.add(spawned);
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// [`std::thread::ScopedJoinHandle`], checked.
pub struct ScopedJoinHandle<'scope, T> {
    pub(super) inner: thread::ScopedJoinHandle<'scope, T>,
    pub(super) spawned: Option<Spawned>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// As [`std::thread::ScopedJoinHandle::thread`].
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.inner.thread()
    }

    /// As [`std::thread::ScopedJoinHandle::join`].
    ///
    /// # Errors
    ///
    /// If the thread panicked.
    ///
    /// # Panics
    ///
    /// If joining the thread here is a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn join(self) -> Result<T> {
        let is_finished = self.inner.is_finished();
        spawned::join(self.spawned.as_ref(), is_finished, || self.inner.join())
    }

    /// As [`std::thread::ScopedJoinHandle::is_finished`].
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let is_finished = self.inner.is_finished();
        if let Some(spawned) = &self.spawned {
            spawned.note_finished(is_finished);
        }
        is_finished
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
