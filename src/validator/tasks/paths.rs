//! The path of an acquisition: through which futures the poll of a task led to it.
//!
//! Where the count of wakers leaves it in doubt whether two acquisitions of a task are one after the other, their
//! paths may show it. They have the same beginning, and part in some function. If that is an `async` function or
//! block, which awaits one future at a time, then the earlier acquisition was over when the later one began, and its
//! guard was kept there or had been returned to there. This holds under conditions, all of which are checked:
//!
//! - Each function that both paths have in common polls one and the same future both times. Such are `async` ones
//!   and a list of functions that wrap a single future. Not so `join_all`, which polls many futures in one place.
//! - From where they part, the later path leads through no `join!` or `select!`: a guard may have been moved into
//!   another branch of that.
//!
//! It takes symbols. Where functions may have been inlined, it takes line tables as well, which tell the functions that
//! one address belongs to, and where each was called. Without them, nothing is proved of two paths, and a single one is
//! supposed to have [no siblings](may_have_siblings).

use std::{
    hash::{Hash, Hasher},
    panic::Location,
    path::Path as FilePath,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHasher};

use crate::stack::{
    self,
    symbols::{self, Function},
};

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

/// Returns `true` if a path leads through a function that may poll other futures as well; `false` if symbols are not
/// known.
pub(super) fn may_have_siblings(path: &Path) -> bool {
    if path.0.is_empty() {
        return true;
    }
    answer(Question::MayHaveSiblings(path.hash()), || {
        let frames = path.known_frames();
        // With debug information, the innermost function is one of this crate, or inlined functions are missing.
        let is_cut = |last: &Frame| last.function.file.is_some() && !last.is_ours();
        let is_cut = frames.last().is_some_and(is_cut);
        let may_poll_others = |(frame, step): (&Frame, &Step)| {
            !step.polls_one() || *step == Step::Async && frame.is_merged()
        };
        is_cut || frames.iter().zip(&steps(&frames)).any(may_poll_others)
    })
}

/// Returns `true` if what was acquired by the earlier path is held until the later one has led to the end; `false` if
/// symbols are not known.
pub(super) fn are_in_sequence(earlier: &Path, later: &Path) -> bool {
    answer(Question::AreInSequence(earlier.hash(), later.hash()), || {
        let frames = earlier.frames().zip(later.frames());
        frames.is_some_and(|(earlier, later)| prove(&earlier, &later))
    })
}

/// One frame of a path, or one of several that the compiler has made one of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    /// Where it returns to.
    address: usize,
    function: Function,
    /// The line and column of the call of the next function.
    call: Option<(u32, u32)>,
    /// The next function was inlined into this one.
    is_inlining: bool,
}

impl Frame {
    /// Returns `true` for a function of this crate. All of them wrap.
    fn is_ours(&self) -> bool {
        self.function.name.trim_start_matches('<').starts_with("lockdep::")
    }

    /// Returns `true` if the compiler has merged its call with another one: there are line tables, and it has no line.
    fn is_merged(&self) -> bool {
        self.function.file.is_some() && self.call.is_none() && !self.is_ours()
    }

    /// Returns `true` if both make the same call in the source, which the compiler has duplicated.
    ///
    /// All branches of a macro have the same line and column, and so have two awaits of another macro.
    fn is_duplicate_of(&self, other: &Self) -> bool {
        let can_tell = self.is_inlining && other.is_inlining
            || matches!(Step::of(&self.function), Step::Wraps | Step::Refers);
        can_tell
            && self.call.is_some()
            && self.call == other.call
            && self.function == other.function
    }
}

/// What a function does in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It wraps a single future.
    Wraps,
    /// The same, in a box or a `Pin`: which future that is may change.
    Refers,
    /// An `async` function or block, if it is polled by one of these.
    Async,
    /// `PollFn`, of which `join!` and `select!` are made. It calls a closure.
    PollsBranches,
    /// That closure, if it comes from one of these macros: it polls each branch in another place.
    Branch,
    Unknown,
}

/// The types called `PollFn`: older versions of tokio make `join!` and `select!` of their own one.
const POLL_FNS: [&str; 3] = [
    "<core::future::poll_fn::PollFn<",
    "<tokio::future::poll_fn::PollFn<",
    "<futures_util::future::poll_fn::PollFn<",
];

/// Functions that wrap a single future, by the beginning of their names.
const WRAPPERS: [&str; 31] = [
    "<lockdep::",
    "lockdep::tracked::",
    "lockdep::validator::tasks::",
    "<tokio::",
    "<tracing::instrument::Instrumented<",
    "<core::panic::unwind_safe::AssertUnwindSafe<",
    "std::panic::catch_unwind",
    "std::panicking::",
    "__rust_try",
    "core::ops::function::FnOnce::call_once",
    "<futures_util::future::future::map::Map<",
    "<futures_util::future::future::Map<",
    "<futures_util::future::future::Then<",
    "<futures_util::future::future::Inspect<",
    "<futures_util::future::future::fuse::Fuse<",
    "<futures_util::future::future::flatten::Flatten<",
    "<futures_util::future::future::catch_unwind::CatchUnwind<",
    "<futures_util::future::try_future::",
    "<futures_util::future::either::Either<",
    "<futures_util::future::maybe_done::",
    "<tower::",
    "<tower_http::",
    "<tower_service::",
    "<axum::",
    "<axum_core::",
    "<hyper::",
    "<hyper_util::",
    // Functions that are called by their `poll`.
    "hyper::",
    "hyper_util::",
    "axum::",
    "tower::",
];

/// Crates in which a branch that refers to a future always refers to the same one, and no two branches of one
/// `select!` refer to futures of the same type.
const OF_ONE_FUTURE: [&str; 3] = ["axum::", "hyper::", "hyper_util::"];

/// The files of tokio in which these macros are.
const MACROS: [&str; 3] = ["src/macros/select.rs", "src/macros/join.rs", "src/macros/try_join.rs"];

/// Returns `true` for code that one of these macros has made. A closure that a program passes to `poll_fn` may poll
/// one future in this place now, and another one later.
fn is_of_macro(function: &Function) -> bool {
    let is_in = |file: &FilePath| MACROS.iter().any(|name| file.ends_with(name));
    function.file.as_deref().is_some_and(is_in)
}

impl Step {
    fn of(function: &Function) -> Self {
        let name = &function.name;
        let is_poll = name.contains(" as core::future::future::Future>::poll");
        if is_closure(name) {
            Self::Async
        } else if is_poll && POLL_FNS.iter().any(|name_of_one| name.starts_with(name_of_one)) {
            Self::PollsBranches
        } else if is_poll
            && (name.starts_with("<core::pin::Pin<") || name.starts_with("<alloc::boxed::Box<"))
        {
            Self::Refers
        } else if WRAPPERS.iter().any(|wrapper| name.starts_with(wrapper)) {
            Self::Wraps
        } else {
            Self::Unknown
        }
    }

    /// Returns `true` if the function polls a single future.
    fn polls_one(self) -> bool {
        matches!(self, Self::Wraps | Self::Refers | Self::Async)
    }
}

/// Returns `true` for a closure, or the body of an `async` function or block, by either way to mangle names.
fn is_closure(name: &str) -> bool {
    let last = name.rsplit("::").next().unwrap_or_default();
    last == "{{closure}}" || last.starts_with("{closure#")
}

/// What each frame of a path does.
fn steps(path: &[Frame]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(path.len());
    for Frame { function, .. } in path {
        let step = match (steps.last(), Step::of(function)) {
            (Some(Step::PollsBranches), Step::Async) if is_of_macro(function) => Step::Branch,
            (Some(Step::PollsBranches), _) => Step::Unknown,
            (_, step) => step,
        };
        steps.push(step);
    }
    steps
}

/// See [`are_in_sequence`]. Pure.
fn prove(earlier: &[Frame], later: &[Frame]) -> bool {
    let is_common = |(one, other): &(&Frame, &Frame)| {
        one == other && !one.is_merged() || one.is_duplicate_of(other)
    };
    let common = earlier.iter().zip(later).take_while(is_common).count();
    let (Some(parting), Some(other)) = (earlier.get(common), later.get(common)) else {
        return false;
    };
    let steps = steps(later);
    let has_one_future = |at: usize| {
        let name = later.get(at).map_or("", |branch| &branch.function.name);
        OF_ONE_FUTURE.iter().any(|krate| name.starts_with(krate))
    };
    // An optimizer duplicates the call in a branch, and makes one call of those in two branches, if their futures are
    // of one type. It also inlines `PollFn`, so where that stands alone, nothing is optimized.
    let is_optimized =
        |at: usize| later.get(at).is_none_or(|it| it.is_inlining) || earlier[at].is_inlining;
    // The future of a branch is always the same, unless the branch only refers to it.
    let polls_the_same = |at: usize| match steps[at] {
        Step::Wraps | Step::Refers | Step::Async => true,
        Step::PollsBranches => {
            at > 0 && !is_optimized(at - 1) && !is_optimized(at) || has_one_future(at + 1)
        }
        Step::Branch => {
            let is_in_place = !is_optimized(at) && steps.get(at + 1) != Some(&Step::Refers);
            is_in_place || has_one_future(at)
        }
        Step::Unknown => false,
    };
    parting.function.is(&other.function)
        && steps[common] == Step::Async
        && (0..common).all(polls_the_same)
        && steps[common + 1..].iter().all(|it| it.polls_one())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A path of functions, each with a number for the place in it.
    fn path(frames: &[(&str, usize)]) -> Vec<Frame> {
        let frame = |(name, address): &(&str, usize)| Frame {
            address: *address,
            function: Function::new(
                name,
                if [BRANCH, AXUMS_BRANCH].contains(name) { SELECT } else { "src/main.rs" },
            ),
            call: u32::try_from(*address).ok().map(|line| (line, 1)),
            is_inlining: false,
        };
        frames.iter().map(frame).collect()
    }

    const SELECT: &str = "/registry/tokio-1.54.1/src/macros/select.rs";
    const AXUMS_BRANCH: &str =
        "axum::serve::handle_connection::{{closure}}::{{closure}}::{{closure}}";
    const BRANCH: &str = "shop::serve::{{closure}}::{{closure}}";
    const ROOT: (&str, usize) = ("lockdep::validator::tasks::root_poll::poll", 1);
    const POLL_FN: (&str, usize) =
        ("<core::future::poll_fn::PollFn<F> as core::future::future::Future>::poll", 2);
    const LOCK: (&str, usize) =
        ("<lockdep::tokio::sync::acquire::Acquire<H> as core::future::future::Future>::poll", 3);
    const REFERENCE: (&str, usize) = ("<&mut F as core::future::future::Future>::poll", 4);
    const JOIN_ALL: (&str, usize) =
        ("<futures_util::future::join_all::JoinAll<F> as core::future::future::Future>::poll", 5);
    const WRAPPER: &str =
        "<axum::util::MapIntoResponseFuture<F> as core::future::future::Future>::poll";
    const HANDLE: &str = "shop::handle::{{closure}}";
    const SERVE: &str = "shop::serve::{{closure}}";

    #[test]
    fn awaits_of_one_function_are_in_sequence() {
        let earlier = path(&[ROOT, (HANDLE, 10), LOCK]);
        assert!(prove(&earlier, &path(&[ROOT, (HANDLE, 11), LOCK])));
        let nested = [ROOT, (HANDLE, 11), ("shop::pay::{{closure}}", 12), LOCK];
        assert!(prove(&earlier, &path(&nested)));
        assert!(prove(&path(&nested), &path(&[ROOT, (HANDLE, 13), LOCK])));
    }

    #[test]
    fn branches_are_not() {
        let branch = |at| path(&[ROOT, (SERVE, 10), POLL_FN, (BRANCH, at), LOCK]);
        assert!(!prove(&branch(11), &branch(12)));
        assert!(!prove(&branch(11), &branch(11)));

        // As in tokio 1.38.
        let poll = "<tokio::future::poll_fn::PollFn<F> as core::future::future::Future>::poll";
        let branch = |at| {
            let closure = "shop::serve::{{closure}}::{{closure}}";
            path(&[ROOT, (SERVE, 10), (poll, 2), (closure, at), LOCK])
        };
        assert!(!prove(&branch(11), &branch(12)));
    }

    #[test]
    fn awaits_within_one_branch_are_unless_it_refers_to_a_future() {
        let branch = (BRANCH, 11);
        let direct = |at| path(&[ROOT, (SERVE, 10), POLL_FN, branch, (HANDLE, at), LOCK]);
        assert!(prove(&direct(20), &direct(21)));
        let by_reference =
            |at| path(&[ROOT, (SERVE, 10), POLL_FN, branch, REFERENCE, (HANDLE, at), LOCK]);
        assert!(!prove(&by_reference(20), &by_reference(21)));
    }

    /// It may poll several futures in one place.
    #[test]
    fn a_programs_own_poll_fn_proves_nothing() {
        let own = ("shop::serve::{{closure}}::{{closure}}::{{closure}}", 11);
        let through = |at| path(&[ROOT, (SERVE, 10), POLL_FN, own, (HANDLE, at), LOCK]);
        assert!(!prove(&through(20), &through(21)));
    }

    /// axum's connection is always the same.
    #[test]
    fn handlers_of_axum_are_proved() {
        let connection = [
            ROOT,
            ("axum::serve::handle_connection::{{closure}}::{{closure}}", 10),
            POLL_FN,
            (AXUMS_BRANCH, 11),
            ("<core::pin::Pin<P> as core::future::future::Future>::poll", 12),
            ("hyper::proto::h1::dispatch::Dispatcher<D,Bs,I,T>::poll_catch", 13),
        ];
        let handler = |at| path(&[&connection[..], &[(HANDLE, at), LOCK]].concat());
        assert!(prove(&handler(20), &handler(21)));
    }

    #[test]
    fn futures_in_a_collection_are_not() {
        let child = |at| path(&[ROOT, (SERVE, 10), JOIN_ALL, (HANDLE, at), LOCK]);
        assert!(!prove(&child(20), &child(21)));
    }

    /// What is held may have been moved into another branch.
    #[test]
    fn an_await_and_a_later_branch_are_not() {
        let earlier = path(&[ROOT, (SERVE, 9), LOCK]);
        let branch = (BRANCH, 11);
        assert!(!prove(&earlier, &path(&[ROOT, (SERVE, 10), POLL_FN, branch, LOCK])));
        assert!(prove(
            &path(&[ROOT, (SERVE, 10), POLL_FN, branch, LOCK]),
            &path(&[ROOT, (SERVE, 12), LOCK])
        ));
    }

    #[test]
    fn nothing_is_proved_of_other_functions() {
        let other = ("shop::Custom::poll", 30);
        let through = |at| path(&[ROOT, other, (HANDLE, at), LOCK]);
        assert!(!prove(&through(20), &through(21)));
        // Where two different functions are called in one place.
        let (one, two) = (path(&[ROOT, (HANDLE, 1), LOCK]), path(&[ROOT, (SERVE, 1), LOCK]));
        assert!(!prove(&one, &two));
    }

    /// In a build with optimization, the handler and what polls it are one function of the machine.
    #[test]
    fn awaits_of_an_inlined_function_are_in_sequence() {
        let at = |address, column| {
            let mut path = path(&[ROOT, (WRAPPER, address), (HANDLE, address), LOCK]);
            path[1].call = Some((94, column));
            path[1].is_inlining = true;
            path
        };
        assert!(prove(&at(20, 1), &at(21, 1)));
        assert!(!prove(&at(20, 1), &at(21, 2)));
    }

    /// There, a function may poll its only future in two places.
    #[test]
    fn awaits_below_a_call_that_was_duplicated_are_in_sequence() {
        let at = |wrapper, handler| {
            let mut path = path(&[ROOT, (WRAPPER, wrapper), (HANDLE, handler), LOCK]);
            path[1].call = Some((94, 1));
            path
        };
        assert!(prove(&at(20, 30), &at(21, 31)));
        assert!(!prove(&at(20, 30), &at(21, 30)));
    }

    /// Their places in the source are the same: that of the macro. axum's connection is known to be one.
    #[test]
    fn inlined_branches_are_not() {
        let at = |branch, address| {
            let frames = [ROOT, (SERVE, 10), POLL_FN, (branch, address), (HANDLE, address), LOCK];
            let mut path = path(&frames);
            for frame in &mut path[2..4] {
                *frame = Frame {
                    address,
                    call: Some((710, 49)),
                    is_inlining: true,
                    function: frame.function.clone(),
                };
            }
            path
        };
        assert!(!prove(&at(BRANCH, 20), &at(BRANCH, 21)));
        assert!(prove(&at(AXUMS_BRANCH, 20), &at(AXUMS_BRANCH, 21)));
    }

    /// The optimizer makes one call of those in two branches whose futures are of one type.
    #[test]
    fn merged_branches_are_not() {
        let at = |branch, handler| {
            let frames = [ROOT, (SERVE, 10), POLL_FN, (branch, 11), (HANDLE, handler), LOCK];
            let mut path = path(&frames);
            path[1].is_inlining = true;
            path[2].is_inlining = true;
            path
        };
        assert!(!prove(&at(BRANCH, 20), &at(BRANCH, 21)));
        assert!(prove(&at(AXUMS_BRANCH, 20), &at(AXUMS_BRANCH, 21)));
    }
}
