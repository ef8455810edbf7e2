//! Two tokio tasks that take their locks through async helpers.

use lockdep::{
    tokio,
    tokio::sync::{Mutex, MutexGuard},
};

#[derive(Default)]
struct Store {
    users: Mutex<Vec<u32>>,
    quotas: Mutex<Vec<u32>>,
}

impl Store {
    async fn users(&self) -> MutexGuard<'_, Vec<u32>> {
        self.users.lock().await
    }

    async fn quotas(&self) -> MutexGuard<'_, Vec<u32>> {
        self.quotas.lock().await
    }

    async fn register(&self) {
        let mut users = self.users().await;
        users.push(1);
        self.quotas().await.push(10);
    }

    async fn enforce(&self) {
        let quotas = self.quotas().await;
        self.users().await.truncate(quotas.len());
    }
}

pub(crate) fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = std::sync::Arc::new(Store::default());
    runtime.block_on(async {
        let (one, other) = (store.clone(), store.clone());
        let (done, registered) = tokio::sync::oneshot::channel();
        let first = tokio::spawn(async move {
            one.register().await;
            let _ = done.send(());
        });
        let second = tokio::spawn(async move {
            drop(registered.await);
            other.enforce().await;
        });
        drop((first.await, second.await));
    });
}
