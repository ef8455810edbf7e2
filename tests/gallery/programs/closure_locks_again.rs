//! A helper runs a closure with the lock held, which asks a method that takes the lock as well.

use lockdep::sync::{Mutex, MutexGuard};

fn with_lock<T, R>(lock: &Mutex<T>, change: impl FnOnce(&mut T) -> R) -> R {
    let mut guard = lock.lock().unwrap();
    change(&mut guard)
}

#[derive(Default)]
struct Pool {
    idle: Mutex<Vec<usize>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<usize>> {
        self.idle.lock().unwrap()
    }

    fn len(&self) -> usize {
        self.idle().len()
    }

    fn grow(&self) {
        with_lock(&self.idle, |idle| {
            let next = self.len();
            idle.push(next);
        });
    }
}

pub(crate) fn main() {
    crate::alone(|| Pool::default().grow());
}
