//! Signal handlers that try checked locks, at any instruction of threads that acquire and release
//! others. All programs here are correct unless they say otherwise, so every finding is a defect.
#![cfg(all(unix, any(debug_assertions, feature = "enforce")))]
#![allow(unsafe_code, reason = "installs signal handlers, sends signals, and allocates")]

#[cfg(all(feature = "parking_lot", feature = "send_guard"))]
use std::sync::mpsc;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    hint::black_box,
    os::unix::thread::JoinHandleExt,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lockdep::{
    FindingKind,
    sync::{Condvar, Mutex, RwLock, RwLockWriteGuard},
    testing::Scope,
};

static A: Mutex<u64> = Mutex::new(0);
static B: Mutex<u64> = Mutex::new(0);
static SAMPLES: Mutex<u64> = Mutex::new(0);
static MORE: Mutex<u64> = Mutex::new(0);
static TABLE: RwLock<u64> = RwLock::new(0);
static DONE: AtomicBool = AtomicBool::new(false);
static HANDLED: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Interrupts allocations on request, and counts those that a signal handler makes meanwhile.
struct InterruptedAllocator;

#[global_allocator]
static ALLOCATOR: InterruptedAllocator = InterruptedAllocator;

static ALLOCATIONS_IN_HANDLERS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static INTERRUPT_NEXT: Cell<bool> = const { Cell::new(false) };
    static INTERRUPT_ALL: Cell<bool> = const { Cell::new(false) };
    static IS_INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for InterruptedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_INTERRUPTED.get() {
            ALLOCATIONS_IN_HANDLERS.fetch_add(1, Relaxed);
        }
        if INTERRUPT_NEXT.replace(false) || INTERRUPT_ALL.get() && !IS_INTERRUPTED.get() {
            IS_INTERRUPTED.set(true);
            // SAFETY: `handle` is installed; it runs before `raise` returns.
            unsafe { libc::raise(libc::SIGUSR1) };
            IS_INTERRUPTED.set(false);
        }
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Tries locks, nested, and releases them out of sequence.
extern "C" fn handle(_: libc::c_int) {
    HANDLED.fetch_add(1, Relaxed);
    let table = TABLE.try_read();
    if let Ok(mut samples) = SAMPLES.try_lock() {
        TAKEN.fetch_add(1, Relaxed);
        *samples += 1;
        if let Ok(mut more) = MORE.try_lock() {
            *more += 1;
        }
    }
    drop(table);
}

fn install() {
    for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM] {
        // SAFETY: `handle` waits for nothing and allocates nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

fn signal<T>(thread: &JoinHandle<T>, signal: libc::c_int) {
    // SAFETY: a thread is valid until it is joined, which consumes its handle.
    unsafe { libc::pthread_kill(thread.as_pthread_t(), signal) };
}

/// Delivers SIGALRM to this process every millisecond, on whichever thread the kernel chooses.
fn set_timer(is_on: bool) {
    let period = libc::timeval { tv_sec: 0, tv_usec: if is_on { 1_000 } else { 0 } };
    let timer = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: both pointers are valid or null.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// Acquires known locks in one order.
fn known() {
    let a = A.lock().unwrap();
    let table = TABLE.read().unwrap();
    *B.lock().unwrap() += *a;
    drop(table);
}

/// Acquires new locks.
fn fresh() {
    let _a = A.lock().unwrap();
    let (one, other) = (Mutex::new(0), Mutex::new(1));
    *one.lock().unwrap() += 1;
    *other.lock().unwrap() += 1;
    let _both = (one.lock().unwrap(), other.lock().unwrap());
}

/// Holds more locks than fit inline, and releases them out of sequence.
fn out_of_sequence() {
    let many: Vec<Mutex<()>> = (0..20).map(|_| Mutex::new(())).collect();
    let mut guards: Vec<_> = many.iter().map(|lock| lock.lock().unwrap()).collect();
    drop(guards.remove(17));
    drop(guards.remove(3));
    drop(guards.remove(0));
    drop(guards.pop());
}

/// Acquires the locks that the handler acquires.
fn sampling() {
    let _a = A.lock().unwrap();
    *SAMPLES.lock().unwrap() += 1;
    drop(TABLE.read().unwrap());
}

fn writing() {
    *TABLE.write().unwrap() += 1;
    thread::yield_now();
}

/// Starts threads whose handlers run before their first lock, or before their first instruction.
fn starting() {
    let thread = thread::spawn(known);
    signal(&thread, libc::SIGUSR1);
    thread.join().expect("nothing is denied");
}

#[test]
fn a_storm_of_signals_causes_no_finding() {
    let seconds = std::env::var("SIGNAL_STORM_SECONDS").ok().and_then(|it| it.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(2));
    install();
    // Shows the validator the program's only order.
    sampling();
    known();
    writing();
    drop(SAMPLES.try_lock().map(|_samples| drop(MORE.try_lock())));
    set_timer(true);
    let loops: [fn(); 6] = [known, fresh, out_of_sequence, sampling, writing, starting];
    let threads = loops.map(|body| {
        thread::spawn(move || {
            let mut times = 0;
            while !DONE.load(Relaxed) {
                body();
                times += 1;
            }
            times
        })
    });
    let begun = Instant::now();
    let mut sent = 0_u64;
    while begun.elapsed() < length && !threads.iter().any(JoinHandle::is_finished) {
        for thread in &threads {
            signal(thread, if sent.is_multiple_of(2) { libc::SIGUSR1 } else { libc::SIGUSR2 });
            sent += 1;
        }
        // Leaves the threads some time between two handlers.
        thread::yield_now();
    }
    DONE.store(true, Relaxed);
    let times: [u64; 6] = threads.map(|thread| thread.join().expect("nothing is denied"));
    set_timer(false);
    println!("{times:?} rounds, {sent} signals sent, {HANDLED:?} handled, {TAKEN:?} with a lock");
    // `out_of_sequence` nests locks of one class.
    let mut findings = lockdep::findings();
    findings.retain(|finding| finding.kind() != FindingKind::SameClassNesting);
    assert!(findings.is_empty(), "{} findings: {}", findings.len(), findings[0]);
}

/// A handler that interrupts the allocator must not allocate, which would deadlock or corrupt the
/// heap. The thread has no context yet, and an attempt in a handler creates none.
#[test]
fn an_attempt_in_a_handler_does_not_allocate() {
    install();
    // One-time initialization of the process is done here.
    known();
    let taken = thread::spawn(|| {
        let before = TAKEN.load(Relaxed);
        INTERRUPT_NEXT.set(true);
        drop(black_box(Box::new(0_u8)));
        let taken = TAKEN.load(Relaxed) - before;
        known();
        taken
    });
    taken.join().expect("nothing is denied");
    assert!(!INTERRUPT_NEXT.get());
    assert_eq!(ALLOCATIONS_IN_HANDLERS.load(Relaxed), 0);
}

/// The same state outside of a handler: a lock that an attempt acquired while signals were blocked
/// is ordered before the lock that the thread waits for next.
#[test]
fn what_was_tried_while_signals_are_blocked_is_held() {
    let (a, b) = (Mutex::new(0), Mutex::new(0));
    let scope = Scope::new();
    let first_order = scope.inside(|| drop((b.lock().unwrap(), a.lock().unwrap())));
    thread::scope(|threads| threads.spawn(first_order).join()).expect("nothing is denied");
    let handle = scope.handle();
    let second_order = || {
        block_all_signals();
        let _first = a.try_lock().unwrap();
        // Only now the thread gets a context.
        let _entered = handle.enter();
        let _second = b.lock();
    };
    let denied = thread::scope(|threads| threads.spawn(second_order).join());
    assert!(denied.is_err());
    scope.expect(FindingKind::Inversion, &["a", "b"]);
    // Released by unwinding, and no longer considered held.
    scope.assert_no_findings();
    drop(a.try_lock().expect("it is free and not poisoned"));
}

/// A guard that was acquired while signals are blocked is sent away, and another thread's guard is
/// then sent here.
#[test]
#[cfg(all(feature = "parking_lot", feature = "send_guard"))]
fn what_was_tried_while_signals_are_blocked_may_be_released_elsewhere() {
    let lock = lockdep::parking_lot::Mutex::new(0);
    let scope = Scope::new();
    thread::scope(|threads| {
        let (to_other, at_other) = mpsc::channel();
        let (to_first, at_first) = mpsc::channel();
        let lock = &lock;
        let first = threads.spawn(move || {
            block_all_signals();
            to_other.send(lock.try_lock().unwrap()).unwrap();
            drop(at_first.recv().unwrap());
        });
        drop(at_other.recv().unwrap());
        threads.spawn(scope.inside(move || {
            to_first.send(lock.lock()).unwrap();
            first.join().unwrap();
            drop(lock.lock());
        }));
    });
    scope.assert_no_findings();
}

#[test]
#[cfg(feature = "lock_api")]
fn what_was_tried_while_signals_are_blocked_may_be_unlocked_by_force() {
    struct Raw(parking_lot::RawMutex);
    // SAFETY: every call is forwarded to parking_lot's raw lock.
    unsafe impl lock_api::RawMutex for Raw {
        const INIT: Self = Self(<parking_lot::RawMutex as lock_api::RawMutex>::INIT);
        type GuardMarker = lock_api::GuardNoSend;
        fn lock(&self) {
            self.0.lock();
        }
        fn try_lock(&self) -> bool {
            self.0.try_lock()
        }
        unsafe fn unlock(&self) {
            // SAFETY: the caller upholds the contract of `unlock`.
            unsafe { self.0.unlock() }
        }
    }
    let lock = lock_api::Mutex::<lockdep::lock_api::RawMutex<Raw>, u8>::new(0);
    let scope = Scope::new();
    thread::scope(|threads| {
        let (lock, handle) = (&lock, scope.handle());
        threads.spawn(move || {
            block_all_signals();
            std::mem::forget(lock.try_lock().unwrap());
            thread::scope(|threads| {
                // SAFETY: it is locked, and its guard is forgotten.
                threads.spawn(|| unsafe { lock.force_unlock() });
            });
            let _entered = handle.enter();
            drop(lock.lock());
        });
    });
    scope.assert_no_findings();
}

/// A lock that an attempt acquired while signals are blocked may be released for a wait, or change
/// its mode.
#[test]
fn what_was_tried_while_signals_are_blocked_may_change() {
    let (mutex, table, changed) = (Mutex::new(0), RwLock::new(0), Condvar::new());
    thread::scope(|threads| {
        let waits = || {
            block_all_signals();
            let guard = mutex.try_lock().unwrap();
            drop(changed.wait_timeout(guard, Duration::ZERO));
            drop(mutex.lock());
        };
        let turns = || {
            block_all_signals();
            drop(RwLockWriteGuard::downgrade(table.try_write().unwrap()));
            drop(table.write());
        };
        let threads = [threads.spawn(waits), threads.spawn(turns)];
        for thread in threads {
            thread.join().expect("nothing is denied");
        }
    });
}

/// The same for parking_lot's locks, which have more operations.
#[test]
#[cfg(feature = "parking_lot")]
fn what_was_tried_while_signals_are_blocked_may_change_in_all_ways() {
    use lockdep::parking_lot::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockUpgradableReadGuard as Upgradable,
        RwLockWriteGuard as Writer,
    };
    let (mutex, table, changed) = (Mutex::new(0), RwLock::new(0), Condvar::new());
    let other = Mutex::new(0);
    thread::scope(|threads| {
        threads.spawn(|| {
            block_all_signals();
            changed.wait_for(&mut mutex.try_lock().unwrap(), Duration::ZERO);
            drop(mutex.lock());
        });
        threads.spawn(|| {
            block_all_signals();
            MutexGuard::bump(&mut other.try_lock().unwrap());
            drop(other.lock());
        });
        threads.spawn(|| {
            block_all_signals();
            let writer = Upgradable::try_upgrade(table.try_upgradable_read().unwrap());
            let writer = writer.unwrap_or_else(|_| panic!("no reader is left"));
            drop(Upgradable::downgrade(Writer::downgrade_to_upgradable(writer)));
            drop(table.write());
        });
    });
}

fn block_all_signals() {
    // SAFETY: `sigfillset` initializes the set.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

/// A thread's first lock is one that a handler tried while the thread slept.
#[test]
fn a_handler_may_come_before_the_first_lock() {
    install();
    for _ in 0..20 {
        let first = thread::spawn(|| {
            thread::park();
            drop((A.lock().unwrap(), B.lock().unwrap()));
        });
        for _ in 0..10 {
            signal(&first, libc::SIGUSR1);
        }
        first.thread().unpark();
        first.join().expect("nothing is denied");
    }
}

/// Runs the calling test again in a child process, with records.
fn is_child(test: &str) -> bool {
    if std::env::var_os("SIGNALS_IN_CHILD").is_some() {
        return true;
    }
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("signals-{}", test.replace("::", "-")));
    let _ = fs::remove_dir_all(&folder);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]);
    child.env("SIGNALS_IN_CHILD", "1").env("LOCKDEP_OUT", &folder).env("LOCKDEP_EXIT", "0");
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let records = fs::read_dir(&folder).map_or(0, Iterator::count);
    assert_eq!(records, usize::from(cfg!(feature = "write_records")));
    let _ = fs::remove_dir_all(&folder);
    false
}

/// A report and its line in the record, interrupted at each allocation.
#[test]
fn a_handler_may_interrupt_a_report() {
    if is_child("a_handler_may_interrupt_a_report") {
        install();
        sampling();
        let (a, b) = (Mutex::new(0), Mutex::new(0));
        let scope = Scope::new();
        let one_way = scope.inside(|| drop((a.lock().unwrap(), b.lock().unwrap())));
        thread::scope(|threads| threads.spawn(one_way).join()).expect("nothing is denied");
        let before = HANDLED.load(Relaxed);
        let other_way = scope.inside(|| {
            let _b = b.lock().unwrap();
            INTERRUPT_ALL.set(true);
            let denied = panic::catch_unwind(AssertUnwindSafe(|| drop(a.lock())));
            INTERRUPT_ALL.set(false);
            assert!(denied.is_err());
        });
        thread::scope(|threads| threads.spawn(other_way).join()).expect("only one is denied");
        let handled = HANDLED.load(Relaxed) - before;
        assert!(handled > 100, "{handled}");
        assert_eq!(ALLOCATIONS_IN_HANDLERS.load(Relaxed), 0);
        scope.expect(FindingKind::Inversion, &["a", "b"]);
        scope.assert_no_findings();
        drop((a.try_lock().unwrap(), SAMPLES.try_lock().unwrap(), TABLE.try_write().unwrap()));
    }
}

/// Signals after each instruction of a piece of code, as no timer delivers them.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod each_instruction {
    use std::{arch::asm, sync::mpsc};

    use super::*;

    static STEPS: AtomicU64 = AtomicU64::new(0);

    extern "C" fn step(signal: libc::c_int) {
        STEPS.fetch_add(1, Relaxed);
        handle(signal);
    }

    /// Sets or clears the processor's trap flag.
    fn set_trap_flag(is_set: bool) {
        // SAFETY: the flags are restored except for the one that makes the kernel send SIGTRAP after
        // each instruction, which has a handler.
        unsafe {
            if is_set {
                asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq");
            } else {
                asm!("pushfq", "and qword ptr [rsp], -257", "popfq");
            }
        }
    }

    /// Clears the flag, also while unwinding.
    struct Stepping;

    impl Drop for Stepping {
        fn drop(&mut self) {
            set_trap_flag(false);
        }
    }

    /// Runs `body` with a handler after each instruction. Returns the number of handlers.
    fn stepped<T>(body: impl FnOnce() -> T) -> (T, u64) {
        // SAFETY: the handler waits for nothing and allocates nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = step as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGTRAP, &raw const action, std::ptr::null_mut());
        }
        let before = STEPS.load(Relaxed);
        let stepping = Stepping;
        set_trap_flag(true);
        let result = body();
        drop(stepping);
        (result, STEPS.load(Relaxed) - before)
    }

    fn is_interrupted(steps: u64) {
        // Emulators ignore the flag.
        println!("{steps} steps");
        assert!(steps > 1_000 || std::env::var_os("LD_PRELOAD").is_some(), "{steps}");
    }

    /// An order of new locks, and its line in the record: the thread's name is new.
    #[test]
    fn of_a_new_order_and_its_line() {
        if is_child("each_instruction::of_a_new_order_and_its_line") {
            fn nest() {
                let (one, other) = (Mutex::new(0), Mutex::new(1));
                let _one = one.lock().unwrap();
                *other.lock().unwrap() += 1;
            }
            sampling();
            // Reads the source, which takes millions of instructions.
            nest();
            let named = thread::Builder::new().name("a".into()).spawn(|| {
                known();
                stepped(nest).1
            });
            is_interrupted(named.unwrap().join().unwrap());
            assert!(lockdep::findings().is_empty(), "{}", lockdep::findings()[0]);
        }
    }

    /// The waits of a condition variable, which releases its lock and takes it again, of a join, and
    /// for locks that another thread holds.
    #[test]
    fn of_waits() {
        if is_child("each_instruction::of_waits") {
            let (mutex, changed) = (Mutex::new(0), Condvar::new());
            sampling();
            known();
            let wait =
                || drop(changed.wait_timeout(mutex.lock().unwrap(), Duration::from_millis(1)));
            wait();
            let ((), steps) = stepped(wait);
            is_interrupted(steps);
            let (held, is_held) = mpsc::channel();
            let other = lockdep::thread::spawn(move || {
                let guard = A.lock().unwrap();
                held.send(()).unwrap();
                while !lockdep::held().to_string().contains("waits for") {
                    thread::yield_now();
                }
                drop(guard);
            });
            is_held.recv().unwrap();
            let ((), steps) = stepped(|| {
                known();
                other.join().unwrap();
            });
            is_interrupted(steps);
            assert!(lockdep::findings().is_empty(), "{}", lockdep::findings()[0]);
        }
    }

    /// The release of a guard that another thread has sent, and its next acquisition there.
    #[test]
    #[cfg(all(feature = "parking_lot", feature = "send_guard"))]
    fn of_the_release_of_a_sent_guard() {
        if is_child("each_instruction::of_the_release_of_a_sent_guard") {
            let (lock, other) = (lockdep::parking_lot::Mutex::new(0), Mutex::new(0));
            sampling();
            let (to_other, at_other) = mpsc::channel();
            let (done, is_done) = mpsc::channel();
            thread::scope(|threads| {
                let lock = &lock;
                threads.spawn(move || {
                    let _other = other.lock().unwrap();
                    for _ in 0..3 {
                        to_other.send(lock.lock()).unwrap();
                        is_done.recv().unwrap();
                        // Finds out that its guard was released.
                        let ((), steps) = stepped(|| drop(lock.lock()));
                        is_interrupted(steps);
                    }
                });
                for guard in at_other {
                    let ((), steps) = stepped(|| drop(guard));
                    assert!(steps > 50, "{steps}");
                    done.send(()).unwrap();
                }
            });
            assert!(lockdep::findings().is_empty(), "{}", lockdep::findings()[0]);
        }
    }
}
