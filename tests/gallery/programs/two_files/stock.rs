//! The stock.

use lockdep::sync::{Mutex, MutexGuard};

use super::book::Book;

pub(super) struct Stock(Mutex<Vec<u32>>);

impl Stock {
    pub(super) fn new() -> Self {
        Self(Mutex::new(vec![1, 2, 3]))
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Vec<u32>> {
        self.0.lock().unwrap()
    }

    pub(super) fn take(&self, book: &Book) {
        let mut stock = self.open();
        stock.pop();
        book.note("taken");
    }
}
