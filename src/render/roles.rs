//! Phrases that depend on the role of a node in the order graph: what holding it and waiting for it
//! mean.

use super::thread_names::who;
use crate::finding::{Edge, LockInfo, Mode, Role, Site, ThreadInfo, with_article};

/// Returns `true` if an edge uses a cell whose initializer had run.
pub(super) fn is_use(edge: &Edge) -> bool {
    edge.wanted_mode == Mode::Initialized
}

/// Returns a thread by the name of its exit: `` thread `self.worker` ``, or `the thread spawned at
/// src/main.rs:12` if it has no name.
pub(super) fn thread(name: &str) -> String {
    if is_quoted(name) { format!("thread {name}") } else { name.to_owned() }
}

fn is_quoted(name: &str) -> bool {
    name.starts_with('`')
}

/// Says what the thread of an edge has been doing since the edge's first place.
pub(super) fn has_held(edge: &Edge, held: &str, reading: &str) -> String {
    let who = who(&edge.thread);
    if edge.is_granted {
        return format!("requested here by a future of {who}, not polled since");
    }
    match edge.held.kind.role {
        Role::Lock => format!("{who} has held {held}{reading} since here"),
        Role::Pool => format!("{who} has held a permit of {held} since here"),
        Role::Initializer => {
            format!("{who} has been running the initializer of {held} since here")
        }
        Role::Exit => format!("{} was spawned here, and has not ended", thread(held)),
        Role::Channel => format!("{who} receives from {held} here"),
        Role::Barrier => format!("{who} has passed {held} here"),
        Role::Jobs => format!("{who} runs a job of {held} that was begun here"),
        Role::Event => format!("{who} has owed {held} since here"),
        Role::Token => format!("{who} has parked here"),
    }
}

/// Says what another thread of the parent was doing when this process was forked.
pub(super) fn held_at_fork(edge: &Edge, holder: &str, held: &str, reading: &str) -> String {
    match edge.held.kind.role {
        Role::Initializer => format!("{holder} was running the initializer of {held} at the fork"),
        _ => format!("{holder} acquired {held}{reading} here, and held it at the fork"),
    }
}

/// As [`has_held`], for an edge that was seen before.
pub(super) fn held_before(edge: &Edge, held: &str, reading: &str) -> String {
    match edge.held.kind.role {
        Role::Lock | Role::Initializer => format!("{held} held{reading} since here"),
        Role::Pool => format!("a permit of {held} held since here"),
        Role::Exit => format!("{} was spawned here", thread(held)),
        Role::Channel => format!("{held} received from here"),
        Role::Barrier => format!("{held} passed here"),
        Role::Jobs => format!("a job of {held} begun here"),
        Role::Event => format!("{held} owed since here"),
        Role::Token => "parked here".to_owned(),
    }
}

/// Says what the thread does at the edge's second place.
pub(super) fn wants(edge: &Edge, wanted: &str, reading: &str) -> String {
    match edge.wanted.kind.role {
        _ if is_use(edge) => format!("and uses {wanted} here, which is initialized"),
        Role::Lock | Role::Initializer => format!("and acquires {wanted}{reading} here"),
        Role::Pool => format!("and acquires a permit of {wanted} here"),
        Role::Exit => format!("and joins {} here", thread(wanted)),
        Role::Channel => format!("and sends to {wanted} here"),
        Role::Barrier => format!("and waits at {wanted} here"),
        Role::Jobs => format!("and waits for jobs of {wanted} here"),
        Role::Event => format!("and waits for {wanted} here"),
        Role::Token => "and parks here".to_owned(),
    }
}

/// As [`wants`], for an edge that was seen before.
pub(super) fn wanted_before(edge: &Edge, wanted: &str, reading: &str) -> String {
    match edge.wanted.kind.role {
        _ if is_use(edge) => format!("{wanted} used here, initialized"),
        Role::Lock | Role::Initializer => format!("{wanted} acquired{reading} here"),
        Role::Pool => format!("a permit of {wanted} acquired here"),
        Role::Exit => format!("{} joined here", thread(wanted)),
        Role::Channel => format!("sent to {wanted} here"),
        Role::Barrier => format!("waited at {wanted} here"),
        Role::Jobs => format!("waited for jobs of {wanted} here"),
        Role::Event => format!("{wanted} waited for here"),
        Role::Token => "parked here".to_owned(),
    }
}

/// Says what the thread of an edge that was seen before did at both places.
pub(super) fn step(edge: &Edge, held: &str, wanted: &str) -> String {
    let acquired = match edge.wanted.kind.role {
        _ if is_use(edge) => format!("used {wanted}"),
        Role::Lock | Role::Initializer => format!("acquired {wanted}"),
        Role::Pool => format!("acquired a permit of {wanted}"),
        Role::Exit => format!("joined {}", thread(wanted)),
        Role::Channel => format!("sent to {wanted}"),
        Role::Barrier => format!("waited at {wanted}"),
        Role::Jobs => format!("waited for jobs of {wanted}"),
        Role::Event => format!("waited for {wanted}"),
        Role::Token => "parked".to_owned(),
    };
    match edge.held.kind.role {
        Role::Lock | Role::Initializer => format!("held {held} and {acquired}"),
        Role::Pool => format!("held a permit of {held} and {acquired}"),
        Role::Exit => format!("{acquired} before it ended"),
        Role::Channel => format!("{acquired} before it received from {held} again"),
        Role::Barrier => format!("{acquired} before it waited at {held} again"),
        Role::Jobs => format!("{acquired} in a job of {held}"),
        Role::Event => format!("owed {held} and {acquired}"),
        Role::Token => acquired,
    }
}

/// Says when an edge of a cycle that [uses](is_use) a cell was taken, for the title.
pub(super) fn while_held(edge: &Edge, held: &str) -> String {
    match edge.held.kind.role {
        Role::Initializer => format!("the initializer of {held} runs"),
        _ => format!("{held} is held"),
    }
}

/// As [`step`], for a thread that ran an initializer.
pub(super) fn initializing(edge: &Edge, held: &str, wanted: &str) -> String {
    let needed = if is_use(edge) { "used" } else { "acquired" };
    format!("ran the initializer of {held}, which {needed} {wanted}")
}

/// Titles the call stack of an edge.
pub(super) fn while_holding(edge: &Edge, wanted: &str, held: &str) -> String {
    let acquiring = match edge.wanted.kind.role {
        _ if is_use(edge) => format!("using {wanted}"),
        Role::Lock | Role::Initializer => format!("acquiring {wanted}"),
        Role::Pool => format!("acquiring a permit of {wanted}"),
        Role::Exit => format!("joining {}", thread(wanted)),
        Role::Channel => format!("sending to {wanted}"),
        Role::Barrier => format!("waiting at {wanted}"),
        Role::Jobs => format!("waiting for jobs of {wanted}"),
        Role::Event => format!("waiting for {wanted}"),
        Role::Token => "parking".to_owned(),
    };
    match edge.held.kind.role {
        Role::Lock | Role::Initializer => format!("{acquiring} with {held} held"),
        Role::Pool => format!("{acquiring} with a permit of {held} held"),
        Role::Event => format!("{acquiring} with {held} owed"),
        Role::Jobs => format!("{acquiring} in a job of {held}"),
        Role::Exit | Role::Channel | Role::Barrier | Role::Token => acquiring,
    }
}

/// Names what a waiter waits for.
pub(super) fn awaited(role: Role, name: &str) -> String {
    match role {
        Role::Lock | Role::Initializer | Role::Event => name.to_owned(),
        Role::Pool => format!("a permit of {name}"),
        Role::Exit => format!("the end of {}", thread(name)),
        Role::Channel => format!("space in {name}"),
        Role::Barrier => format!("the other threads at {name}"),
        Role::Jobs => format!("jobs of {name}"),
        Role::Token => "another thread to unpark it".to_owned(),
    }
}

/// Names the thread that must act before the wait can end.
pub(super) fn holder(role: Role, name: &str) -> String {
    match role {
        Role::Lock => format!("the holder of {name}"),
        Role::Pool => format!("the holder of a permit of {name}"),
        Role::Initializer => format!("the initializer of {name}"),
        Role::Exit => thread(name),
        Role::Channel => format!("the receiver of {name}"),
        Role::Barrier => format!("another thread at {name}"),
        Role::Jobs => format!("a job of {name}"),
        Role::Event => format!("the thread that owes {name}"),
        Role::Token => "the thread that unparks it".to_owned(),
    }
}

/// Says which thread holds it, as part of a sentence about a waiter.
pub(super) fn held_by(role: Role, name: &str, holder: &ThreadInfo, since: &Site) -> String {
    let who = who(holder);
    match role {
        Role::Exit if !is_quoted(name) => "which has not ended".to_owned(),
        Role::Exit if holder.is_called_by_site() || name == format!("`{holder}`") => {
            format!("spawned at {since}")
        }
        Role::Exit => format!("which is `{holder}`, spawned at {since}"),
        Role::Event => format!("which {who} has owed since {since}"),
        Role::Initializer => format!("whose initializer {who} runs since {since}"),
        Role::Pool => format!("of which {who} has held a permit since {since}"),
        Role::Lock | Role::Channel | Role::Barrier | Role::Jobs | Role::Token => {
            format!("which {who} has held since {since}")
        }
    }
}

/// The title for a wait during which a lock is held that is needed for the wait to end.
pub(super) fn needs_to_end(role: Role, name: &str, lock: &str) -> String {
    match role {
        Role::Lock | Role::Initializer | Role::Pool | Role::Token => {
            format!("{lock} is held while {name} is acquired")
        }
        Role::Exit => {
            format!("{lock} is held while {} is joined, which acquires {lock}", thread(name))
        }
        Role::Channel => {
            format!("{lock} is held during a send to {name}, whose receiver acquires {lock}")
        }
        Role::Barrier => {
            format!("{lock} is held during a wait at {name}, before which others acquire {lock}")
        }
        Role::Jobs => {
            format!("{lock} is held during a wait for jobs of {name}, which acquire {lock}")
        }
        Role::Event => {
            format!("{lock} is held over a wait for {name}, and acquired while that is owed")
        }
    }
}

/// Returns its type in a phrase: `` a `Mutex<u8>` ``.
pub(super) fn what(lock: &LockInfo) -> String {
    match lock.kind.role {
        Role::Exit => "a thread".to_owned(),
        Role::Token => "what a parked thread waits for".to_owned(),
        Role::Event => "an `Event`".to_owned(),
        Role::Jobs => "a pool of threads".to_owned(),
        Role::Lock | Role::Initializer | Role::Pool | Role::Channel | Role::Barrier => {
            with_article(&lock.type_name())
        }
    }
}

/// Returns the verb for its creation.
pub(super) fn made(role: Role) -> &'static str {
    match role {
        Role::Exit => "spawned",
        Role::Lock
        | Role::Initializer
        | Role::Pool
        | Role::Channel
        | Role::Barrier
        | Role::Jobs
        | Role::Event
        | Role::Token => "made",
    }
}
