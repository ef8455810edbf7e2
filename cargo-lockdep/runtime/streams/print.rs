//! The printing macros and the functions that they call.
//!
//! The macros expand as std's do, so arguments are evaluated before the stream is locked, and the
//! same pieces are written at once. `dbg!` is missing.

use ::std::{fmt::Arguments, io};

use crate::io::{STDERR, STDOUT};

/// As `std::io::_print`, with stdout locked.
#[track_caller]
pub fn _print(args: Arguments<'_>) {
    if is_captured() {
        let _held = STDOUT.lock(|| ());
        io::_print(args);
    } else {
        let _locked = STDOUT.lock(|| io::stdout().lock());
        io::_print(args);
    }
}

/// As `std::io::_eprint`, with stderr locked.
#[track_caller]
pub fn _eprint(args: Arguments<'_>) {
    if is_captured() {
        let _held = STDERR.lock(|| ());
        io::_eprint(args);
    } else {
        let _locked = STDERR.lock(|| io::stderr().lock());
        io::_eprint(args);
    }
}

/// Returns `true` if a test harness captures the output of the calling thread. In that case std
/// locks the buffer of the harness instead of the stream.
fn is_captured() -> bool {
    let Ok(Some(buffer)) = io::try_set_output_capture(None) else { return false };
    let _ = io::try_set_output_capture(Some(buffer));
    true
}

/// As in std.
#[macro_export]
#[allow_internal_unstable(print_internals)]
macro_rules! print {
    ($($arg:tt)*) => {{
        $crate::io::_print($crate::format_args!($($arg)*));
    }};
}

/// As in std.
#[macro_export]
#[allow_internal_unstable(print_internals, format_args_nl)]
macro_rules! println {
    () => {
        $crate::print!("\n")
    };
    ($($arg:tt)*) => {{
        $crate::io::_print($crate::format_args_nl!($($arg)*));
    }};
}

/// As in std.
#[macro_export]
#[allow_internal_unstable(print_internals)]
macro_rules! eprint {
    ($($arg:tt)*) => {{
        $crate::io::_eprint($crate::format_args!($($arg)*));
    }};
}

/// As in std.
#[macro_export]
#[allow_internal_unstable(print_internals, format_args_nl)]
macro_rules! eprintln {
    () => {
        $crate::eprint!("\n")
    };
    ($($arg:tt)*) => {{
        $crate::io::_eprint($crate::format_args_nl!($($arg)*));
    }};
}
