//! Clocks, and how many repetitions are needed to measure with them.

use std::time::Duration;

use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};

/// The CPU time of a thread, which other programs do not affect. Used like `Instant`.
#[derive(Clone, Copy)]
pub(crate) struct ThreadTime(Duration);

impl ThreadTime {
    /// Returns the CPU time of the calling thread.
    pub(crate) fn now() -> Self {
        Self(read(ClockId::CLOCK_THREAD_CPUTIME_ID))
    }

    /// Returns the CPU time since then.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// Returns the CPU time of all threads of this process.
pub(crate) fn process() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("each thread and process has a clock").into()
}

/// Returns how many repetitions of `operation` take some 8 ms of this thread's time. They also warm
/// up the caches.
pub(crate) fn times_to_be_seen(mut operation: impl FnMut(u64)) -> u64 {
    let (seen, enough) = (Duration::from_millis(1), 8);
    let mut times = 16;
    loop {
        let start = ThreadTime::now();
        operation(times);
        if start.elapsed() > seen {
            return times * enough;
        }
        times *= 2;
    }
}

/// Returns how often the calling thread was preempted.
pub(crate) fn interruptions() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("each thread has an account");
    usage.involuntary_context_switches()
}

/// Returns the nanoseconds per repetition.
pub(crate) fn each(time: Duration, times: u64) -> f64 {
    time.as_nanos() as f64 / times as f64
}
