//! The obligations of an event in an unchecked build: none.

/// Has the interface of the checked `Obligations`, and does nothing.
pub(super) struct Obligations;

impl Obligations {
    pub(super) const fn new() -> Self {
        Self
    }

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn begin(&self, _name: &str) {}

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn end(&self) {}

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn wait<R>(&self, _name: &str, wait: impl FnOnce() -> R) -> R {
        wait()
    }

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn wait_timeout<R>(&self, _name: &str, wait: impl FnOnce() -> R) -> R {
        wait()
    }

    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn number(&self, _name: &str) -> Option<u64> {
        None
    }
}
