//! Resources in an unchecked build: none.

use std::{fmt, future::Future, marker::PhantomData, time::Duration};

use crate::finding::Mode;

/// Has the interface of the checked `Outside`, and does nothing.
#[derive(Clone)]
pub(super) struct Outside;

/// Has the interface of the checked `Token`, and does nothing.
pub(super) struct Token(PhantomData<()>);

const TOKEN: Token = Token(PhantomData);

impl Outside {
    #[inline]
    pub(super) fn new(_system: &'static str, _key: impl fmt::Display) -> Self {
        Self
    }

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn class(&mut self, _pattern: &'static str) {}

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn permits(&mut self, _permits: usize) {}

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn lease(&mut self, _lease: Duration) {}

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn reentrant(&mut self) {}

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn acquire<R, E>(
        &self,
        _mode: Mode,
        acquire: impl FnOnce() -> Result<R, E>,
    ) -> Result<(Token, R), E> {
        Ok((TOKEN, acquire()?))
    }

    #[inline]
    pub(super) fn try_acquire<R, E>(
        &self,
        mode: Mode,
        acquire: impl FnOnce() -> Result<R, E>,
    ) -> Result<(Token, R), E> {
        self.acquire(mode, acquire)
    }

    #[inline]
    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn acquire_async<F, R, E>(
        &self,
        _mode: Mode,
        acquire: F,
    ) -> impl Future<Output = Result<(Token, R), E>> + use<F, R, E>
    where
        F: Future<Output = Result<R, E>>,
    {
        async { Ok((TOKEN, acquire.await?)) }
    }

    #[allow(clippy::unused_self, reason = "as in a checked build")]
    pub(super) fn number(&self) -> Option<u64> {
        None
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").finish_non_exhaustive()
    }
}
