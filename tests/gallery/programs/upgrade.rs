//! parking_lot: two readers that both upgrade, the second under a lock of the first.

use lockdep::parking_lot::{Mutex, RwLock, RwLockUpgradableReadGuard};

#[derive(Default)]
struct Index {
    tree: RwLock<Vec<u32>>,
    dirty: Mutex<bool>,
}

impl Index {
    fn insert(&self, key: u32) {
        let upgradable = self.tree.upgradable_read();
        if !upgradable.contains(&key) {
            let mut dirty = self.dirty.lock();
            RwLockUpgradableReadGuard::upgrade(upgradable).push(key);
            *dirty = true;
        }
    }

    fn flush(&self) {
        let mut dirty = self.dirty.lock();
        if std::mem::take(&mut *dirty) {
            self.tree.write().sort_unstable();
        }
    }
}

pub(crate) fn main() {
    let index = Index::default();
    crate::one_after_the_other(|| index.insert(3), || index.flush());
}
