//! The level of each kind. The environment overrides the program, which overrides the default.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::settings;
use crate::finding::{FindingKind, Level, WaitKind};

/// The levels set by the program, by kind: the level's index in [`Level::ALL`] plus one, or 0 if
/// unset.
static ASKED: [AtomicU8; FindingKind::ALL.len()] =
    [const { AtomicU8::new(0) }; FindingKind::ALL.len()];
/// The same for each kind of wait.
static ASKED_OF_WAITS: [AtomicU8; WaitKind::ALL.len()] =
    [const { AtomicU8::new(0) }; WaitKind::ALL.len()];

/// Returns the level in force for a kind.
pub(crate) fn level(kind: FindingKind) -> Level {
    let asked = || asked(&ASKED[kind as usize]);
    settings().level(kind).or_else(asked).unwrap_or_else(|| kind.default_level())
}

/// Returns the level in force for a wait while a lock is held. A level for this kind of wait
/// overrides the level for all waits.
pub(crate) fn wait_level(kind: WaitKind) -> Level {
    let asked = || {
        let of_all = || asked(&ASKED[FindingKind::WaitWhileHolding as usize]);
        asked(&ASKED_OF_WAITS[kind as usize]).or_else(of_all)
    };
    settings().wait_level(kind).or_else(asked).unwrap_or_else(|| kind.default_level())
}

fn asked(level: &AtomicU8) -> Option<Level> {
    match level.load(Relaxed) {
        0 => None,
        level => Some(Level::ALL[usize::from(level) - 1]),
    }
}

/// See [`crate::set_level`].
pub(crate) fn set_level(kind: FindingKind, level: Level) {
    ASKED[kind as usize].store(level as u8 + 1, Relaxed);
}

/// See [`crate::set_wait_level`].
pub(crate) fn set_wait_level(kind: WaitKind, level: Level) {
    ASKED_OF_WAITS[kind as usize].store(level as u8 + 1, Relaxed);
}
