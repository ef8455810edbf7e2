//! A global allocator that acquires a checked lock for every allocation.
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};

use lockdep::sync::Mutex;

pub(crate) static ALLOCATIONS: Mutex<u64> = Mutex::new(0);

struct Counting;

// SAFETY: every call is forwarded to `System`. The counter does not allocate; what the validator
// allocates for it comes back here while checking is disabled.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        *ALLOCATIONS.lock().unwrap() += 1;
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        *ALLOCATIONS.lock().unwrap() -= 1;
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;
