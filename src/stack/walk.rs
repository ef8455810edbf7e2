//! Walks the calling thread's stack, and caches the last walks.
//!
//! Unwinding takes one or two microseconds, and most walks repeat an earlier one. A walk that
//! starts at the same stack address as a cached one has the same result if every return address
//! still stands in the slot where it was found. The slots are compared from the innermost outward,
//! up to the first difference. Up to there, the frames are those of the cached walk, so an unwinder
//! would look in the same slots.
//!
//! This holds for frames of fixed size. A frame that realigns the stack may move the slots outside
//! it. Then the comparison reads whatever is in the old slot, and almost always fails, which costs
//! a new walk. If an old return address was left there, the cached frame is reported.
//!
//! The location of return addresses is not assumed. A walk is cached only if all of them were found
//! eight bytes below the frames' addresses, as on x86-64. Elsewhere every walk is made. The same
//! holds on a stack that is not the thread's own, but a coroutine's, because it may be gone by the
//! next walk.

#![allow(unsafe_code, reason = "a measurement asks for it: 7,000 instructions an edge, not 36,000")]

use std::cell::{Cell, RefCell};

use super::{MAX_FRAMES, RawStack};

/// The number of walks cached per thread.
const MAX_WALKS: usize = 4;

/// The last walks of a thread, replaced in turn. Several may start at the same address, if
/// different paths lead there.
struct Walks {
    /// The stack address where each walk starts; 0 if the walk cannot be reused.
    from: [usize; MAX_WALKS],
    all: [Walk; MAX_WALKS],
    next: usize,
}

struct Walk {
    depth: usize,
    /// The range of frames whose slots are compared.
    live: (usize, usize),
    /// The number that the caller assigned to the walk; 0 if none.
    number: u64,
    /// The return addresses, innermost first, and the slot of each; 0 for frames of the walking
    /// functions.
    frames: [(usize, usize); MAX_FRAMES],
}

thread_local! {
    /// The bounds of the thread's own stack, once they were queried.
    static STACK: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    static WALKS: RefCell<Walks> = const { RefCell::new(Walks::new()) };
}

impl RawStack {
    /// Walks the stack of the calling thread, without looking up any symbol.
    ///
    /// Inlined into its caller so that no frame is spent on it.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "the frame of a capture helper is noise in every report"
    )]
    pub(crate) fn capture() -> Self {
        let mut stack = Self::EMPTY;
        walk(std::ptr::from_ref(&stack).addr(), &mut stack);
        stack
    }

    /// Walks the stack from an address in the calling function's frame.
    #[cold]
    #[inline(never)]
    pub(crate) fn capture_from(place: usize) -> Self {
        let mut stack = Self::EMPTY;
        walk(place, &mut stack);
        stack
    }
}

/// Fills in the stack, outward from the frame that contains `from`.
fn walk(from: usize, stack: &mut RawStack) {
    let is_known = WALKS.try_with(|walks| {
        let mut walks = walks.try_borrow_mut().ok()?;
        let (begin, end) = own_stack();
        if !(begin..end).contains(&from) {
            return None;
        }
        let at = walks.find(from).unwrap_or_else(|| walks.make(from, end));
        let known = &walks.all[at];
        for (address, _) in &known.frames[..known.depth] {
            stack.push(*address);
        }
        Some(())
    });
    // On a foreign stack, in an ending thread, or if the unwinder called back into here.
    if !matches!(is_known, Ok(Some(()))) {
        trace(|frame| stack.push(frame.ip().addr()));
    }
}

/// Walks the stack, without the `backtrace` crate's lock on Unix: a thread that does not exist in a
/// fork may hold it there. libdbghelp, on Windows, needs the lock.
pub(crate) fn trace(each: impl FnMut(&backtrace::Frame) -> bool) {
    #[cfg(unix)]
    // SAFETY: unwinders on Unix are thread-safe, as panics require.
    unsafe {
        backtrace::trace_unsynchronized(each);
    }
    #[cfg(not(unix))]
    backtrace::trace(each);
}

impl Walks {
    const fn new() -> Self {
        Self { from: [0; MAX_WALKS], all: [const { Walk::NONE }; MAX_WALKS], next: 0 }
    }

    /// Returns a cached walk from `from` that is still valid.
    fn find(&self, from: usize) -> Option<usize> {
        (0..MAX_WALKS).find(|&at| self.from[at] == from && self.all[at].is_still())
    }

    /// Makes a walk and caches it in place of the oldest.
    fn make(&mut self, from: usize, end: usize) -> usize {
        let at = self.next;
        self.next = (at + 1) % MAX_WALKS;
        self.from[at] = if self.all[at].make(from, end) { from } else { 0 };
        at
    }
}

impl Walk {
    const NONE: Self = Self { depth: 0, live: (0, 0), number: 0, frames: [(0, 0); MAX_FRAMES] };

    /// Returns `true` if every return address is still in its slot. The caller must have checked
    /// that the walk starts at the same address.
    fn is_still(&self) -> bool {
        self.frames[self.live.0..self.live.1].iter().all(|&(address, slot)| {
            // SAFETY: the slot is in this thread's own stack, outside the current frame, as it was
            // when it was cached.
            unsafe { return_address(slot) == address }
        })
    }

    /// Walks the stack. Returns `true` if the walk can be reused.
    fn make(&mut self, from: usize, end: usize) -> bool {
        let mut is_reusable = true;
        self.depth = 0;
        self.number = 0;
        trace(|frame| {
            let (address, slot) = (frame.ip().addr(), frame.sp().addr().wrapping_sub(8));
            // The last address may be null: the thread's first function has no caller.
            let is_live = slot > from && address != 0;
            let is_in_stack = slot % 8 == 0 && slot < end;
            // SAFETY: the slot is aligned, above the current frame and below the end of the stack.
            if is_live && !(is_in_stack && unsafe { return_address(slot) } == address) {
                is_reusable = false;
            }
            self.frames[self.depth] = (address, if is_live { slot } else { 0 });
            self.depth += 1;
            self.depth < MAX_FRAMES
        });
        let is_live = |&(_, slot): &(usize, usize)| slot != 0;
        let frames = &self.frames[..self.depth];
        let first = frames.iter().position(is_live).unwrap_or(0);
        let last = frames.iter().rposition(is_live).map_or(0, |last| last + 1);
        self.live = (first, last.max(first));
        is_reusable && frames[self.live.0..self.live.1].iter().all(is_live)
    }
}

/// Returns the [number](number_walk) of the walk from this place in the stack, or 0 if it has none.
pub(crate) fn walk_number(from: usize) -> u64 {
    let number = |walks: &RefCell<Walks>| {
        let walks = walks.try_borrow().ok()?;
        walks.find(from).map(|at| walks.all[at].number)
    };
    WALKS.try_with(number).ok().flatten().unwrap_or(0)
}

/// Assigns a number to the walk from this stack address, if it is cached.
pub(crate) fn number_walk(from: usize, number: u64) {
    let set = |walks: &RefCell<Walks>| {
        let mut walks = walks.try_borrow_mut().ok()?;
        let at = walks.find(from)?;
        walks.all[at].number = number;
        Some(())
    };
    let _ = WALKS.try_with(set);
}

/// Returns the bounds of the calling thread's own stack; an empty range if they are unknown.
fn own_stack() -> (usize, usize) {
    STACK.get().unwrap_or_else(|| {
        let stack = find_own_stack().unwrap_or((0, 0));
        STACK.set(Some(stack));
        stack
    })
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64", not(miri)))]
fn find_own_stack() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::uninit();
    let (mut begin, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are initialized by the first call, read by the second if it succeeded,
    // and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let is_known =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut begin, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (is_known == 0).then(|| (begin.addr(), begin.addr() + size))
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(miri)
)))]
fn find_own_stack() -> Option<(usize, usize)> {
    None
}

/// Reads a stack slot: a return address, or whatever replaced it. That may be another function's
/// variable, which a thread that borrows it is writing, or padding that a sanitizer has poisoned. A
/// Rust read would be a data race, so this uses an instruction.
///
/// # Safety
///
/// The slot is aligned and within the calling thread's stack.
unsafe fn return_address(slot: usize) -> usize {
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64", not(miri)))]
    // SAFETY: the memory is mapped, by this function's contract. Nothing is written.
    unsafe {
        let address;
        std::arch::asm!(
            "mov {address}, [{slot}]",
            slot = in(reg) slot,
            address = lateout(reg) address,
            options(nostack, preserves_flags, readonly),
        );
        address
    }
    #[cfg(not(all(target_arch = "x86_64", target_pointer_width = "64", not(miri))))]
    // SAFETY: unreachable, because `find_own_stack` returns `None` on these targets.
    unsafe {
        std::ptr::with_exposed_provenance::<usize>(slot).read_volatile()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[inline(never)]
    fn here() -> RawStack {
        RawStack::capture()
    }

    #[inline(never)]
    fn one_frame_more() -> RawStack {
        std::hint::black_box(here())
    }

    #[inline(never)]
    fn deeper(levels: u32) -> RawStack {
        match levels {
            0 => here(),
            1 => one_frame_more(),
            _ => std::hint::black_box(deeper(levels - 2)),
        }
    }

    /// Returns the frames that an unwinder and the walk have in common.
    fn unwound(stack: &RawStack) -> Vec<usize> {
        let mut addresses = Vec::new();
        backtrace::trace(|frame| {
            addresses.push(frame.ip().addr());
            true
        });
        let common = |address: &&usize| stack.frames().contains(address);
        addresses.iter().filter(common).copied().collect()
    }

    /// Calls itself and others at random, from different places and with frames of many sizes, some
    /// of which realign the stack.
    struct Calls {
        state: u64,
        walks: u32,
    }

    #[repr(align(128))]
    struct Aligned([u8; 128]);

    impl Calls {
        fn below(&mut self, bound: u64) -> u64 {
            self.state = self.state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (self.state >> 33) % bound
        }

        fn next(&mut self, depth: u64) {
            if depth == 0 {
                return self.compare();
            }
            for _ in 0..=self.below(2) {
                match self.below(4) {
                    0 => self.small(depth - 1),
                    1 => self.large(depth - 1),
                    2 => self.aligned(depth - 1),
                    _ => self.twice(depth - 1),
                }
            }
        }

        #[inline(never)]
        fn small(&mut self, depth: u64) {
            self.next(depth);
            std::hint::black_box(());
        }

        #[inline(never)]
        fn large(&mut self, depth: u64) {
            let room = std::hint::black_box([0_u8; 200]);
            self.next(depth);
            std::hint::black_box(&room);
        }

        #[inline(never)]
        fn aligned(&mut self, depth: u64) {
            let room = std::hint::black_box(Aligned([0; 128]));
            self.next(depth);
            std::hint::black_box(&room.0);
        }

        #[inline(never)]
        fn twice(&mut self, depth: u64) {
            self.next(depth);
            std::hint::black_box(());
            self.next(depth);
            std::hint::black_box(());
        }

        #[inline(never)]
        fn compare(&mut self) {
            let stack = here();
            let mut fresh = Vec::new();
            backtrace::trace(|frame| {
                fresh.push(frame.ip().addr());
                true
            });
            // The stacks agree from this function outward. The frames before it belong to the walk.
            let walked = stack.frames();
            let first = walked.iter().position(|it| fresh.contains(it)).expect("it is called");
            let at = fresh.iter().position(|it| *it == walked[first]).expect("it is there");
            assert!(first < 12, "{first}");
            let both = walked.len() - first;
            assert_eq!(walked[first..], fresh[at..at + both]);
            self.walks += 1;
        }
    }

    /// A cached walk equals what an unwinder finds, whatever was called before.
    #[test]
    fn random_calls_are_walked_correctly() {
        for seed in 0..200 {
            let mut calls = Calls { state: seed, walks: 0 };
            while calls.walks < 50 {
                let depth = calls.below(9);
                calls.next(depth);
            }
        }
    }

    /// Different paths to one source location are never confused.
    #[test]
    fn different_paths_have_different_walks() {
        for round in 0..50 {
            let mut paths: Vec<_> = (0..6).map(|levels| deeper(levels).frames().to_vec()).collect();
            let outer = unwound(&deeper(round % 6));
            assert!(outer.len() > 2);
            for path in &paths {
                assert!(path.len() == MAX_FRAMES || path.ends_with(&outer[outer.len() - 2..]));
            }
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), 6);
        }
    }

    /// The same path gives the same walk, fresh or cached.
    #[test]
    fn a_cached_walk_is_the_same() {
        let walks: Vec<_> = (0..5).map(|_| here().frames().to_vec()).collect();
        let live = |walk: &Vec<usize>| walk[walk.len() - 4..].to_vec();
        assert!(walks.iter().all(|walk| live(walk) == live(&walks[0])));
        if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            let is_remembered = WALKS.with_borrow(|walks| walks.from.iter().any(|&from| from != 0));
            assert!(is_remembered);
        }
    }

    /// Plants an address that no walk can find and expects it from the cache.
    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    fn a_cached_walk_is_not_made_again() {
        const MARK: usize = 1;
        // A loop, so that both walks start from the same call.
        for round in 0..std::hint::black_box(2) {
            let stack = here();
            assert_eq!(stack.frames().contains(&MARK), round > 0);
            WALKS.with_borrow_mut(|walks| {
                let walks = walks.all.iter_mut();
                let frames = walks.flat_map(|walk| &mut walk.frames[..walk.depth]);
                frames.filter(|(_, slot)| *slot == 0).for_each(|frame| frame.0 = MARK);
            });
        }
    }
}
