//! Locks in a map: each is found by its key, cloned out, and locked.

use std::collections::HashMap;

use lockdep::sync::{Arc, Mutex};

type Room = Arc<Mutex<Vec<String>>>;

#[derive(Default)]
struct Chat {
    rooms: Mutex<HashMap<String, Room>>,
}

impl Chat {
    fn room(&self, name: &str) -> Room {
        Arc::clone(self.rooms.lock().unwrap().entry(name.to_owned()).or_default())
    }

    fn forward(&self, from: &str, to: &str) {
        let (from, to) = (self.room(from), self.room(to));
        let messages = from.lock().unwrap();
        to.lock().unwrap().extend(messages.iter().cloned());
    }
}

pub(crate) fn main() {
    let chat = Chat::default();
    crate::one_after_the_other(
        || chat.forward("rust", "offtopic"),
        || chat.forward("offtopic", "rust"),
    );
}
