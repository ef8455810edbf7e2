//! The `lock_api` 0.4 of a crate that builds locks on it: the real one, except that the locks wrap
//! checked raw locks. All other crates get the real one, which defines these types.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, points, tracked};

#[path = "lockdep/src"]
mod flavours {
    #[path = "lock_api/mod.rs"]
    pub mod lock_api;
}

use flavours::lock_api::{RawMutex as Exclusive, RawRwLock as Shared};
pub use lock_api::*;

pub type Mutex<R, T> = lock_api::Mutex<Exclusive<R>, T>;
pub type MutexGuard<'a, R, T> = lock_api::MutexGuard<'a, Exclusive<R>, T>;
pub type MappedMutexGuard<'a, R, T> = lock_api::MappedMutexGuard<'a, Exclusive<R>, T>;

#[cfg(feature = "atomic_usize")]
pub type ReentrantMutex<R, G, T> = lock_api::ReentrantMutex<Exclusive<R>, G, T>;
#[cfg(feature = "atomic_usize")]
pub type ReentrantMutexGuard<'a, R, G, T> = lock_api::ReentrantMutexGuard<'a, Exclusive<R>, G, T>;
#[cfg(feature = "atomic_usize")]
pub type MappedReentrantMutexGuard<'a, R, G, T> =
    lock_api::MappedReentrantMutexGuard<'a, Exclusive<R>, G, T>;

pub type RwLock<R, T> = lock_api::RwLock<Shared<R>, T>;
pub type RwLockReadGuard<'a, R, T> = lock_api::RwLockReadGuard<'a, Shared<R>, T>;
pub type RwLockWriteGuard<'a, R, T> = lock_api::RwLockWriteGuard<'a, Shared<R>, T>;
pub type RwLockUpgradableReadGuard<'a, R, T> =
    lock_api::RwLockUpgradableReadGuard<'a, Shared<R>, T>;
pub type MappedRwLockReadGuard<'a, R, T> = lock_api::MappedRwLockReadGuard<'a, Shared<R>, T>;
pub type MappedRwLockWriteGuard<'a, R, T> = lock_api::MappedRwLockWriteGuard<'a, Shared<R>, T>;

#[cfg(feature = "arc_lock")]
mod arc {
    use super::{Exclusive, Shared};

    pub type ArcMutexGuard<R, T> = lock_api::ArcMutexGuard<Exclusive<R>, T>;
    pub type ArcRwLockReadGuard<R, T> = lock_api::ArcRwLockReadGuard<Shared<R>, T>;
    pub type ArcRwLockWriteGuard<R, T> = lock_api::ArcRwLockWriteGuard<Shared<R>, T>;
    pub type ArcRwLockUpgradableReadGuard<R, T> =
        lock_api::ArcRwLockUpgradableReadGuard<Shared<R>, T>;
}
#[cfg(feature = "arc_lock")]
pub use arc::{
    ArcMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard,
};
#[cfg(all(feature = "arc_lock", feature = "atomic_usize"))]
pub type ArcReentrantMutexGuard<R, G, T> = lock_api::ArcReentrantMutexGuard<Exclusive<R>, G, T>;
