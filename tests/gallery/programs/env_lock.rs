//! A lock in a `OnceLock`, as tests use it to take turns with environment variables.

mod env {
    use lockdep::sync::{Mutex, MutexGuard, OnceLock};

    static LOCK: OnceLock<Mutex<()>> = OnceLock::new();

    pub(super) fn lock_env() -> MutexGuard<'static, ()> {
        LOCK.get_or_init(|| Mutex::new(())).lock().unwrap()
    }
}

use lockdep::sync::Mutex;

static LOADED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn load(name: &str) {
    let _env = env::lock_env();
    LOADED.lock().unwrap().push(std::env::var(name).unwrap_or_default());
}

fn reload() {
    let loaded = LOADED.lock().unwrap();
    let _env = env::lock_env();
    assert!(loaded.len() < 10);
}

pub(crate) fn main() {
    crate::one_after_the_other(|| load("HOME"), reload);
}
