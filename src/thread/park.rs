//! [`park`] and [`park_timeout`].

use std::{thread, time::Duration};

use crate::{
    finding::{LockKind, LockOf, Role, WaitKind},
    tracked::Tracked,
};

static KIND: LockKind = LockKind { wrapper: "park", of: LockOf::Nothing, role: Role::Token };

/// Represents the token that a parked thread waits for. Any thread may make it available.
static TOKEN: Tracked = Tracked::without_location();

/// As [`std::thread::park`]. Parking while a lock is held is a
/// [`WaitWhileHolding`](crate::FindingKind::WaitWhileHolding), by default one that is only
/// recorded.
///
/// # Panics
///
/// If parking here is a finding at [`Level::Deny`](crate::Level::Deny).
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
///
/// use lockdep::thread;
///
/// static GO: AtomicBool = AtomicBool::new(false);
/// let worker = thread::spawn(|| {
///     while !GO.load(SeqCst) {
///         thread::park();
///     }
/// });
/// GO.store(true, SeqCst);
/// worker.thread().unpark();
/// worker.join().unwrap();
/// ```
#[track_caller]
pub fn park() {
    TOKEN.wait_for(&KIND, WaitKind::Park, thread::park);
}

/// As [`std::thread::park_timeout`]. See [`park`].
///
/// # Panics
///
/// As [`park`] does.
#[track_caller]
pub fn park_timeout(duration: Duration) {
    TOKEN.wait_in_time(&KIND, WaitKind::Park, || thread::park_timeout(duration));
}
