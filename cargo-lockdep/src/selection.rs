//! Which locks are checked, and in which crates.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The crates that define locks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[value(rename_all = "snake_case")]
pub(crate) enum Locks {
    Std,
    ParkingLot,
    OnceCell,
    LockApi,
    Tokio,
}

/// Which locks to check; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Selection {
    only: BTreeSet<Locks>,
    packages: Option<BTreeSet<String>>,
}

impl Selection {
    pub(crate) fn new(only: &[Locks], packages: Option<Vec<String>>) -> Self {
        let packages = packages.map(BTreeSet::from_iter);
        Self { only: only.iter().copied().collect(), packages }
    }

    /// Serializes the selection for the wrapper.
    pub(crate) fn to_text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    pub(crate) fn from_text(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    pub(crate) fn has(&self, locks: Locks) -> bool {
        self.only.is_empty() || self.only.contains(&locks)
    }

    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.packages.as_ref().is_none_or(|packages| packages.contains(name))
    }

    /// Returns a folder name for builds with this selection. Cargo does not know about the
    /// selection, so each one needs its own build folder.
    pub(crate) fn folder_name(&self) -> String {
        if *self == Self::default() {
            return "all".to_owned();
        }
        let mut hash = DefaultHasher::new();
        self.hash(&mut hash);
        format!("{:016x}", hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_have_distinct_folders_and_survive_serialization() {
        let all = Selection::default();
        let std = Selection::new(&[Locks::Std], None);
        let shop = Selection::new(&[], Some(vec!["shop".to_owned()]));
        assert_eq!(all, Selection::new(&[], None));
        assert_eq!(all.folder_name(), "all");
        assert_ne!(std.folder_name(), shop.folder_name());
        for selection in [all, std, shop] {
            assert_eq!(Selection::from_text(&selection.to_text().unwrap()).unwrap(), selection);
        }
    }
}
