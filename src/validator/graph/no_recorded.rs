//! Takes the place of `recorded.rs` in builds without records.

use super::LockGraph;
use crate::{
    finding::{Edge, OtherHolds},
    validator::context::{Context, held::Entry},
};

#[derive(Default)]
pub(super) struct Recorded;

impl LockGraph {
    #[allow(clippy::unused_self, reason = "as in `recorded.rs`")]
    pub(super) fn is_recorded(&self, _: &Context, _: &Entry, _: &Entry) -> bool {
        true
    }

    #[allow(clippy::unused_self, reason = "as in `recorded.rs`")]
    pub(in crate::validator) fn edges_for_record(
        &mut self,
        _: &Context,
        _: &[Entry],
        _: &[Entry],
        _: &Entry,
    ) -> Vec<(Edge, OtherHolds)> {
        Vec::new()
    }

    #[allow(clippy::unused_self, reason = "as in `recorded.rs`")]
    pub(in crate::validator) fn take_record_cut(&mut self) -> bool {
        false
    }
}

#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn forget_recorded() {}
