//! A raw call stack as text: the program's own frames, without ours and without
//! those of the standard library.

use std::{
    ffi::c_void,
    fmt::Write,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::finding::{Stack, ThreadInfo, is_of_the_toolchain};

/// One line of a call stack. Several belong to one address where the compiler
/// inlined.
struct Frame {
    function: String,
    site: Option<String>,
}

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
            let at =
                tokio_macro(site).map_or_else(|| format!("at {site}"), |it| format!("in {it}"));
            let _ = writeln!(text, "             {at}");
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

/// A function of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its symbol, which no other function has.
    symbol: Box<[u8]>,
    /// The same for people.
    pub(crate) name: String,
    /// The source file of the code that is being run: of a macro, if that is what it comes from.
    pub(crate) file: Option<PathBuf>,
}

#[cfg(all(test, not(loom)))]
impl Function {
    pub(crate) fn new(name: &str, file: &str) -> Self {
        Self { symbol: name.as_bytes().into(), name: name.to_owned(), file: Some(file.into()) }
    }
}

impl Function {
    /// Returns `true` if it is the same function, at whichever place in it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.symbol == other.symbol
    }
}

/// The functions that an address returns to, outermost first: each was inlined into the one before, at the place
/// that is returned with that one. Empty if they are unknown.
pub(crate) fn functions_at(address: *mut c_void) -> Vec<(Function, Option<(u32, u32)>)> {
    let _symbols = SYMBOLS.lock();
    let (mut functions, mut is_known) = (Vec::new(), true);
    backtrace::resolve(address, |symbol| {
        let Some(name) = symbol.name() else {
            is_known = false;
            return;
        };
        let function = Function {
            symbol: name.as_bytes().into(),
            name: format!("{name:#}"),
            file: symbol.filename().map(Path::to_path_buf),
        };
        // Line 0 is that of code which the compiler has merged from several places.
        let place = symbol.lineno().filter(|&line| line != 0).zip(symbol.colno());
        functions.push((function, place));
    });
    functions.reverse();
    if is_known { functions } else { Vec::new() }
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

/// The macro of tokio that the compiler names as the place of what stands in it.
fn tokio_macro(site: &str) -> Option<&'static str> {
    let (_, place) =
        site.split_once("/src/macros/").filter(|(home, _)| home.contains("/tokio-"))?;
    let macros = [
        ("select.rs", "`tokio::select!`"),
        ("join.rs", "`tokio::join!`"),
        ("try_join.rs", "`tokio::try_join!`"),
    ];
    macros.into_iter().find(|(file, _)| place.starts_with(file)).map(|(_, name)| name)
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
        let function = frame.function.trim_start_matches('<');
        let homes = [
            "lockdep::",
            "lockdep_streams::",
            "tokio::flavours::",
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
    let function = frame.function.trim_start_matches('<');
    function.contains("__rust_begin_short_backtrace")
        || function.starts_with("lockdep::thread::spawned::Spawned") && function.contains("::new::")
}

/// Returns `true` if it is between the executor and the future of a task.
fn polls_task(frame: &Frame) -> bool {
    let function = frame.function.trim_start_matches('<');
    let roots = ["lockdep::validator::tasks::", "lockdep::tokio::"];
    roots.iter().any(|root| function.starts_with(root))
}

fn is_of_tokio(frame: &Frame) -> bool {
    frame.function.trim_start_matches('<').starts_with("tokio::")
}

/// Returns `true` for what polls futures, and for the insides of `select!` and `join!`.
fn is_of_executor(frame: &Frame) -> bool {
    let function = frame.function.trim_start_matches('<');
    let homes = [
        "tokio::runtime::",
        "tokio::task::",
        "tokio::future::",
        "tokio::macros::",
        "tokio::loom::",
    ];
    polls_task(frame) || homes.iter().any(|home| function.starts_with(home))
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

    #[test]
    fn the_place_of_a_macro_is_its_name() {
        let site = "/registry/src/index/tokio-1.54.1/src/macros/try_join.rs:150:20";
        assert_eq!(tokio_macro(site), Some("`tokio::try_join!`"));
        assert_eq!(tokio_macro("/registry/src/index/tokio-1.54.1/src/sync/mutex.rs:1:1"), None);
        assert_eq!(tokio_macro("/home/me/server/src/macros/join.rs:1:1"), None);
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
