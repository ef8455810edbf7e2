//! A server is stopped: it locks its state, and joins its worker while it holds the state. The
//! worker locks the same state for each job. If it has a job left when the server is stopped, both
//! wait for ever. In this run it has none, so nothing hangs, but it is reported anyway.
//!
//! ```sh
//! cargo run --example join_under_lock
//! cargo run --example join_under_lock -- --fixed
//! ```
//!
//! With `--fixed` the worker is joined after the state is unlocked.

use std::process::ExitCode;

use lockdep::sync::{Arc, Mutex, mpsc}; // was: use std::sync::{Arc, Mutex, mpsc};
use lockdep::thread::{self, JoinHandle}; // was: use std::thread::{self, JoinHandle};

struct Server {
    state: Arc<Mutex<State>>,
    jobs: mpsc::Sender<u32>,
    worker: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    done: Vec<u32>,
    has_stopped: bool,
}

impl Server {
    /// Starts a server that reports each completed job.
    fn start(done: mpsc::Sender<u32>) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (jobs, to_do) = mpsc::channel();
        let worker = thread::Builder::new().name("worker".into()).spawn({
            let state = Arc::clone(&state);
            move || {
                for job in to_do {
                    state.lock().unwrap().done.push(job);
                    done.send(job).unwrap();
                }
            }
        });
        Self { state, jobs, worker: worker.expect("a thread can be spawned") }
    }

    fn stop(self) -> Vec<u32> {
        let Self { state, jobs, worker } = self;
        let mut state = state.lock().unwrap();
        state.has_stopped = true;
        drop(jobs);
        worker.join().unwrap();
        state.done.clone()
    }

    fn stop_unlocked(self) -> Vec<u32> {
        let Self { state, jobs, worker } = self;
        state.lock().unwrap().has_stopped = true;
        drop(jobs);
        worker.join().unwrap();
        state.lock().unwrap().done.clone()
    }
}

fn main() -> ExitCode {
    let stop = match std::env::args().nth(1).as_deref() {
        None => Server::stop,
        Some("--fixed") => Server::stop_unlocked,
        Some(other) => {
            eprintln!("`{other}` is not `--fixed`");
            return ExitCode::from(2);
        }
    };
    let (done, is_done) = mpsc::channel();
    let server = Server::start(done);
    for job in 1..=3 {
        server.jobs.send(job).unwrap();
        is_done.recv().unwrap();
    }
    println!("stopped after {:?}", stop(server));
    ExitCode::SUCCESS
}
