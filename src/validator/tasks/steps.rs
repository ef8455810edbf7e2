//! What the functions of a [path](super::paths) do, and whether two acquisitions are one after the other. Pure.
//!
//! Two paths are in sequence if they part in an `async` function or block, and
//!
//! - each function that both have in common polls one and the same future both times. Such are `async` ones and a list
//!   of functions that wrap a single future. Not so `join_all`, which polls many futures in one place.
//! - from where they part, the later path leads through no `join!` or `select!`: a guard may have been moved into
//!   another branch of that.

use std::path::Path;

use crate::stack::symbols::Function;

/// One frame of a path, or one of several that the compiler has made one of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where it returns to.
    pub(super) address: usize,
    pub(super) function: Function,
    /// The line and column of the call of the next function.
    pub(super) call: Option<(u32, u32)>,
    /// The next function was inlined into this one.
    pub(super) is_inlining: bool,
}

impl Frame {
    /// Returns `true` for a function of this crate. All of them wrap.
    pub(super) fn is_ours(&self) -> bool {
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

/// The types called `PollFn`: older versions of tokio have another one for `join!` and `select!`.
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
    let is_in = |file: &Path| MACROS.iter().any(|name| file.ends_with(name));
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

/// Returns `true` if a path leads through a function that may poll other futures as well, as far as its frames are
/// known.
pub(super) fn may_poll_others(path: &[Frame]) -> bool {
    // With debug information, the innermost function is one of this crate, or inlined functions are missing.
    let is_cut = |last: &Frame| last.function.file.is_some() && !last.is_ours();
    let polls_others = |(frame, step): (&Frame, Step)| {
        !step.polls_one() || step == Step::Async && frame.is_merged()
    };
    path.last().is_some_and(is_cut) || path.iter().zip(steps(path)).any(polls_others)
}

/// Returns `true` if what was acquired by the earlier path is held until the later one has led to the end.
pub(super) fn are_in_sequence(earlier: &[Frame], later: &[Frame]) -> bool {
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
        assert!(are_in_sequence(&earlier, &path(&[ROOT, (HANDLE, 11), LOCK])));
        let nested = [ROOT, (HANDLE, 11), ("shop::pay::{{closure}}", 12), LOCK];
        assert!(are_in_sequence(&earlier, &path(&nested)));
        assert!(are_in_sequence(&path(&nested), &path(&[ROOT, (HANDLE, 13), LOCK])));
    }

    #[test]
    fn branches_are_not() {
        let branch = |at| path(&[ROOT, (SERVE, 10), POLL_FN, (BRANCH, at), LOCK]);
        assert!(!are_in_sequence(&branch(11), &branch(12)));
        assert!(!are_in_sequence(&branch(11), &branch(11)));

        // As in tokio 1.38.
        let poll = "<tokio::future::poll_fn::PollFn<F> as core::future::future::Future>::poll";
        let branch = |at| {
            let closure = "shop::serve::{{closure}}::{{closure}}";
            path(&[ROOT, (SERVE, 10), (poll, 2), (closure, at), LOCK])
        };
        assert!(!are_in_sequence(&branch(11), &branch(12)));
    }

    #[test]
    fn awaits_within_one_branch_are_unless_it_refers_to_a_future() {
        let branch = (BRANCH, 11);
        let direct = |at| path(&[ROOT, (SERVE, 10), POLL_FN, branch, (HANDLE, at), LOCK]);
        assert!(are_in_sequence(&direct(20), &direct(21)));
        let by_reference =
            |at| path(&[ROOT, (SERVE, 10), POLL_FN, branch, REFERENCE, (HANDLE, at), LOCK]);
        assert!(!are_in_sequence(&by_reference(20), &by_reference(21)));
    }

    /// It may poll several futures in one place.
    #[test]
    fn a_programs_own_poll_fn_proves_nothing() {
        let own = ("shop::serve::{{closure}}::{{closure}}::{{closure}}", 11);
        let through = |at| path(&[ROOT, (SERVE, 10), POLL_FN, own, (HANDLE, at), LOCK]);
        assert!(!are_in_sequence(&through(20), &through(21)));
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
        assert!(are_in_sequence(&handler(20), &handler(21)));
    }

    #[test]
    fn futures_in_a_collection_are_not() {
        let child = |at| path(&[ROOT, (SERVE, 10), JOIN_ALL, (HANDLE, at), LOCK]);
        assert!(!are_in_sequence(&child(20), &child(21)));
    }

    /// What is held may have been moved into another branch.
    #[test]
    fn an_await_and_a_later_branch_are_not() {
        let earlier = path(&[ROOT, (SERVE, 9), LOCK]);
        let branch = (BRANCH, 11);
        assert!(!are_in_sequence(&earlier, &path(&[ROOT, (SERVE, 10), POLL_FN, branch, LOCK])));
        assert!(are_in_sequence(
            &path(&[ROOT, (SERVE, 10), POLL_FN, branch, LOCK]),
            &path(&[ROOT, (SERVE, 12), LOCK])
        ));
    }

    #[test]
    fn nothing_is_proved_of_other_functions() {
        let other = ("shop::Custom::poll", 30);
        let through = |at| path(&[ROOT, other, (HANDLE, at), LOCK]);
        assert!(!are_in_sequence(&through(20), &through(21)));
        // Where two different functions are called in one place.
        let (one, two) = (path(&[ROOT, (HANDLE, 1), LOCK]), path(&[ROOT, (SERVE, 1), LOCK]));
        assert!(!are_in_sequence(&one, &two));
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
        assert!(are_in_sequence(&at(20, 1), &at(21, 1)));
        assert!(!are_in_sequence(&at(20, 1), &at(21, 2)));
    }

    /// There, a function may poll its only future in two places.
    #[test]
    fn awaits_below_a_call_that_was_duplicated_are_in_sequence() {
        let at = |wrapper, handler| {
            let mut path = path(&[ROOT, (WRAPPER, wrapper), (HANDLE, handler), LOCK]);
            path[1].call = Some((94, 1));
            path
        };
        assert!(are_in_sequence(&at(20, 30), &at(21, 31)));
        assert!(!are_in_sequence(&at(20, 30), &at(21, 30)));
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
        assert!(!are_in_sequence(&at(BRANCH, 20), &at(BRANCH, 21)));
        assert!(are_in_sequence(&at(AXUMS_BRANCH, 20), &at(AXUMS_BRANCH, 21)));
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
        assert!(!are_in_sequence(&at(BRANCH, 20), &at(BRANCH, 21)));
        assert!(are_in_sequence(&at(AXUMS_BRANCH, 20), &at(AXUMS_BRANCH, 21)));
    }
}
