//! How locks are made: by a constructor's call, which a lock's number tells.
//!
//! A lock gets its number at its first acquisition, out of a block of its maker's. So an acquisition
//! need not say who made its lock, nor does the graph have to keep it. Each block of a maker is twice as
//! large as the one before: there are few, however many locks come and go.

use std::{
    cell::Cell,
    ops::Range,
    panic::Location,
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        compiler_fence,
    },
};

use parking_lot::Mutex;

use super::{identity::LockId, interrupted};
use crate::finding::{LockKind, LockOf};

/// How many makers there can be. All that come later are [`ANYBODY`].
const MAKERS: usize = 1 << 14;
/// How many blocks there can be, of 2³¹ numbers at last.
const BLOCKS: usize = 1 << 16;
/// The size of a maker's first block.
const FIRST: u32 = 5;
const LARGEST: u32 = 31;

/// A call of a constructor.
struct Maker {
    kind: AtomicPtr<LockKind>,
    created: AtomicPtr<Location<'static>>,
    /// Its last block, in the high half, and how many numbers of that were given.
    given: AtomicU64,
}

/// A block of numbers, up to where the next one starts.
struct Block {
    start: AtomicU64,
    /// Its maker, and above that its size as a power of two.
    maker: AtomicUsize,
}

impl Block {
    #[allow(clippy::cast_possible_truncation, reason = "a few bits")]
    fn size(&self) -> u32 {
        (self.maker.load(Relaxed) >> 32) as u32
    }
}

/// Open addressing, by the addresses of what they are. Allocates nothing: a lock may be the global
/// allocator's.
static ALL: [Maker; MAKERS] = [const {
    Maker {
        kind: AtomicPtr::new(ptr::null_mut()),
        created: AtomicPtr::new(ptr::null_mut()),
        given: AtomicU64::new(0),
    }
}; MAKERS];

/// The first has no numbers.
static ALL_BLOCKS: [Block; BLOCKS] =
    [const { Block { start: AtomicU64::new(0), maker: AtomicUsize::new(0) } }; BLOCKS];
static BLOCK_COUNT: AtomicUsize = AtomicUsize::new(1);

/// Who adds a maker or a block holds it, with the first number of the next block.
static ADDING: Mutex<u64> = Mutex::new(1);

/// The place of those for whom there is none: never a maker's own.
const ANYBODY: usize = 0;
static UNKNOWN: LockKind = LockKind { wrapper: "Lock", of: LockOf::Nothing, initializes: false };

/// Numbers that a thread has taken of one maker's, for locks to come.
#[derive(Clone, Copy)]
struct Stock {
    maker: (*mut LockKind, *mut Location<'static>),
    next: LockId,
    end: LockId,
}

/// How many makers a thread has a stock of.
const STOCKS: usize = 8;
/// How many numbers a thread takes at once, of a maker that has made more than four times as many.
const AT_ONCE: u64 = 16;

/// Numbers from here on are of locks whose first acquisition was by a signal handler, while its thread was
/// numbering another. They are [`ANYBODY`]'s.
const INTERRUPTED: LockId = 1 << 56;
static INTERRUPTED_COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether the thread is numbering a lock, and may be about to change its stock or hold our lock.
    static IS_NUMBERING: Cell<bool> = const { Cell::new(false) };
    static STOCK: [Cell<Stock>; STOCKS] = const {
        [const {
            Cell::new(Stock { maker: (ptr::null_mut(), ptr::null_mut()), next: 0, end: 0 })
        }; STOCKS]
    };
}

/// A number for a lock of this kind that was made there.
#[inline]
pub(super) fn number(
    kind: &'static LockKind,
    created: Option<&'static Location<'static>>,
) -> LockId {
    let created = created.map_or(ptr::null(), ptr::from_ref).cast_mut();
    let kind = ptr::from_ref(kind).cast_mut();
    let at = (kind.addr() >> 3).wrapping_add(created.addr() >> 3) % STOCKS;
    if IS_NUMBERING.get() {
        return INTERRUPTED + INTERRUPTED_COUNT.fetch_add(1, Relaxed);
    }
    IS_NUMBERING.set(true);
    compiler_fence(SeqCst);
    interrupted::here();
    let number = STOCK.with(|all| {
        let stock = all[at].get();
        if stock.maker == (kind, created) && stock.next < stock.end {
            interrupted::here();
            all[at].set(Stock { next: stock.next + 1, ..stock });
            return stock.next;
        }
        let (first, end) = numbers(kind, created);
        all[at].set(Stock { maker: (kind, created), next: first + 1, end });
        first
    });
    compiler_fence(SeqCst);
    IS_NUMBERING.set(false);
    number
}

/// Some numbers for locks of this kind that are made there.
#[cold]
#[inline(never)]
fn numbers(kind: *mut LockKind, created: *mut Location<'static>) -> (LockId, LockId) {
    let sum = kind.addr().wrapping_mul(31).wrapping_add(created.addr()) as u64;
    #[allow(clippy::cast_possible_truncation, reason = "the high bits are meant")]
    let start = (sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as usize;
    for at in (0..64).map(|step| (start + step) % MAKERS).filter(|&at| at != ANYBODY) {
        let maker = &ALL[at];
        if maker.kind.load(Acquire).is_null() {
            let _adding = ADDING.lock();
            if maker.kind.load(Relaxed).is_null() {
                maker.created.store(created, Relaxed);
                maker.kind.store(kind, Release);
            }
        }
        if maker.kind.load(Relaxed) == kind && maker.created.load(Relaxed) == created {
            return next(at);
        }
    }
    next(ANYBODY)
}

/// The next numbers of a maker.
fn next(at: usize) -> (LockId, LockId) {
    let maker = &ALL[at];
    let is_first = |given: u64| given >> 32 == 0 || ALL_BLOCKS[(given >> 32) as usize].size() <= FIRST + 1;
    let count = if is_first(maker.given.load(Acquire)) { 1 } else { AT_ONCE };
    loop {
        let given = maker.given.fetch_add(count, Acquire);
        let some = count;
        let (block, count) = (&ALL_BLOCKS[(given >> 32) as usize % BLOCKS], given & 0xFFFF_FFFF);
        let size = block.maker.load(Relaxed) >> 32;
        if count >> size == 0 && given >> 32 != 0 {
            let start = block.start.load(Relaxed);
            return (start + count, start + (count + some).min(1 << size));
        }
        more(at, given >> 32);
    }
}

/// Gives a maker another block, unless it is another already.
#[cold]
fn more(at: usize, last: u64) {
    let mut start = ADDING.lock();
    let maker = &ALL[at];
    if maker.given.load(Relaxed) >> 32 != last {
        return;
    }
    let before = ALL_BLOCKS[last as usize % BLOCKS].maker.load(Relaxed) >> 32;
    let size = match last {
        0 => FIRST,
        #[allow(clippy::cast_possible_truncation, reason = "a few bits")]
        _ => (before as u32 + 1).min(LARGEST),
    };
    let block = BLOCK_COUNT.load(Relaxed);
    assert!(block < BLOCKS, "2^16 blocks outlast any process");
    ALL_BLOCKS[block].start.store(*start, Relaxed);
    ALL_BLOCKS[block].maker.store(at | (size as usize) << 32, Relaxed);
    BLOCK_COUNT.store(block + 1, Release);
    *start += 1 << size;
    maker.given.store((block as u64) << 32, Release);
}

/// How a lock of this number was made.
#[allow(unsafe_code, reason = "std has no atomic reference")]
pub(super) fn of(lock: LockId) -> (&'static LockKind, Option<&'static Location<'static>>) {
    let maker = &ALL[maker(lock)];
    // SAFETY: either pointer is null or was a `'static` reference.
    unsafe {
        (maker.kind.load(Acquire).as_ref().unwrap_or(&UNKNOWN), maker.created.load(Relaxed).as_ref())
    }
}

/// Returns `true` for the kind of locks of which it is not known how they were made.
pub(super) fn is_unknown(kind: &LockKind) -> bool {
    ptr::eq(kind, &raw const UNKNOWN)
}

/// A number's maker, as a small number: 0 if that is anybody.
pub(super) fn maker(lock: LockId) -> usize {
    block(lock).1
}

/// The numbers around one that have the same maker, and which that is.
pub(super) fn block(lock: LockId) -> (Range<LockId>, usize) {
    if lock >= INTERRUPTED {
        return (INTERRUPTED..LockId::MAX, ANYBODY);
    }
    let blocks = &ALL_BLOCKS[..BLOCK_COUNT.load(Acquire)];
    let after = blocks.partition_point(|block| block.start.load(Relaxed) <= lock);
    let block = &blocks[after - 1];
    let start = block.start.load(Relaxed);
    (start..start + (1 << block.size()), block.maker.load(Relaxed) % MAKERS)
}

/// How many numbers were given.
pub(super) fn count() -> u64 {
    IS_NUMBERING.set(true);
    let adding = ADDING.lock();
    let blocks = ALL_BLOCKS[1..BLOCK_COUNT.load(Relaxed)].iter().enumerate();
    let count = |(at, block): (usize, &Block)| {
        let maker = block.maker.load(Relaxed);
        let given = ALL[maker % MAKERS].given.load(Relaxed);
        let size = 1 << (maker >> 32);
        if given >> 32 == at as u64 + 1 { (given & 0xFFFF_FFFF).min(size) } else { size }
    };
    let count: u64 = blocks.map(count).sum();
    drop(adding);
    IS_NUMBERING.set(false);
    count + INTERRUPTED_COUNT.load(Relaxed)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{
        finding::Mode,
        validator::held::{Entry, Tag},
    };

    /// A lock of which it is not known how it was made may be one whose guards can be sent.
    #[test]
    fn a_lock_of_an_unknown_kind_may_be_released_elsewhere() {
        static KIND: LockKind =
            LockKind { wrapper: "Mutex", of: LockOf::Nothing, initializes: false };
        let may_be = |lock| {
            let entry = Entry { tag: Tag::new(lock, Mode::Exclusive), site: Location::caller() };
            entry.may_be_released_elsewhere()
        };
        assert!(!may_be(number(&KIND, None)));
        IS_NUMBERING.set(true);
        let interrupted = number(&KIND, None);
        IS_NUMBERING.set(false);
        assert!(may_be(interrupted));
    }
}
