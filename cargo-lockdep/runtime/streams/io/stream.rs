//! The lock of a standard stream, as part of the lock order.
//!
//! std has no `try_lock` for these locks, so a thread does not publish that it waits for one. They
//! take part in predicted inversions, but not in the detection of threads that wait for each other.

use ::std::{
    cell::Cell,
    marker::PhantomData,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread::LocalKey,
};

use lockdep::__private::{
    finding::{LockKind, LockOf, Mode, Role},
    name,
    tracked::Tracked,
};

/// How many times the calling thread holds a reentrant stream.
type Depth = LocalKey<Cell<usize>>;

/// One of the three streams.
pub(crate) struct Stream {
    tracked: Tracked,
    kind: LockKind,
    name: &'static str,
    is_named: AtomicBool,
    /// `None` if the lock is not reentrant.
    depth: Option<&'static Depth>,
}

/// Marks the stream as held until it is dropped, just before the stream is unlocked.
pub(crate) struct Hold {
    stream: &'static Stream,
    not_send: PhantomData<*const ()>,
}

impl Stream {
    pub(super) const fn new(
        name: &'static str,
        wrapper: &'static str,
        depth: Option<&'static Depth>,
    ) -> Self {
        let kind = LockKind { wrapper, of: LockOf::Nothing, role: Role::Lock };
        let is_named = AtomicBool::new(false);
        Self { tracked: Tracked::without_location(), kind, name, is_named, depth }
    }

    /// Calls `lock`, which locks the stream.
    ///
    /// # Panics
    ///
    /// On a finding at `Level::Deny`, before the stream is locked.
    #[track_caller]
    #[inline]
    pub(crate) fn lock<G>(&'static self, lock: impl FnOnce() -> G) -> (Hold, G) {
        let guard = if self.depth.is_some_and(|depth| depth.get() > 0) {
            lock()
        } else if let Some(fast) = self.tracked.try_fast(&self.kind, Mode::Exclusive) {
            let guard = lock();
            fast.acquired();
            guard
        } else {
            self.lock_slow(lock)
        };
        if let Some(depth) = self.depth {
            depth.set(depth.get() + 1);
        }
        (Hold { stream: self, not_send: PhantomData }, guard)
    }

    #[cold]
    #[track_caller]
    fn lock_slow<G>(&'static self, lock: impl FnOnce() -> G) -> G {
        if !self.is_named.swap(true, Relaxed) {
            name(self.tracked.number(&self.kind), self.name);
        }
        let pending = self.tracked.about_to_block(&self.kind, Mode::Exclusive);
        let guard = lock();
        pending.acquired().forget();
        guard
    }
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        let is_last = self.stream.depth.is_none_or(|depth| {
            let left = depth.get() - 1;
            depth.set(left);
            left == 0
        });
        if is_last {
            self.stream.tracked.release(Mode::Exclusive, || ());
        }
    }
}
