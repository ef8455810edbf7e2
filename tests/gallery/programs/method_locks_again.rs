//! A method that locks what its caller has locked.

use lockdep::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Queue {
    jobs: Mutex<Vec<u32>>,
}

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, Vec<u32>> {
        self.jobs.lock().unwrap()
    }

    fn len(&self) -> usize {
        self.jobs().len()
    }

    fn push(&self, job: u32) {
        let mut jobs = self.jobs();
        if self.len() < 10 {
            jobs.push(job);
        }
    }
}

pub(crate) fn main() {
    let queue = Queue::default();
    crate::alone(|| queue.push(1));
}
