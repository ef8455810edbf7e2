//! Accessors that return guards: no function but these two calls `lock`.

use lockdep::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Server {
    sessions: Mutex<Vec<u64>>,
    metrics: Mutex<u64>,
}

impl Server {
    fn sessions(&self) -> MutexGuard<'_, Vec<u64>> {
        self.sessions.lock().unwrap()
    }

    fn metrics(&self) -> MutexGuard<'_, u64> {
        self.metrics.lock().unwrap()
    }

    fn accept(&self, session: u64) {
        let mut sessions = self.sessions();
        sessions.push(session);
        *self.metrics() += 1;
    }

    fn scrape(&self) -> String {
        let metrics = self.metrics();
        format!("accepted {} open {}", *metrics, self.sessions().len())
    }
}

pub(crate) fn main() {
    let server = Server::default();
    crate::one_after_the_other(|| server.accept(7), || drop(server.scrape()));
}
