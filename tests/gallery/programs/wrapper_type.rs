//! A wrapper around a shared lock, with its own constructor and its own `with`.

use lockdep::sync::{Arc, Mutex};

struct Shared<T>(Arc<Mutex<T>>);

impl<T> Shared<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

struct Config {
    limit: usize,
}

struct Stats {
    requests: usize,
}

fn serve(config: &Shared<Config>, stats: &Shared<Stats>) {
    config.with(|config| stats.with(|stats| stats.requests = config.limit.min(stats.requests + 1)));
}

fn tune(config: &Shared<Config>, stats: &Shared<Stats>) {
    stats.with(|stats| {
        let busy = stats.requests > 100;
        config.with(|config| config.limit += usize::from(busy));
    });
}

pub(crate) fn main() {
    let config = Shared::new(Config { limit: 10 });
    let stats = Shared::new(Stats { requests: 0 });
    crate::one_after_the_other(|| serve(&config, &stats), || tune(&config, &stats));
}
