//! Locations in published crates that keep an order by means that lockdep cannot see.
//!
//! An entry is not a guess: each was read in the crate's source and says what keeps the order. The
//! authors of these crates did not ask for `cargo lockdep` to check them.

use std::path::{Component, Path};

use crate::finding::{Finding, FindingKind, Role};

/// A join under a lock, both in one file of a crate.
struct Known {
    /// The start of the crate's folder in a registry.
    package: &'static str,
    file: &'static str,
    reason: &'static str,
}

const JOINS: &[Known] = &[Known {
    package: "crossbeam-utils-0.8.",
    file: "src/thread.rs",
    reason: "known in crossbeam-utils: its scope waits until no thread can spawn another one before it \
             joins them with the list of their handles locked",
}];

/// Returns why the finding is known to be harmless, if it is.
pub(super) fn reason(finding: &Finding) -> Option<&'static str> {
    if finding.kind == FindingKind::Deadlock {
        return None;
    }
    let join = finding.cycle.iter().find(|edge| edge.wanted.kind.role == Role::Exit)?;
    let known = JOINS
        .iter()
        .find(|it| it.is_at(join.held_at.file()) && it.is_at(join.acquired_at.file()))?;
    Some(known.reason)
}

impl Known {
    fn is_at(&self, path: &str) -> bool {
        let path = Path::new(path);
        let file = Path::new(self.file);
        let is_package = |component: Component<'_>| {
            component.as_os_str().to_str().is_some_and(|name| name.starts_with(self.package))
        };
        path.ends_with(file)
            && path.components().rev().nth(file.components().count()).is_some_and(is_package)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_known_location_matches_by_package_and_file() {
        let [known] = JOINS else { panic!("one") };
        let is_at = |path| known.is_at(path);
        assert!(is_at("/registry/src/index/crossbeam-utils-0.8.23/src/thread.rs"));
        assert!(!is_at("/registry/src/index/crossbeam-utils-0.8.23/src/sync/wait_group.rs"));
        assert!(!is_at("/registry/src/index/crossbeam-utils-0.9.0/src/thread.rs"));
        assert!(!is_at("/src/crossbeam/src/thread.rs"));
        assert!(!is_at("src/thread.rs"));
    }
}
