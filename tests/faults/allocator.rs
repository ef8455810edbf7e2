//! The allocator of this test program: counts bytes in use, and can be made to fail.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicIsize, AtomicU64, Ordering::Relaxed},
};

/// Bytes in use.
static IN_USE: AtomicIsize = AtomicIsize::new(0);
/// The number of allocations until one fails, including it; 0 if none is to fail.
static UNTIL_FAILURE: AtomicU64 = AtomicU64::new(0);

struct Failing;

#[global_allocator]
static GLOBAL: Failing = Failing;

fn fails() -> bool {
    let one_less = |left: u64| left.checked_sub(1);
    UNTIL_FAILURE.fetch_update(Relaxed, Relaxed, one_less) == Ok(1)
}

fn count(bytes: usize, sign: isize) {
    IN_USE.fetch_add(sign * isize::try_from(bytes).unwrap_or(0), Relaxed);
}

// SAFETY: all memory comes from `System`; this only counts, and refuses some allocations.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        count(layout.size(), 1);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns the bytes that the program has in use.
pub(crate) fn in_use() -> isize {
    IN_USE.load(Relaxed)
}

/// Makes the `n`th allocation from now on fail, on whichever thread.
pub(crate) fn fail_at(n: u64) {
    UNTIL_FAILURE.store(n, Relaxed);
}

/// Stops allocations from failing. Returns `true` if one has failed.
pub(crate) fn fail_no_more() -> bool {
    UNTIL_FAILURE.swap(0, Relaxed) == 0
}
