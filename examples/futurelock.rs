//! A task waits for a lock that another of its futures was granted, and no longer polls that
//! future. So nothing can ever wake the task. The lock order is not to blame: there is only one
//! lock.
//!
//! ```sh
//! cargo run --example futurelock --features tokio
//! cargo run --example futurelock --features tokio -- --fixed
//! ```
//!
//! Oxide has described this as a futurelock in its [RFD
//! 609](https://rfd.shared.oxide.computer/rfd/0609), after weeks of debugging. With
//! `tokio::sync::Mutex` this program hangs every time. With `lockdep::tokio` the task panics with a
//! report as soon as nothing can wake it any more.
//!
//! With `--fixed`, the first future is spawned as a task, which the runtime polls in any case.

use std::{process::ExitCode, sync::Arc};

// was: use tokio::{self, sync::{Mutex, Notify}};
use lockdep::tokio::{
    self,
    sync::{Mutex, Notify},
};

/// The work of the request, done twice.
async fn fetch(cache: &Mutex<Vec<u32>>) -> u32 {
    let mut cache = cache.lock().await;
    cache.push(7);
    cache.iter().sum()
}

/// Events while the first fetch waits.
#[derive(Default)]
struct Events {
    /// The background task has the lock.
    is_locked: Notify,
    /// The request times out.
    is_late: Notify,
}

/// Holds the lock until the request has timed out.
async fn refresh(cache: Arc<Mutex<Vec<u32>>>, events: Arc<Events>) {
    let mut cache = cache.lock().await;
    events.is_locked.notify_one();
    tokio::task::yield_now().await;
    events.is_late.notify_one();
    tokio::task::yield_now().await;
    cache.clear();
}

/// Fetches; if that takes too long, fetches again.
async fn request(cache: Arc<Mutex<Vec<u32>>>, events: Arc<Events>) -> u32 {
    events.is_locked.notified().await;
    let mut first = std::pin::pin!(fetch(&cache));
    tokio::select! {
        sum = &mut first => sum,
        // From here on `first` is not polled, and it is the next future to get the lock.
        () = events.is_late.notified() => fetch(&cache).await,
    }
}

/// As [`request`], with the first fetch spawned as a task.
async fn request_fixed(cache: Arc<Mutex<Vec<u32>>>, events: Arc<Events>) -> u32 {
    events.is_locked.notified().await;
    let mut first = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { fetch(&cache).await }
    });
    tokio::select! {
        sum = &mut first => sum.unwrap(),
        () = events.is_late.notified() => fetch(&cache).await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (cache, events) = (Arc::new(Mutex::new(vec![1, 2])), Arc::new(Events::default()));
    let refresh = tokio::spawn(refresh(Arc::clone(&cache), Arc::clone(&events)));
    let request = match std::env::args().nth(1).as_deref() {
        None => tokio::spawn(request(cache, events)),
        Some("--fixed") => tokio::spawn(request_fixed(cache, events)),
        Some(other) => {
            eprintln!("`{other}` is not `--fixed`");
            return ExitCode::from(2);
        }
    };
    refresh.await.unwrap();
    if let Ok(sum) = request.await {
        println!("fetched {sum}");
        ExitCode::SUCCESS
    } else {
        println!("the request panicked, the others continue");
        ExitCode::FAILURE
    }
}
