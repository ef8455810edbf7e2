//! The memory of 100,000 tasks that hold locks across an await.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The number of allocated bytes.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: forwards to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

macro_rules! bytes_per_task {
    ($tokio:path, $times:expr) => {{
        use tokio_of::sync::{Mutex, Notify};
        use $tokio as tokio_of;

        let runtime = ::tokio::runtime::Builder::new_current_thread().build().unwrap();
        let times: usize = $times;
        let done = Arc::new(Notify::new());
        let before = LIVE.load(Relaxed);
        let hold = |done: Arc<Notify>| async move {
            let lock = Mutex::new(());
            let _guard = lock.lock().await;
            done.notified().await;
        };
        runtime.block_on(async {
            for _ in 0..times {
                tokio_of::spawn(hold(done.clone()));
            }
            ::tokio::task::yield_now().await;
        });
        let live = LIVE.load(Relaxed) - before;
        done.notify_waiters();
        runtime.block_on(::tokio::task::yield_now());
        drop(runtime);
        assert!(LIVE.load(Relaxed) < before + live / 10, "it is freed");
        live / times
    }};
}

#[test]
fn a_task_that_holds_a_lock_takes_less_than_a_kilobyte() {
    const TASKS: usize = 100_000;
    let plain = bytes_per_task!(::tokio, TASKS);
    let checked = bytes_per_task!(lockdep::tokio, TASKS);
    println!("{plain} bytes per task, {checked} checked");
    assert!(checked - plain < 1024, "{plain} bytes per task, {checked} checked");
    assert!(lockdep::findings().is_empty());
}
