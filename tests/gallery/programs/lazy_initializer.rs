//! An initializer that takes a lock, and a thread that holds the lock while it uses the value.

use std::sync::Barrier;

use lockdep::sync::{LazyLock, Mutex};

static PLUGINS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

static MENU: LazyLock<String> = LazyLock::new(|| PLUGINS.lock().unwrap().join(", "));

fn show() -> usize {
    MENU.len()
}

fn install(name: &'static str) {
    let mut plugins = PLUGINS.lock().unwrap();
    plugins.push(name);
    assert!(MENU.len() < 100);
}

pub(crate) fn main() {
    let turn = Barrier::new(2);
    let first = || {
        turn.wait();
        assert_eq!(show(), 0);
        turn.wait();
    };
    let second = || {
        PLUGINS.lock().unwrap().clear();
        turn.wait();
        turn.wait();
        install("spelling");
    };
    crate::at_once(first, second);
}
