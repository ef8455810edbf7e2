//! Is the calling thread, or the whole process, about to end? Told from the stack, as nothing else
//! tells.

use crate::stack::{self, symbols};

/// Whether a destructor of the calling thread's locals runs: a panic in it would abort the
/// process. By the names of std's functions that run it and see to that, either of which may be
/// inlined, as nothing else tells. The caller is [`Reporting`](crate::validator::ThreadState::Reporting).
pub(in crate::validator) fn thread_is_ending() -> bool {
    let mut addresses = Vec::new();
    stack::trace(|frame| {
        addresses.push(frame.ip());
        true
    });
    symbols::is_any_function(&addresses, |name| {
        let is_of = |function| name.contains("thread_local::") && name.contains(function);
        is_of("::destroy") || is_of("::abort_on_dtor_unwind")
    })
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
