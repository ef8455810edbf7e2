//! What the guards and futures have in common.

#![allow(unsafe_code, reason = "the auto traits of the originals")]

/// Implements `Debug` and `Display` for a guard, which print the value.
macro_rules! print_value {
    ([$($parameters:tt)*] $guard:ty => $target:ident) => {
        impl<$($parameters)*> std::fmt::Debug for $guard
        where
            $target: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($parameters)*> std::fmt::Display for $guard
        where
            $target: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}
pub(super) use print_value;

/// Implements `Send` and `Sync` with the bounds of the original.
macro_rules! auto_traits {
    ($type:ty: Send [$($send:tt)*] Sync [$($sync:tt)*]) => {
        // SAFETY: as for the original, whose bounds these are: it sends what the guard gives access to.
        unsafe impl<$($send)*> Send for $type {}
        // SAFETY: as for the original, whose bounds these are: it shares what the guard gives access to.
        unsafe impl<$($sync)*> Sync for $type {}
    };
}
pub(super) use auto_traits;

/// Declares the future of an acquisition: what it polls, and what else its guard needs.
macro_rules! future {
    (
        $(#[$attribute:meta])*
        $name:ident [$($parameters:tt)*] [$($arguments:tt)*] ($inner:ty, $rest:ty) => $guard:ty,
        prints $text:literal,
        |$hold:ident, $with:ident| $build:expr
    ) => {
        pin_project_lite::pin_project! {
            $(#[$attribute])*
            #[must_use = "futures do nothing unless you `.await` or poll them"]
            pub struct $name<$($parameters)*> {
                #[pin]
                pub(super) inner: $inner,
                pub(super) rest: $rest,
            }
        }

        impl<$($parameters)*> std::future::Future for $name<$($arguments)*> {
            type Output = $guard;

            /// `track_caller`, so that a panic shows the location of the `.await`.
            #[track_caller]
            fn poll(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Self::Output> {
                let this = self.project();
                let $hold = std::task::ready!(this.inner.poll(cx));
                let $with = *this.rest;
                std::task::Poll::Ready($build)
            }
        }

        impl<$($parameters)*> std::fmt::Debug for $name<$($arguments)*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($text)
            }
        }
    };
}
pub(super) use future;
