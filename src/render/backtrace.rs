//! A raw call stack as text: the program's own frames, without ours and without
//! those of the standard library.

use std::{ffi::c_void, fmt::Write, path::Path};

use parking_lot::Mutex;

use crate::finding::{Stack, is_of_the_toolchain};

/// One line of a call stack. Several belong to one address where the compiler
/// inlined.
struct Frame {
    function: String,
    site: Option<String>,
}

/// The stack, innermost frame first, numbered. Empty if none was captured.
pub(super) fn backtrace(stack: &Stack) -> String {
    let mut text = String::new();
    for (number, frame) in trimmed(&symbolize(stack)).enumerate() {
        let _ = writeln!(text, "{number:>4}: {}", frame.function);
        if let Some(site) = &frame.site {
            let _ = writeln!(text, "             at {site}");
        }
    }
    text
}

/// One thread at a time looks up symbols. The `backtrace` crate has a lock for that as well, but
/// nobody can take it before a fork.
static SYMBOLS: Mutex<()> = Mutex::new(());

/// The lock around the look-up of symbols.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::renewable::Renewable {
    &SYMBOLS
}

/// Whether one of the functions that these addresses return to, or one that was inlined there, has
/// some name.
pub(crate) fn is_any_function(addresses: &[*mut c_void], has_name: impl Fn(&str) -> bool) -> bool {
    let _symbols = SYMBOLS.lock();
    addresses.iter().any(|&address| {
        let mut is_one = false;
        backtrace::resolve(address, |symbol| {
            is_one |= symbol.name().is_some_and(|name| has_name(&name.to_string()));
        });
        is_one
    })
}

fn symbolize(stack: &Stack) -> Vec<Frame> {
    let _symbols = SYMBOLS.lock();
    let here = std::env::current_dir().ok();
    let mut frames = Vec::new();
    for address in stack.addresses() {
        let known = frames.len();
        backtrace::resolve(address, |symbol| {
            let function =
                symbol.name().map_or_else(|| "<unknown>".into(), |name| format!("{name:#}"));
            let site = symbol.filename().zip(symbol.lineno()).map(|(file, line)| {
                let file =
                    here.as_ref().and_then(|here| file.strip_prefix(here).ok()).unwrap_or(file);
                site(file, line, symbol.colno())
            });
            frames.push(Frame { function, site });
        });
        if frames.len() == known {
            frames.push(Frame { function: format!("{address:p}"), site: None });
        }
    }
    frames
}

fn site(file: &Path, line: u32, column: Option<u32>) -> String {
    match column {
        Some(column) => format!("{}:{line}:{column}", file.display()),
        None => format!("{}:{line}", file.display()),
    }
}

/// The program's frames between the call into this crate and the runtime that
/// started the thread.
fn trimmed(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
    let is_ours = |frame: &Frame| {
        let function = frame.function.trim_start_matches('<');
        let homes = [
            "lockdep::",
            "lockdep_streams::",
            "lock_api::",
            "parking_lot::",
            "once_cell::",
            "backtrace::",
        ];
        homes.iter().any(|home| function.starts_with(home))
    };
    // Only the innermost run of ours: an initializer that runs inside a
    // `LazyLock` of ours has its callers further out.
    let first = frames.iter().position(is_ours).unwrap_or(0);
    let run = frames[first..].iter().take_while(|frame| is_ours(frame) || is_of_std(frame)).count();
    let last = frames[first..first + run].iter().rposition(is_ours);
    let start = last.map_or(first, |last| first + last + 1);
    let is_runtime = |frame: &Frame| {
        let function = frame.function.trim_start_matches('<');
        function.contains("__rust_begin_short_backtrace")
            || function.starts_with("lockdep::thread::spawned::Spawned")
                && function.contains("::new::")
    };
    let end = frames.iter().position(is_runtime).unwrap_or(frames.len()).max(start);
    frames[start..end].iter().filter(|frame| !is_of_std(frame))
}

fn is_of_std(frame: &Frame) -> bool {
    let function = frame.function.trim_start_matches('<');
    let prefixes = ["std::", "core::", "alloc::", "__rust"];
    let has_std_name = || prefixes.iter().any(|prefix| function.starts_with(prefix));
    frame.site.as_deref().map_or_else(has_std_name, is_of_the_toolchain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(functions: &[&str]) -> Vec<String> {
        let frames: Vec<_> = functions
            .iter()
            .map(|&function| Frame { function: function.into(), site: None })
            .collect();
        trimmed(&frames).map(|frame| frame.function.clone()).collect()
    }

    #[test]
    fn our_frames_and_the_runtimes_are_cut() {
        let frames = [
            "backtrace::trace",
            "lockdep::validator::judge::{{closure}}",
            "alloc::vec::Vec<T,A>::retain",
            "lockdep::validator::judge",
            "<lockdep::lock_api::mutex::RawMutex<R> as lock_api::mutex::RawMutex>::lock",
            "lock_api::mutex::Mutex<R,T>::lock",
            "bank::settle",
            "<lockdep::sync::lazy_lock::LazyLock<T>>::force",
            "bank::main::{{closure}}",
            "core::ops::function::FnOnce::call_once",
            "std::sys::backtrace::__rust_begin_short_backtrace",
            "std::thread::spawn",
        ];
        assert_eq!(
            shown(&frames),
            [
                "bank::settle",
                "<lockdep::sync::lazy_lock::LazyLock<T>>::force",
                "bank::main::{{closure}}"
            ]
        );
    }

    #[test]
    fn a_stack_without_known_ends_is_shown_whole() {
        assert_eq!(shown(&["a", "b"]), ["a", "b"]);
        assert_eq!(shown(&[]), [""; 0]);
    }
}
