//! A task reads a lock, and calls a function that reads it again. That works in every test, as long
//! as no writer comes in between.
//!
//! ```sh
//! cargo run --example recursive_async_read --features tokio
//! cargo run --example recursive_async_read --features tokio -- --really
//! ```
//!
//! tokio's lock lets no reader pass a waiting writer. So the second read waits for the writer, and
//! the writer for the first read. With `lockdep::tokio` the second read panics with a report
//! although there is no writer. With `--really` this is not predicted, and there is a writer: with
//! `tokio::sync::RwLock` this hangs every time.

use std::{process::ExitCode, sync::Arc};

// was: use tokio::{self, sync::{Notify, RwLock}};
use lockdep::tokio::{
    self,
    sync::{Notify, RwLock},
};
use lockdep::{FindingKind, Level};

#[derive(Default)]
struct Rates {
    euro: RwLock<u32>,
    /// The first quote has begun.
    is_read: Notify,
}

impl Rates {
    async fn in_cents(&self) -> u32 {
        *self.euro.read().await * 100
    }

    /// Holds a read guard during a call that needs one itself.
    async fn quote(&self) -> u32 {
        let euro = self.euro.read().await;
        self.is_read.notify_one();
        tokio::task::yield_now().await;
        self.in_cents().await + *euro
    }

    async fn update(&self) {
        self.is_read.notified().await;
        *self.euro.write().await = 2;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let is_updated = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--really") => {
            lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
            true
        }
        Some(other) => {
            eprintln!("`{other}` is not `--really`");
            return ExitCode::from(2);
        }
    };
    let rates = Arc::new(Rates::default());
    let update = is_updated.then(|| {
        let rates = Arc::clone(&rates);
        tokio::spawn(async move { rates.update().await })
    });
    let quote = tokio::spawn({
        let rates = Arc::clone(&rates);
        async move { rates.quote().await }
    });
    let quote = quote.await;
    println!("the quote {}", if quote.is_ok() { "is there" } else { "panicked" });
    if let Some(update) = update {
        println!("the update {}", if update.await.is_ok() { "is done" } else { "panicked" });
    }
    if quote.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
