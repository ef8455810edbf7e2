//! The path of an acquisition: the chain of futures through which the poll of a task led to it.
//!
//! If the count of wakers does not prove that two acquisitions of a task are in sequence, their
//! paths may. They have a common beginning and diverge in some function. If that is an `async`
//! function or block, which awaits one future at a time, then the earlier acquisition was complete
//! when the later one began, and its guard was stored in that function or had been returned to it.
//! The conditions are [checked](steps).
//!
//! This needs symbols. Where functions may have been inlined, it also needs line tables, which give
//! the functions at one address and the location of each call. Without them, nothing is proved
//! about two paths, and a single one is assumed to have [no siblings](may_have_siblings).

use std::{
    hash::{Hash, Hasher},
    panic::Location,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHasher};

use super::steps::{self, Frame};
use crate::stack::{self, symbols};

/// The maximum number of frames in a path. A longer one proves nothing.
const MAX_PATH: usize = 256;

/// The addresses of the frames from the root poll inward.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<usize>);

impl Path {
    /// Returns the calling thread's path between the root poll and a function called by the poll of
    /// a lock's future, each given by the address of a local variable. Empty if it is too long.
    pub(super) fn between(root: usize, end: usize) -> Option<Self> {
        let mut frames = Vec::new();
        let mut is_whole = false;
        stack::trace(|frame| {
            let place = frame.sp().addr();
            is_whole = place > root;
            if !is_whole && place > end {
                frames.push(frame.ip().addr());
            }
            !is_whole && frames.len() < MAX_PATH
        });
        if frames.len() == MAX_PATH {
            return Some(Self(Vec::new()));
        }
        frames.reverse();
        is_whole.then_some(Self(frames))
    }

    fn hash(&self) -> u64 {
        let mut hasher = FxHasher::default();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    /// Returns the frames with known functions.
    fn known_frames(&self) -> Vec<Frame> {
        let mut frames = Vec::with_capacity(self.0.len());
        for &address in &self.0 {
            let functions = symbols::functions_at(ptr::without_provenance_mut(address));
            let count = functions.len();
            for (depth, (function, call)) in functions.into_iter().enumerate() {
                frames.push(Frame { address, function, call, is_inlining: depth + 1 < count });
            }
        }
        frames
    }

    /// Returns all frames. `None` if a function is unknown, or if it is unknown which others were
    /// inlined into it.
    fn frames(&self) -> Option<Vec<Frame>> {
        let frames = self.known_frames();
        let mut addresses: Vec<usize> = frames.iter().map(|frame| frame.address).collect();
        addresses.dedup();
        let is_known = |frame: &Frame| frame.function.file.is_some() || frame.is_ours();
        let are_known = addresses == self.0 && frames.iter().all(is_known);
        (are_known && frames.last().is_some_and(Frame::is_ours)).then_some(frames)
    }
}

/// `true` once any path was wanted.
static ARE_WANTED: AtomicBool = AtomicBool::new(false);

/// Source locations of acquisitions that were in doubt once. Their paths are stored.
static WANTED: [AtomicPtr<Location<'static>>; 256] =
    [const { AtomicPtr::new(ptr::null_mut()) }; 256];

fn place(site: &'static Location<'static>) -> &'static AtomicPtr<Location<'static>> {
    &WANTED[ptr::from_ref(site).addr() / align_of::<Location<'_>>() % WANTED.len()]
}

/// Called when what was acquired here is in doubt. Acquisitions here store their paths from now on.
pub(super) fn want(site: &'static Location<'static>) {
    place(site).store(ptr::from_ref(site).cast_mut(), Relaxed);
    ARE_WANTED.store(true, Relaxed);
}

/// One bit for each source location of an acquisition. Two locations may share one.
static SEEN: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Returns the word with the bit of a location, and the bit.
#[inline]
fn seen(site: &'static Location<'static>) -> (&'static AtomicU64, u64) {
    let number = ptr::from_ref(site).addr() / align_of::<Location<'_>>();
    (&SEEN[number / 64 % SEEN.len()], 1 << (number % 64))
}

/// Called when a lock was acquired here. Its path was stored if it was wanted.
pub(super) fn note_seen(site: &'static Location<'static>) {
    let (word, bit) = seen(site);
    word.fetch_or(bit, Relaxed);
}

/// Returns `true` if an acquisition must store its path: the first one at each location, because it
/// is unknown whether what it acquires will be in doubt, and all of them once it was.
#[inline]
pub(crate) fn is_wanted(site: &'static Location<'static>) -> bool {
    let (word, bit) = seen(site);
    let was_in_doubt = || ARE_WANTED.load(Relaxed) && ptr::eq(place(site).load(Relaxed), site);
    word.load(Relaxed) & bit == 0 || was_in_doubt()
}

/// Forgets which locations were seen, so that the next acquisition at each stores its path.
pub(in crate::validator) fn forget_seen() {
    for word in &SEEN {
        word.store(0, Relaxed);
    }
}

/// A question about a pair of paths, or about one, by their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    MayHaveSiblings(u64),
    AreInSequence(u64, u64),
}

/// The answers so far.
static ANSWERS: Mutex<Option<FxHashMap<Question, bool>>> = Mutex::new(None);
/// The maximum number of answers kept.
const MAX_ANSWERS: usize = 4096;

/// Returns the lock around the answers, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &ANSWERS
}

/// Returns the answer. If the question is new, `find` looks up symbols for it.
fn answer(question: Question, find: impl FnOnce() -> bool) -> bool {
    let known = ANSWERS.lock().as_ref().and_then(|known| known.get(&question).copied());
    known.unwrap_or_else(|| {
        // With no lock held, because this calls the program's allocator.
        let found = find();
        let mut answers = ANSWERS.lock();
        let answers = answers.get_or_insert_default();
        if answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        answers.insert(question, found);
        found
    })
}

/// Returns `true` if a path leads through a function that may poll other futures as well, or is too
/// long; `false` if symbols are unknown.
pub(super) fn may_have_siblings(path: &Path) -> bool {
    path.0.is_empty()
        || answer(Question::MayHaveSiblings(path.hash()), || {
            steps::may_poll_others(&path.known_frames())
        })
}

/// Returns `true` if what was acquired on the earlier path is held until the end of the later one;
/// `false` if symbols are unknown.
pub(super) fn are_in_sequence(earlier: &Path, later: &Path) -> bool {
    answer(Question::AreInSequence(earlier.hash(), later.hash()), || {
        let frames = earlier.frames().zip(later.frames());
        frames.is_some_and(|(earlier, later)| steps::are_in_sequence(&earlier, &later))
    })
}
