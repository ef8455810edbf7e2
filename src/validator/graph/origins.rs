//! The origins of locks: kind, creation site and first location.

use std::{panic::Location, ptr};

use rustc_hash::FxHashMap;

use crate::{finding::LockKind, validator::context::held::Entry};

/// What a report says about a lock, shared by all locks created and first seen at the same
/// locations.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) kind: &'static LockKind,
    pub(super) created: Option<&'static Location<'static>>,
    /// The first acquisition that was checked. The name is read there.
    pub(super) seen: &'static Location<'static>,
}

/// The number of an [`Origin`].
#[derive(Clone, Copy, Debug)]
pub(super) struct OriginId(u32);

/// All origins ever seen. Their number is bounded by the locations in the source, however many
/// locks come and go.
#[derive(Default)]
pub(super) struct Origins {
    all: Vec<Origin>,
    /// By the addresses of their parts.
    numbers: FxHashMap<[usize; 3], u32>,
}

impl Origins {
    pub(super) fn get(&self, id: OriginId) -> &Origin {
        &self.all[id.0 as usize]
    }

    /// Returns the origin of a lock that is held or wanted.
    pub(super) fn of(&mut self, entry: &Entry, seen: &'static Location<'static>) -> OriginId {
        let (kind, created) = (entry.kind(), entry.created());
        let place = |place: &'static Location<'static>| ptr::from_ref(place).addr();
        let key = [ptr::from_ref(kind).addr(), created.map_or(0, place), place(seen)];
        OriginId(*self.numbers.entry(key).or_insert_with(|| {
            self.all.push(Origin { kind, created, seen });
            u32::try_from(self.all.len() - 1).expect("no source has so many locations")
        }))
    }
}
