//! [`Barrier`].

use std::{
    fmt,
    sync::{
        self, BarrierWaitResult,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    finding::{LockKind, LockOf, Role, WaitKind},
    tracked::Tracked,
    validator::{Arrival, BarrierOrder},
};

/// [`std::sync::Barrier`], checked: a wait while a lock is held is a
/// [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding).
///
/// ```
/// use lockdep::sync::Barrier;
///
/// let all_are_ready = Barrier::new(2);
/// std::thread::scope(|scope| {
///     scope.spawn(|| all_are_ready.wait());
///     all_are_ready.wait();
/// });
/// ```
pub struct Barrier {
    tracked: Tracked,
    threads: u64,
    /// The number of arrivals so far, over all generations.
    arrived: AtomicU64,
    order: BarrierOrder,
    inner: sync::Barrier,
}

impl Barrier {
    const KIND: &'static LockKind =
        &LockKind { wrapper: "Barrier", of: LockOf::Nothing, role: Role::Barrier };

    /// As [`std::sync::Barrier::new`]. Reports show the caller's location as the place of creation.
    #[track_caller]
    #[must_use]
    #[inline]
    pub const fn new(n: usize) -> Self {
        let inner = sync::Barrier::new(n);
        Self {
            tracked: Tracked::new(),
            threads: n as u64,
            arrived: AtomicU64::new(0),
            order: BarrierOrder::new(),
            inner,
        }
    }

    /// As [`std::sync::Barrier::wait`].
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny). For a
    /// [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding) it panics before the wait, and
    /// the thread does not count as arrived. For an [`Inversion`](crate::FindingKind::Inversion) it
    /// panics afterwards, so that the other threads pass as well.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        if self.threads <= 1 {
            return self.inner.wait();
        }
        let arrival = self.order.arrive(
            self.threads,
            Self::KIND,
            self.tracked.identity(),
            self.tracked.created(),
        );
        let result = if self.would_be_last() {
            self.arrive(arrival.as_ref())
        } else {
            self.tracked.wait_for(Self::KIND, WaitKind::Barrier, || self.arrive(arrival.as_ref()))
        };
        if let Some(arrival) = arrival {
            self.order.passed(arrival);
        }
        result
    }

    /// Returns `true` if a thread that arrives now would not wait. Wrong if another arrives at the
    /// same time; then a short wait stays invisible to other threads.
    fn would_be_last(&self) -> bool {
        self.arrived.load(Relaxed) % self.threads == self.threads - 1
    }

    fn arrive(&self, arrival: Option<&Arrival>) -> BarrierWaitResult {
        self.arrived.fetch_add(1, Relaxed);
        if let Some(arrival) = arrival {
            self.order.arrived(arrival, self.threads);
        }
        self.inner.wait()
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        BarrierOrder::forget(self.tracked.identity());
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
