//! Random programs.
//!
//! Owns how likely what is: gates, modes, tries, releases out of order. What is made here is
//! made smaller by proptest, part by part.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::program::{Builder, Kind, MAX_LOCKS, MAX_THREADS, Mode, Program};

/// How many locks a section holds at once, its gate not counted.
const MAX_NESTED: usize = 3;

/// How often each is taken, the plainest first.
const MODES: &[Mode] = if cfg!(feature = "parking_lot") {
    use Mode::{Exclusive, RecursiveShared, Shared, Upgradable};
    &[Exclusive, Exclusive, Shared, Shared, RecursiveShared, Upgradable]
} else {
    &[Mode::Exclusive, Mode::Shared]
};

/// What a section does next, before it is known what is held by then.
#[derive(Clone, Debug)]
enum Intent {
    Take { lock: usize, mode: Mode, tries: bool },
    Upgrade,
    Release { which: usize },
}

/// A part of a thread that begins and ends with nothing held.
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

/// Programs of two to four threads over two to five locks.
pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let kind = prop_oneof![2 => Just(Kind::Mutex), 3 => Just(Kind::RwLock)];
    let gate = (0..MAX_LOCKS, prop_oneof![3 => Just(Mode::Exclusive), 1 => Just(Mode::Shared)]);
    let threads = vec(vec(section(), 1..=3), 2..=MAX_THREADS);
    (vec(kind, 2..=MAX_LOCKS), option::weighted(0.4, gate), threads).prop_map(
        |(locks, gate, threads)| {
            let threads = threads.into_iter().map(|sections| {
                let mut builder = Builder::default();
                for section in sections {
                    perform(&mut builder, &locks, gate.filter(|_| section.in_gate), &section);
                }
                builder.finish()
            });
            Program { threads: threads.collect(), locks }
        },
    )
}

fn perform(builder: &mut Builder, locks: &[Kind], gate: Option<(usize, Mode)>, section: &Section) {
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
        }
    }
    builder.release_all();
}
