//! The obligations of an event in an unchecked build: none.

use std::future::Future;

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

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn owe_while<F: Future>(
        &self,
        _name: &str,
        handler: F,
    ) -> impl Future<Output = F::Output> + use<'_, F> {
        handler
    }

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn wait_async<F: Future>(
        &self,
        _name: &str,
        wait: F,
    ) -> impl Future<Output = F::Output> + use<'_, F> {
        wait
    }

    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn number(&self, _name: &str) -> Option<u64> {
        None
    }
}
