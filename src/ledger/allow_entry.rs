//! An entry of a `lockdep.toml`, and which findings it suppresses. Pure, except that names are read from the source.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

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
    /// Returns `true` if the entry suppresses a finding.
    pub(super) fn fits(&self, finding: &Finding) -> bool {
        let is_at = |(file, line): &(String, Option<u32>), site: &Site| {
            Path::new(site.file()).ends_with(file) && line.is_none_or(|line| line == site.line())
        };
        let sites = || finding.cycle.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
        let is_of_kind = match self.kind {
            Some(kind) => finding.kind == kind,
            None => finding.kind != FindingKind::Deadlock,
        };
        is_of_kind
            && self.sites.iter().all(|place| sites().any(|site| is_at(place, site)))
            && (self.locks.is_empty() || {
                let names = render::lock_names(finding);
                self.locks.iter().all(|lock| names.contains(lock))
            })
    }
}
