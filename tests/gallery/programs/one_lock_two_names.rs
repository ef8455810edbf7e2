//! One lock under two names: the bank's forks are the graph of the program cache.

use lockdep::sync::{Arc, Mutex, RwLock};

struct ProgramCache {
    fork_graph: Arc<RwLock<Vec<u64>>>,
    entries: Mutex<Vec<u64>>,
}

struct Validator {
    bank_forks: Arc<RwLock<Vec<u64>>>,
    cache: ProgramCache,
}

impl ProgramCache {
    fn prune(&self) {
        let mut entries = self.entries.lock().unwrap();
        let graph = self.fork_graph.read().unwrap();
        entries.retain(|entry| graph.contains(entry));
    }
}

impl Validator {
    fn new() -> Self {
        let forks = Arc::new(RwLock::new(Vec::new()));
        let cache = ProgramCache { fork_graph: Arc::clone(&forks), entries: Mutex::default() };
        Self { bank_forks: forks, cache }
    }

    fn set_root(&self, root: u64) {
        let mut forks = self.bank_forks.write().unwrap();
        forks.push(root);
        self.cache.entries.lock().unwrap().push(root);
    }
}

pub(crate) fn main() {
    let validator = Validator::new();
    crate::one_after_the_other(|| validator.cache.prune(), || validator.set_root(1));
}
