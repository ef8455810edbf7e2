//! Where the system does not say what a thread sleeps for, no global deadlock is detected.

#[derive(Default)]
pub(super) struct Detector;

#[allow(clippy::unused_self, reason = "the other one has state")]
impl Detector {
    pub(super) fn has_found(&self) -> bool {
        false
    }

    pub(super) fn look(&mut self) -> bool {
        false
    }
}
