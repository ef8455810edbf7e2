//! Threads over thousands of locks, always in ascending order: no finding and no growth. Then the
//! same with one inversion, which must be found. Finally dense inversions: nearly all pairs of
//! locks are acquired in both orders. On Unix, a timer signal interrupts one of the threads every
//! millisecond, and its handler tries to acquire locks.
//!
//! `cargo bench --features enforce --bench soak -- 60`: runs for 60 seconds, half of them for each
//! of the first two parts.
#![allow(missing_docs, reason = "a program")]

use std::{
    collections::BTreeSet,
    fs,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use lockdep::{
    FindingKind, Level,
    sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

const THREADS: u64 = 8;
/// The number of locks that exist at the same time.
const LOCKS: usize = 4096;
/// The maximum number held at the same time.
const HELD: usize = 6;
/// One round in this many replaces a lock by a new one.
const REPLACES: u64 = 2;
/// After this many rounds, as many edges disappear with their locks as are added.
const WARM: u64 = 60_000;

/// The allowed growth from then on, in KiB, for the allocator's fragmentation.
const GROWTH: u64 = 24 * 1024;

/// Up to this many locks in dense inversions, the search for cycles is exact.
const EXACT: usize = 32;

/// Signals that interrupt the threads.
#[cfg(unix)]
#[allow(unsafe_code, reason = "installs a signal handler and sets a timer")]
mod signals {
    use std::{
        ptr,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
    };

    use lockdep::sync::{Mutex, RwLock};

    static TABLE: RwLock<u64> = RwLock::new(0);
    static SAMPLES: Mutex<u64> = Mutex::new(0);
    static HANDLED: AtomicU64 = AtomicU64::new(0);

    extern "C" fn handle(_: libc::c_int) {
        let _table = TABLE.try_read();
        if let Ok(mut samples) = SAMPLES.try_lock() {
            *samples += 1;
        }
        HANDLED.fetch_add(1, Relaxed);
    }

    /// Sends a signal every millisecond from now on.
    pub(super) fn start() {
        let period = libc::timeval { tv_sec: 0, tv_usec: 1_000 };
        let timer = libc::itimerval { it_interval: period, it_value: period };
        // SAFETY: the handler waits for nothing and allocates nothing; all pointers are valid or
        // null.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGALRM, &raw const action, ptr::null_mut());
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut());
        }
    }

    /// Returns how many signals were handled.
    pub(super) fn handled() -> u64 {
        HANDLED.load(Relaxed)
    }
}

struct Locks(Vec<std::sync::Mutex<Arc<RwLock<u64>>>>);

/// Knuth's MMIX generator; any generator would do.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn place(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("it was one")
    }
}

/// Creates all locks: two lines would be two classes of locks, without an order between them.
fn fresh() -> Arc<RwLock<u64>> {
    Arc::new(RwLock::new(0))
}

/// Any guard; it is only dropped.
enum Guard<'a> {
    Read(#[allow(dead_code, reason = "held")] RwLockReadGuard<'a, u64>),
    Write(#[allow(dead_code, reason = "held")] RwLockWriteGuard<'a, u64>),
}

impl Locks {
    fn new() -> Self {
        Self((0..LOCKS).map(|_| std::sync::Mutex::new(fresh())).collect())
    }

    fn get(&self, at: usize) -> Arc<RwLock<u64>> {
        Arc::clone(&self.0[at].lock().expect("nobody panics"))
    }

    /// Acquires some locks in ascending order, each in a random mode, and releases them in random
    /// order.
    fn round(&self, random: &mut Random) {
        let mut places: Vec<_> = (0..=random.place(HELD)).map(|_| random.place(LOCKS)).collect();
        places.sort_unstable();
        places.dedup();
        let locks: Vec<_> = places.into_iter().map(|at| self.get(at)).collect();
        let mut guards = Vec::new();
        for lock in &locks {
            match random.below(5) {
                0 => guards.extend(lock.try_write().ok().map(Guard::Write)),
                1 => guards.extend(lock.try_read().ok().map(Guard::Read)),
                2 => guards.push(Guard::Write(lock.write().expect("nobody panics"))),
                _ => guards.push(Guard::Read(lock.read().expect("nobody panics"))),
            }
        }
        while !guards.is_empty() {
            drop(guards.swap_remove(random.place(guards.len())));
        }
        if random.below(REPLACES) == 0 {
            self.renew(random.place(LOCKS));
        }
    }

    /// Replaces a lock that other threads may still use.
    fn renew(&self, at: usize) {
        *self.0[at].lock().expect("nobody panics") = fresh();
    }
}

/// Returns the memory of this process in KiB, if the system tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Runs all threads for the given time, and `meanwhile` in between. Returns the number of rounds,
/// and the growth after the warm-up.
fn soak(locks: &Arc<Locks>, time: Duration, meanwhile: impl FnOnce()) -> (u64, u64) {
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut growth = 0;
    thread::scope(|scope| {
        for seed in 1..=THREADS {
            let (stop, rounds) = (&stop, &rounds);
            scope.spawn(move || {
                let mut random = Random(seed);
                while !stop.load(Relaxed) {
                    // Only planted inversions are denied, on any thread.
                    let round = AssertUnwindSafe(|| locks.round(&mut random));
                    drop(panic::catch_unwind(round));
                    rounds.fetch_add(1, Relaxed);
                }
            });
        }
        let begun = Instant::now();
        thread::sleep(time / 4);
        meanwhile();
        let mut before = None;
        while begun.elapsed() < time {
            thread::sleep(time / 40);
            if before.is_none() && rounds.load(Relaxed) > WARM {
                before = resident();
            }
            let more = resident().zip(before).map_or(0, |(now, before)| now.saturating_sub(before));
            growth = growth.max(more);
        }
        stop.store(true, Relaxed);
    });
    (rounds.into_inner(), growth)
}

/// Acquires two of the locks in the opposite order, which is denied. Replaces them by new ones
/// afterwards.
fn invert(locks: &Locks, random: &mut Random) {
    let at = random.place(LOCKS - 1);
    let (first, second) = (locks.get(at), locks.get(at + 1));
    drop((first.write(), second.write()));
    thread::scope(|scope| {
        let inverts = scope.spawn(|| drop((second.write(), first.write())));
        drop(inverts.join());
    });
    locks.renew(at);
    locks.renew(at + 1);
}

/// Runs as many threads as there are locks, one after the other. The r-th acquires all of them in
/// the order r, r + 1, ..., r - 1. Checks that each pair is found, and that no search for cycles
/// was cut short if there are few locks.
///
/// Only a few threads can run together here, which makes this the hardest case for that search.
fn dense_inversions(locks: usize) {
    lockdep::reset();
    let before = lockdep::stats();
    let all: Vec<_> = (0..locks).map(|_| Mutex::new(())).collect();
    for thread in 0..locks {
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guards: Vec<_> =
                    (0..locks).map(|at| all[(thread + at) % locks].lock()).collect();
            });
        });
    }
    let ids = |finding: &lockdep::Finding| -> BTreeSet<u64> {
        finding.cycle().iter().map(|edge| edge.held().id()).collect()
    };
    let mut findings = lockdep::take_findings();
    // All locks are of one class.
    findings.retain(|it| it.kind() != FindingKind::SameClassNesting);
    assert!(findings.iter().all(|it| it.kind() == FindingKind::Inversion));
    let pairs = findings.iter().map(ids).filter(|ids| ids.len() == 2).collect::<BTreeSet<_>>();
    let cut_short = lockdep::stats().cut_short() - before.cut_short();
    println!(
        "dense, {locks} locks: {} pairs inverted, {cut_short} searches cut short",
        pairs.len()
    );
    assert_eq!(pairs.len(), locks * (locks - 1) / 2, "every one is found");
    // The number of searches depends only on the order of acquisitions, which is the same in each
    // run.
    assert!(locks > EXACT || cut_short == 0, "the budget suffices");
}

fn main() {
    if !lockdep::ENABLED {
        return println!("nothing is checked in this build: it takes the feature `enforce`");
    }
    let seconds = std::env::args().find_map(|argument| argument.parse().ok());
    let half = Duration::from_secs(seconds.unwrap_or(10)) / 2;
    #[cfg(unix)]
    signals::start();
    let locks = Arc::new(Locks::new());
    let (rounds, growth) = soak(&locks, half, || ());
    let findings = lockdep::take_findings();
    println!(
        "in one order: {rounds} rounds, {} edges, {} findings, {growth} KiB more once it was warm",
        lockdep::stats().edges(),
        findings.len()
    );
    assert!(findings.is_empty(), "{}", findings[0]);
    assert!(growth < GROWTH, "it grows");
    drop(locks);
    lockdep::reset();
    let locks = Arc::new(Locks::new());

    // Suppress the reports.
    panic::set_hook(Box::new(|_| ()));
    let mut planted = 0;
    let mut random = Random(0);
    let (rounds, _) = soak(&locks, half, || {
        for _ in 0..20 {
            invert(&locks, &mut random);
            let findings = lockdep::take_findings();
            planted += usize::from(findings.iter().any(|it| it.kind() == FindingKind::Inversion));
        }
    });
    println!("with inversions: {rounds} rounds, {planted} of 20 found");
    assert_eq!(planted, 20, "every one is found");

    lockdep::set_level(FindingKind::Inversion, Level::Allow);
    for locks in [8, 16, 32, 45] {
        dense_inversions(locks);
    }
    #[cfg(unix)]
    {
        println!("{} signals handled", signals::handled());
        assert!(signals::handled() > 0, "the timer runs");
    }
}
