//! The functions and source lines that addresses of a call stack belong to.

use std::{
    ffi::c_void,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::Stack;

/// One line of a call stack. Several belong to one address where the compiler
/// inlined.
pub(crate) struct Frame {
    pub(crate) function: String,
    pub(crate) site: Option<String>,
}

/// One thread at a time looks up symbols. The `backtrace` crate has a lock for that as well, but
/// nobody can take it before a fork.
static SYMBOLS: Mutex<()> = Mutex::new(());

/// The lock around the look-up of symbols.
#[cfg(all(unix, not(loom)))]
pub(crate) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
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

/// The frames of a stack, innermost first.
pub(crate) fn symbolize(stack: &Stack) -> Vec<Frame> {
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
