//! The `lock_api` 0.5 of a crate that builds locks on it: the real one, except that the locks wrap
//! checked raw locks. All other crates get the real one, which defines these types.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, points, tracked};

#[path = "lockdep/src"]
mod flavours {
    #[path = "lock_api_0_5/mod.rs"]
    pub mod lock_api_0_5;
}

// Whether readers of a raw lock pass a waiting writer is unknown. If they do, they hang in fewer cases.
use flavours::lock_api_0_5::{
    RawCondvar as Waits, RawMutex as Exclusive, RawRwLockRecursive as Shared,
};
pub use lock_api_0_5::*;

pub type Mutex<R, T> = lock_api_0_5::Mutex<Exclusive<R>, T>;
pub type MutexGuard<'a, R, T> = lock_api_0_5::MutexGuard<'a, Exclusive<R>, T>;
pub type MappedMutexGuard<'a, R, T> = lock_api_0_5::MappedMutexGuard<'a, Exclusive<R>, T>;
pub type Condvar<C> = lock_api_0_5::Condvar<Waits<C>>;

#[cfg(feature = "atomic_usize")]
mod reentrant {
    use super::Exclusive;

    pub type ReentrantMutex<R, G, T> = lock_api_0_5::ReentrantMutex<Exclusive<R>, G, T>;
    pub type ReentrantMutexGuard<'a, R, G, T> =
        lock_api_0_5::ReentrantMutexGuard<'a, Exclusive<R>, G, T>;
    pub type MappedReentrantMutexGuard<'a, R, G, T> =
        lock_api_0_5::MappedReentrantMutexGuard<'a, Exclusive<R>, G, T>;
}
#[cfg(feature = "atomic_usize")]
pub use reentrant::{MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard};

pub type RwLock<R, T> = lock_api_0_5::RwLock<Shared<R>, T>;
pub type RwLockReadGuard<'a, R, T> = lock_api_0_5::RwLockReadGuard<'a, Shared<R>, T>;
pub type RwLockWriteGuard<'a, R, T> = lock_api_0_5::RwLockWriteGuard<'a, Shared<R>, T>;
pub type RwLockUpgradableReadGuard<'a, R, T> =
    lock_api_0_5::RwLockUpgradableReadGuard<'a, Shared<R>, T>;
pub type MappedRwLockReadGuard<'a, R, T> = lock_api_0_5::MappedRwLockReadGuard<'a, Shared<R>, T>;
pub type MappedRwLockWriteGuard<'a, R, T> = lock_api_0_5::MappedRwLockWriteGuard<'a, Shared<R>, T>;

#[cfg(feature = "arc_lock")]
mod arc {
    use super::{Exclusive, Shared};

    pub type ArcMutexGuard<R, T> = lock_api_0_5::ArcMutexGuard<Exclusive<R>, T>;
    pub type ArcRwLockReadGuard<R, T> = lock_api_0_5::ArcRwLockReadGuard<Shared<R>, T>;
    pub type ArcRwLockWriteGuard<R, T> = lock_api_0_5::ArcRwLockWriteGuard<Shared<R>, T>;
    pub type ArcRwLockUpgradableReadGuard<R, T> =
        lock_api_0_5::ArcRwLockUpgradableReadGuard<Shared<R>, T>;
}
#[cfg(feature = "arc_lock")]
pub use arc::{
    ArcMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard,
};
#[cfg(all(feature = "arc_lock", feature = "atomic_usize"))]
pub type ArcReentrantMutexGuard<R, G, T> =
    lock_api_0_5::ArcReentrantMutexGuard<Exclusive<R>, G, T>;
