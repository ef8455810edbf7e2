//! Helpers with `#[track_caller]`: the sites are the callers' lines without any climbing.

use lockdep::sync::{Mutex, MutexGuard};

trait LockExt<T> {
    fn acquire(&self) -> MutexGuard<'_, T>;
}

impl<T> LockExt<T> for Mutex<T> {
    #[track_caller]
    fn acquire(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap()
    }
}

#[derive(Default)]
struct Printer {
    queue: Mutex<Vec<String>>,
    paper: Mutex<u32>,
}

impl Printer {
    fn print(&self) {
        let mut queue = self.queue.acquire();
        if queue.pop().is_some() {
            *self.paper.acquire() -= 1;
        }
    }

    fn refill(&self) {
        let mut paper = self.paper.acquire();
        *paper += 500;
        self.queue.acquire().retain(|page| !page.is_empty());
    }
}

pub(crate) fn main() {
    let printer = Printer::default();
    printer.queue.acquire().push("page".to_owned());
    *printer.paper.acquire() = 1;
    crate::one_after_the_other(|| printer.print(), || printer.refill());
}
