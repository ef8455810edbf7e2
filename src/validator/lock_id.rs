//! Which lock it is.

use std::{
    panic::Location,
    ptr,
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

use super::{
    Context, atomic::ConstAtomicU64 as AtomicU64, current_if_attached, graph::creation_sites,
    statics,
};
use crate::finding::LockKind;

/// The number of a lock, from 1; given lazily, so that `const fn new` works in
/// statics, and never used again. 2⁶⁰ of them outlast any process.
pub(crate) type LockId = u64;

/// The identity of one lock instance and what has to be remembered with it.
///
/// | bits | meaning |
/// |------|---------|
/// | 0    | `WRITER`: a blocking write was seen; readers may have to queue |
/// | 1    | `FORGIVEN`: the poison in the wrapped lock is from a panic of ours |
/// | 2    | `ALLOCATES`: our own code has taken it, so that it is the global allocator's |
/// | 3..  | the lock's number, 0 until its first acquisition |
pub(crate) struct Identity {
    word: AtomicU64,
}

const WRITER: u64 = 1;
const FORGIVEN: u64 = 2;
const ALLOCATES: u64 = 4;
/// How many bits stand below the number.
pub(super) const SHIFT: u32 = 3;

impl Identity {
    /// Returns how many locks have a number.
    pub(crate) fn count() -> u64 {
        creation_sites::count()
    }

    pub(crate) const fn new() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// The number, given now if it has none yet.
    #[inline(always)]
    pub(crate) fn id(
        &self,
        kind: &'static LockKind,
        created: Option<&'static Location<'static>>,
    ) -> LockId {
        match self.word.load(Relaxed) >> SHIFT {
            // The context is looked up here, as that takes one instruction in the program's own
            // code, and a call in ours.
            0 => match current_if_attached() {
                Some(context) => self.assign(context, kind, created),
                None => self.assign_slow(kind, created),
            },
            id => id,
        }
    }

    /// The number, 0 if it has none yet.
    #[inline(always)]
    pub(crate) fn id_or_0(&self) -> LockId {
        self.word.load(Relaxed) >> SHIFT
    }

    /// The number, if the lock was ever acquired.
    #[inline]
    pub(crate) fn assigned(&self) -> Option<LockId> {
        Some(self.word.load(Relaxed) >> SHIFT).filter(|&id| id != 0)
    }

    /// Gives the lock a number. Calls nothing if the thread has one in stock, so no registers are saved.
    #[cold]
    fn assign(
        &self,
        context: &Context,
        kind: &'static LockKind,
        created: Option<&'static Location<'static>>,
    ) -> LockId {
        match context.ids.next(kind, created) {
            Some(id) => self.assign_id(id),
            None => self.assign_slow(kind, created),
        }
    }

    #[cold]
    #[inline(never)]
    fn assign_slow(
        &self,
        kind: &'static LockKind,
        created: Option<&'static Location<'static>>,
    ) -> LockId {
        statics::find_program();
        self.assign_id(creation_sites::next_id(kind, created))
    }

    /// Returns the number that the lock has now: this one, or another thread's.
    #[inline]
    fn assign_id(&self, id: LockId) -> LockId {
        // No flag is set on a lock that was never acquired: the word is 0, unless another thread
        // was faster.
        match self.word.compare_exchange(0, id << SHIFT, Relaxed, Relaxed) {
            Ok(_) => {
                statics::note(id, ptr::from_ref(self).addr());
                id
            }
            Err(theirs) => {
                creation_sites::abandon_id(id);
                theirs >> SHIFT
            }
        }
    }

    /// Notes a blocking write. Whether it is the first.
    #[inline]
    pub(crate) fn note_writer(&self) -> bool {
        self.word.load(Relaxed) & WRITER == 0 && self.note_first_writer()
    }

    #[cold]
    fn note_first_writer(&self) -> bool {
        // Sequentially consistent, as is the look at `presence` that follows: whoever
        // enters the lock into the graph meanwhile does so before it looks at this flag,
        // and one of the two sees the other.
        self.word.fetch_or(WRITER, SeqCst) & WRITER == 0
    }

    #[inline(always)]
    pub(crate) fn has_writer(&self) -> bool {
        self.word.load(SeqCst) & WRITER != 0
    }

    /// Notes that our own code takes it: by what it allocates, as it takes no other lock of the
    /// program's.
    pub(crate) fn note_allocator(&self) {
        if !self.is_allocators() {
            self.word.fetch_or(ALLOCATES, Relaxed);
        }
    }

    /// Whether it is known to be the global allocator's.
    pub(crate) fn is_allocators(&self) -> bool {
        self.word.load(Relaxed) & ALLOCATES != 0
    }

    /// Says that the poison which the unwinding thread is about to leave in the
    /// lock does not count. Called while the lock is held exclusively.
    pub(crate) fn forgive(&self) {
        self.word.fetch_or(FORGIVEN, AcqRel);
    }

    /// Whether the lock's poison does not count.
    pub(crate) fn is_forgiven(&self) -> bool {
        self.word.load(Acquire) & FORGIVEN != 0
    }

    /// Takes back [`forgive`](Self::forgive), when the poison is cleared.
    pub(crate) fn clear_forgiven(&self) {
        self.word.fetch_and(!FORGIVEN, AcqRel);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::Barrier, thread};

    use rustc_hash::FxHashSet;

    use super::*;
    use crate::finding::{LockOf, Role};

    static KIND: LockKind = LockKind { wrapper: "Mutex", of: LockOf::Nothing, role: Role::Lock };

    #[test]
    fn a_number_and_what_is_remembered_with_it() {
        let (one, other) = (Identity::new(), Identity::new());
        assert_eq!(one.assigned(), None);
        let id = one.id(&KIND, None);
        assert_eq!((one.id(&KIND, None), one.assigned()), (id, Some(id)));
        assert!(id != 0 && other.id(&KIND, None) != id && Identity::count() >= 2);

        let flags = |it: &Identity| (it.has_writer(), it.is_allocators(), it.is_forgiven());
        assert_eq!(flags(&one), (false, false, false));
        one.forgive();
        assert_eq!(flags(&one), (false, false, true));
        assert!(one.note_writer() && !one.note_writer(), "only the first is");
        one.note_allocator();
        assert_eq!(flags(&one), (true, true, true));
        one.clear_forgiven();
        assert_eq!(flags(&one), (true, true, false));
        assert_eq!((one.assigned(), flags(&other)), (Some(id), (false, false, false)));
    }

    #[test]
    fn threads_that_ask_at_once_get_one_number() {
        for _ in 0..20 {
            let locks: Vec<_> = (0..50_000).map(|_| Identity::new()).collect();
            let begin = Barrier::new(2);
            let ids = || {
                begin.wait();
                locks.iter().map(|it| it.id(&KIND, None)).collect::<Vec<_>>()
            };
            let (own, others) = thread::scope(|scope| {
                let other = scope.spawn(ids);
                (ids(), other.join().unwrap())
            });
            assert!(own == others);
            let all: FxHashSet<_> = own.into_iter().collect();
            assert_eq!(all.len(), locks.len());
        }
    }
}
