//! Detects the end of the calling thread and of the process by inspecting the call stack; there is
//! no API for it.

use super::symbols;
use crate::{stack, upstream};

/// Returns `true` inside a destructor of a thread-local, where a panic would abort the process. The
/// caller is [`Reporting`](crate::validator::ThreadState::Reporting).
pub(crate) fn thread_is_ending() -> bool {
    let mut addresses = Vec::new();
    stack::trace(|frame| {
        addresses.push(frame.ip());
        true
    });
    symbols::is_any_function(&addresses, upstream::destroys_thread_locals)
}

/// Returns `true` while the process exits: `exit` destroys the calling thread's locals while its
/// guards still exist, further up its stack.
#[cfg(unix)]
pub(crate) fn process_is_exiting() -> bool {
    let exit = libc::exit as *const () as usize;
    let mut is_exiting = false;
    stack::trace(|frame| {
        is_exiting = frame.symbol_address() as usize == exit;
        !is_exiting
    });
    is_exiting
}

/// On other systems `exit` runs no destructors of the calling thread's locals.
#[cfg(not(unix))]
pub(crate) fn process_is_exiting() -> bool {
    false
}
