//! Two threads without names: one flushes the cache into the log, one answers requests.

use std::sync::Barrier;

use lockdep::{
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

#[derive(Default)]
struct Server {
    cache: Mutex<Vec<u8>>,
    log: Mutex<Vec<String>>,
}

impl Server {
    fn flush(&self) {
        let mut cache = self.cache.lock().unwrap();
        self.log.lock().unwrap().push(format!("{} entries", cache.len()));
        cache.clear();
    }

    fn answer(&self) {
        let mut log = self.log.lock().unwrap();
        log.push("request".to_owned());
        self.cache.lock().unwrap().push(1);
    }
}

fn start_to_flush(server: &Arc<Server>, turn: &Arc<Barrier>) -> JoinHandle<()> {
    let (server, turn) = (Arc::clone(server), Arc::clone(turn));
    thread::spawn(move || {
        server.flush();
        turn.wait();
        turn.wait();
    })
}

fn start_to_answer(server: &Arc<Server>, turn: &Arc<Barrier>) -> JoinHandle<()> {
    let (server, turn) = (Arc::clone(server), Arc::clone(turn));
    thread::spawn(move || {
        turn.wait();
        crate::caught(|| server.answer());
        turn.wait();
    })
}

pub(crate) fn main() {
    let server = Arc::<Server>::default();
    let turn = Arc::new(Barrier::new(2));
    let threads = [start_to_flush(&server, &turn), start_to_answer(&server, &turn)];
    for thread in threads {
        thread.join().unwrap();
    }
}
