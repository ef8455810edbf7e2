//! An entry of a `lockdep.toml`, and which findings it suppresses. Pure, except that names are read from the source.

use std::{
    cell::LazyCell,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

#[cfg(feature = "write_records")]
use crate::record::Allow;
use crate::{
    finding::{Finding, FindingKind, Site},
    render,
};

/// An `[[allow]]` entry of the file.
#[derive(Debug)]
pub(super) struct Entry {
    /// The entry's position, printed if it is unused: `lockdep.toml:3`.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
    pub(super) place: String,
    pub(super) kind: Option<FindingKind>,
    /// Names of locks as reports print them. The finding must have all of them.
    pub(super) locks: Vec<String>,
    /// Source locations, each a suffix of a path and an optional line. The finding must have all of
    /// them.
    pub(super) sites: Vec<(String, Option<u32>)>,
    pub(super) reason: Arc<str>,
    pub(super) is_used: AtomicBool,
}

impl Entry {
    /// Returns the entry as a record has it.
    #[cfg(feature = "write_records")]
    pub(super) fn for_record(&self) -> Allow<'static> {
        let site = |(file, line): &(String, Option<u32>)| match line {
            Some(line) => format!("{file}:{line}").into(),
            None => file.clone().into(),
        };
        Allow {
            kind: self.kind.map(|kind| kind.name().into()),
            locks: self.locks.iter().map(|lock| lock.clone().into()).collect(),
            sites: self.sites.iter().map(site).collect(),
            reason: self.reason.to_string().into(),
        }
    }

    /// Returns `true` if the entry suppresses a finding.
    pub(super) fn fits(&self, finding: &Finding) -> bool {
        let is_at = |(file, line): &(String, Option<u32>), site: &Site| {
            Path::new(site.file()).ends_with(file) && line.is_none_or(|line| line == site.line())
        };
        let acquired_at =
            || finding.cycle.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
        // Instead of the line of a helper, a report shows its call.
        let shown_at = LazyCell::new(|| render::shown_sites(finding));
        let has = |place: &(String, Option<u32>)| {
            acquired_at().any(|site| is_at(place, site))
                || shown_at.iter().any(|site| is_at(place, site))
        };
        let is_of_kind = match self.kind {
            Some(kind) => finding.kind == kind,
            None => finding.kind != FindingKind::Deadlock,
        };
        is_of_kind
            && self.sites.iter().all(has)
            && (self.locks.is_empty() || {
                let names = render::lock_names(finding).concat();
                self.locks.iter().all(|lock| names.contains(lock))
            })
    }
}

#[cfg(all(test, feature = "config", not(loom)))]
mod tests {
    use super::*;
    use crate::{
        finding::{Detail, Edge, Level},
        ledger::config::parse,
    };

    /// Returns an edge between two locks. It is acquired at the caller's line.
    #[track_caller]
    fn edge(held: u64, wanted: u64, held_at: &Site) -> Edge {
        Edge { held_at: held_at.clone(), may_have_left: true, ..Edge::for_test(held, wanted) }
    }

    /// Each report ends with an entry that silences it, and nothing else.
    #[test]
    fn a_report_ends_with_the_entry_that_silences_it() {
        let here = Site::from(std::panic::Location::caller());
        let there = edge(1, 1, &here).acquired_at;
        for kind in FindingKind::ALL {
            let finding = |kind, cycle| Finding::new(kind, Level::Warn, cycle, Detail::None);
            let edges = || vec![edge(1, 2, &here), edge(2, 1, &there)];
            let report = finding(kind, edges()).render(false);
            let (_, entry) = report.split_once("[[allow]]").expect(&report);
            let config = parse(&format!("[[allow]]{entry}"), "lockdep.toml").expect(&report);
            let [entry] = &config.entries[..] else { panic!("{report}") };
            assert!(entry.fits(&finding(kind, edges())), "{report}");
            let turned = edges().into_iter().rev().collect();
            assert!(entry.fits(&finding(kind, turned)), "{report}");
            for other in FindingKind::ALL {
                assert_eq!(
                    entry.fits(&finding(other, edges())),
                    other == kind,
                    "{other}: {report}"
                );
            }
            assert!(!entry.fits(&finding(kind, vec![edge(1, 2, &here), edge(2, 1, &here)])));
            let mut silenced = finding(kind, edges());
            silenced.silenced = Some(Arc::from("known"));
            assert!(!silenced.render(false).contains("[[allow]]"));
        }
    }

    #[test]
    fn a_deadlock_that_has_happened_has_no_entry() {
        let here = Site::from(std::panic::Location::caller());
        let certain = |held, wanted| Edge { may_have_left: false, ..edge(held, wanted, &here) };
        for kind in [FindingKind::Deadlock, FindingKind::Futurelock] {
            let cycle = vec![certain(1, 2), certain(2, 1)];
            let report = Finding::new(kind, Level::Warn, cycle, Detail::None).render(false);
            assert!(!report.contains("[[allow]]"), "{report}");
        }
    }
}
