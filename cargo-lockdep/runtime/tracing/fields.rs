//! The macros, which read in tokio's source what it says of a spawn.

/// As `tracing::trace`, of nothing.
#[macro_export]
macro_rules! trace {
    ($($any:tt)*) => {{}};
}

/// As `tracing::trace_span`, of nothing but spawns.
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

/// The span of a spawn with these fields: `%kind`, `loc.file = site.file()`, and the others, in any order.
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

/// The `Location` that `loc.file` is read from.
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

/// The size of the future before tokio boxed it, which versions say that box them in release builds as well.
#[doc(hidden)]
#[macro_export]
macro_rules! __unboxed_size {
    (original_size.bytes = $size:ident, $($rest:tt)*) => { $size };
    ($skipped:tt $($rest:tt)*) => { $crate::__unboxed_size!($($rest)*) };
    () => { None };
}
