//! A service that loses count: another update may come between its read and its write. One thread
//! is enough to show this, with a second call inserted there.
//!
//! ```sh
//! cargo run --example lost_update               # two increments are counted as one
//! cargo run --example lost_update -- --locked   # the second caller is refused
//! cargo run --example lost_update -- --retried  # and retries: none is lost
//! ```

use std::process::ExitCode;
use std::thread;

use lockdep::interleave::{self, Schedule, acquire, at, inside, point};
use lockdep::sync::{Mutex, RwLock}; // was: use std::sync::{Mutex, RwLock};

#[derive(Default)]
struct Counter {
    count: RwLock<u64>,
    updating: Mutex<()>,
}

impl Counter {
    fn get_count(&self) -> u64 {
        *self.count.read().unwrap()
    }

    fn set_count(&self, count: u64) {
        *self.count.write().unwrap() = count;
    }

    /// Each of its two steps is safe, but not both together.
    fn increment(&self) {
        let count = self.get_count();
        point!("count was read");
        point!("count is to be written");
        self.set_count(count + 1);
    }

    /// Fails if another increment is between its two steps.
    fn try_increment(&self) -> Result<(), &'static str> {
        let _updating = self.updating.try_lock().map_err(|_| "could not lock the counter")?;
        self.increment();
        Ok(())
    }

    fn increment_with_retries(&self) {
        while self.try_increment().is_err() {
            thread::yield_now();
        }
    }
}

/// Inserts an increment between the read and the write of another. Returns how many were refused.
fn unlocked(counter: &Counter) -> u64 {
    interleave::before("count was read", || counter.increment()).within(|| counter.increment());
    0
}

/// As [`unlocked`], but the second increment is refused.
fn locked(counter: &Counter) -> u64 {
    let mut refused = 0;
    let second = || {
        if let Err(error) = counter.try_increment() {
            println!("the second caller: {error}");
            refused += 1;
        }
    };
    interleave::before("count was read", second).within(|| counter.try_increment().unwrap());
    refused
}

/// The second increment is refused at least once: it comes after the first has read and before it
/// has written.
fn retried(counter: &Counter) -> u64 {
    Schedule::new()
        .order([
            at("first", "count was read"),
            at("second", acquire(&counter.updating)),
            at("first", "count is to be written"),
        ])
        .run(|| {
            thread::scope(|scope| {
                for name in ["first", "second"] {
                    scope.spawn(inside(name, || counter.increment_with_retries()));
                }
            });
        });
    0
}

fn main() -> ExitCode {
    let counter = Counter::default();
    let argument = std::env::args().nth(1);
    let refused = match argument.as_deref() {
        None => unlocked(&counter),
        Some("--locked") => locked(&counter),
        Some("--retried") => retried(&counter),
        Some(other) => {
            eprintln!("`{other}` is neither `--locked` nor `--retried`");
            return ExitCode::from(2);
        }
    };
    let count = counter.get_count();
    println!("2 increments: {count} counted, {refused} refused, {} lost", 2 - count - refused);
    if count + refused == 2 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
