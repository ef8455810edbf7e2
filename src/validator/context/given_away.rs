//! Guards that another thread may have by now: those that the thread held when it spawned another one, or sent
//! something to it.
//!
//! Only guards that can be sent count. The thread itself adds to the list; any thread reads it. The lock guards the
//! list only.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

use super::{held::Tag, thread_exit::ThreadExit};
use crate::validator::atomic::locked;

/// The number of threads to which one guard may have gone. Beyond that, any may have it.
const MAX_RECEIVERS: usize = 64;

#[derive(Default)]
pub(super) struct GivenAway {
    /// `true` if the list is not empty, and the thread has held a lock ever since.
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
    /// Returns `true` if a thread that holds nothing need not [`add`](Self::add) or [pass on](Self::pass_on) anything.
    pub(super) fn is_settled(&self) -> bool {
        self.has_passed_on.load(Relaxed) && !self.has_any.load(Relaxed)
    }

    /// Called by the thread when all of these guards may go to a thread that it is about to spawn, or to any. Those that
    /// it has no longer are forgotten.
    pub(super) fn add(&self, guards: &[Tag], to: Option<&Arc<ThreadExit>>) {
        let has_any = self.has_any.load(Relaxed);
        if guards.is_empty() && !has_any {
            return;
        }
        let mut list = locked(&self.list);
        if !has_any {
            list.clear();
        }
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
        self.forget();
        drop(mem::take(&mut *locked(&self.list)));
    }

    /// Called by the thread when it holds nothing. Takes no lock and frees nothing, as the thread may be about to wait.
    pub(super) fn forget(&self) {
        self.has_any.store(false, Relaxed);
    }

    /// Returns `true` if a guard may be with another thread than the `stuck` ones. For any thread.
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

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use crate::finding::Mode;

    #[test]
    fn gifts_are_forgotten_with_the_last_guard() {
        let [first, second] = [1, 2].map(|lock| Tag::new(lock, Mode::Exclusive));
        let given = GivenAway::default();
        given.add(&[first], None);
        assert!(given.may_be_with_another(first, &[]) && !given.may_be_with_another(second, &[]));
        given.forget();
        assert!(!given.may_be_with_another(first, &[]));
        // The same lock, held again.
        given.add(&[first, second], None);
        given.add(&[second], None);
        assert!(!given.may_be_with_another(first, &[]) && given.may_be_with_another(second, &[]));
        given.add(&[], None);
        assert!(!given.has_any.load(Relaxed));
    }
}
