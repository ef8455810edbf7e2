//! The level of each kind: the environment over the program over the default.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::settings;
use crate::finding::{FindingKind, Level};

/// What the program asked for, by kind: the level's place in [`Level::ALL`]
/// plus one, or 0 if it did not ask.
static ASKED: [AtomicU8; FindingKind::ALL.len()] =
    [const { AtomicU8::new(0) }; FindingKind::ALL.len()];

/// The level in force for a kind.
pub(crate) fn level(kind: FindingKind) -> Level {
    let asked = || match ASKED[kind as usize].load(Relaxed) {
        0 => None,
        level => Some(Level::ALL[usize::from(level) - 1]),
    };
    settings().level(kind).or_else(asked).unwrap_or_else(|| kind.default_level())
}

/// See [`crate::set_level`].
pub(crate) fn set_level(kind: FindingKind, level: Level) {
    ASKED[kind as usize].store(level as u8 + 1, Relaxed);
}
