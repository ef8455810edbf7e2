//! Locks that are `static`: a guard of one may leave its task, as it borrows the lock for as long as the program
//! runs.

/// Returns `true` if what is at this address is known to be a static of the program. Elsewhere than on Linux, that is
/// never known.
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
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    /// Where the program itself is in memory, without its libraries.
    static START: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);

    #[inline]
    pub(crate) fn is_static(address: usize) -> bool {
        if END.load(Relaxed) == 0 {
            find();
        }
        (START.load(Relaxed)..END.load(Relaxed)).contains(&address)
    }

    #[cold]
    fn find() {
        let mut program = 0..1;
        // SAFETY: the callback is called before this returns, with the pointer that is passed here.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut program).cast()) };
        // A thread that reads only the end takes its lock for a static, once.
        START.store(program.start, Relaxed);
        END.store(program.end, Relaxed);
    }

    /// The program comes first. Returns that no more is wanted.
    #[allow(clippy::cast_possible_truncation, reason = "they are addresses")]
    unsafe extern "C" fn first(
        object: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        program: *mut c_void,
    ) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a valid object, and what `find` has passed to it.
        let (object, program) = unsafe { (&*object, &mut *program.cast::<Range<usize>>()) };
        for at in 0..usize::from(object.dlpi_phnum) {
            // SAFETY: there are so many of them.
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
        fn only_statics_are() {
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
