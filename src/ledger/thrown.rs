//! Recognizes the panic of a finding by its payload.
//!
//! The payload is the report as a `String`, which harnesses print and `should_panic` compares. The
//! text alone does not prove its origin, but together with the address of the string's buffer it
//! does: while the payload lives, no other string has its address. Once it is gone, a copy of the
//! report may get the same address, and is taken for it.

use std::{
    any::Any,
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    panic::panic_any,
};

use parking_lot::Mutex;

use crate::finding::Finding;

/// The number of panics remembered: as many as findings are kept. A payload is usually inspected by
/// the next `catch_unwind` or `join`.
const CAPACITY: usize = 4096;

static THROWN: Mutex<VecDeque<Thrown>> = Mutex::new(VecDeque::new());

struct Thrown {
    payload: Identity,
    finding: Finding,
}

/// The address and the text of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    address: usize,
    hash: u64,
}

impl Identity {
    fn of(payload: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        payload.hash(&mut hasher);
        Self { address: payload.as_ptr().addr(), hash: hasher.finish() }
    }
}

/// The panic for a finding: its report, which becomes the payload, and the finding.
pub(crate) struct Panic {
    pub(crate) message: String,
    finding: Finding,
}

impl Panic {
    pub(super) fn new(message: String, finding: &Finding) -> Self {
        Self { message, finding: finding.clone() }
    }

    /// Appends the report of another finding. The panic still belongs to the first.
    pub(crate) fn append(&mut self, other: &Self) {
        self.message.push('\n');
        self.message.push_str(&other.message);
    }

    /// Remembers the payload that [`throw`](Self::throw) will have. The caller is in a state in
    /// which its acquisitions are not checked.
    pub(crate) fn remember(&self) {
        let payload = Identity::of(&self.message);
        let thrown = Thrown { payload, finding: self.finding.clone() };
        let mut all = THROWN.lock();
        let oldest = if all.len() < CAPACITY { None } else { all.pop_front() };
        all.push_back(thrown);
        drop(all);
        drop(oldest);
    }

    #[track_caller]
    pub(crate) fn throw(self) -> ! {
        panic_any(self.message)
    }
}

/// Returns the finding that a panic was thrown for. The caller is in a state in which its
/// acquisitions are not checked.
pub(crate) fn finding_of_panic(payload: &(dyn Any + Send)) -> Option<Finding> {
    let payload = Identity::of(payload.downcast_ref::<String>()?);
    let all = THROWN.lock();
    all.iter().rev().find(|it| it.payload == payload).map(|it| it.finding.clone())
}

#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &THROWN
}
