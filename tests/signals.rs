//! Signal handlers that try checked locks, at any instruction of a thread that takes and releases others.
//! All of it is correct: whatever is found is wrong.
#![cfg(all(unix, any(debug_assertions, feature = "enforce")))]
#![allow(unsafe_code, reason = "to install a signal handler, and to send signals")]

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use lockdep::sync::{Mutex, RwLock};

static A: Mutex<u64> = Mutex::new(0);
static B: Mutex<u64> = Mutex::new(0);
static SAMPLES: Mutex<u64> = Mutex::new(0);
static MORE: Mutex<u64> = Mutex::new(0);
static TABLE: RwLock<u64> = RwLock::new(0);
static BEGUN: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicBool = AtomicBool::new(false);
static HANDLED: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes what it can get, one within the other, and gives all of it back.
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
        // SAFETY: `handle` takes nothing that it would wait for, and allocates nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Takes two locks of which all is known, in the same order each time; and one of them for readers.
fn known() {
    let a = A.lock().unwrap();
    let table = TABLE.read().unwrap();
    *B.lock().unwrap() += *a;
    drop(table);
}

/// Takes new locks.
fn fresh() {
    let _a = A.lock().unwrap();
    let (one, other) = (Mutex::new(0), Mutex::new(1));
    *one.lock().unwrap() += 1;
    *other.lock().unwrap() += 1;
    let _both = (one.lock().unwrap(), other.lock().unwrap());
}

/// Releases what it took first, and holds more than there is room for without an allocation.
fn crossed() {
    let many: Vec<Mutex<()>> = (0..20).map(|_| Mutex::new(())).collect();
    let mut guards: Vec<_> = many.iter().map(|lock| lock.lock().unwrap()).collect();
    drop(guards.remove(17));
    drop(guards.remove(3));
    drop(guards.remove(0));
    drop(guards.pop());
}

/// Takes what the handler takes, as well.
fn sampling() {
    let _a = A.lock().unwrap();
    *SAMPLES.lock().unwrap() += 1;
    drop(TABLE.read().unwrap());
}

fn writing() {
    *TABLE.write().unwrap() += 1;
    thread::yield_now();
}

#[test]
fn whatever_a_handler_takes_and_gives_back_goes_unnoticed() {
    let seconds = std::env::var("SIGNAL_STORM_SECONDS").ok().and_then(|it| it.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(2));
    install();
    // A number for each, and a first sight of the only order that there is.
    sampling();
    known();
    writing();
    drop(SAMPLES.try_lock().map(|_samples| drop(MORE.try_lock())));
    let loops: [fn(); 5] = [known, fresh, crossed, sampling, writing];
    let threads = loops.map(|body| {
        thread::spawn(move || {
            let mut times = 0;
            BEGUN.fetch_add(1, Relaxed);
            while !DONE.load(Relaxed) {
                body();
                times += 1;
            }
            times
        })
    });
    // Not before std knows its own threads: it aborts where a handler was first to ask for their names.
    while BEGUN.load(Relaxed) < threads.len() {
        thread::yield_now();
    }
    let begun = Instant::now();
    let mut sent = 0_u64;
    while begun.elapsed() < length && !threads.iter().any(thread::JoinHandle::is_finished) {
        for thread in &threads {
            use std::os::unix::thread::JoinHandleExt;
            let signal = if sent % 2 == 0 { libc::SIGUSR1 } else { libc::SIGUSR2 };
            // SAFETY: the thread is not joined before this loop ends.
            unsafe { libc::pthread_kill(thread.as_pthread_t(), signal) };
            sent += 1;
        }
        if sent % 4 == 0 {
            thread::sleep(Duration::from_micros(20));
        }
    }
    DONE.store(true, Relaxed);
    let times: [u64; 5] = threads.map(|thread| thread.join().expect("nothing is denied"));
    println!("{times:?} rounds, {sent} signals, {HANDLED:?} handled, {TAKEN:?} taken");
    let findings = lockdep::findings();
    assert!(findings.is_empty(), "{} findings: {}", findings.len(), findings[0]);
}

/// The first lock of a thread is one that a handler tries: of one that sleeps, and then goes on to take locks.
#[test]
fn a_handler_may_be_the_first() {
    install();
    for _ in 0..20 {
        let ready = AtomicUsize::new(0);
        thread::scope(|scope| {
            let first = scope.spawn(|| {
                // SAFETY: of the calling thread.
                ready.store(unsafe { libc::pthread_self() } as usize, Relaxed);
                thread::sleep(Duration::from_millis(2));
                drop((A.lock().unwrap(), B.lock().unwrap()));
            });
            while ready.load(Relaxed) == 0 {
                thread::yield_now();
            }
            for _ in 0..10 {
                // SAFETY: the thread is not joined yet.
                unsafe { libc::pthread_kill(ready.load(Relaxed) as libc::pthread_t, libc::SIGUSR1) };
            }
            first.join().unwrap();
        });
    }
    assert!(lockdep::findings().is_empty());
}
