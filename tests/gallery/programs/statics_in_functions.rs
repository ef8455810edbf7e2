//! Statics that stand in functions, each behind an accessor.

use lockdep::sync::Mutex;

fn registry() -> &'static Mutex<Vec<&'static str>> {
    static REGISTRY: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    &REGISTRY
}

fn counters() -> &'static Mutex<u64> {
    static COUNTERS: Mutex<u64> = Mutex::new(0);
    &COUNTERS
}

fn register(name: &'static str) {
    let mut names = registry().lock().unwrap();
    names.push(name);
    *counters().lock().unwrap() += 1;
}

fn dump() -> String {
    let count = counters().lock().unwrap();
    format!("{} of {:?}", count, registry().lock().unwrap())
}

pub(crate) fn main() {
    crate::one_after_the_other(|| register("a"), || drop(dump()));
}
