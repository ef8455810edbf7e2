//! Locks behind trait objects: who calls does not see that there are locks.

use lockdep::sync::Mutex;

trait Store {
    fn update(&self, key: &str, then: &mut dyn FnMut());
}

#[derive(Default)]
struct MemoryStore {
    rows: Mutex<Vec<String>>,
}

impl Store for MemoryStore {
    fn update(&self, key: &str, then: &mut dyn FnMut()) {
        let mut rows = self.rows.lock().unwrap();
        rows.push(key.to_owned());
        then();
    }
}

#[derive(Default)]
struct JournalStore {
    journal: Mutex<Vec<String>>,
}

impl Store for JournalStore {
    fn update(&self, key: &str, then: &mut dyn FnMut()) {
        let mut journal = self.journal.lock().unwrap();
        journal.push(key.to_owned());
        then();
    }
}

fn write_through(first: &dyn Store, second: &dyn Store) {
    first.update("user:1", &mut || second.update("user:1", &mut || ()));
}

fn compact(first: &dyn Store, second: &dyn Store) {
    second.update("*", &mut || first.update("*", &mut || ()));
}

pub(crate) fn main() {
    let (memory, journal) = (MemoryStore::default(), JournalStore::default());
    crate::one_after_the_other(
        || write_through(&memory, &journal),
        || compact(&memory, &journal),
    );
}
