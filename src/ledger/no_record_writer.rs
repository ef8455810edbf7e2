//! Stands in for the record writer in builds without the feature `records`.

use std::path::PathBuf;

use super::{print_past_capture, settings};
use crate::finding::{Edge, Finding, LockInfo, OtherHolds, Site};

pub(crate) fn records() -> bool {
    false
}

/// Reports the missing feature if the environment asks for a record.
pub(crate) fn open_record() {
    if settings().out.is_some() {
        print_past_capture(
            "lockdep: LOCKDEP_OUT is ignored: this build lacks the feature `records` of lockdep",
        );
    }
}

pub(super) fn path() -> Option<PathBuf> {
    None
}

pub(crate) fn note_full_record() {}

pub(crate) fn record_edges(_: &[(Edge, OtherHolds)]) {}

pub(crate) fn record_released_elsewhere(_: &LockInfo, _: &Site) {}

pub(super) fn record_finding(finding: &Finding, _in_scope: bool) -> String {
    finding.render(false)
}
