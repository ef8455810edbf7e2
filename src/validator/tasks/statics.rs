//! Recognizes locks that are `static`. A guard of one may leave its task, because it borrows the
//! lock for the rest of the program.

/// Returns `true` if this address is known to be in a static of the program. Always `false` except
/// on Linux.
#[cfg(not(all(target_os = "linux", not(loom))))]
pub(crate) fn is_static(_address: usize) -> bool {
    false
}

#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) use linux::is_static;

#[cfg(all(target_os = "linux", not(loom)))]
mod linux {
    use std::{
        ffi::{c_int, c_void},
        ops::Range,
        sync::atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    };

    /// The program's memory range, without its libraries.
    static START: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);

    #[inline]
    pub(crate) fn is_static(address: usize) -> bool {
        if END.load(Relaxed) == 0 {
            find();
        }
        // In this order, as they are stored in the other.
        let end = END.load(Acquire);
        (START.load(Relaxed)..end).contains(&address)
    }

    #[cold]
    fn find() {
        let mut program = 0..1;
        // SAFETY: the callback is called before this returns, with the pointer passed here.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut program).cast()) };
        START.store(program.start, Relaxed);
        END.store(program.end, Release);
    }

    /// Handles the first object, which is the program itself. Returns 1 to stop the iteration.
    #[allow(clippy::cast_possible_truncation, reason = "they are addresses")]
    unsafe extern "C" fn first(
        object: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        program: *mut c_void,
    ) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid object, and the pointer from `find`.
        let (object, program) = unsafe { (&*object, &mut *program.cast::<Range<usize>>()) };
        for at in 0..usize::from(object.dlpi_phnum) {
            // SAFETY: `at` is less than the number of headers.
            let header = unsafe { &*object.dlpi_phdr.add(at) };
            if header.p_type == libc::PT_LOAD {
                let start = (object.dlpi_addr + header.p_vaddr) as usize;
                let end = start + header.p_memsz as usize;
                let so_far = if program.start == 0 { start } else { program.start };
                *program = so_far.min(start)..program.end.max(end);
            }
        }
        1
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_statics_are_recognized() {
            static CHANGED: AtomicUsize = AtomicUsize::new(1);
            static ZERO: AtomicUsize = AtomicUsize::new(0);
            let (boxed, local) = (Box::new(0_usize), 0_usize);
            let is_static = |it: *const AtomicUsize| is_static(it.addr());
            assert!(is_static(&raw const CHANGED) && is_static(&raw const ZERO));
            assert!(
                !is_static((&raw const *boxed).cast()) && !is_static((&raw const local).cast())
            );
        }
    }
}
