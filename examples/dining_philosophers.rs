//! Dijkstra's dining philosophers: everyone takes the fork on the left, then the one on the right.
//! One round of the table is enough to find the cycle, although no philosopher has waited yet.
//!
//! ```sh
//! cargo run --example dining_philosophers            # five seats, reported
//! cargo run --example dining_philosophers -- 3       # three
//! cargo run --example dining_philosophers -- --ordered
//! ```
//!
//! With `--ordered` everyone takes the fork with the smaller number first. This is the fix: the
//! last philosopher takes the right fork first.

use std::process::ExitCode;
use std::thread;

use lockdep::sync::Mutex; // was: use std::sync::Mutex;

const NAMES: [&str; 5] = ["Baruch", "David", "Hannah", "Karl", "Simone"];

fn dine(name: &str, first: &Mutex<u32>, second: &Mutex<u32>) {
    let mut first = first.lock().unwrap();
    let mut second = second.lock().unwrap();
    *first += 1;
    *second += 1;
    println!("{name} eats");
}

fn main() -> ExitCode {
    let mut seats = NAMES.len();
    let mut ordered = false;
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(number) if number >= 2 => seats = number,
            _ if argument == "--ordered" => ordered = true,
            _ => {
                eprintln!("`{argument}` is neither a number of seats from 2 on nor `--ordered`");
                return ExitCode::from(2);
            }
        }
    }

    let forks: Vec<_> = (0..seats).map(|_| Mutex::new(0)).collect();
    for (number, fork) in forks.iter().enumerate() {
        lockdep::name(fork, format!("fork {number}"));
    }
    for seat in 0..seats {
        let (left, right) = (seat, (seat + 1) % seats);
        let (first, second) =
            if ordered { (left.min(right), left.max(right)) } else { (left, right) };
        let name = NAMES.get(seat).map_or_else(|| format!("guest {seat}"), ToString::to_string);
        // One after the other: the lock order is recorded all the same.
        let dinner = thread::scope(|table| {
            let philosopher = thread::Builder::new().name(name.clone());
            let forks = &forks;
            let dine = move || dine(&name, &forks[first], &forks[second]);
            philosopher.spawn_scoped(table, dine).unwrap().join()
        });
        if dinner.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
