//! A value whose destructor takes a lock, dropped under another one.

use lockdep::sync::{Arc, Mutex};

#[derive(Default)]
struct Ids {
    free: Mutex<Vec<u32>>,
}

struct Handle {
    id: u32,
    ids: Arc<Ids>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.ids.free.lock().unwrap().push(self.id);
    }
}

#[derive(Default)]
struct Table {
    open: Mutex<Vec<Handle>>,
}

impl Table {
    fn close_all(&self) {
        self.open.lock().unwrap().clear();
    }

    fn open(&self, ids: &Arc<Ids>) {
        let mut free = ids.free.lock().unwrap();
        let id = free.pop().unwrap_or(1);
        self.open.lock().unwrap().push(Handle { id, ids: Arc::clone(ids) });
    }
}

pub(crate) fn main() {
    let (ids, table) = (Arc::<Ids>::default(), Table::default());
    table.open.lock().unwrap().push(Handle { id: 9, ids: Arc::clone(&ids) });
    crate::one_after_the_other(|| table.close_all(), || table.open(&ids));
    std::mem::forget(table);
}
