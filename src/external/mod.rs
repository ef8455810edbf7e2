//! Locks that are not in the process, and waits that involve no lock: declared by the program.
//!
//! A [`Resource`] is a lock that is elsewhere: a key in Redis, a row of a database, a lock file, a
//! connection pool. It has its place in the lock order like any other.
//!
//! # Waits
//!
//! A thread that holds a lock while it waits for a GUI's main loop, for Python's GIL or for the
//! reply of a process hangs if the other side needs that lock to answer. There is no lock to see in
//! such a round trip. An [`Event`] stands for it: the thread that will answer [owes](Event::owe)
//! the event, and a thread that needs the answer [waits](Event::wait) for it.
//!
//! ```
//! use std::sync::mpsc;
//! use lockdep::{external::Event, sync::Mutex};
//!
//! static MAIN_LOOP: Event = Event::new("main loop");
//! static TITLE: Mutex<String> = Mutex::new(String::new());
//!
//! let (requests, loop_receives) = mpsc::channel::<mpsc::Sender<usize>>();
//! std::thread::scope(|scope| {
//!     scope.spawn(move || {
//!         for reply in loop_receives {
//!             let _owes = MAIN_LOOP.owe();          // other threads may now wait for this one
//!             let _ = reply.send(TITLE.lock().unwrap().len());
//!         }
//!     });
//!     let (reply, receives) = mpsc::channel();
//!     requests.send(reply).unwrap();
//!     // With `TITLE` held, this is an inversion, reported also in runs that happen not to hang.
//!     assert_eq!(MAIN_LOOP.wait(|| receives.recv()), Ok(0));
//!     drop(requests);
//! });
//! ```
//!
//! # What is found
//!
//! An event is in the lock order like a lock. A thread that owes it holds it, together with others
//! that owe it, and a thread that waits for it acquires it exclusively and releases it at once. So
//! an [`Inversion`] can have a wait in its cycle. It is predicted in a run that did not hang, and
//! can be named, suppressed and declared like any other. Beginning to owe is never a finding,
//! because it does not wait.
//!
//! | program | found |
//! |---|---|
//! | a thread waits with a lock held that another thread takes while it owes the event | [`Inversion`] |
//! | the lock is released before the wait, or taken while nothing is owed | nothing |
//! | a thread waits with a lock held that no thread takes while it owes the event | nothing |
//! | a thread waits for an event that it alone owes | [`SelfDeadlock`] |
//! | a thread waits for an event that it owes together with another thread | nothing: the other may answer |
//! | threads wait for each other right now, and one thread owes the event | [`Deadlock`] |
//! | threads appear to wait for each other, but several threads owe the event | nothing: another may answer |
//! | a thread ends without dropping its [`Owed`] | [`LeakedGuard`] |
//!
//! An event that is declared [outermost](crate::declare_outermost) is stricter: each wait while any
//! lock is held is a finding, whatever the other side takes.
//!
//! A [`Deadlock`] with an event in it is reported after one second, because lockdep does not see
//! answers: a thread that was just answered appears to wait until it runs again.
//!
//! All of this relies on what the program declares: only a thread that owes an event answers it.
//!
//! [`Inversion`]: crate::FindingKind::Inversion
//! [`SelfDeadlock`]: crate::FindingKind::SelfDeadlock
//! [`Deadlock`]: crate::FindingKind::Deadlock
//! [`LeakedGuard`]: crate::FindingKind::LeakedGuard

mod event;
#[cfg_attr(any(debug_assertions, feature = "enforce"), path = "obligations.rs")]
#[cfg_attr(not(any(debug_assertions, feature = "enforce")), path = "unchecked_obligations.rs")]
mod obligations;
#[cfg_attr(any(debug_assertions, feature = "enforce"), path = "outside.rs")]
#[cfg_attr(not(any(debug_assertions, feature = "enforce")), path = "unchecked_outside.rs")]
mod outside;
#[cfg(any(debug_assertions, feature = "enforce"))]
mod pattern;
mod resource;

pub use self::{
    event::{Event, Owed},
    resource::{Held, Resource},
};
pub use crate::finding::Mode;
