//! Globals as many services have them: `Lazy` from once_cell around a lock from parking_lot.

use lockdep::{once_cell::sync::Lazy, parking_lot::Mutex};

static SETTINGS: Lazy<Mutex<Vec<&str>>> = Lazy::new(|| Mutex::new(vec!["verbose"]));
static CLIENTS: Lazy<Mutex<Vec<u32>>> = Lazy::new(|| Mutex::new(Vec::new()));

fn connect(client: u32) {
    let mut clients = CLIENTS.lock();
    if SETTINGS.lock().contains(&"verbose") {
        clients.push(client);
    }
}

fn reload() {
    let mut settings = SETTINGS.lock();
    settings.clear();
    for client in CLIENTS.lock().iter() {
        assert!(*client > 0);
    }
}

pub(crate) fn main() {
    crate::one_after_the_other(|| connect(1), reload);
}
