//! A shop whose locks are all taken through one helper that ignores poisoning.

use lockdep::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Inventory {
    items: Mutex<Vec<u32>>,
}

#[derive(Default)]
struct Audit {
    lines: Mutex<Vec<String>>,
}

fn lock_unpoisoned<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn locked_for<'a, T>(_reason: &str, m: &'a Mutex<T>) -> MutexGuard<'a, T> {
    lock_unpoisoned(m)
}

fn sell(inventory: &Inventory, audit: &Audit) {
    let mut items = locked_for("sale", &inventory.items);
    let sold = items.pop();
    locked_for("sale", &audit.lines).push(format!("sold {sold:?}"));
}

fn reconcile(inventory: &Inventory, audit: &Audit) {
    let lines = locked_for("audit", &audit.lines);
    let items = locked_for("audit", &inventory.items);
    assert!(lines.len() + items.len() < 100);
}

pub(crate) fn main() {
    let (inventory, audit) = (Inventory::default(), Audit::default());
    crate::one_after_the_other(|| sell(&inventory, &audit), || reconcile(&inventory, &audit));
}
