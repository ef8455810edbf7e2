//! [`Builder`].

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
    time::Duration,
};

use super::Runtime;

/// [`tokio::runtime::Builder`], to which it dereferences.
///
/// Settings that tokio calls unstable return tokio's own builder, and the tasks of its runtime are
/// not known. Do not chain them: call them in a separate statement, then build with this builder.
///
/// ```
/// use lockdep::tokio::runtime::Builder;
///
/// let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
/// assert_eq!(runtime.block_on(async { 1 }), 1);
/// ```
pub struct Builder(::tokio::runtime::Builder);

impl Builder {
    /// As tokio's.
    #[must_use]
    pub fn new_current_thread() -> Self {
        Self(::tokio::runtime::Builder::new_current_thread())
    }

    /// As tokio's.
    #[must_use]
    #[track_caller]
    pub fn new_multi_thread() -> Self {
        Self(::tokio::runtime::Builder::new_multi_thread())
    }

    /// As tokio's.
    pub fn build(&mut self) -> io::Result<Runtime> {
        self.0.build().map(Runtime::from)
    }

    /// As tokio's.
    pub fn thread_name(&mut self, val: impl Into<String>) -> &mut Self {
        self.0.thread_name(val);
        self
    }

    /// As tokio's.
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.0.thread_name_fn(f);
        self
    }

    /// As tokio's, since tokio 1.51.
    #[track_caller]
    pub fn name(&mut self, val: impl Into<String>) -> &mut Self {
        self.0.name(val.into());
        self
    }
}

/// Implements settings with at most one argument.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty)?);)*) => {
        impl Builder {$(
            $(#[$attribute])*
            #[track_caller]
            pub fn $name(&mut self, $($argument: $type)?) -> &mut Self {
                self.0.$name($($argument)?);
                self
            }
        )*}
    };
}

/// Implements settings whose argument is a callback for the runtime's threads.
macro_rules! callbacks {
    ($($(#[$attribute:meta])* $name:ident;)*) => {
        impl Builder {$(
            $(#[$attribute])*
            pub fn $name<F>(&mut self, f: F) -> &mut Self
            where
                F: Fn() + Send + Sync + 'static,
            {
                self.0.$name(f);
                self
            }
        )*}
    };
}

settings! {
    /// As tokio's.
    enable_all();

    /// As tokio's.
    enable_io();

    /// As tokio's.
    enable_time();

    /// As tokio's.
    worker_threads(val: usize);

    /// As tokio's.
    max_blocking_threads(val: usize);

    /// As tokio's.
    thread_stack_size(val: usize);

    /// As tokio's.
    thread_keep_alive(duration: Duration);

    /// As tokio's.
    global_queue_interval(val: u32);

    /// As tokio's.
    event_interval(val: u32);

    /// As tokio's.
    max_io_events_per_tick(capacity: usize);

    /// As tokio's, since tokio 1.54.
    max_io_events_per_busy_tick(capacity: usize);

    /// As tokio's.
    start_paused(start_paused: bool);
}

callbacks! {
    /// As tokio's.
    on_thread_start;

    /// As tokio's.
    on_thread_stop;

    /// As tokio's.
    on_thread_park;

    /// As tokio's.
    on_thread_unpark;
}

/// Stands in for methods that the program's tokio lacks, because it is older or has fewer features.
/// Rust prefers an inherent method to one of a trait, so these are only called if there is no
/// inherent one.
#[allow(dead_code, reason = "mostly, the program's tokio has them")]
trait Absent: Sized {
    #[track_caller]
    fn new_multi_thread() -> Self {
        absent("its feature `rt-multi-thread`")
    }

    #[track_caller]
    fn enable_io(&mut self) {
        absent("its feature `net`");
    }

    #[track_caller]
    fn max_io_events_per_tick(&mut self, _: usize) {
        absent("its feature `net`");
    }

    #[track_caller]
    fn max_io_events_per_busy_tick(&mut self, _: usize) {
        absent("`Builder::max_io_events_per_busy_tick`");
    }

    #[track_caller]
    fn enable_time(&mut self) {
        absent("its feature `time`");
    }

    #[track_caller]
    fn start_paused(&mut self, _: bool) {
        absent("its feature `test-util`");
    }

    #[track_caller]
    fn name(&mut self, _: String) {
        absent("`Builder::name`");
    }
}

impl Absent for ::tokio::runtime::Builder {}

#[allow(dead_code, reason = "used where a method of `Absent` is")]
#[cold]
#[track_caller]
fn absent(what: &str) -> ! {
    panic!("this program's tokio does not have {what}")
}

impl Deref for Builder {
    type Target = ::tokio::runtime::Builder;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Builder {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
