//! Listeners that are called under the lock of their list.

use lockdep::sync::{Arc, Mutex};

type Listener = Box<dyn Fn(u32) + Send + Sync>;

#[derive(Default)]
struct Events {
    listeners: Mutex<Vec<Listener>>,
}

impl Events {
    fn subscribe(&self, listener: Listener) {
        self.listeners.lock().unwrap().push(listener);
    }

    fn emit(&self, value: u32) {
        for listener in self.listeners.lock().unwrap().iter() {
            listener(value);
        }
    }
}

#[derive(Default)]
struct Model {
    values: Mutex<Vec<u32>>,
}

fn connect(model: &Arc<Model>, events: &Events) {
    let model = Arc::clone(model);
    events.subscribe(Box::new(move |value| model.values.lock().unwrap().push(value)));
}

fn clear(model: &Model, events: &Events) {
    let mut values = model.values.lock().unwrap();
    values.clear();
    events.emit(0);
}

pub(crate) fn main() {
    let (model, events) = (Arc::<Model>::default(), Events::default());
    connect(&model, &events);
    crate::one_after_the_other(|| events.emit(1), || clear(&model, &events));
}
