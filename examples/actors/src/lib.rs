//! Actors of kameo and ractor whose questions are checked.
//!
//! An actor handles one message after another. As long as a handler runs, the next question to its actor waits: the
//! handler owes an answer. So each actor has an [`Event`], which its handlers owe, and for which a question waits. Two
//! actors that ask each other are found in a run in which their questions did not meet.

use std::sync::Arc;

use lockdep::external::Event;

pub mod kameo;
pub mod ractor;

/// What an actor's handlers owe, and questions wait for. Shared by the actor and all references to it.
pub type Replies = Arc<Event>;

/// Creates the event of an actor.
#[track_caller]
#[must_use]
pub fn replies(actor: &'static str) -> Replies {
    Arc::new(Event::new(actor))
}

/// Runs a handler of an actor. Under `cargo lockdep`, the actors' tasks are known, and `owe_while` alone does it.
#[track_caller]
pub fn handling<F: Future>(replies: &Event, handler: F) -> impl Future<Output = F::Output> {
    lockdep::as_task(replies.owe_while(handler))
}
