//! Which locks are checked, and in which crates.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::outcomes::Outcome;

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
    Rayon,
    Tokio,
    AsyncLock,
    FuturesLock,
}

/// Which locks to check; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    only: BTreeSet<Locks>,
    packages: Option<BTreeSet<String>>,
    /// The packages that get the real locks so that one of them compiles, each with the reason.
    real: BTreeMap<String, Outcome>,
}

/// What cargo builds depends on which packages are chosen, not on why.
impl Hash for Selection {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.only, &self.packages).hash(hasher);
        self.real.keys().for_each(|name| name.hash(hasher));
    }
}

impl Selection {
    pub(crate) fn new(only: &[Locks], packages: Option<Vec<String>>) -> Self {
        let packages = packages.map(BTreeSet::from_iter);
        Self { only: only.iter().copied().collect(), packages, real: BTreeMap::new() }
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
        !self.real.contains_key(name)
            && self.packages.as_ref().is_none_or(|packages| packages.contains(name))
    }

    /// Returns why a package that is not chosen is not.
    pub(crate) fn why_real(&self, name: &str) -> Outcome {
        self.real.get(name).cloned().unwrap_or(Outcome::Unchosen)
    }

    /// Chooses the real locks for a package. Returns `true` if they were not chosen before.
    pub(crate) fn exclude(&mut self, name: &str, why: Outcome) -> bool {
        match self.real.entry(name.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(why);
                true
            }
            Entry::Occupied(_) => false,
        }
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
        let mut without = all.clone();
        assert!(without.exclude("shop", Outcome::FellBack("no".to_owned())));
        assert!(!without.exclude("shop", Outcome::Unchosen));
        assert!(!without.has_package("shop") && without.has_package("store"));
        assert_eq!(without.why_real("shop"), Outcome::FellBack("no".to_owned()));
        assert_ne!(without.folder_name(), all.folder_name());
        for selection in [all, std, shop, without] {
            assert_eq!(Selection::from_text(&selection.to_text().unwrap()).unwrap(), selection);
        }
    }
}
