//! Orphaned locks: this process was forked while another thread held them. The fork copied the
//! locks, but not that thread, so a wait for one never ends.
//!
//! Such a thread's context [stays as it was](Context::orphan) at the fork, which is a moment at
//! which it held what the context says: a lock enters the held set after it was taken, and leaves it
//! before it is released. Takes no lock, except for those of contexts.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::{
    held::{Entry, Tag},
    registry,
};
use crate::{
    finding::{Role, ThreadInfo},
    os_threads,
    stack::Stack,
    validator::context::Context,
};

/// A lock that a thread held which does not exist in this process.
pub(in crate::validator) struct Orphan {
    pub(in crate::validator) held: Entry,
    pub(in crate::validator) thread: ThreadInfo,
    /// The stack of its acquisition; empty if it was not captured.
    pub(in crate::validator) stack: Stack,
}

/// `true` in a process that was forked while another thread held locks.
static ARE_ANY: AtomicBool = AtomicBool::new(false);

/// Called in a fork, about a thread that does not exist there and holds locks.
#[cfg(all(unix, not(loom)))]
pub(super) fn add(context: &Context) {
    context.orphan();
    ARE_ANY.store(true, Relaxed);
}

pub(in crate::validator) fn are_any() -> bool {
    ARE_ANY.load(Relaxed)
}

/// Returns the orphan that blocks an acquisition of a lock, whose identity is at this address.
///
/// `None` if something might release the lock after all: a thread of this process that has the
/// guard, or the parent, which shares the lock's memory or whatever an unknown raw lock consists of.
pub(in crate::validator) fn blocking(wanted: &Entry, at: usize) -> Option<Orphan> {
    let kind = wanted.kind();
    let is_blocking_lock = matches!(kind.role, Role::Lock | Role::Initializer);
    if !are_any() || !is_blocking_lock || kind.guards_can_be_sent() || kind.is_of_unknown_raw() {
        return None;
    }
    let (lock, mode) = (wanted.tag.lock(), wanted.tag.mode());
    let blocks = |held: &Entry| held.tag.lock() == lock && mode.waits_for(held.tag.mode(), false);
    let orphan = registry::orphans().find_map(|context| {
        let held = context.first_held(usize::MAX, blocks)?;
        Some(Orphan { held, thread: context.info(), stack: context.trace_of(held.tag) })
    })?;
    (!os_threads::is_in_shared_memory(at)).then_some(orphan)
}

/// Called when a thread that does not hold a lock has released it, by force. Returns `true` if it
/// was an orphan.
pub(super) fn released(tag: Tag) -> bool {
    let holds = |context: &&Context| context.first_held(usize::MAX, |it| it.tag == tag).is_some();
    let orphan = registry::orphans().find(holds);
    orphan.map(|context| context.note_released_elsewhere(tag)).is_some()
}
