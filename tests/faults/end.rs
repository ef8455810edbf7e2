//! The end of threads and of the process: destructors of thread-locals, and handlers of `exit`.

use std::{cell::RefCell, thread};

use lockdep::{FindingKind, Level, sync::Mutex};

use crate::{Ended, alone, child, support::is_child};

static LOCKS: [Mutex<u32>; 3] = [const { Mutex::new(0) }; 3];

/// Acquires these locks when its thread ends.
struct Last(&'static [usize]);

impl Drop for Last {
    fn drop(&mut self) {
        let guards: Vec<_> = self.0.iter().map(|&lock| LOCKS[lock].lock().unwrap()).collect();
        for mut guard in guards {
            *guard += 1;
        }
    }
}

thread_local! {
    static ONE: RefCell<Option<Last>> = const { RefCell::new(None) };
    static TWO: RefCell<Option<Last>> = const { RefCell::new(None) };
}

fn set(local: &'static thread::LocalKey<RefCell<Option<Last>>>, locks: &'static [usize]) {
    local.set(Some(Last(locks)));
}

/// Set before the thread's first lock and after it, on all kinds of threads.
#[test]
fn destructors_of_thread_locals_take_locks() {
    alone(destructors_of_thread_locals_take_locks, || {
        let orders: [fn(); 4] = [
            || {
                set(&ONE, &[0, 1]);
                drop(LOCKS[0].lock());
                set(&TWO, &[1, 2]);
            },
            || {
                drop(LOCKS[0].lock());
                set(&TWO, &[0, 1, 2]);
                set(&ONE, &[0, 2]);
            },
            || {
                set(&ONE, &[0]);
                set(&TWO, &[1]);
            },
            || set(&TWO, &[0, 1, 2]),
        ];
        for _ in 0..25 {
            let threads = orders.map(thread::spawn);
            for thread in threads {
                thread.join().unwrap();
            }
        }
        assert_eq!(*LOCKS[0].lock().unwrap(), 125);
        assert_eq!(crate::reported(), 0);
        // This thread's own destructor, at the end of the process.
        set(&ONE, &[0, 1]);
    });
}

/// Any panic in the destructor of a thread-local aborts the process, so findings there are printed
/// instead.
#[test]
fn a_finding_in_a_destructor_of_a_thread_local_is_printed() {
    let test = a_finding_in_a_destructor_of_a_thread_local_is_printed;
    if is_child() {
        drop((LOCKS[0].lock(), LOCKS[1].lock()));
        let thread = thread::spawn(|| {
            drop(LOCKS[2].lock());
            set(&ONE, &[1, 0]);
        });
        thread.join().unwrap();
        assert_eq!(crate::reported(), 1);
        return println!("\ngoes on");
    }
    let ended = Ended::of(&mut child(test));
    ended.assert_success();
    assert!(ended.text.contains("\ngoes on\n"), "{}", ended.text);
    assert!(ended.text.contains("[lockdep::inversion]"), "{}", ended.text);
}

/// After `main`, when the statics of other libraries are destroyed.
#[test]
fn handlers_of_exit_take_locks() {
    extern "C" fn at_exit() {
        drop((LOCKS[0].lock(), LOCKS[1].lock(), LOCKS[2].lock()));
        drop((LOCKS[2].lock(), LOCKS[0].lock()));
        let own = Mutex::new(());
        drop((own.lock(), LOCKS[1].lock()));
        assert_eq!(crate::reported(), 1);
        println!("\nat exit");
    }
    let test = handlers_of_exit_take_locks;
    if is_child() {
        lockdep::set_level(FindingKind::SingleThreadInversion, Level::Warn);
        drop(LOCKS[0].lock());
        // SAFETY: it neither unwinds nor calls `exit`.
        assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
        return;
    }
    let ended = Ended::of(child(test).env_remove("LOCKDEP_EXIT"));
    ended.assert_success();
    assert!(ended.text.contains("\nat exit\n"), "{}", ended.text);
    assert!(ended.text.contains("warning[lockdep::single_thread_inversion]"), "{}", ended.text);
}

/// A process that ends while its threads acquire locks.
#[test]
fn the_process_ends_while_threads_take_locks() {
    alone(the_process_ends_while_threads_take_locks, || {
        for _ in 0..4 {
            thread::spawn(|| {
                loop {
                    let own = Mutex::new(());
                    drop((LOCKS[0].lock(), own.lock(), LOCKS[1].lock()));
                }
            });
        }
        set(&ONE, &[0, 1]);
    });
}
