//! Guards that another thread may have by now: those that the thread held when it spawned another one, or sent
//! something to it.
//!
//! Only guards that can be sent count. The thread itself adds to the list; any thread reads it. The lock guards the
//! list only.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::{held::Tag, thread_exit::ThreadExit};
use crate::validator::atomic::locked;

/// The number of threads to which one guard may have gone. Beyond that, any may have it.
const MAX_RECEIVERS: usize = 64;

#[derive(Default)]
pub(super) struct GivenAway {
    /// `true` if the list is not empty.
    has_any: AtomicBool,
    /// `true` if the thread's exit says that it has passed something on.
    has_passed_on: AtomicBool,
    list: Mutex<Vec<Gift>>,
}

/// A guard that may be elsewhere.
struct Gift {
    tag: Tag,
    /// The thread that was spawned while it was held. `None` if any thread may have it.
    to: Option<Arc<ThreadExit>>,
}

impl GivenAway {
    /// Called by the thread when all of these guards may go to a thread that it is about to spawn, or to any. Those that
    /// it has no longer are forgotten.
    pub(super) fn add(&self, guards: &[Tag], to: Option<&Arc<ThreadExit>>) {
        if guards.is_empty() && !self.has_any.load(Relaxed) {
            return;
        }
        let mut list = locked(&self.list);
        list.retain(|gift| guards.contains(&gift.tag) && gift.to.as_ref().is_none_or(is_free));
        for &tag in guards {
            let gifts = list.iter().filter(|gift| gift.tag == tag);
            if gifts.clone().any(|gift| gift.to.is_none()) {
                continue;
            }
            let is_known = gifts.count() < MAX_RECEIVERS;
            if !is_known {
                list.retain(|gift| gift.tag != tag);
            }
            list.push(Gift { tag, to: to.filter(|_| is_known).cloned() });
        }
        self.has_any.store(!list.is_empty(), Relaxed);
    }

    /// Called when the thread passes something on. Returns `true` the first time.
    pub(super) fn pass_on(&self) -> bool {
        !self.has_passed_on.load(Relaxed) && !self.has_passed_on.swap(true, Relaxed)
    }

    /// Called when the thread has ended.
    pub(super) fn end(&self) {
        self.has_passed_on.store(false, Relaxed);
        self.clear();
    }

    /// Called by the thread when it holds nothing.
    pub(super) fn clear(&self) {
        if self.has_any.load(Relaxed) {
            let list = std::mem::take(&mut *locked(&self.list));
            self.has_any.store(false, Relaxed);
            drop(list);
        }
    }

    /// Returns `true` if a guard may be with a thread that is none of the `stuck` ones. For any thread.
    pub(super) fn may_be_with_another(&self, tag: Tag, stuck: &[Arc<ThreadExit>]) -> bool {
        let is_stuck = |to: &Arc<ThreadExit>| {
            stuck.iter().any(|it| Arc::ptr_eq(it, to)) && !to.has_passed_on()
        };
        let may_have = |to: &Arc<ThreadExit>| is_free(to) && !is_stuck(to);
        self.has_any.load(Relaxed)
            && locked(&self.list)
                .iter()
                .any(|gift| gift.tag == tag && gift.to.as_ref().is_none_or(may_have))
    }

    /// Returns the lock around the list, for a fork.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn lock(&'static self) -> &'static dyn crate::fork_lock::ForkLock {
        &self.list
    }
}

/// Returns `true` if a thread may still have what it was given. What it has passed on may be anywhere.
fn is_free(to: &Arc<ThreadExit>) -> bool {
    to.has_passed_on() || !to.is_over()
}
