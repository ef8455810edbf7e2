//! [`Scope`] and [`ScopeFifo`].
#![allow(unsafe_code, reason = "a scope lives as long as rayon's, which no lifetime can express")]

use std::{fmt, ptr};

use super::{BroadcastContext, pool};
use crate::validator::jobs::{Body, Call, For, How, Pool};

/// As `rayon_core::scope`. Its end waits for all jobs that were spawned in it.
///
/// # Panics
///
/// As rayon's, if the closure or a job panics; and if a wait is a finding at
/// [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub fn scope<'scope, OP, R>(op: OP) -> R
where
    OP: FnOnce(&Scope<'scope>) -> R + Send,
    R: Send,
{
    pool::ensure_global();
    let (call, pool) = (Call::begin(), pool::current());
    let _waiting = if pool.is_some() { call.wait(pool, For::Jobs) } else { call.hold(None) };
    ::rayon_core::scope(|inner| body(&call, None, inner, op))
}

/// As `rayon_core::scope_fifo`. See [`scope`].
///
/// # Panics
///
/// As [`scope`] does.
#[track_caller]
pub fn scope_fifo<'scope, OP, R>(op: OP) -> R
where
    OP: FnOnce(&ScopeFifo<'scope>) -> R + Send,
    R: Send,
{
    pool::ensure_global();
    let (call, pool) = (Call::begin(), pool::current());
    let _waiting = if pool.is_some() { call.wait(pool, For::Jobs) } else { call.hold(None) };
    ::rayon_core::scope_fifo(|inner| body_fifo(&call, None, inner, op))
}

/// As `rayon_core::in_place_scope`. Its end waits for all jobs that were spawned in it.
///
/// # Panics
///
/// As rayon's, if the closure or a job panics; and if the wait at its end is a finding at
/// [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub fn in_place_scope<'scope, OP, R>(op: OP) -> R
where
    OP: FnOnce(&Scope<'scope>) -> R,
{
    pool::ensure_global();
    let (call, pool) = (Call::begin(), pool::current());
    let _waiting = call.hold(pool);
    ::rayon_core::in_place_scope(|inner| body(&call, pool, inner, op))
}

/// As `rayon_core::in_place_scope_fifo`. See [`in_place_scope`].
///
/// # Panics
///
/// As [`in_place_scope`] does.
#[track_caller]
pub fn in_place_scope_fifo<'scope, OP, R>(op: OP) -> R
where
    OP: FnOnce(&ScopeFifo<'scope>) -> R,
{
    pool::ensure_global();
    let (call, pool) = (Call::begin(), pool::current());
    let _waiting = call.hold(pool);
    ::rayon_core::in_place_scope_fifo(|inner| body_fifo(&call, pool, inner, op))
}

/// Defines a scope, around that of rayon-core.
macro_rules! scopes {
    ($($(#[$doc:meta])* $Scope:ident, $spawn:ident, $body:ident;)*) => {$(
        $(#[$doc])*
        pub struct $Scope<'scope> {
            inner: *const ::rayon_core::$Scope<'scope>,
            call: *const Call,
            /// The job that runs its body.
            body: Body,
        }

        // SAFETY: rayon's is `Send` and `Sync`, and so are the other two.
        unsafe impl Send for $Scope<'_> {}
        // SAFETY: as above.
        unsafe impl Sync for $Scope<'_> {}

        /// Runs the body of a scope of this call, and checks the wait at its end.
        #[track_caller]
        pub(super) fn $body<'scope, R>(
            call: &Call,
            pool: Option<&Pool>,
            inner: &::rayon_core::$Scope<'scope>,
            op: impl FnOnce(&$Scope<'scope>) -> R,
        ) -> R {
            let result =
                call.run(0, How::Body, true, || op(&$Scope { inner, call, body: Body::here() }));
            call.check_end(pool);
            result
        }

        impl<'scope> $Scope<'scope> {
            /// As rayon's.
            #[track_caller]
            pub fn $spawn<BODY>(&self, body: BODY)
            where
                BODY: FnOnce(&$Scope<'scope>) + Send + 'scope,
            {
                let job = self.job();
                self.inner().$spawn(move |inner| job.run(inner, body));
            }

            /// As rayon's.
            #[track_caller]
            pub fn spawn_broadcast<BODY>(&self, body: BODY)
            where
                BODY: Fn(&$Scope<'scope>, BroadcastContext<'_>) + Send + Sync + 'scope,
            {
                let job = self.job();
                self.call().spawns_for_each_worker();
                self.inner().spawn_broadcast(move |inner, context| {
                    job.on_worker(inner, |scope| body(scope, context));
                });
            }

            fn job(&self) -> Job<Self> {
                let (number, how) = self.call().spawn(self.body);
                let scope = Self { inner: ptr::null(), call: self.call, body: self.body };
                Job { scope, number, how }
            }

            fn inner(&self) -> &::rayon_core::$Scope<'scope> {
                // SAFETY: rayon's scope exists as long as it can be used, and so does this one.
                unsafe { &*self.inner }
            }

            fn call(&self) -> &Call {
                // SAFETY: the call waits for the end of the scope.
                unsafe { &*self.call }
            }
        }

        impl<'scope> Job<$Scope<'scope>> {
            fn run(
                &self,
                inner: &::rayon_core::$Scope<'scope>,
                body: impl FnOnce(&$Scope<'scope>),
            ) {
                let scope = $Scope { inner, ..self.scope };
                scope.call().run(self.number, self.how, false, || body(&scope));
            }

            fn on_worker(
                &self,
                inner: &::rayon_core::$Scope<'scope>,
                body: impl FnOnce(&$Scope<'scope>),
            ) {
                let scope = $Scope { inner, ..self.scope };
                scope.call().run(self.number, How::Broadcast, false, || body(&scope));
            }
        }

        impl fmt::Debug for $Scope<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner().fmt(f)
            }
        }
    )*};
}

scopes! {
    /// `rayon_core::Scope`, checked.
    Scope, spawn, body;
    /// `rayon_core::ScopeFifo`, checked.
    ScopeFifo, spawn_fifo, body_fifo;
}

/// A job that was spawned in a scope.
struct Job<S> {
    /// Without rayon's scope, which the job is given when it runs.
    scope: S,
    number: u32,
    how: How,
}
