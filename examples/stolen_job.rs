//! Two requests render a page each, in a pool of rayon. A page that is not in the cache is rendered by
//! `rayon::join`, with the cache locked. A worker that waits there takes over other jobs of the pool.
//! One of them may be the other request, which locks the cache: neither continues. In this
//! run the second request comes when the first is rendered, so nothing hangs, but it is reported anyway.
//!
//! ```sh
//! cargo run --features rayon --example stolen_job
//! cargo run --features rayon --example stolen_job -- --fixed
//! ```
//!
//! With `--fixed` the cache is unlocked while a page is rendered.

use std::{collections::HashMap, process::ExitCode};

use lockdep::rayon::{self, ThreadPool, ThreadPoolBuilder}; // was: use rayon::{...};
use lockdep::sync::{Mutex, mpsc}; // was: use std::sync::{Mutex, mpsc};
use lockdep::thread; // was: use std::thread;

struct Site {
    pool: ThreadPool,
    cache: Mutex<HashMap<u32, String>>,
}

/// Renders the two halves of a page, each in a job.
fn render(number: u32) -> String {
    let (head, body) = rayon::join(|| format!("page {number}, "), || "lorem ipsum".to_owned());
    head + &body
}

impl Site {
    fn page(&self, number: u32) -> String {
        let mut cache = self.cache.lock().unwrap();
        cache.entry(number).or_insert_with(|| render(number)).clone()
    }

    fn page_unlocked(&self, number: u32) -> String {
        let known = self.cache.lock().unwrap().get(&number).cloned();
        known.unwrap_or_else(|| {
            let page = render(number);
            self.cache.lock().unwrap().entry(number).or_insert(page).clone()
        })
    }
}

fn main() -> ExitCode {
    let page = match std::env::args().nth(1).as_deref() {
        None => Site::page,
        Some("--fixed") => Site::page_unlocked,
        Some(other) => {
            eprintln!("`{other}` is not `--fixed`");
            return ExitCode::from(2);
        }
    };
    let pool = ThreadPoolBuilder::new().num_threads(2).thread_name(|_| "worker".into());
    let site = Site { pool: pool.build().unwrap(), cache: Mutex::default() };
    let (answer, answered) = mpsc::channel();
    let (close, closed) = mpsc::channel::<()>();
    let site = &site;
    let first = move || {
        answer.send(page(site, 1)).unwrap();
        // Keeps its worker busy until the second request is answered.
        let _ = closed.recv();
    };
    let request = |name: &str| thread::Builder::new().name(name.to_owned());
    thread::scope(|scope| {
        request("first").spawn_scoped(scope, move || site.pool.install(first)).unwrap();
        println!("{}", answered.recv().unwrap());
        let second = || site.pool.install(|| page(site, 2));
        let second = request("second").spawn_scoped(scope, second).unwrap().join();
        drop(close);
        second.inspect(|page| println!("{page}")).map_or(ExitCode::FAILURE, |_| ExitCode::SUCCESS)
    })
}
