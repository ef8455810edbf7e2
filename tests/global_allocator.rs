//! A global allocator that takes a checked lock for every allocation, ours included.
#![cfg(any(debug_assertions, feature = "enforce"))]
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    process::Command,
    thread,
};

use lockdep::sync::Mutex;
use support::denied;

static ALLOCATIONS: Mutex<u64> = Mutex::new(0);

struct Counting;

// SAFETY: all of it is `System`'s; the count allocates nothing by itself, and what the
// validator allocates for it comes back here while it does not look.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        *ALLOCATIONS.lock().unwrap() += 1;
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        *ALLOCATIONS.lock().unwrap() -= 1;
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Many threads, many locks, deep nesting, a report: with the allocator's lock under all
/// of it.
#[test]
fn an_allocator_with_a_lock() {
    let locks: Vec<_> = (0..40).map(|_| Mutex::new(Vec::new())).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut guards: Vec<_> =
                        locks.iter().map(|lock| lock.lock().unwrap()).collect();
                    guards[0].push(1);
                    drop(Mutex::new(1).lock());
                }
            });
        }
    });
    let _last = locks[39].lock().unwrap();
    assert!(denied(|| locks[0].lock()).is_some());
    assert!(*ALLOCATIONS.lock().unwrap() > 0);
}

/// The same with a stack for every acquisition, the allocator's too.
#[test]
fn with_a_backtrace_for_each_acquisition() {
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", "an_allocator_with_a_lock"])
        .env("LOCKDEP_BACKTRACE", "full")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
