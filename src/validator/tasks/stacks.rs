//! The call stacks of the members of a deadlock, as far as they were captured.
//!
//! A thread that waits while it holds a lock captures its stack. A task waits too often for that:
//! its operations capture theirs with `LOCKDEP_BACKTRACE=full` only, as acquisitions do.

use std::time::Duration;

use super::census::Actor;
use crate::{
    ledger::{self, Backtraces},
    stack::{RawStack, Stack},
    validator::context::held::{Entry, Tag},
};

/// Captures the stack of an operation that begins to wait.
pub(super) fn of_operation() -> Stack {
    match ledger::settings().backtraces {
        Backtraces::Full => Stack::from(&RawStack::capture()),
        Backtraces::Off | Backtraces::NewEdges => Stack::default(),
    }
}

/// Returns the stack with which an actor waits for a lock, and how long it has waited.
pub(super) fn of_wait(actor: &Actor, wanted: &Entry) -> (Stack, Option<Duration>) {
    match actor {
        Actor::Thread(context) => {
            let wait = context.waiting.read();
            let waits = wait.map(|it| (context.waiting.stack(it.epoch), it.since.age()));
            waits.unwrap_or_default()
        }
        Actor::Task(_) => of_task(actor, wanted, false),
    }
}

/// Returns the stack of the operation by which an actor was granted a lock.
pub(super) fn of_grant(actor: &Actor, wanted: &Entry) -> Stack {
    of_task(actor, wanted, true).0
}

fn of_task(actor: &Actor, wanted: &Entry, is_granted: bool) -> (Stack, Option<Duration>) {
    let Actor::Task(task) = actor else { return Default::default() };
    let operations = task.operations.lock();
    let mut operations = operations.iter().filter(|it| it.is_granted() == is_granted);
    let operation = operations.find(|it| it.wanted.tag == wanted.tag);
    operation.map(|it| (it.stack.clone(), it.since.age())).unwrap_or_default()
}

/// Returns the stack with which an actor has acquired a lock.
pub(super) fn of_hold(actor: &Actor, held: Tag) -> Stack {
    match actor {
        Actor::Thread(context) => context.trace_of(held),
        Actor::Task(task) => {
            let kept = task.kept.lock();
            let hold = kept.iter().find(|it| it.entry.tag == held);
            hold.map_or_else(Stack::default, |it| it.stack.clone())
        }
    }
}
