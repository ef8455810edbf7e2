//! A column whose sum is computed in parallel when it is first asked for, by jobs of the same pool that ask for it.

use std::sync::Barrier;

use lockdep::{
    rayon::{self, ThreadPoolBuilder},
    sync::OnceLock,
};

struct Column {
    rows: Vec<u32>,
    sum: OnceLock<u32>,
}

impl Column {
    fn sum(&self) -> u32 {
        *self.sum.get_or_init(|| par_sum(&self.rows, &add))
    }

    fn share(&self, row: usize) -> f64 {
        f64::from(self.rows[row]) / f64::from(self.sum())
    }
}

/// As `rows.par_iter().map(...).sum()`.
fn par_sum(rows: &[u32], leaf: &(dyn Fn(&[u32]) -> u32 + Sync)) -> u32 {
    let (left, right) = rows.split_at(rows.len() / 2);
    if left.is_empty() {
        return leaf(right);
    }
    let (left, right) = rayon::join(|| par_sum(left, leaf), || par_sum(right, leaf));
    left + right
}

/// The other job asks for the sum while this one computes it.
static ASKS: Barrier = Barrier::new(2);
static HAS_ASKED: Barrier = Barrier::new(2);

fn add(rows: &[u32]) -> u32 {
    if rows == [1] {
        ASKS.wait();
        HAS_ASKED.wait();
    }
    rows.iter().sum()
}

pub(crate) fn main() {
    let pool = ThreadPoolBuilder::new().num_threads(2).thread_name(|_| "worker".to_owned());
    let pool = pool.build().unwrap();
    let column = Column { rows: vec![1, 2], sum: OnceLock::new() };
    let second = || {
        ASKS.wait();
        crate::caught(|| assert!(column.share(1) > 0.0));
        HAS_ASKED.wait();
    };
    pool.join(|| assert!(column.share(0) > 0.0), second);
}
