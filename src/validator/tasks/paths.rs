//! The path of an acquisition: through which futures the poll of a task led to it.
//!
//! Where the count of wakers leaves it in doubt whether two acquisitions of a task are one after the other, their
//! paths may show it. They have the same beginning, and part in some function. If that is an `async` function or
//! block, which awaits one future at a time, then the earlier acquisition was over when the later one began, and its
//! guard was kept there or had been returned to there. This holds under conditions that are [checked](steps).
//!
//! It takes symbols. Where functions may have been inlined, it takes line tables as well, which tell the functions that
//! one address belongs to, and where each was called. Without them, nothing is proved of two paths, and a single one is
//! supposed to have [no siblings](may_have_siblings).

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

/// How many frames a path has at most. A longer one proves nothing.
const MAX_FRAMES: usize = 256;

/// Addresses of the frames from the root poll, the outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<usize>);

impl Path {
    /// The path of the calling thread between the root poll and a function that is called by the poll of a lock's
    /// future. Each has a local variable at such a place in the stack. Empty if it is too long.
    pub(super) fn between(root: usize, end: usize) -> Option<Self> {
        let mut frames = Vec::new();
        let mut is_whole = false;
        stack::trace(|frame| {
            let place = frame.sp().addr();
            is_whole = place > root;
            if !is_whole && place > end {
                frames.push(frame.ip().addr());
            }
            !is_whole && frames.len() < MAX_FRAMES
        });
        if frames.len() == MAX_FRAMES {
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

    /// Those that are known.
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

    /// `None` if a function is unknown, or if it is unknown which others were inlined into it.
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

/// Acquisitions that were in doubt once, by their place in the source: their paths are kept.
static WANTED: [AtomicPtr<Location<'static>>; 256] =
    [const { AtomicPtr::new(ptr::null_mut()) }; 256];

fn place(site: &'static Location<'static>) -> &'static AtomicPtr<Location<'static>> {
    &WANTED[ptr::from_ref(site).addr() / align_of::<Location<'_>>() % WANTED.len()]
}

/// What was acquired here is in doubt: acquisitions here keep their paths from now on.
pub(super) fn want(site: &'static Location<'static>) {
    place(site).store(ptr::from_ref(site).cast_mut(), Relaxed);
    ARE_WANTED.store(true, Relaxed);
}

/// A bit for each place in the source at which a lock was acquired. Two places may share one.
static SEEN: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// The word with the bit of a place, and the bit.
#[inline]
fn seen(site: &'static Location<'static>) -> (&'static AtomicU64, u64) {
    let number = ptr::from_ref(site).addr() / align_of::<Location<'_>>();
    (&SEEN[number / 64 % SEEN.len()], 1 << (number % 64))
}

/// A lock was acquired here, and the path was kept if it was wanted.
pub(super) fn note_seen(site: &'static Location<'static>) {
    let (word, bit) = seen(site);
    word.fetch_or(bit, Relaxed);
}

/// Returns `true` if an acquisition must keep its path: the first one at each place, since it is not known yet whether
/// what it acquires will be in doubt, and all of them once it was.
#[inline]
pub(crate) fn is_wanted(site: &'static Location<'static>) -> bool {
    let (word, bit) = seen(site);
    let was_in_doubt = || ARE_WANTED.load(Relaxed) && ptr::eq(place(site).load(Relaxed), site);
    word.load(Relaxed) & bit == 0 || was_in_doubt()
}

/// What was asked of a pair of paths, or of one, by their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    MayHaveSiblings(u64),
    AreInSequence(u64, u64),
}

/// The answers so far.
static ANSWERS: Mutex<Option<FxHashMap<Question, bool>>> = Mutex::new(None);
/// How many are kept.
const MAX_ANSWERS: usize = 4096;

/// The lock around them.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &ANSWERS
}

/// Returns the answer, which `find` looks up symbols for if the question is new.
fn answer(question: Question, find: impl FnOnce() -> bool) -> bool {
    let known = ANSWERS.lock().as_ref().and_then(|known| known.get(&question).copied());
    known.unwrap_or_else(|| {
        // With no lock held: the program's allocator is called.
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

/// Returns `true` if a path leads through a function that may poll other futures as well, or is too long; `false` if
/// symbols are not known.
pub(super) fn may_have_siblings(path: &Path) -> bool {
    path.0.is_empty()
        || answer(Question::MayHaveSiblings(path.hash()), || {
            steps::may_poll_others(&path.known_frames())
        })
}

/// Returns `true` if what was acquired by the earlier path is held until the later one has led to the end; `false` if
/// symbols are not known.
pub(super) fn are_in_sequence(earlier: &Path, later: &Path) -> bool {
    answer(Question::AreInSequence(earlier.hash(), later.hash()), || {
        let frames = earlier.frames().zip(later.frames());
        frames.is_some_and(|(earlier, later)| steps::are_in_sequence(&earlier, &later))
    })
}
