//! The atomics of what is modelled: std's, or those that loom or shuttle watches.
//!
//! loom tries every order of loads and stores that the memory model allows, of two threads and a
//! few steps: `RUSTFLAGS="--cfg loom" cargo test --release --lib loom` runs its models. What is too
//! large for it is run by shuttle in many random schedules, where loads and stores have one
//! order: `RUSTFLAGS="--cfg shuttle" cargo test --release --lib shuttle`.

#[cfg(not(shuttle))]
use std::time::Duration;

#[cfg(loom)]
pub(super) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
use parking_lot::{Mutex, MutexGuard};
#[cfg(shuttle)]
pub(super) use shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(not(any(loom, shuttle)))]
pub(super) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};

/// What is made in constants, as loom's atomics cannot be.
#[cfg(shuttle)]
pub(super) type ConstAtomicU64 = AtomicU64;
#[cfg(not(shuttle))]
pub(super) type ConstAtomicU64 = std::sync::atomic::AtomicU64;

/// Takes a lock under which such atomics are looked at.
#[cfg(not(shuttle))]
pub(super) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock()
}

/// Takes a lock that another thread holds only for a moment. `None` if a fork has lost that thread.
#[cfg(not(shuttle))]
pub(super) fn locked_in_time<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    lock.try_lock_for(Duration::from_secs(1))
}

#[cfg(shuttle)]
pub(super) fn locked_in_time<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    Some(locked(lock))
}

/// All threads of shuttle's are one of the system's, which must not block.
#[cfg(shuttle)]
pub(super) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match lock.try_lock() {
            Some(guard) => return guard,
            None => shuttle::thread::yield_now(),
        }
    }
}
