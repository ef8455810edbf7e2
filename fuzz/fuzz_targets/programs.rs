//! Programs over a few locks, decoded from bytes: the findings agree with the naive oracle of
//! `tests/oracle` about all interleavings.
#![no_main]
#![allow(dead_code, reason = "the tests need more of it")]

#[path = "../../tests/oracle/case.rs"]
mod case;
#[path = "../../tests/oracle/forks.rs"]
mod forks;
#[path = "../../tests/oracle/locks.rs"]
mod locks;
#[path = "../../tests/oracle/paths.rs"]
mod paths;
#[path = "../../tests/oracle/program.rs"]
mod program;
#[path = "../../tests/oracle/reasons.rs"]
mod reasons;
#[path = "../../tests/oracle/scheduler.rs"]
mod scheduler;
#[path = "../../tests/oracle/threads.rs"]
mod threads;

use program::{Builder, Kind, MAX_LOCKS, MAX_THREADS, Mode, Program};

/// The maximum number of steps of a thread: all interleavings are tried.
const STEPS: usize = 10;

const MODES: [Mode; 4] = [Mode::Exclusive, Mode::Shared, Mode::RecursiveShared, Mode::Upgradable];

/// The first byte encodes the kinds of the locks, each further byte a step or the start of the next
/// thread.
fn program(bytes: &[u8]) -> Option<Program> {
    let (&shape, steps) = bytes.split_first()?;
    let kind = |lock: usize| if shape >> lock & 1 == 0 { Kind::Mutex } else { Kind::RwLock };
    let locks: Vec<_> = (0..MAX_LOCKS).map(kind).collect();
    let thread = |steps: &[u8]| {
        let mut builder = Builder::default();
        for &step in steps.iter().take(STEPS) {
            let lock = usize::from(step & 7) % MAX_LOCKS;
            match step >> 3 & 7 {
                0 | 1 => builder.release(lock),
                2 => builder.acquire(lock, Mode::Upgrade, false),
                mode => {
                    let mode = MODES[usize::from(mode) % MODES.len()];
                    let mode = if locks[lock] == Kind::Mutex { Mode::Exclusive } else { mode };
                    builder.acquire(lock, mode, step >> 6 == 3);
                }
            }
        }
        builder.finish()
    };
    let threads = steps.split(|&step| step == u8::MAX).take(MAX_THREADS).map(thread).collect();
    Some(Program { threads, locks })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    case::throw_nothing();
    let Some(program) = program(bytes) else { return };
    let case = case::Case::new(program);
    assert!(!case.is_missed() && !case.has_invented() && !case.depends_on_order(), "{case}");
});
