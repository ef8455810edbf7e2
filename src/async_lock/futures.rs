//! The futures of acquisitions, by name.

pub use ::async_lock::futures::{
    Acquire, AcquireArc, BarrierWait, Read, ReadArc, UpgradableRead, UpgradableReadArc, Upgrade,
    UpgradeArc, Write, WriteArc,
};

pub use super::mutex::{Lock, LockArc};
