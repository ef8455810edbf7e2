//! A raw call stack as text: the program's own frames, without ours and without
//! those of the standard library.

use std::fmt::Write;

use crate::{
    finding::ThreadInfo,
    stack::{
        Stack,
        symbols::{Frame, symbolize},
    },
    upstream,
};

/// The stack of a thread or task, innermost frame first, numbered. Empty if none was captured.
///
/// That of a task is the chain of its awaits: each async function by its name, up to the task's own
/// future.
pub(super) fn backtrace(stack: &Stack, actor: &ThreadInfo) -> String {
    let mut text = String::new();
    let is_task = actor.is_task();
    for (number, frame) in trimmed(&symbolize(stack), is_task).enumerate() {
        let function = if is_task { async_function(&frame.function) } else { &frame.function };
        let _ = writeln!(text, "{number:>4}: {function}");
        if let Some(site) = &frame.site {
            let at = upstream::tokio_macro(site)
                .map_or_else(|| format!("at {site}"), |it| format!("in {it}"));
            let _ = writeln!(text, "             {at}");
        }
    }
    text
}

/// `server::handle::{{closure}}` → `server::handle`: the body of an async function is a closure to the
/// compiler, and so are the async blocks in it.
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

/// The program's frames between the call into this crate and the runtime that
/// started the thread, or polls the task.
fn trimmed(frames: &[Frame], is_task: bool) -> impl Iterator<Item = &Frame> {
    let is_ours = |frame: &Frame| {
        let homes = [
            "lockdep::",
            "lockdep_streams::",
            "tokio::flavours::",
            "lock_api::",
            "parking_lot::",
            "once_cell::",
            "backtrace::",
        ];
        homes.iter().any(|home| path(frame).starts_with(home))
    };
    // Only the innermost run of ours: an initializer that runs inside a
    // `LazyLock` of ours has its callers further out.
    let first = frames.iter().position(is_ours).unwrap_or(0);
    // A task's lock calls tokio's, which calls this crate when it has to wait.
    let is_between = |frame: &Frame| is_of_std(frame) || is_of_tokio(frame);
    let run = frames[first..].iter().take_while(|frame| is_ours(frame) || is_between(frame));
    let run = run.count();
    let last = frames[first..first + run].iter().rposition(is_ours);
    let start = last.map_or(first, |last| first + last + 1);
    let is_end = |frame: &Frame| if is_task { polls_task(frame) } else { starts_thread(frame) };
    let frames = &frames[start..];
    let end = frames.iter().position(is_end).unwrap_or(frames.len());
    frames[..end].iter().filter(|frame| !is_of_std(frame) && !is_of_executor(frame))
}

fn starts_thread(frame: &Frame) -> bool {
    let function = path(frame);
    upstream::starts_thread(function)
        || function.starts_with("lockdep::thread::spawned::Spawned") && function.contains("::new::")
}

/// Returns `true` if it is between the executor and the future of a task.
fn polls_task(frame: &Frame) -> bool {
    let function = path(frame);
    let roots = ["lockdep::validator::tasks::", "lockdep::tokio::", "lockdep_tracing::"];
    roots.iter().any(|root| function.starts_with(root))
}

fn is_of_tokio(frame: &Frame) -> bool {
    path(frame).starts_with("tokio::")
}

/// Returns `true` for what polls futures, and for the insides of `select!` and `join!`.
fn is_of_executor(frame: &Frame) -> bool {
    polls_task(frame) || upstream::is_of_tokios_executor(path(frame))
}

fn is_of_std(frame: &Frame) -> bool {
    match &frame.site {
        Some(site) => upstream::is_of_the_toolchain(site),
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
            .map(|&function| Frame { function: function.into(), site: None })
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
            "lockdep::validator::tasks::poll",
            "<lockdep::tokio::root::Root<F> as core::future::future::Future>::poll",
            "tokio::runtime::task::core::Core<T,S>::poll",
            "server::main",
        ]
        .map(|function| Frame { function: function.into(), site: None });
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

    /// It is inside tokio's own lock that an operation is first known to wait.
    #[test]
    fn an_operation_s_stack_begins_where_the_lock_is_awaited() {
        let frames = [
            "lockdep::validator::tasks::stacks::of_operation",
            "lockdep::validator::tasks::wakers::Stub::operation",
            "core::task::wake::Waker::clone",
            "<tokio::sync::batch_semaphore::Acquire as core::future::future::Future>::poll",
            "lockdep::tracked::awaited::Awaited::poll",
            "server::cache::load::{{closure}}",
            "lockdep::validator::tasks::poll",
        ]
        .map(|function| Frame { function: function.into(), site: None });
        let shown: Vec<_> = trimmed(&frames, true).map(|it| &*it.function).collect();
        assert_eq!(shown, ["server::cache::load::{{closure}}"]);
    }

    /// Of a thread that runs an executor, its own frames are shown, on both sides of it.
    #[test]
    fn an_executor_is_cut_out_of_a_thread_s_stack() {
        let frames = [
            "lockdep::sync::mutex::Mutex<T>::lock",
            "server::accept::{{closure}}",
            "lockdep::validator::tasks::poll",
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
    fn the_poll_of_a_checked_program_is_cut_out_of_a_thread_s_stack() {
        let frames = [
            "lockdep::sync::mutex::Mutex<T>::lock",
            "server::accept::{{closure}}",
            "lockdep::validator::tasks::root_poll::poll_at",
            "<lockdep_tracing::instrumented::Instrumented<F> as core::future::future::Future>::poll",
            "tokio::runtime::park::CachedParkThread::block_on",
            "server::main",
        ];
        assert_eq!(shown(&frames), ["server::accept::{{closure}}", "server::main"]);
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
