//! A shutdown that joins its worker under a lock that the worker takes.

use lockdep::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
}

struct Worker {
    handle: JoinHandle<()>,
}

impl Worker {
    fn start(log: Arc<Log>) -> Self {
        Self { handle: thread::spawn(move || log.lines.lock().unwrap().push("done".to_owned())) }
    }

    fn stop(self) {
        self.handle.join().unwrap();
    }
}

fn shut_down(log: &Log, worker: Worker) {
    let mut lines = log.lines.lock().unwrap();
    lines.push("stopping".to_owned());
    worker.stop();
}

pub(crate) fn main() {
    let log = Arc::<Log>::default();
    let worker = Worker::start(Arc::clone(&log));
    while log.lines.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    crate::alone(|| shut_down(&log, worker));
}
