//! An order that the program declares, broken three calls down.

use lockdep::sync::{Mutex, MutexGuard};

struct Engine {
    catalog: Mutex<Vec<String>>,
    pages: Mutex<Vec<u8>>,
}

impl Engine {
    fn new() -> Self {
        let engine = Self { catalog: Mutex::default(), pages: Mutex::default() };
        lockdep::declare_order(&[&engine.catalog, &engine.pages]);
        engine
    }

    fn catalog(&self) -> MutexGuard<'_, Vec<String>> {
        self.catalog.lock().unwrap()
    }

    fn name_of(&self, page: u8) -> Option<String> {
        self.catalog().get(usize::from(page)).cloned()
    }

    fn evict(&self) {
        let mut pages = self.pages.lock().unwrap();
        while let Some(page) = pages.pop() {
            assert_eq!(self.name_of(page), None);
        }
    }
}

pub(crate) fn main() {
    let engine = Engine::new();
    engine.pages.lock().unwrap().push(4);
    crate::alone(|| engine.evict());
}
