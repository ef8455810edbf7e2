//! The book.

use lockdep::sync::{Mutex, MutexGuard};

use super::stock::Stock;

pub(super) struct Book(Mutex<Vec<String>>);

impl Book {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap()
    }

    pub(super) fn note(&self, what: &str) {
        self.open().push(what.to_owned());
    }

    pub(super) fn balance(&self, stock: &Stock) {
        let mut book = self.open();
        let left = stock.open().len();
        book.push(format!("{left} left"));
    }
}
