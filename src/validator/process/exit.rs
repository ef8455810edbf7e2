//! Detects that the calling thread, or the whole process, is about to end by inspecting the call stack. There is no
//! API for it.

use crate::{
    stack::{self, symbols},
    upstream,
};

/// Returns `true` if a destructor of the calling thread's locals runs: a panic in it would abort the
/// process. The caller is [`Reporting`](crate::validator::ThreadState::Reporting).
pub(in crate::validator) fn thread_is_ending() -> bool {
    let mut addresses = Vec::new();
    stack::trace(|frame| {
        addresses.push(frame.ip());
        true
    });
    symbols::is_any_function(&addresses, upstream::destroys_thread_locals)
}

/// Whether the whole process ends: `exit` destroys the calling thread's locals while its
/// guards live on, further up its stack.
#[cfg(unix)]
pub(in crate::validator) fn process_is_exiting() -> bool {
    let exit = libc::exit as *const () as usize;
    let mut is_exiting = false;
    stack::trace(|frame| {
        is_exiting = frame.symbol_address() as usize == exit;
        !is_exiting
    });
    is_exiting
}

/// Elsewhere no destructor of the calling thread's locals runs then.
#[cfg(not(unix))]
pub(in crate::validator) fn process_is_exiting() -> bool {
    false
}
