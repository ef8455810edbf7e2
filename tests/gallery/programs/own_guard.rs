//! A crate-private guard type around the real one.

use std::ops::{Deref, DerefMut};

use lockdep::sync::{Mutex, MutexGuard};

#[derive(Default)]
struct Protected<T> {
    inner: Mutex<T>,
}

struct Access<'a, T>(MutexGuard<'a, T>);

impl<T> Protected<T> {
    fn access(&self) -> Access<'_, T> {
        Access(self.inner.lock().expect("not poisoned"))
    }
}

impl<T> Deref for Access<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Access<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[derive(Default)]
struct World {
    entities: Protected<Vec<u32>>,
    events: Protected<Vec<String>>,
}

fn spawn(world: &World) {
    let mut entities = world.entities.access();
    entities.push(1);
    world.events.access().push("spawned".to_owned());
}

fn drain(world: &World) {
    for event in world.events.access().drain(..) {
        assert!(event == "spawned" && !world.entities.access().is_empty());
    }
}

pub(crate) fn main() {
    let world = World::default();
    crate::one_after_the_other(|| spawn(&world), || drain(&world));
}
