//! A macro that hides `lock().unwrap()`.

use lockdep::sync::Mutex;

macro_rules! lock {
    ($mutex:expr) => {
        $mutex.lock().unwrap()
    };
}

#[derive(Default)]
struct Cache {
    entries: Mutex<Vec<String>>,
    evictions: Mutex<usize>,
}

fn insert(cache: &Cache, entry: &str) {
    let mut entries = lock!(cache.entries);
    if entries.len() >= 2 {
        entries.remove(0);
    }
    *lock!(cache.evictions) += 1;
    entries.push(entry.to_owned());
}

fn report(cache: &Cache) -> String {
    let evictions = lock!(cache.evictions);
    format!("{} evicted, {} kept", evictions, lock!(cache.entries).len())
}

pub(crate) fn main() {
    let cache = Cache::default();
    crate::one_after_the_other(|| insert(&cache, "a"), || drop(report(&cache)));
}
