//! A server of tasks: two of them take two locks in opposite orders, and a request waits for a lock that its
//! first attempt was granted, and no longer polls that.

use std::sync::Arc;

use lockdep::{
    sync::Mutex as StdMutex,
    tokio::{
        self,
        sync::{Mutex, Notify},
        task::yield_now,
    },
};

struct Server {
    sessions: Mutex<Vec<u32>>,
    stats: StdMutex<u32>,
    cache: Mutex<u32>,
    is_late: Notify,
}

impl Server {
    async fn log_in(&self, user: u32) {
        let mut sessions = self.sessions.lock().await;
        yield_now().await;
        *self.stats.lock().unwrap() += 1;
        sessions.push(user);
    }

    /// In a thread, and the other way round.
    fn report(&self) -> String {
        let stats = self.stats.lock().unwrap();
        let sessions = self.sessions.blocking_lock();
        format!("{} of {stats}", sessions.len())
    }

    async fn fetch(&self) {
        let mut first = std::pin::pin!(self.cache.lock());
        tokio::select! {
            cache = &mut first => drop(cache),
            () = self.is_late.notified() => *self.cache.lock().await += 1,
        }
    }

    async fn refresh(&self) {
        let mut cache = self.cache.lock().await;
        yield_now().await;
        self.is_late.notify_one();
        yield_now().await;
        *cache = 0;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = Arc::new(Server {
        sessions: Mutex::new(Vec::new()),
        stats: StdMutex::new(0),
        cache: Mutex::new(7),
        is_late: Notify::new(),
    });
    let (first, second) = (Arc::clone(&server), Arc::clone(&server));
    tokio::spawn(async move { first.log_in(1).await }).await.unwrap();
    let reporter = std::thread::Builder::new().name("reporter".into());
    reporter.spawn(move || second.report()).unwrap().join().unwrap();

    let (refresh, fetch) = (Arc::clone(&server), Arc::clone(&server));
    let refresh = tokio::spawn(async move { refresh.refresh().await });
    let fetch = tokio::spawn(async move { fetch.fetch().await });
    refresh.await.unwrap();
    assert!(fetch.await.is_err());
}
