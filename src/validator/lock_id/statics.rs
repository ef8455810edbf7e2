//! Locks that are `static`. Every process of a program has each of them at the same offset from the
//! program's start, so records of several processes can be compared lock by lock. A guard of one
//! may leave its task, because it borrows the lock for the rest of the program.
//!
//! Nothing here allocates or takes a lock, because the lock may belong to the global allocator.

use std::{
    num::NonZero,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use super::LockId;
use crate::validator::atomic::ConstAtomicU64 as AtomicU64;

/// The number of entries that a lookup compares before it gives up.
const MAX_PROBES: usize = 16;

static OFFSETS: Offsets<{ 1 << 12 }> = Offsets::new();

/// The offsets of static locks, by lock id. Open addressing. Entries are never removed, because
/// statics are never dropped; locks that find no room are left out.
struct Offsets<const N: usize>([Entry; N]);

struct Entry {
    /// 0 while it is vacant.
    lock: AtomicU64,
    /// 0 until it is stored.
    offset: AtomicU64,
}

impl<const N: usize> Offsets<N> {
    const fn new() -> Self {
        Self([const { Entry { lock: AtomicU64::new(0), offset: AtomicU64::new(0) } }; N])
    }

    fn entries(&self, lock: LockId) -> impl Iterator<Item = &Entry> {
        #[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
        let first = lock as usize;
        (first..first + MAX_PROBES).map(|at| &self.0[at % N])
    }

    fn insert(&self, lock: LockId, offset: u64) {
        for entry in self.entries(lock) {
            if entry.lock.compare_exchange(0, lock, Relaxed, Relaxed).is_ok() {
                entry.offset.store(offset, Release);
                return;
            }
        }
    }

    fn get(&self, lock: LockId) -> Option<NonZero<u64>> {
        let entry = self.entries(lock).find(|entry| entry.lock.load(Relaxed) == lock)?;
        NonZero::new(entry.offset.load(Acquire))
    }
}

/// Records the offset of a lock that was just given its id, if it is known to be a static.
pub(in crate::validator) fn note(lock: LockId, address: usize) {
    if let Some(offset) = offset(address) {
        OFFSETS.insert(lock, offset);
    }
}

/// Returns the offset of a lock from the program's start, if it is known to be a static.
pub(in crate::validator) fn offset_of(lock: LockId) -> Option<NonZero<u64>> {
    OFFSETS.get(lock)
}

/// Returns `true` if this address is known to be in a static of the program.
pub(in crate::validator) fn is_static(address: usize) -> bool {
    offset(address).is_some()
}

#[cfg(all(target_os = "linux", not(loom)))]
pub(in crate::validator) use self::linux::find_program;
#[cfg(all(target_os = "linux", not(loom)))]
use self::linux::offset;

/// The program's memory range is known on Linux only.
#[cfg(not(all(target_os = "linux", not(loom))))]
fn offset(_address: usize) -> Option<u64> {
    None
}

#[cfg(not(all(target_os = "linux", not(loom))))]
pub(in crate::validator) fn find_program() {}

#[cfg(all(target_os = "linux", not(loom)))]
#[allow(unsafe_code, reason = "`dl_iterate_phdr` is")]
mod linux {
    use std::{
        ffi::{c_int, c_void},
        ops::Range,
        sync::atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    };

    /// The program's memory range, without its libraries.
    static START: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);

    /// Returns the offset of an address from the program's start, if it is in the program. `None`
    /// before [`find_program`].
    #[inline]
    pub(super) fn offset(address: usize) -> Option<u64> {
        // Loaded in the reverse order of the stores.
        let end = END.load(Acquire);
        let start = START.load(Relaxed);
        (start..end).contains(&address).then(|| (address - start) as u64)
    }

    /// Finds the program's memory range, once.
    ///
    /// Takes a lock of the dynamic loader, under which another thread may wait for the global
    /// allocator's. So it is called before any lock has an id, when no thread holds a checked lock.
    #[inline]
    pub(in crate::validator) fn find_program() {
        if END.load(Relaxed) == 0 {
            find();
        }
    }

    #[cold]
    fn find() {
        let mut program = 0..1;
        // SAFETY: the callback is called before this returns, with the pointer passed here.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut program).cast()) };
        START.store(program.start, Relaxed);
        END.store(program.end, Release);
    }

    /// Handles the first object, which is the program itself. Returns 1 to stop the iteration.
    #[allow(clippy::cast_possible_truncation, reason = "they are addresses")]
    unsafe extern "C" fn first(
        object: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        program: *mut c_void,
    ) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid object, and the pointer from `find`.
        let (object, program) = unsafe { (&*object, &mut *program.cast::<Range<usize>>()) };
        for at in 0..usize::from(object.dlpi_phnum) {
            // SAFETY: `at` is less than the number of headers.
            let header = unsafe { &*object.dlpi_phdr.add(at) };
            if header.p_type == libc::PT_LOAD {
                let start = (object.dlpi_addr + header.p_vaddr) as usize;
                let end = start + header.p_memsz as usize;
                let so_far = if program.start == 0 { start } else { program.start };
                *program = so_far.min(start)..program.end.max(end);
            }
        }
        1
    }
}

#[cfg(all(test, target_os = "linux", not(loom), not(shuttle)))]
mod tests {
    use super::*;

    static CHANGED: AtomicU64 = AtomicU64::new(1);
    static ZERO: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn only_statics_are_static() {
        find_program();
        let (boxed, local) = (Box::new(0_usize), 0_usize);
        assert!(is_static((&raw const CHANGED).addr()) && is_static((&raw const ZERO).addr()));
        assert!(!is_static((&raw const *boxed).addr()) && !is_static((&raw const local).addr()));
    }

    #[test]
    fn offsets_are_kept_while_there_is_room() {
        let offsets = Offsets::<64>::new();
        // Ids that collide.
        let locks: Vec<_> = (0..).map(|at| 5 + at * 64).take(MAX_PROBES + 1).collect();
        for &lock in &locks {
            offsets.insert(lock, lock + 1);
        }
        let (last, kept) = locks.split_last().unwrap();
        assert!(kept.iter().all(|&lock| offsets.get(lock) == NonZero::new(lock + 1)));
        assert_eq!(offsets.get(*last), None);
    }
}
