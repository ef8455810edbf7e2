//! The message for a schedule that could not be followed.

use std::{error::Error, fmt};

use super::{
    plan::{At, Plan, Progress},
    role::Role,
};
use crate::{
    finding::{ThreadInfo, ThreadSnapshot},
    render, validator,
};

/// Why a schedule could not be followed.
///
/// [`Display`](fmt::Display) writes the event that was waited for, how far the order was followed,
/// and for each thread the last point that it passed, what it holds and what it waits for.
///
/// ```
/// use lockdep::interleave::{Schedule, ScheduleError, at};
/// # use std::time::Duration;
///
/// let never: Result<(), ScheduleError> = Schedule::new()
///     .order([at("main", "start")])
///     .timeout(Duration::from_millis(50))
///     .try_run(|| { /* nothing passes it */ });
/// if let Err(unfollowed) = never {
///     println!("{unfollowed}");
/// }
/// # assert_eq!(lockdep::findings().len(), 0);
/// ```
#[derive(Debug)]
pub struct ScheduleError {
    reason: String,
    /// Each event with its progress.
    events: Vec<(&'static str, String)>,
    threads: Vec<String>,
    /// The tasks that kept their threads from polling other tasks.
    blocking: Vec<Box<str>>,
    held: Vec<ThreadSnapshot>,
}

#[derive(Clone, Copy)]
pub(super) enum Reason {
    /// An event waits for one that can no longer happen.
    DeadEnd { waiting: At, lost: At },
    /// All threads that could pass the event have ended.
    NeverPassed(At),
    /// The timeout has expired.
    TooLate(At),
}

impl ScheduleError {
    pub(super) fn new(reason: Reason, plan: &Plan, roles: &[Role]) -> Self {
        let role_of = |at: At| roles.iter().find(|role| role.name == plan.event(at).role);
        let was_there = |at| {
            let name = &plan.event(at).role;
            match role_of(at).map(Doing::of) {
                None | Some(Doing::NotThere) => format!("no thread `{name}` has come"),
                Some(Doing::Runs) => format!("`{name}` has not come there"),
                Some(doing) => format!("`{name}` {doing}"),
            }
        };
        let reason = match reason {
            Reason::DeadEnd { waiting, lost } => format!(
                "{} waits for {}, but {}",
                plan.describe(waiting),
                plan.describe(lost),
                was_there(lost)
            ),
            Reason::NeverPassed(at) => {
                format!("{} never happened: {}", plan.describe(at), was_there(at))
            }
            Reason::TooLate(at) => {
                format!("{} did not happen in time: {}", plan.describe(at), was_there(at))
            }
        };
        let mut events = plan.events();
        events.sort_by_key(|&at| plan.progress(at));
        let events = events.into_iter().map(|at| {
            let waits = roles.iter().any(|role| role.waits().any(|it| it == at));
            let progress = match plan.progress(at) {
                Progress::Passed => "passed",
                Progress::Begun if waits => "waits",
                Progress::Begun => "begun",
                Progress::Ahead => "missing",
            };
            (progress, plan.describe(at))
        });
        Self {
            reason,
            events: events.collect(),
            threads: roles.iter().map(describe).collect(),
            blocking: roles
                .iter()
                .filter(|it| it.blocks_thread())
                .map(|it| it.name.clone())
                .collect(),
            held: held_by(roles),
        }
    }
}

/// Returns what the threads of the schedule hold, and the threads that hold what these wait for.
///
/// Leaves out the waits that are already told: whether a thread has begun the wait that it is about
/// to begin depends on timing, and the message should not.
fn held_by(roles: &[Role]) -> Vec<ThreadSnapshot> {
    let mut threads = validator::snapshot();
    let role_of = |thread: &ThreadInfo| roles.iter().find(|role| role.has(thread));
    let actors = roles.iter().flat_map(|role| &role.actors);
    let blocked = actors.filter_map(|actor| actor.blocked.as_ref());
    let mut wanted: Vec<_> = blocked.map(|(tag, _)| tag.lock()).collect();
    for thread in &mut threads {
        let Some(role) = role_of(&thread.thread) else { continue };
        thread.thread.name = Some((&*role.name).into());
        wanted.extend(thread.waiting.iter().map(|(wanted, _)| wanted.lock.id));
        if let Doing::Blocked(_) = Doing::of(role) {
            thread.waiting.clear();
        }
    }
    threads.retain(|it| match role_of(&it.thread) {
        Some(_) => !(it.held.is_empty() && it.waiting.is_empty() && it.granted.is_empty()),
        None => it.held.iter().any(|held| wanted.contains(&held.lock.id)),
    });
    threads
}

/// What a thread of the schedule was doing.
enum Doing<'a> {
    NotThere,
    Ended,
    Waits,
    Blocked(&'a str),
    Runs,
}

impl<'a> Doing<'a> {
    fn of(role: &'a Role) -> Self {
        match role.blocked() {
            _ if !role.has_begun() => Self::NotThere,
            _ if role.is_over() => Self::Ended,
            _ if role.waits().next().is_some() => Self::Waits,
            Some(wait) => Self::Blocked(wait),
            None => Self::Runs,
        }
    }
}

impl fmt::Display for Doing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("has not come"),
            Self::Ended => f.write_str("has ended"),
            Self::Waits => f.write_str("waits for its turn"),
            Self::Blocked(wait) => write!(f, "is blocked in its {wait}"),
            Self::Runs => f.write_str("runs"),
        }
    }
}

fn describe(role: &Role) -> String {
    let (name, doing) = (&role.name, Doing::of(role));
    match &role.last {
        Some(last) => format!("`{name}` {doing}, after {last}"),
        None => format!("`{name}` {doing}"),
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the schedule cannot be followed: {}", self.reason)?;
        for (progress, event) in &self.events {
            writeln!(f, "    {progress:<8} {event}")?;
        }
        let threads: Vec<_> =
            self.threads.iter().map(|thread| format!("thread {thread}")).collect();
        f.write_str(&threads.join("\n"))?;
        for task in &self.blocking {
            write!(
                f,
                "\nnote: the task `{task}` waits where it cannot be suspended, so that its thread polls no other \
                 task: `async_point!` suspends a task, `point!` and releases block the thread"
            )?;
        }
        if self.held.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", render::held(&self.held).trim_end())
    }
}

impl Error for ScheduleError {}
