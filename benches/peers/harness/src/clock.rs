//! Clocks, and how often something has to be done to be seen by them.

use std::time::Duration;

use nix::{
    sys::resource::{UsageWho, getrusage},
    time::{ClockId, clock_gettime},
};

/// What a thread has computed, which others on the machine do not change. As an `Instant`.
#[derive(Clone, Copy)]
pub(crate) struct ThreadTime(Duration);

impl ThreadTime {
    /// Of the calling thread.
    pub(crate) fn now() -> Self {
        Self(read(ClockId::CLOCK_THREAD_CPUTIME_ID))
    }

    /// Since then.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// What all threads of this process have computed.
pub(crate) fn process() -> Duration {
    read(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("each thread and process has a clock").into()
}

/// How often `operation` has to be done to take some 8 ms of this thread's time. It has been done
/// for a while, then, so that it is as warm as it gets.
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

/// How often the calling thread had to give up its core though it had more to do.
pub(crate) fn interruptions() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("each thread has an account");
    usage.involuntary_context_switches()
}

/// Nanoseconds each.
pub(crate) fn each(time: Duration, times: u64) -> f64 {
    time.as_nanos() as f64 / times as f64
}
