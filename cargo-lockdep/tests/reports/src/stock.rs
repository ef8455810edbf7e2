//! A shop. Its locks hide behind helpers.

pub mod sync;

use std::sync::Mutex;

use sync::locked_for;

#[derive(Default)]
pub struct Stock {
    items: Mutex<Vec<u32>>,
}

#[derive(Default)]
pub struct Audit {
    lines: Mutex<Vec<String>>,
}

pub fn sell(stock: &Stock, audit: &Audit) {
    let mut items = locked_for("sale", &stock.items);
    let sold = items.pop();
    locked_for("sale", &audit.lines).push(format!("sold “{sold:?}”"));
}

pub fn reconcile(stock: &Stock, audit: &Audit) -> bool {
    let lines = locked_for("audit", &audit.lines);
    /* ü → */ let items = locked_for("audit", &stock.items);
    lines.len() + items.len() == 0
}
