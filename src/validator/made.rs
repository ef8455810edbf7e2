//! How locks are made: by a constructor's call, which a lock's number tells.
//!
//! A lock gets its number at its first acquisition, out of those of its maker. So an acquisition
//! need not say who made its lock, nor does the graph have to keep it.

use std::{
    panic::Location,
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use parking_lot::Mutex;

use super::identity::LockId;
use crate::finding::{LockKind, LockOf};

/// How many low bits of a number count the locks of one maker.
const BITS: u32 = 36;
/// How many makers there can be. All that come later are [`ANYBODY`].
const MAKERS: usize = 1 << 14;

/// A call of a constructor.
struct Maker {
    kind: AtomicPtr<LockKind>,
    created: AtomicPtr<Location<'static>>,
    /// How many locks it has made that have a number. Its own numbers run out: then there is another
    /// maker for the same call.
    made: AtomicU64,
}

/// Open addressing, by the addresses of what they are. Allocates nothing: a lock may be the global
/// allocator's.
static ALL: [Maker; MAKERS] = [const {
    Maker {
        kind: AtomicPtr::new(ptr::null_mut()),
        created: AtomicPtr::new(ptr::null_mut()),
        made: AtomicU64::new(0),
    }
}; MAKERS];

/// Who adds a maker holds it.
static ADDING: Mutex<()> = Mutex::new(());

/// The place of those for whom there is none: never a maker's own.
const ANYBODY: usize = 0;
static UNKNOWN: LockKind = LockKind { wrapper: "Lock", of: LockOf::Nothing, initializes: false };

/// A number for a lock of this kind that was made there.
#[cold]
pub(super) fn number(
    kind: &'static LockKind,
    created: Option<&'static Location<'static>>,
) -> LockId {
    let created = created.map_or(ptr::null(), ptr::from_ref).cast_mut();
    let kind = ptr::from_ref(kind).cast_mut();
    let sum = kind.addr().wrapping_mul(31).wrapping_add(created.addr()) as u64;
    #[allow(clippy::cast_possible_truncation, reason = "the high bits are meant")]
    let start = (sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 50) as usize;
    for at in (0..64).map(|step| (start + step) % MAKERS).filter(|&at| at != ANYBODY) {
        let maker = &ALL[at];
        let known = maker.kind.load(Acquire);
        if known.is_null() {
            let _adding = ADDING.lock();
            if maker.kind.load(Relaxed).is_null() {
                maker.created.store(created, Relaxed);
                maker.kind.store(kind, Release);
            }
        }
        if maker.kind.load(Relaxed) == kind && maker.created.load(Relaxed) == created {
            let made = maker.made.fetch_add(1, Relaxed) + 1;
            if made >> BITS == 0 {
                return (at as u64) << BITS | made;
            }
        }
    }
    ALL[ANYBODY].made.fetch_add(1, Relaxed) + 1
}

/// How a lock of this number was made.
#[allow(unsafe_code, reason = "std has no atomic reference")]
pub(super) fn of(lock: LockId) -> (&'static LockKind, Option<&'static Location<'static>>) {
    let at = (lock >> BITS) as usize % MAKERS;
    let maker = &ALL[at];
    // SAFETY: either pointer is null or was a `'static` reference.
    unsafe {
        (maker.kind.load(Acquire).as_ref().unwrap_or(&UNKNOWN), maker.created.load(Relaxed).as_ref())
    }
}

/// How many numbers were given.
pub(super) fn count() -> u64 {
    ALL.iter().map(|maker| maker.made.load(Relaxed)).sum()
}

/// A number's maker, as a small number.
pub(super) fn maker(lock: LockId) -> u64 {
    lock >> BITS
}
