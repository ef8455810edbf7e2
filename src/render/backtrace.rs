//! Renders a raw call stack: only the program's own frames, without ours and those of the standard
//! library.

use std::{fmt::Write, path::Path};

use crate::{
    finding::{Site, ThreadInfo},
    source::Sources,
    stack::{
        Stack,
        symbols::{Frame, SourceLine, symbolize},
    },
    upstream,
};

/// A function of the program on a call stack, and the line from which it called the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) function: String,
    pub(super) site: Option<Site>,
}

/// Returns the program's part of the stack of a thread or task, innermost first. Empty if none was
/// captured.
///
/// The stack of a task is its chain of awaits: the names of the async functions, up to the task's
/// own future.
pub(super) fn calls(stack: &Stack, actor: &ThreadInfo, sources: &mut Sources) -> Vec<Call> {
    let is_task = actor.is_task();
    let mut call = |frame: &Frame| {
        let function = if is_task { async_function(&frame.function) } else { &frame.function };
        let site = frame.line.as_ref().map(|SourceLine { file, line, column }| {
            let column = sources.column(file, *line, column.unwrap_or_default());
            Site::new(file.clone(), *line, column)
        });
        Call { function: function.to_owned(), site }
    };
    trimmed(&symbolize(stack), is_task).map(&mut call).collect()
}

/// Returns `true` if a panic at the top of a stack unwinds to the test harness, past no `catch_unwind`. Where the
/// program has no debug information, inlined functions are unknown, and so is the answer.
pub(crate) fn unwinds_to_harness(stack: &Stack) -> bool {
    let frames = symbolize(stack);
    let Some(start) = frames.iter().position(|it| upstream::starts_test(path(it))) else {
        return false;
    };
    let is_known = frames[..start].iter().all(|it| it.line.is_some() || is_of_std(it));
    is_known && !frames[..start].iter().any(|it| upstream::catches_panics(path(it)))
}

/// Writes calls, innermost first, with numbers from `first`. Paths are relative to the folder `root`.
pub(super) fn write_calls(text: &mut String, calls: &[Call], first: usize, root: &Path) {
    for (number, Call { function, site }) in (first..).zip(calls) {
        let _ = writeln!(text, "{number:>4}: {function}");
        if let Some(site) = site {
            let at = upstream::tokio_macro(site.file())
                .map_or_else(|| format!("at {}", site.relative_to(root)), |it| format!("in {it}"));
            let _ = writeln!(text, "             {at}");
        }
    }
}

/// `server::handle::{{closure}}` → `server::handle`: to the compiler, the body of an async function
/// is a closure, and so are its async blocks.
fn async_function(function: &str) -> &str {
    let mut name = function;
    while let Some((outer, last)) = name.rsplit_once("::") {
        if !(last.starts_with("{{closure}}") || last.starts_with("{closure#")) {
            break;
        }
        name = outer;
    }
    name
}

/// Returns the program's frames between the call into this crate and the runtime that started the
/// thread or polls the task.
fn trimmed(frames: &[Frame], is_task: bool) -> impl Iterator<Item = &Frame> {
    let is_ours = |frame: &Frame| {
        let homes = [
            "lockdep::",
            "lockdep_streams::",
            "tokio::flavours::",
            "async_lock::flavours::",
            "futures_util::flavours::",
            "rayon_core::",
            "lock_api::",
            "parking_lot::",
            "once_cell::",
            "backtrace::",
        ];
        homes.iter().any(|home| path(frame).starts_with(home))
    };
    // Only the innermost run of our frames: the callers of an initializer inside our `LazyLock` are
    // further out.
    let first = frames.iter().position(is_ours).unwrap_or(0);
    // Our lock calls the other crate's, which calls this crate again when it must wait.
    let is_between = |frame: &Frame| is_of_std(frame) || is_of_async_lock(frame);
    let run = frames[first..].iter().take_while(|frame| is_ours(frame) || is_between(frame));
    let run = run.count();
    let last = frames[first..first + run].iter().rposition(is_ours);
    let start = last.map_or(first, |last| first + last + 1);
    let is_end = |frame: &Frame| if is_task { polls_task(frame) } else { starts_thread(frame) };
    let frames = &frames[start..];
    let end = frames.iter().position(is_end).unwrap_or(frames.len());
    let is_runtime =
        move |frame: &Frame| is_ours(frame) || is_of_std(frame) || is_of_executor(frame);
    frames[..end].iter().filter(move |frame| !is_runtime(frame))
}

fn starts_thread(frame: &Frame) -> bool {
    let function = path(frame);
    upstream::starts_thread(function)
        || function.starts_with("lockdep::thread::spawned::Spawned") && function.contains("::new::")
}

/// Returns `true` for frames between the executor and the future of a task.
fn polls_task(frame: &Frame) -> bool {
    let function = path(frame);
    let roots = [
        "lockdep::validator::root_poll::",
        "lockdep::validator::tasks::",
        "lockdep::tokio::",
        "lockdep_tracing::",
    ];
    roots.iter().any(|root| function.starts_with(root))
}

/// Returns `true` for frames of crates whose locks tasks await.
fn is_of_async_lock(frame: &Frame) -> bool {
    let homes = [
        "tokio::",
        "async_lock::",
        "event_listener::",
        "event_listener_strategy::",
        "futures_util::lock::",
    ];
    homes.iter().any(|home| path(frame).starts_with(home))
}

/// Returns `true` for frames that poll futures, and for the internals of `select!` and `join!`.
fn is_of_executor(frame: &Frame) -> bool {
    polls_task(frame) || upstream::is_of_an_executor(path(frame))
}

fn is_of_std(frame: &Frame) -> bool {
    match &frame.line {
        Some(line) => upstream::is_of_the_toolchain(&line.file),
        None => upstream::is_of_std(path(frame)),
    }
}

/// The function without the bracket of `<T as Trait>::function`.
fn path(frame: &Frame) -> &str {
    frame.function.trim_start_matches('<')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(functions: &[&str]) -> Vec<String> {
        let frames: Vec<_> = functions
            .iter()
            .map(|&function| Frame { function: function.into(), line: None })
            .collect();
        trimmed(&frames, false).map(|frame| frame.function.clone()).collect()
    }

    #[test]
    fn a_task_s_stack_is_the_chain_of_its_awaits() {
        let frames = [
            "lockdep::tracked::awaited::Awaited::poll",
            "<lockdep::tokio::sync::mutex::Lock<T,F> as core::future::future::Future>::poll",
            "server::cache::load::{{closure}}",
            "<tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll",
            "<core::pin::Pin<P> as core::future::future::Future>::poll",
            "<tokio::task::coop::Coop<F> as core::future::future::Future>::poll",
            "server::handle::{closure#0}::{closure#1}",
            "lockdep::validator::root_poll::poll",
            "<lockdep::tokio::root::Root<F> as core::future::future::Future>::poll",
            "tokio::runtime::task::core::Core<T,S>::poll",
            "server::main",
        ]
        .map(|function| Frame { function: function.into(), line: None });
        let shown: Vec<_> =
            trimmed(&frames, true).map(|frame| async_function(&frame.function)).collect();
        assert_eq!(
            shown,
            [
                "server::cache::load",
                "<tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll",
                "server::handle",
            ]
        );
    }

    /// That an operation waits is first known inside tokio's own lock.
    #[test]
    fn the_stack_of_an_operation_begins_at_the_await() {
        let frames = [
            "lockdep::validator::tasks::stacks::of_operation",
            "lockdep::validator::tasks::wakers::Stub::operation",
            "core::task::wake::Waker::clone",
            "<tokio::sync::batch_semaphore::Acquire as core::future::future::Future>::poll",
            "lockdep::tracked::awaited::Awaited::poll",
            "server::cache::load::{{closure}}",
            "lockdep::validator::root_poll::poll",
        ]
        .map(|function| Frame { function: function.into(), line: None });
        let shown: Vec<_> = trimmed(&frames, true).map(|it| &*it.function).collect();
        assert_eq!(shown, ["server::cache::load::{{closure}}"]);
    }

    /// For a thread that runs an executor, its own frames on both sides of it are shown.
    #[test]
    fn executor_frames_are_removed() {
        let frames = [
            "lockdep::sync::mutex::Mutex<T>::lock",
            "server::accept::{{closure}}",
            "lockdep::validator::root_poll::poll",
            "<lockdep::tokio::root::Root<F> as core::future::future::Future>::poll",
            "tokio::runtime::park::CachedParkThread::block_on",
            "tokio::runtime::runtime::Runtime::block_on",
            "lockdep::tokio::runtime::Runtime::block_on",
            "server::main",
        ];
        assert_eq!(shown(&frames), ["server::accept::{{closure}}", "server::main"]);
    }

    /// Under `cargo lockdep`, tokio polls tasks through `lockdep_tracing`.
    #[test]
    fn polls_of_lockdep_tracing_are_removed() {
        let frames = [
            "lockdep::sync::mutex::Mutex<T>::lock",
            "server::accept::{{closure}}",
            "lockdep::validator::root_poll::poll_at",
            "<lockdep_tracing::instrumented::Instrumented<F> as core::future::future::Future>::poll",
            "tokio::runtime::park::CachedParkThread::block_on",
            "server::main",
        ];
        assert_eq!(shown(&frames), ["server::accept::{{closure}}", "server::main"]);
    }

    #[test]
    fn frames_of_lockdep_and_the_runtime_are_removed() {
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
        assert_eq!(shown(&frames), ["bank::settle", "bank::main::{{closure}}"]);
    }

    #[test]
    fn unknown_frames_are_kept() {
        assert_eq!(shown(&["a", "b"]), ["a", "b"]);
        assert_eq!(shown(&[]), [""; 0]);
    }
}
