//! The entries of `lockdep.toml` in the headers of records. They silence findings of several processes as they silence
//! those of one.

use std::path::Path;

use super::MergedFinding;
use crate::record::schema::Allow;

/// An entry, without a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Allowed {
    kind: Option<String>,
    locks: Vec<String>,
    /// `file:line` or `file`, by the end of the path.
    sites: Vec<String>,
    pub(super) reason: String,
}

impl From<&Allow<'_>> for Allowed {
    fn from(Allow { kind, locks, sites, reason }: &Allow<'_>) -> Self {
        Self {
            kind: kind.as_deref().map(str::to_owned),
            locks: locks.iter().map(ToString::to_string).collect(),
            sites: sites.iter().map(ToString::to_string).collect(),
            reason: reason.to_string(),
        }
    }
}

impl Allowed {
    /// Returns `true` if the entry silences a finding.
    pub(super) fn fits(&self, finding: &MergedFinding) -> bool {
        let locks: Vec<_> = finding.cycle.iter().flat_map(|it| [&it.held, &it.wanted]).collect();
        let places = finding.cycle.iter().flat_map(|it| [&it.held_at, &it.acquired_at]);
        let places: Vec<_> = places.collect();
        self.kind.as_deref().is_none_or(|kind| kind == finding.kind.name())
            && self.locks.iter().all(|lock| locks.contains(&lock))
            && self.sites.iter().all(|site| places.iter().any(|place| is_at(site, place)))
    }
}

/// Returns `true` if `file:line:column` is at `file:line` or in `file`.
fn is_at(site: &str, place: &str) -> bool {
    let split = |text| without_number(text).map_or((text, None), |(rest, at)| (rest, Some(at)));
    let (place, _column) = split(place);
    let (place_file, place_line) = split(place);
    let (file, line) = split(site);
    Path::new(place_file).ends_with(file) && (line.is_none() || line == place_line)
}

/// Splits `file:7`.
fn without_number(text: &str) -> Option<(&str, u32)> {
    let (rest, number) = text.rsplit_once(':')?;
    Some((rest, number.parse().ok()?))
}
