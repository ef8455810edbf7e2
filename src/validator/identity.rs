//! The identity of a lock.

use std::{
    panic::Location,
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst},
};

use super::{
    atomic::ConstAtomicU64 as AtomicU64,
    context::{Context, current::current_if_attached, registry},
    lock_id::{LockId, SHIFT, creation_sites},
};
use crate::finding::LockKind;

/// The identity of one lock instance, with the flags that belong to it.
///
/// | bits | meaning |
/// |------|---------|
/// | 0    | `WRITER`: a blocking write was seen, so readers may have to queue |
/// | 1    | `FORGIVEN`: the poison in the wrapped lock is from a panic of lockdep |
/// | 2    | `ALLOCATES`: lockdep itself has taken it, so it belongs to the global allocator |
/// | 3..  | the lock's id, 0 until its first acquisition |
pub(crate) struct Identity {
    word: AtomicU64,
}

const WRITER: u64 = 1;
const FORGIVEN: u64 = 2;
const ALLOCATES: u64 = 4;

impl Identity {
    /// Returns the number of locks that have an id.
    pub(crate) fn count() -> u64 {
        creation_sites::count(registry::every().map(|context| &context.ids))
    }

    pub(crate) const fn new() -> Self {
        Self { word: AtomicU64::new(0) }
    }

    /// Returns the id, and assigns one first if there is none.
    #[inline(always)]
    pub(crate) fn id(
        &self,
        kind: &'static LockKind,
        created: Option<&'static Location<'static>>,
    ) -> LockId {
        match self.word.load(Relaxed) >> SHIFT {
            // Looked up here, because this is compiled into the program's own code, where it takes
            // one instruction rather than a call.
            0 => match current_if_attached() {
                Some(context) => self.assign(context, kind, created),
                None => self.assign_slow(kind, created),
            },
            id => id,
        }
    }

    /// Returns the id, or 0 if there is none yet.
    #[inline(always)]
    pub(crate) fn id_or_0(&self) -> LockId {
        self.word.load(Relaxed) >> SHIFT
    }

    /// Returns the id, if the lock was ever acquired.
    #[inline]
    pub(crate) fn assigned(&self) -> Option<LockId> {
        Some(self.word.load(Relaxed) >> SHIFT).filter(|&id| id != 0)
    }

    /// Assigns an id. Calls nothing if the thread has one in stock, so no registers are saved.
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
        let stock = current_if_attached().map(|context| &context.ids);
        self.assign_id(creation_sites::next_id(stock, kind, created))
    }

    /// Returns the id that the lock has now: this one, or one that another thread assigned first.
    #[inline]
    fn assign_id(&self, id: LockId) -> LockId {
        // No flag is set before the first acquisition, so the word is 0 unless another thread has
        // assigned an id.
        match self.word.compare_exchange(0, id << SHIFT, Relaxed, Relaxed) {
            Ok(_) => id,
            Err(theirs) => {
                creation_sites::abandon_id(id);
                theirs >> SHIFT
            }
        }
    }

    /// Records a blocking write. Returns `true` if it is the first.
    #[inline]
    pub(crate) fn note_writer(&self) -> bool {
        self.word.load(Relaxed) & WRITER == 0 && self.note_first_writer()
    }

    #[cold]
    fn note_first_writer(&self) -> bool {
        // Sequentially consistent, like the following look-up in `known_locks`. A thread that adds
        // the lock to the graph enters it there before it reads this flag, so one of the two
        // threads sees the other.
        self.word.fetch_or(WRITER, SeqCst) & WRITER == 0
    }

    #[inline(always)]
    pub(crate) fn has_writer(&self) -> bool {
        self.word.load(SeqCst) & WRITER != 0
    }

    /// Records that lockdep itself takes the lock, through an allocation: it takes no other lock of
    /// the program.
    pub(crate) fn note_allocator(&self) {
        if !self.is_allocators() {
            self.word.fetch_or(ALLOCATES, Relaxed);
        }
    }

    /// Returns `true` if the lock is known to belong to the global allocator.
    pub(crate) fn is_allocators(&self) -> bool {
        self.word.load(Relaxed) & ALLOCATES != 0
    }

    /// Marks the poison that the unwinding thread is about to leave in the lock as not counting.
    /// Called while the lock is held exclusively.
    pub(crate) fn forgive(&self) {
        self.word.fetch_or(FORGIVEN, AcqRel);
    }

    /// Returns `true` if the lock's poison does not count.
    pub(crate) fn is_forgiven(&self) -> bool {
        self.word.load(Acquire) & FORGIVEN != 0
    }

    /// Undoes [`forgive`](Self::forgive) when the poison is cleared.
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
    fn flags_are_independent_of_the_id() {
        let (one, other) = (Identity::new(), Identity::new());
        assert_eq!(one.assigned(), None);
        let id = one.id(&KIND, None);
        assert_eq!((one.id(&KIND, None), one.assigned()), (id, Some(id)));
        assert!(id != 0 && other.id(&KIND, None) != id && Identity::count() >= 2);

        let flags = |it: &Identity| (it.has_writer(), it.is_allocators(), it.is_forgiven());
        assert_eq!(flags(&one), (false, false, false));
        one.forgive();
        assert_eq!(flags(&one), (false, false, true));
        assert!(one.note_writer() && !one.note_writer(), "only the first write is new");
        one.note_allocator();
        assert_eq!(flags(&one), (true, true, true));
        one.clear_forgiven();
        assert_eq!(flags(&one), (true, true, false));
        assert_eq!((one.assigned(), flags(&other)), (Some(id), (false, false, false)));
    }

    #[test]
    fn concurrent_requests_get_one_id() {
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
