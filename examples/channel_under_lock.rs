//! A queue passes its jobs to a worker through a channel without capacity, and one of its methods
//! does that while it holds the state. The worker locks the same state after each job. If it has
//! not finished the last job yet, it waits for the state, and the sender, which holds the state,
//! for the worker. In this run it has always finished, so nothing hangs, but it is reported anyway.
//!
//! ```sh
//! cargo run --example channel_under_lock
//! cargo run --example channel_under_lock -- --fixed
//! ```
//!
//! With `--fixed` the job is sent after the state is unlocked.

use std::process::ExitCode;

use lockdep::sync::{Arc, Mutex, mpsc}; // was: use std::sync::{Arc, Mutex, mpsc};
use lockdep::thread; // was: use std::thread;

struct Queue {
    state: Arc<Mutex<State>>,
    jobs: mpsc::SyncSender<u32>,
    done: mpsc::Receiver<u32>,
}

#[derive(Default)]
struct State {
    accepted: u32,
    finished: u32,
}

impl Queue {
    fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (jobs, to_do) = mpsc::sync_channel(0);
        let (has_done, done) = mpsc::channel();
        let worker = thread::Builder::new().name("worker".into()).spawn({
            let state = Arc::clone(&state);
            move || {
                for job in to_do {
                    state.lock().unwrap().finished += 1;
                    has_done.send(job).unwrap();
                }
            }
        });
        worker.expect("a thread can be spawned");
        Self { state, jobs, done }
    }

    /// Takes up a job from the last run.
    fn resume(&self, job: u32) {
        self.state.lock().unwrap().accepted += 1;
        self.jobs.send(job).unwrap();
        self.done.recv().unwrap();
    }

    fn push(&self, job: u32) {
        let mut state = self.state.lock().unwrap();
        self.jobs.send(job).unwrap();
        state.accepted += 1;
        drop(state);
        self.done.recv().unwrap();
    }

    fn push_unlocked(&self, job: u32) {
        self.jobs.send(job).unwrap();
        self.state.lock().unwrap().accepted += 1;
        self.done.recv().unwrap();
    }
}

fn main() -> ExitCode {
    let push = match std::env::args().nth(1).as_deref() {
        None => Queue::push,
        Some("--fixed") => Queue::push_unlocked,
        Some(other) => {
            eprintln!("`{other}` is not `--fixed`");
            return ExitCode::from(2);
        }
    };
    let queue = Queue::new();
    queue.resume(1);
    queue.resume(2);
    push(&queue, 3);
    let State { accepted, finished } = *queue.state.lock().unwrap();
    println!("accepted {accepted} jobs, finished {finished}");
    ExitCode::SUCCESS
}
