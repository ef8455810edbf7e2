//! Two guards in one statement, in both orders.

use lockdep::sync::Mutex;

#[derive(Default)]
struct Cache {
    entries: Mutex<Vec<u64>>,
    statistics: Mutex<u64>,
}

impl Cache {
    fn insert(&self, entry: u64) {
        self.entries.lock().unwrap().push(entry + *self.statistics.lock().unwrap());
    }

    fn count(&self) {
        self.statistics.lock().unwrap().clone_from(&self.entries.lock().unwrap().iter().sum());
    }
}

pub(crate) fn main() {
    let cache = Cache::default();
    crate::one_after_the_other(|| cache.insert(1), || cache.count());
}
