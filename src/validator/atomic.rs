//! Atomics and locks of code that is model-checked: std's and parking_lot's, or those of loom or
//! shuttle.
//!
//! loom tries every execution that the memory model allows, for two threads and a few steps:
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib loom` runs its models. shuttle runs larger
//! models in many random schedules, with sequentially consistent loads and stores:
//! `RUSTFLAGS="--cfg shuttle" cargo test --release --lib shuttle`.

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

/// An atomic that is created in a constant, which loom's cannot be.
#[cfg(shuttle)]
pub(super) type ConstAtomicU64 = AtomicU64;
#[cfg(not(shuttle))]
pub(super) type ConstAtomicU64 = std::sync::atomic::AtomicU64;

/// Locks a mutex.
#[cfg(not(shuttle))]
pub(super) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock()
}

/// Locks a mutex that other threads hold only briefly. `None` if a fork has lost the thread that
/// held it.
#[cfg(not(shuttle))]
pub(super) fn locked_in_time<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    lock.try_lock_for(Duration::from_secs(1))
}

#[cfg(shuttle)]
pub(super) fn locked_in_time<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    Some(locked(lock))
}

/// All of shuttle's threads run on one OS thread, which must not block.
#[cfg(shuttle)]
pub(super) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        match lock.try_lock() {
            Some(guard) => return guard,
            None => shuttle::thread::yield_now(),
        }
    }
}
