//! Small programs that acquire locks, whose threads may spawn and join each other.
//!
//! Owns the definition of a valid program and its text. Does not know where a program comes from,
//! nor how it is run or checked.

use std::fmt;

pub(crate) const MAX_THREADS: usize = 4;
pub(crate) const MAX_LOCKS: usize = 5;
/// A thread is run once for each combination of failed tries.
const MAX_TRIES: usize = 2;

/// An index into [`Program::locks`].
pub(crate) type Lock = usize;
/// An index into [`Program::threads`].
pub(crate) type Thread = usize;
/// A set of threads, one bit each.
pub(crate) type Threads = u8;

/// Returns the number of a thread's exit, which counts as a lock: the thread holds it until its
/// end, and a joining thread wants it.
pub(crate) const fn exit(thread: Thread) -> Lock {
    MAX_LOCKS + thread
}

pub(crate) const fn is_exit(lock: Lock) -> bool {
    lock >= MAX_LOCKS
}

/// Returns the threads of a set.
pub(crate) fn members(threads: Threads) -> impl Iterator<Item = Thread> + Clone {
    (0..MAX_THREADS).filter(move |thread| threads & 1 << thread != 0)
}

/// `RwLock` is `parking_lot`'s if that feature is enabled, otherwise std's.
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
    /// Makes an upgradable lock exclusive.
    Upgrade,
}

impl Mode {
    /// Returns how a lock is held after an acquisition in this mode.
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
    /// Waits until it is acquired.
    Acquire(Lock, Mode),
    /// Never waits. If it fails, the thread continues without the lock, and its upgrade and release
    /// do nothing.
    TryAcquire(Lock, Mode),
    Release(Lock),
    /// In the innermost open scope, if there is one.
    Spawn(Thread),
    Join(Thread),
    OpenScope,
    /// Waits for the threads spawned in it.
    CloseScope(Threads),
}

impl Step {
    pub(crate) fn lock(self) -> Option<Lock> {
        match self {
            Self::Acquire(lock, _) | Self::TryAcquire(lock, _) | Self::Release(lock) => Some(lock),
            _ => None,
        }
    }

    /// Returns the threads that it waits for.
    pub(crate) fn joins(self) -> Threads {
        match self {
            Self::Join(thread) => 1 << thread,
            Self::CloseScope(threads) => threads,
            _ => 0,
        }
    }
}

/// Threads that run concurrently, from the start or from where they are spawned. None acquires a
/// lock that it holds, except to upgrade it, and each releases its locks. A thread is joined at
/// most once: in a scope by its parent, or else by its parent or a later sibling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) locks: Vec<Kind>,
    pub(crate) threads: Vec<Vec<Step>>,
}

impl Program {
    /// Parses the output of [`Display`](fmt::Display), with ` // ` or line breaks between threads.
    /// Locks that are not released in it are released when their thread ends.
    pub(crate) fn parse(text: &str) -> Self {
        let mut locks = Vec::new();
        let mut thread = |line: &str| {
            let mut builder = Builder::default();
            for step in line.split(',') {
                let (verb, name) = step.trim().split_once(' ').expect("a verb and a name");
                let thread = name.parse();
                match (verb, thread) {
                    ("open", _) => builder.open_scope(),
                    ("close", _) => builder.close_scope(),
                    ("spawn", Ok(thread)) => builder.spawn(thread),
                    ("join", Ok(thread)) => builder.join(thread),
                    _ => {}
                }
                let Some(lock) = NAMES[..MAX_LOCKS].iter().position(|it| *it == name) else {
                    continue;
                };
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

    /// Returns `true` if any thread spawns another or opens a scope.
    pub(crate) fn forks(&self) -> bool {
        self.threads.iter().flatten().any(|step| matches!(step, Step::Spawn(_) | Step::OpenScope))
    }

    fn verb(&self, step: Step) -> &'static str {
        let (lock, mode, tries) = match step {
            Step::Acquire(lock, mode) => (lock, mode, false),
            Step::TryAcquire(lock, mode) => (lock, mode, true),
            Step::Release(_) => return "release",
            Step::Spawn(_) => return "spawn",
            Step::Join(_) => return "join",
            Step::OpenScope => return "open",
            Step::CloseScope(_) => return "close",
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

    /// Prints one step.
    pub(crate) fn step(&self, step: Step) -> String {
        let verb = self.verb(step);
        match step {
            Step::Acquire(lock, _) | Step::TryAcquire(lock, _) | Step::Release(lock) => {
                format!("{verb} {}", name(lock))
            }
            Step::Spawn(thread) | Step::Join(thread) => format!("{verb} {thread}"),
            Step::OpenScope | Step::CloseScope(_) => format!("{verb} scope"),
        }
    }
}

/// The names of the locks, then of the threads' exits.
const NAMES: [&str; MAX_LOCKS + MAX_THREADS] =
    ["A", "B", "C", "D", "E", "(0)", "(1)", "(2)", "(3)"];

pub(crate) fn name(lock: Lock) -> &'static str {
    NAMES[lock]
}

impl fmt::Display for Program {
    /// Writes one line per thread.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for thread in &self.threads {
            let steps: Vec<_> = thread.iter().map(|&step| self.step(step)).collect();
            writeln!(f, "    {}", steps.join(", "))?;
        }
        Ok(())
    }
}

/// Builds the steps of a thread and keeps them valid.
#[derive(Default)]
pub(crate) struct Builder {
    steps: Vec<Step>,
    held: Vec<(Lock, Mode)>,
    tries: usize,
    /// The threads of each open scope, innermost last.
    scopes: Vec<Threads>,
}

impl Builder {
    /// Returns a builder for a thread without tries.
    pub(crate) fn without_tries() -> Self {
        Self { tries: MAX_TRIES, ..Self::default() }
    }

    pub(crate) fn held(&self) -> &[(Lock, Mode)] {
        &self.held
    }

    /// Does nothing if the lock is held or, for an upgrade, is not held upgradable.
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

    pub(crate) fn spawn(&mut self, thread: Thread) {
        if let Some(threads) = self.scopes.last_mut() {
            *threads |= 1 << thread;
        }
        self.steps.push(Step::Spawn(thread));
    }

    pub(crate) fn join(&mut self, thread: Thread) {
        self.steps.push(Step::Join(thread));
    }

    pub(crate) fn is_in_scope(&self) -> bool {
        !self.scopes.is_empty()
    }

    pub(crate) fn open_scope(&mut self) {
        self.scopes.push(0);
        self.steps.push(Step::OpenScope);
    }

    pub(crate) fn close_scope(&mut self) {
        if let Some(threads) = self.scopes.pop() {
            self.steps.push(Step::CloseScope(threads));
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Step> {
        self.release_all();
        while self.is_in_scope() {
            self.close_scope();
        }
        self.steps
    }
}
