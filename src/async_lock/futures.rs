//! The futures of acquisitions, by name.

pub use ::async_lock::futures::BarrierWait;

pub use super::{
    mutex::{Lock, LockArc},
    rwlock::futures::{
        Read, ReadArc, UpgradableRead, UpgradableReadArc, Upgrade, UpgradeArc, Write, WriteArc,
    },
    semaphore::{Acquire, AcquireArc},
};
