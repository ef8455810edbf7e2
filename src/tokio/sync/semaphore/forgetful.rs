//! `Semaphore::forget_permits` for versions of tokio that lack it. Where both exist, the inherent
//! method takes precedence.

use ::tokio::sync::{Semaphore, SemaphorePermit};

#[allow(dead_code, reason = "used with an old tokio")]
pub(super) trait Forgetful {
    fn forget_permits(&self, n: usize) -> usize;
}

impl Forgetful for Semaphore {
    fn forget_permits(&self, n: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < n {
            let some = self.available_permits().min(n - forgotten);
            let some = u32::try_from(some).unwrap_or(u32::MAX);
            if some == 0 || self.is_closed() {
                break;
            }
            if self.try_acquire_many(some).map(SemaphorePermit::forget).is_ok() {
                forgotten += some as usize;
            }
        }
        forgotten
    }
}
