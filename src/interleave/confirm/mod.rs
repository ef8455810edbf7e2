//! Makes a predicted deadlock happen.

mod outcome;
mod player;
mod rendezvous;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

pub use self::outcome::{Confirmation, Confirmed, NotReached, Obstacle, Replay};
use self::{outcome::Part, rendezvous::Rendezvous};
use super::{alone, thread_group::ThreadGroup};
use crate::{
    finding::{Edge, Finding, FindingKind},
    ledger, points, upstream, validator,
};

/// Runs a program again and drives its threads into the deadlock that a finding predicts, with the
/// default attempts, timeout and seed of [`Confirm`].
///
/// ```
/// use std::{sync::Arc, thread};
/// use lockdep::{interleave, sync::Mutex, testing};
///
/// fn program() {
///     let locks = Arc::new((Mutex::new(()), Mutex::new(())));
///     let other = Arc::clone(&locks);
///     let thread = thread::spawn(move || drop((other.0.lock(), other.1.lock())));
///     drop((locks.1.lock(), locks.0.lock()));
///     let _ = thread.join();
/// }
///
/// let findings = testing::collect(program);
/// if let Some(inversion) = findings.first() {
///     let confirmation = interleave::confirm(inversion, program);
///     assert!(confirmation.is_confirmed(), "{confirmation}");
/// }
/// ```
pub fn confirm<R>(finding: &Finding, program: impl FnMut() -> R) -> Confirmation {
    Confirm::new(finding).run(program)
}

/// Configures how a finding is confirmed.
///
/// ```
/// # use std::thread;
/// # use lockdep::{interleave::Confirm, sync::Mutex, testing};
/// fn program() {
///     let (a, b) = (Mutex::new(()), Mutex::new(()));
///     thread::scope(|scope| {
///         scope.spawn(|| drop((a.lock(), b.lock())));
///         drop((b.lock(), a.lock()));
///     });
/// }
///
/// for inversion in testing::collect(program) {
///     let confirmation = Confirm::new(&inversion).attempts(10).seed(42).run(program);
///     assert!(confirmation.is_confirmed(), "{confirmation}");
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `run`"]
pub struct Confirm {
    /// The part of each thread in the deadlock, or why there is nothing to confirm.
    parts: Result<Arc<[Part]>, Obstacle>,
    attempts: u32,
    timeout: Duration,
    seed: u64,
}

impl Confirm {
    /// Returns a configuration with 3 attempts, a timeout of one second and seed 0.
    pub fn new(finding: &Finding) -> Self {
        let parts = match finding.kind() {
            FindingKind::Inversion
            | FindingKind::OrderedInversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion
            | FindingKind::ClassInversion
            | FindingKind::Deadlock => {
                let mut places = finding.cycle().iter().map(Edge::acquired_at);
                match places.find(|place| upstream::retakes_locks(place.file())) {
                    Some(place) => Err(Obstacle::Unbreakable { place: place.to_string() }),
                    None => Ok(finding.cycle().iter().map(Part::from).collect()),
                }
            }
            kind => Err(Obstacle::NoCycle(kind)),
        };
        Self { parts, attempts: 3, timeout: Duration::from_secs(1), seed: 0 }
    }

    /// Sets how often the program is run at most. In the first attempt, each thread stops wherever
    /// it can take a part; in later ones, at a random selection of these places.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets how long a stopped thread waits for the others. The n-th stop at one place waits `timeout
    /// / n`, so that a loop cannot stall the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the seed of the random choices.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs the program until the deadlock has happened.
    ///
    /// A thread that holds the first lock of an edge of the predicted cycle, acquired at the place
    /// that the finding names, is stopped where it is about to acquire the second. When every
    /// thread of the cycle is stopped and holds the lock that another of them wants, all are
    /// released, and each blocks. The one that closes the cycle reports the
    /// [`Deadlock`](FindingKind::Deadlock) and panics at any level, so that the others can
    /// continue. This panic is expected; if it propagates out of the program, it is caught here.
    /// The report is in [`Confirmed`], and not among [`lockdep::findings`](crate::findings).
    ///
    /// The same holds for [tasks](super#tasks), which are suspended instead of stopped, and for cycles of threads and tasks.
    ///
    /// The acquisitions of stopped threads are not denied; the findings of all other threads are as
    /// usual. Any thread that reaches these places counts as one of the program's if the program
    /// [started it](super#whose-threads) or it existed before, as in a pool. Concurrent calls run
    /// one after the other.
    ///
    /// # Panics
    ///
    /// Resumes a panic of the program in an attempt that did not succeed.
    #[track_caller]
    pub fn run<R>(self, mut program: impl FnMut() -> R) -> Confirmation {
        let parts = match &self.parts {
            Ok(_) if !validator::is_on() => {
                return NotReached::because(Obstacle::NotChecked).into();
            }
            Ok(parts) => parts,
            Err(why) => return NotReached::because(why.clone()).into(),
        };
        let mut last = NotReached::because(Obstacle::NoAttempt);
        for attempt in 0..self.attempts {
            let replay = Replay { parts: Arc::clone(parts), attempt, seed: self.seed };
            match attempt_once(replay, self.timeout, &mut program) {
                Ok(confirmed) => return confirmed.into(),
                Err(not_reached) => last = not_reached,
            }
        }
        last.into()
    }
}

impl Replay {
    /// Runs the program again with the schedule that led to the deadlock.
    ///
    /// # Panics
    ///
    /// As [`Confirm::run`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::thread;
    /// # use lockdep::{interleave, sync::Mutex, testing};
    /// # fn program() {
    /// #     let (a, b) = (Mutex::new(()), Mutex::new(()));
    /// #     thread::scope(|scope| {
    /// #         scope.spawn(|| drop((a.lock(), b.lock())));
    /// #         drop((b.lock(), a.lock()));
    /// #     });
    /// # }
    /// for inversion in testing::collect(program) {
    ///     if let Some(confirmed) = interleave::confirm(&inversion, program).confirmed() {
    ///         assert!(confirmed.schedule().run(program).is_confirmed());
    ///     }
    /// }
    /// ```
    #[track_caller]
    pub fn run<R>(&self, mut program: impl FnMut() -> R) -> Confirmation {
        if !validator::is_on() {
            return NotReached::because(Obstacle::NotChecked).into();
        }
        match attempt_once(self.clone(), Duration::from_secs(1), &mut program) {
            Ok(confirmed) => confirmed.into(),
            Err(not_reached) => not_reached.into(),
        }
    }
}

#[track_caller]
fn attempt_once<R>(
    replay: Replay,
    timeout: Duration,
    program: &mut impl FnMut() -> R,
) -> Result<Confirmed, NotReached> {
    let _alone = alone::wait();
    let (family, _member) = ThreadGroup::found();
    let scope = validator::inside(ledger::open_scope);
    let rendezvous = Arc::new(Rendezvous::new(&replay, timeout, scope, family));
    let result = {
        let _open = points::open(Arc::clone(&rendezvous) as _);
        let _participation =
            points::participate(points::Controller::role(Arc::clone(&rendezvous) as _, ""));
        catch_unwind(AssertUnwindSafe(program))
    };
    let not_reached = rendezvous.close();
    let is_deadlock = |finding: &Finding| finding.kind() == FindingKind::Deadlock;
    let deadlock = validator::inside(|| {
        let deadlock = ledger::take_findings_in(scope, is_deadlock).pop();
        ledger::close_scope(scope);
        deadlock
    });
    match (deadlock, result) {
        (Some(deadlock), _) => Ok(Confirmed { deadlock, replay }),
        (None, Ok(_)) => Err(not_reached),
        (None, Err(panic)) => resume_unwind(panic),
    }
}
