//! Small programs that take locks.
//!
//! Owns what a program is, what makes it a proper one, and its text. Does not know where a
//! program comes from, nor how it is run or judged.

use std::fmt;

pub(crate) const MAX_THREADS: usize = 4;
pub(crate) const MAX_LOCKS: usize = 5;
/// A thread is run once for each way in which its tries can end.
const MAX_TRIES: usize = 2;

/// A lock is its place in [`Program::locks`].
pub(crate) type Lock = usize;
/// A thread is its place in [`Program::threads`].
pub(crate) type Thread = usize;

/// `RwLock` is `parking_lot`'s if that feature is on, else std's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Mutex,
    RwLock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    Exclusive,
    Shared,
    RecursiveShared,
    Upgradable,
    /// Of a lock that is held upgradable, which is exclusive from then on.
    Upgrade,
}

impl Mode {
    /// How a lock is held after an acquisition in this mode.
    pub(crate) fn once_held(self) -> Self {
        match self {
            Self::RecursiveShared => Self::Shared,
            Self::Upgrade => Self::Exclusive,
            other => other,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits for as long as it takes.
    Acquire(Lock, Mode),
    /// Never waits. If it fails, the thread goes on without the lock, and an upgrade and
    /// the release of it do nothing.
    TryAcquire(Lock, Mode),
    Release(Lock),
}

impl Step {
    pub(crate) fn lock(self) -> Lock {
        let (Self::Acquire(lock, _) | Self::TryAcquire(lock, _) | Self::Release(lock)) = self;
        lock
    }
}

/// Threads that all run at the same time. None takes a lock that it holds, but to
/// upgrade it, and each releases what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) locks: Vec<Kind>,
    pub(crate) threads: Vec<Vec<Step>>,
}

impl Program {
    /// Reads what [`Display`](fmt::Display) prints, with ` // ` or a line's end between
    /// threads. What is not released in it is released when its thread ends.
    pub(crate) fn parse(text: &str) -> Self {
        let mut locks = Vec::new();
        let mut thread = |line: &str| {
            let mut builder = Builder::default();
            for step in line.split(',') {
                let (verb, name) = step.trim().split_once(' ').expect("a verb and a lock");
                let lock = NAMES.find(name).expect("a lock's name");
                if locks.len() <= lock {
                    locks.resize(lock + 1, Kind::RwLock);
                }
                if verb.ends_with("lock") {
                    locks[lock] = Kind::Mutex;
                }
                match (verb.trim_start_matches("try_"), verb.starts_with("try_")) {
                    ("lock" | "write", tries) => builder.acquire(lock, Mode::Exclusive, tries),
                    ("read", tries) => builder.acquire(lock, Mode::Shared, tries),
                    ("read_recursive", tries) => {
                        builder.acquire(lock, Mode::RecursiveShared, tries);
                    }
                    ("upgradable_read", tries) => builder.acquire(lock, Mode::Upgradable, tries),
                    ("upgrade", false) => builder.acquire(lock, Mode::Upgrade, false),
                    ("release", false) => builder.release(lock),
                    _ => panic!("no step is called {verb}"),
                }
            }
            builder.finish()
        };
        let lines = text.split(['\n', '/']).map(str::trim).filter(|line| !line.is_empty());
        let threads = lines.map(&mut thread).collect();
        Self { locks, threads }
    }

    fn verb(&self, step: Step) -> &'static str {
        let (lock, mode, tries) = match step {
            Step::Acquire(lock, mode) => (lock, mode, false),
            Step::TryAcquire(lock, mode) => (lock, mode, true),
            Step::Release(_) => return "release",
        };
        match (mode, self.locks[lock], tries) {
            (Mode::Exclusive, Kind::Mutex, false) => "lock",
            (Mode::Exclusive, Kind::Mutex, true) => "try_lock",
            (Mode::Exclusive, Kind::RwLock, false) => "write",
            (Mode::Exclusive, Kind::RwLock, true) => "try_write",
            (Mode::Shared, _, false) => "read",
            (Mode::Shared, _, true) => "try_read",
            (Mode::RecursiveShared, _, false) => "read_recursive",
            (Mode::RecursiveShared, _, true) => "try_read_recursive",
            (Mode::Upgradable, _, false) => "upgradable_read",
            (Mode::Upgradable, _, true) => "try_upgradable_read",
            (Mode::Upgrade, ..) => "upgrade",
        }
    }

    /// One step, as it is printed.
    pub(crate) fn step(&self, step: Step) -> String {
        format!("{} {}", self.verb(step), name(step.lock()))
    }
}

const NAMES: &str = "ABCDE";

pub(crate) fn name(lock: Lock) -> &'static str {
    &NAMES[lock..=lock]
}

impl fmt::Display for Program {
    /// A line for each thread.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for thread in &self.threads {
            let steps: Vec<_> = thread.iter().map(|&step| self.step(step)).collect();
            writeln!(f, "    {}", steps.join(", "))?;
        }
        Ok(())
    }
}

/// Makes a thread's steps, and sees to it that they are proper ones.
#[derive(Default)]
pub(crate) struct Builder {
    steps: Vec<Step>,
    held: Vec<(Lock, Mode)>,
    tries: usize,
}

impl Builder {
    pub(crate) fn held(&self) -> &[(Lock, Mode)] {
        &self.held
    }

    /// Does nothing if the lock is held, or for an upgrade, if it is not held upgradable.
    pub(crate) fn acquire(&mut self, lock: Lock, mode: Mode, tries: bool) {
        let before = self.held.iter().position(|&(held, _)| held == lock);
        match (mode, before) {
            (Mode::Upgrade, Some(at)) if self.held[at].1 == Mode::Upgradable => {
                self.held[at].1 = Mode::Exclusive;
                self.steps.push(Step::Acquire(lock, mode));
            }
            (Mode::Upgrade, _) | (_, Some(_)) => {}
            _ => {
                self.held.push((lock, mode));
                let tries = tries && self.tries < MAX_TRIES;
                self.tries += usize::from(tries);
                let step = if tries { Step::TryAcquire } else { Step::Acquire };
                self.steps.push(step(lock, mode));
            }
        }
    }

    pub(crate) fn release(&mut self, lock: Lock) {
        if let Some(at) = self.held.iter().position(|&(held, _)| held == lock) {
            self.held.remove(at);
            self.steps.push(Step::Release(lock));
        }
    }

    pub(crate) fn release_all(&mut self) {
        while let Some((lock, _)) = self.held.pop() {
            self.steps.push(Step::Release(lock));
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Step> {
        self.release_all();
        self.steps
    }
}
