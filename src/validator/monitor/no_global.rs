//! Stands in for `global` where the system does not say what a thread sleeps for: detects nothing.

#[derive(Default)]
pub(in crate::validator) struct Detector;

#[allow(clippy::unused_self, reason = "the other one has state")]
impl Detector {
    pub(in crate::validator) fn has_found(&self) -> bool {
        false
    }

    pub(in crate::validator) fn look(&mut self) -> bool {
        false
    }
}
