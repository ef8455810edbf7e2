//! The macros, which parse the fields that tokio's source gives for a spawn.

/// Replaces `tracing::trace` and does nothing.
#[macro_export]
macro_rules! trace {
    ($($any:tt)*) => {{}};
}

/// Replaces `tracing::trace_span`; only spans of spawns have an effect.
#[macro_export]
macro_rules! trace_span {
    (target: $target:literal, parent: None, "runtime.spawn", $($fields:tt)*) => {
        $crate::__spawn!($($fields)*)
    };
    (target: $target:literal, "runtime.spawn", $($fields:tt)*) => {
        $crate::__spawn!($($fields)*)
    };
    ("runtime.spawn" $($any:tt)*) => {
        compile_error!("lockdep does not know this version of tokio")
    };
    ($($any:tt)*) => {
        $crate::Span::none()
    };
}

/// Makes the span of a spawn from its fields: `%kind`, `loc.file = site.file()`, and others, in any
/// order.
#[doc(hidden)]
#[macro_export]
macro_rules! __spawn {
    ($($fields:tt)*) => {
        $crate::Span::of_spawn(
            $crate::__kind!($($fields)*),
            $crate::__site!($($fields)*),
            $crate::__unboxed_size!($($fields)*),
            file!(),
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __kind {
    (% $kind:ident, $($rest:tt)*) => { $kind };
    (kind = % $kind:literal, $($rest:tt)*) => { $kind };
}

/// Expands to the `Location` from which `loc.file` is read.
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    (loc.file = $($rest:tt)*) => { $crate::__before_file!([] $($rest)*) };
    ($skipped:tt $($rest:tt)*) => { $crate::__site!($($rest)*) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __before_file {
    ([$($site:tt)*] .file(), $($rest:tt)*) => { $($site)* };
    ([$($site:tt)*] $next:tt $($rest:tt)*) => { $crate::__before_file!([$($site)* $next] $($rest)*) };
}

/// Expands to the size of the future before tokio boxed it. Versions that also box in release
/// builds provide it.
#[doc(hidden)]
#[macro_export]
macro_rules! __unboxed_size {
    (original_size.bytes = $size:ident, $($rest:tt)*) => { $size };
    ($skipped:tt $($rest:tt)*) => { $crate::__unboxed_size!($($rest)*) };
    () => { None };
}
