//! Symbolization: the functions and source lines at the addresses of a call stack.

use std::{
    ffi::c_void,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use super::Stack;

/// One line of a call stack. An address has several if functions were inlined there.
pub(crate) struct Frame {
    pub(crate) function: String,
    pub(crate) line: Option<SourceLine>,
}

/// A line of a source file.
pub(crate) struct SourceLine {
    pub(crate) file: String,
    pub(crate) line: u32,
    /// Counted from 1 in bytes, unlike that of a `Site`.
    pub(crate) column: Option<u32>,
}

/// Serializes symbolization. The `backtrace` crate has its own lock, but a fork cannot acquire that
/// one beforehand.
static SYMBOLS: Mutex<()> = Mutex::new(());

/// Returns the lock around symbolization, for a fork.
#[cfg(all(unix, not(loom)))]
pub(crate) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &SYMBOLS
}

/// Returns `true` if `has_name` accepts the name of a function at one of these addresses, including
/// inlined ones.
pub(crate) fn is_any_function(addresses: &[*mut c_void], has_name: impl Fn(&str) -> bool) -> bool {
    let _symbols = SYMBOLS.lock();
    addresses.iter().any(|&address| {
        let mut is_one = false;
        backtrace::resolve(address, |symbol| {
            is_one |= symbol.name().is_some_and(|name| has_name(&format!("{name:#}")));
        });
        is_one
    })
}

/// A function of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// The mangled symbol, which is unique.
    symbol: Box<[u8]>,
    /// The demangled name.
    pub(crate) name: String,
    /// The source file of the code at the address; a macro's, if the code comes from one.
    pub(crate) file: Option<PathBuf>,
}

#[cfg(all(test, not(loom)))]
impl Function {
    pub(crate) fn new(name: &str, file: &str) -> Self {
        Self { symbol: name.as_bytes().into(), name: name.to_owned(), file: Some(file.into()) }
    }
}

impl Function {
    /// Returns `true` if both are the same function, at any location in it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.symbol == other.symbol
    }
}

/// Returns the functions at an address, outermost first. Each was inlined into the one before, at
/// the line and column returned with that one. Empty if a name is unknown.
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
        // Line 0 marks code that the compiler merged from several locations.
        let place = symbol.lineno().filter(|&line| line != 0).zip(symbol.colno());
        functions.push((function, place));
    });
    functions.reverse();
    if is_known { functions } else { Vec::new() }
}

/// Returns the frames of a stack, innermost first.
pub(crate) fn symbolize(stack: &Stack) -> Vec<Frame> {
    let _symbols = SYMBOLS.lock();
    let mut frames = Vec::new();
    for address in stack.addresses() {
        let known = frames.len();
        backtrace::resolve(address, |symbol| {
            let function =
                symbol.name().map_or_else(|| "<unknown>".into(), |name| format!("{name:#}"));
            let line = symbol.filename().zip(symbol.lineno()).map(|(file, line)| SourceLine {
                file: file.display().to_string(),
                line,
                column: symbol.colno(),
            });
            frames.push(Frame { function, line });
        });
        if frames.len() == known {
            frames.push(Frame { function: format!("{address:p}"), line: None });
        }
    }
    frames
}
