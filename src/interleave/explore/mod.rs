//! Explores interleavings, each determined by a seed.

mod others;
mod pct;
mod scheduler;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use self::{
    pct::Priorities,
    scheduler::{Conducted, Scheduler},
};
use super::{alone, thread_group::ThreadGroup};
use crate::{duration, ledger, points, testing::Scope, validator};

/// How long a thread in an unknown state must be silent before it counts as blocked.
const SILENCE: Duration = Duration::from_millis(20);

/// Runs a test once per seed, each time with another interleaving, with the default depth and timeout
/// of [`Explore`].
///
/// # Panics
///
/// Resumes the panic of the first run that fails, after printing its seed.
///
/// # Examples
///
/// ```
/// use std::{sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}}, thread};
/// use lockdep::interleave::{self, inside, point};
///
/// let explored = interleave::explore(0..20, || {
///     let visits = Arc::new(AtomicU64::new(0));
///     let visit = |visits: Arc<AtomicU64>| {
///         point!("about to count");
///         visits.fetch_add(1, Relaxed); // load and store instead would fail here
///         point!("counted");
///     };
///     let threads = ["one", "other"].map(|name| {
///         let visits = Arc::clone(&visits);
///         thread::spawn(inside(name, move || visit(visits)))
///     });
///     for thread in threads {
///         thread.join().unwrap();
///     }
///     assert_eq!(visits.load(Relaxed), 2);
/// });
/// println!("{explored}");
/// ```
#[track_caller]
pub fn explore<R>(seeds: impl IntoIterator<Item = u64>, test: impl FnMut() -> R) -> Explored {
    Explore::new().run(seeds, test)
}

/// Configures the search: one thread runs at a time, from one [point](super#points) to the next,
/// and random priorities decide which.
///
/// The algorithm is PCT (Burckhardt, Kothari, Musuvathi, Nagarakatti: A Randomized Scheduler with
/// Probabilistic Guarantees of Finding Bugs, ASPLOS 2010). Each thread has a random priority, and
/// the runnable thread with the highest one runs. At `depth - 1` random steps, the running thread
/// gets the lowest priority. A bug that needs `depth` ordering constraints (two threads, one before
/// the other: 1; a lost update: 2) is found by each seed with a probability of at least `1 / (n *
/// k^(depth - 1))`, for `n` threads and `k` steps.
///
/// # Threads
///
/// The search controls the calling thread, threads brought in by [`inside`](super::inside()), and
/// threads that [these started](super#whose-threads) once they reach a point or acquire their first
/// lock, unless a [`Schedule`](super::Schedule) orders them by name. A thread that blocks on
/// anything other than a checked lock, such as a join or a channel, is left alone until it reaches
/// a point again. A thread that keeps coming to the same point, because it retries a lock, lets all
/// others go first after a number of times. A thread that spins without a point keeps all others
/// waiting, up to the [timeout](Self::timeout).
///
/// # The same seed
///
/// The same seed gives the same order of points if the test does nothing else that depends on
/// chance. This holds on Linux, where the kernel tells which threads sleep. Elsewhere a thread
/// counts as blocked after 20 ms without an event. Time depends on chance, and so does a thread
/// that existed before the test, as in a pool: until it reaches a point, the search does not know
/// that it will.
///
/// # Examples
///
/// ```
/// # use std::{thread, time::Duration};
/// # use lockdep::{interleave::Explore, sync::Mutex};
/// let explore = Explore::new().depth(2).timeout(Duration::from_secs(60));
/// explore.run(0..10, || {
///     let stock = Mutex::new(2);
///     thread::scope(|scope| {
///         scope.spawn(|| *stock.lock().unwrap() -= 1);
///         scope.spawn(|| *stock.lock().unwrap() -= 1);
///     });
///     assert_eq!(*stock.lock().unwrap(), 0);
/// });
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `run`"]
pub struct Explore {
    depth: u32,
    timeout: Duration,
}

impl Default for Explore {
    fn default() -> Self {
        Self::new()
    }
}

impl Explore {
    /// Returns a configuration with depth 3 and a timeout of 10 seconds.
    pub fn new() -> Self {
        Self { depth: 3, timeout: Duration::from_secs(10) }
    }

    /// Sets how many ordering constraints a bug may need: one more than there are changes of
    /// priority.
    ///
    /// ```
    /// # use lockdep::interleave::Explore;
    /// // Threads keep their priorities: it is found if one thread has to be before the other, once.
    /// Explore::new().depth(1).run(0..3, || { /* the test */ });
    /// ```
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Sets how long a run may be controlled. Afterwards all threads run freely, the run's outcome
    /// counts, and standard error says so.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs the test once without changes of priority, to count its steps, and then once per seed.
    /// A run fails by a panic of the test, or by a finding at [`Level::Deny`](crate::Level::Deny)
    /// in one of its threads.
    ///
    /// In an unchecked build, runs the test once per seed without control.
    ///
    /// # Panics
    ///
    /// Panics as the first run that fails, or with its findings. Prints the seed and the order of
    /// points before.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::interleave::Explore;
    /// // The seed that failed, until it is mended; then many.
    /// Explore::new().run([17], || { /* the test */ });
    /// Explore::new().run(0..20, || { /* the test */ });
    /// ```
    #[track_caller]
    pub fn run<R>(
        self,
        seeds: impl IntoIterator<Item = u64>,
        mut test: impl FnMut() -> R,
    ) -> Explored {
        let seeds = seeds.into_iter();
        if !validator::is_on() {
            return Explored {
                orders: seeds.map(|_| drop(test())).map(|()| Order::default()).collect(),
            };
        }
        let _alone = alone::wait();
        let count = self.once(None, Priorities::new(0, 0, 0), &mut test);
        let steps = count.0.len() as u64;
        let changes = self.depth.saturating_sub(1);
        let orders = seeds
            .map(|seed| self.once(Some(seed), Priorities::new(seed, steps, changes), &mut test))
            .collect();
        Explored { orders }
    }

    #[track_caller]
    fn once<R>(
        &self,
        seed: Option<u64>,
        priorities: Priorities,
        test: &mut impl FnMut() -> R,
    ) -> Order {
        let scope = Scope::new();
        let (family, _member) = ThreadGroup::found();
        let (scheduler, conducting) =
            Scheduler::start(priorities, self.timeout, scope.handle(), family);
        let result = {
            let _open = points::open(Arc::clone(&scheduler) as _);
            let _participation = points::participate(points::Controller::role(
                Arc::clone(&scheduler) as _,
                "the test",
            ));
            catch_unwind(AssertUnwindSafe(test))
        };
        let Conducted { order, to_the_end } = scheduler.close(conducting);
        if !to_the_end {
            let run =
                seed.map_or_else(|| "the first run".to_owned(), |seed| format!("seed {seed}"));
            let timeout = duration::Display(self.timeout);
            ledger::print(&format!(
                "lockdep: `explore`: {run} took longer than its timeout of {timeout}, from which on its \
                 threads went as they liked: what it does may not be the same again"
            ));
        }
        let say = |why: &str| {
            let seed = match seed {
                Some(seed) => format!("seed {seed} fails: `explore([{seed}], ..)` runs it again"),
                None => "the first run fails, which has no seed and always comes first".to_owned(),
            };
            ledger::print(&format!("lockdep: {seed}{why}. The order of its points:\n{order}"));
        };
        if let Err(panic) = result {
            say("");
            drop(scope.take_findings());
            resume_unwind(panic);
        }
        let mut findings = scope.take_findings();
        findings.retain(|finding| finding.level() >= crate::Level::Deny);
        if let Some(finding) = findings.first() {
            say(", by a finding");
            panic!("{finding}");
        }
        order
    }
}

/// The runs of an exploration that did not fail.
#[derive(Clone, Debug)]
pub struct Explored {
    orders: Vec<Order>,
}

impl Explored {
    /// Returns the order of points of each run, by seed.
    #[must_use]
    pub fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// Returns the number of distinct orders.
    #[must_use]
    pub fn different(&self) -> usize {
        self.orders.iter().collect::<std::collections::HashSet<_>>().len()
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs, {} different orders of points", self.orders.len(), self.different())
    }
}

/// The order in which threads passed points.
///
/// ```
/// use lockdep::interleave::{Order, explore, point};
///
/// // The same seed gives the same order.
/// let explored = explore([7, 7], || point!("begun"));
/// let [first, again]: &[Order] = explored.orders() else { panic!("there are two seeds") };
/// assert_eq!(first, again);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Order(Vec<Step>);

/// One step: a thread continues from a point.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Step {
    thread: Box<str>,
    point: Box<str>,
}

impl Order {
    /// Returns each step as text: ``one: acquire of `lock` ``.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.thread, self.point)
    }
}

impl fmt::Display for Order {
    /// Writes one line per step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            writeln!(f, "    {step}")?;
        }
        Ok(())
    }
}
