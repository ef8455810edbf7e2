//! Random programs.
//!
//! Owns the probabilities of gates, modes, tries, releases out of order, spawns and joins. Programs
//! are shrunk by proptest, part by part.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::program::{Builder, Kind, MAX_LOCKS, MAX_THREADS, Mode, Program, Thread};

/// The maximum number of locks that a section holds, without its gate.
const MAX_NESTED: usize = 3;

/// The modes, weighted by repetition, simplest first.
const MODES: &[Mode] = if cfg!(feature = "parking_lot") {
    use Mode::{Exclusive, RecursiveShared, Shared, Upgradable};
    &[Exclusive, Exclusive, Shared, Shared, RecursiveShared, Upgradable]
} else {
    &[Mode::Exclusive, Mode::Shared]
};

/// The next action of a section, before it is known which locks are held by then.
#[derive(Clone, Debug)]
enum Intent {
    Take { lock: usize, mode: Mode, tries: bool },
    Upgrade,
    Release { which: usize },
    Spawn,
    Join { which: usize },
}

/// A part of a thread that starts and ends with no lock held.
#[derive(Clone, Debug)]
struct Section {
    in_gate: bool,
    intents: Vec<Intent>,
}

fn intent() -> impl Strategy<Value = Intent> {
    let take = (0..MAX_LOCKS, select(MODES), prop::bool::weighted(0.1))
        .prop_map(|(lock, mode, tries)| Intent::Take { lock, mode, tries });
    prop_oneof![
        8 => take,
        1 => Just(Intent::Upgrade),
        2 => (0..MAX_NESTED).prop_map(|which| Intent::Release { which }),
    ]
}

fn section() -> impl Strategy<Value = Section> {
    (prop::bool::weighted(0.7), vec(intent(), 1..=5))
        .prop_map(|(in_gate, intents)| Section { in_gate, intents })
}

/// Generates programs of two to four threads over two to five locks.
pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let kind = prop_oneof![2 => Just(Kind::Mutex), 3 => Just(Kind::RwLock)];
    let gate = (0..MAX_LOCKS, prop_oneof![3 => Just(Mode::Exclusive), 1 => Just(Mode::Shared)]);
    let threads = vec(vec(section(), 1..=3), 2..=MAX_THREADS);
    (vec(kind, 2..=MAX_LOCKS), option::weighted(0.4, gate), threads).prop_map(
        |(locks, gate, threads)| {
            let threads = threads.into_iter().map(|sections| {
                let mut builder = Builder::default();
                for section in sections {
                    let gate = gate.filter(|_| section.in_gate);
                    perform(&mut builder, &locks, gate, &section, &mut Children::default());
                    builder.release_all();
                }
                builder.finish()
            });
            Program { threads: threads.collect(), locks }
        },
    )
}

/// A section of a thread that spawns and joins others.
#[derive(Clone, Debug)]
struct ForkSection {
    /// A scope around it, if any; `true` if it ends while its locks are held.
    scope: Option<bool>,
    section: Section,
    /// Actions before and after it.
    around: [Option<Intent>; 2],
}

fn fork_section() -> impl Strategy<Value = ForkSection> {
    let fork = || {
        prop_oneof![
            2 => Just(Intent::Spawn),
            1 => (0..MAX_THREADS).prop_map(|which| Intent::Join { which }),
        ]
    };
    let intent = prop_oneof![4 => intent(), 1 => fork()];
    let section = (prop::bool::weighted(0.7), vec(intent, 1..=4))
        .prop_map(|(in_gate, intents)| Section { in_gate, intents });
    let around = || option::weighted(0.5, fork());
    (option::weighted(0.15, any::<bool>()), section, [around(), around()])
        .prop_map(|(scope, section, around)| ForkSection { scope, section, around })
}

/// Which thread joins a thread that is not in a scope.
#[derive(Clone, Copy, Debug)]
enum Joiner {
    Parent,
    /// The next thread that its parent spawns, or else the parent.
    Sibling,
    Nobody,
}

/// The threads that one thread spawns and joins.
#[derive(Clone, Debug, Default)]
struct Children {
    /// The threads to spawn, and which thread will join each.
    unborn: Vec<(Thread, Joiner)>,
    /// The threads that it may join.
    unjoined: Vec<Thread>,
    /// The threads that its next child will join.
    handed_down: Vec<Thread>,
    /// The threads passed to each child.
    heirs: Vec<(Thread, Vec<Thread>)>,
}

impl Children {
    fn spawn(&mut self, builder: &mut Builder) {
        if self.unborn.is_empty() {
            return;
        }
        let (child, joiner) = self.unborn.remove(0);
        self.heirs.push((child, std::mem::take(&mut self.handed_down)));
        let is_last = self.unborn.is_empty();
        match joiner {
            _ if builder.is_in_scope() => {}
            Joiner::Sibling if !is_last => self.handed_down.push(child),
            Joiner::Parent | Joiner::Sibling => self.unjoined.push(child),
            Joiner::Nobody => {}
        }
        builder.spawn(child);
    }

    fn join(&mut self, builder: &mut Builder, which: usize) {
        if !self.unjoined.is_empty() {
            let child = self.unjoined.remove(which % self.unjoined.len());
            builder.join(child);
        }
    }
}

/// Generates programs of two to four threads over two to four locks, most of which are spawned by
/// others.
pub(crate) fn forking_programs() -> impl Strategy<Value = Program> {
    let kind = prop_oneof![2 => Just(Kind::Mutex), 1 => Just(Kind::RwLock)];
    let gate = (0..MAX_LOCKS, prop_oneof![3 => Just(Mode::Exclusive), 1 => Just(Mode::Shared)]);
    let joiner = prop_oneof![
        6 => Just(Joiner::Parent),
        1 => Just(Joiner::Sibling),
        1 => Just(Joiner::Nobody),
    ];
    // Which of the previous threads spawns each.
    let parent = (option::weighted(0.9, any::<prop::sample::Index>()), joiner);
    let threads = vec((parent, vec(fork_section(), 1..=3)), 2..=MAX_THREADS);
    (vec(kind, 2..MAX_LOCKS), option::weighted(0.2, gate), threads).prop_map(
        |(locks, gate, threads)| {
            let mut all = vec![Children::default(); threads.len()];
            for (child, ((parent, joiner), _)) in threads.iter().enumerate().skip(1) {
                if let Some(parent) = parent {
                    all[parent.index(child)].unborn.push((child, *joiner));
                }
            }
            let mut built = Vec::new();
            for (at, (_, sections)) in threads.into_iter().enumerate() {
                let mut builder = Builder::without_tries();
                let mut children = std::mem::take(&mut all[at]);
                for section in sections {
                    perform_forking(&mut builder, &locks, gate, &section, &mut children);
                }
                while !children.unborn.is_empty() {
                    children.spawn(&mut builder);
                }
                while !children.unjoined.is_empty() {
                    children.join(&mut builder, 0);
                }
                for (heir, inherited) in children.heirs {
                    all[heir].unjoined.extend(inherited);
                }
                built.push(builder.finish());
            }
            Program { threads: built, locks }
        },
    )
}

fn perform_forking(
    builder: &mut Builder,
    locks: &[Kind],
    gate: Option<(usize, Mode)>,
    ForkSection { scope, section, around: [before, after] }: &ForkSection,
    children: &mut Children,
) {
    let fork =
        |builder: &mut Builder, children: &mut Children, intent: &Option<Intent>| match intent {
            Some(Intent::Join { which }) => children.join(builder, *which),
            Some(_) => children.spawn(builder),
            None => {}
        };
    fork(builder, children, before);
    if scope.is_some() {
        builder.open_scope();
    }
    perform(builder, locks, gate.filter(|_| section.in_gate), section, children);
    if *scope == Some(true) {
        builder.close_scope();
    }
    builder.release_all();
    if builder.is_in_scope() {
        builder.close_scope();
    }
    fork(builder, children, after);
}

fn perform(
    builder: &mut Builder,
    locks: &[Kind],
    gate: Option<(usize, Mode)>,
    section: &Section,
    children: &mut Children,
) {
    let take = |builder: &mut Builder, lock: usize, mode, tries| {
        let lock = lock % locks.len();
        let mode = if locks[lock] == Kind::Mutex { Mode::Exclusive } else { mode };
        builder.acquire(lock, mode, tries);
    };
    if let Some((lock, mode)) = gate {
        take(builder, lock, mode, false);
    }
    let depth = builder.held().len();
    for intent in &section.intents {
        match *intent {
            Intent::Take { lock, mode, tries } => {
                if builder.held().len() < depth + MAX_NESTED {
                    take(builder, lock, mode, tries);
                }
            }
            Intent::Upgrade => {
                let upgradable = builder.held().iter().find(|(_, mode)| *mode == Mode::Upgradable);
                if let Some(&(lock, _)) = upgradable {
                    builder.acquire(lock, Mode::Upgrade, false);
                }
            }
            Intent::Release { which } => {
                if !builder.held().is_empty() {
                    let (lock, _) = builder.held()[which % builder.held().len()];
                    builder.release(lock);
                }
            }
            Intent::Spawn => children.spawn(builder),
            Intent::Join { which } => children.join(builder, which),
        }
    }
}
