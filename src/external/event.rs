//! [`Event`], and the guard of a thread that owes it.

use std::{fmt, future::Future, marker::PhantomData};

use super::obligations::Obligations;

/// Something that one thread waits for and another provides, other than a checked lock: an answer
/// of a GUI's main loop, Python's GIL, the reply of a process.
///
/// Usually a `static`, one for each thread or group of threads that answers, because the order is
/// learned per event.
///
/// In a build that is [not checked](crate#the-switch), it does nothing.
///
/// ```
/// use lockdep::external::Event;
///
/// static MAIN_LOOP: Event = Event::new("main loop");
///
/// // The thread that runs the main loop:
/// fn handle(callback: impl FnOnce()) {
///     let _owes = MAIN_LOOP.owe();
///     callback();
/// }
///
/// // All others:
/// fn on_main_loop<R>(receive: impl FnOnce() -> R) -> R {
///     MAIN_LOOP.wait(receive)
/// }
/// # handle(|| ());
/// # on_main_loop(|| ());
/// ```
pub struct Event {
    name: &'static str,
    obligations: Obligations,
}

/// An obligation: until this guard is dropped, the thread that made it owes an [`Event`].
///
/// A thread with several guards of one event owes it until the last of them is dropped. A guard
/// cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// # use lockdep::external::Event;
/// # static REPLY: Event = Event::new("reply");
/// let owes = REPLY.owe();
/// std::thread::spawn(move || drop(owes));
/// ```
#[must_use = "if unused, the obligation ends at once"]
#[clippy::has_significant_drop]
pub struct Owed<'a> {
    event: &'a Event,
    /// `!Send`: the thread that made it holds the event.
    not_send: PhantomData<*const ()>,
}

impl Event {
    /// Creates an event with this name for reports.
    #[track_caller]
    #[must_use]
    #[inline]
    pub const fn new(name: &'static str) -> Self {
        Self { name, obligations: Obligations::new() }
    }

    /// Declares that the calling thread owes this event until the guard is dropped: a thread that
    /// waits for the event waits for this one.
    ///
    /// Every lock that the thread acquires meanwhile counts as needed for the answer. A main loop
    /// keeps the guard while it handles a callback, or all the time if requests are queued for it.
    ///
    /// Never a finding, because it does not wait. Must not be called in a signal handler.
    ///
    /// ```
    /// # use lockdep::external::Event;
    /// # let (requests, receives) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
    /// # requests.send(Box::new(|| ())).unwrap();
    /// # drop(requests);
    /// # static MAIN_LOOP: Event = Event::new("main loop");
    /// let _owes = MAIN_LOOP.owe();
    /// for request in receives {
    ///     request();
    /// }
    /// ```
    #[track_caller]
    #[inline]
    pub fn owe(&self) -> Owed<'_> {
        self.obligations.begin(self.name);
        Owed { event: self, not_send: PhantomData }
    }

    /// Waits for this event: calls `wait`, which blocks until a thread that owes it has answered.
    ///
    /// A wait with a timeout belongs in [`wait_timeout`](Self::wait_timeout).
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny). It panics before it
    /// calls `wait`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::external::Event;
    /// # let (reply, receives) = std::sync::mpsc::channel();
    /// # reply.send(3).unwrap();
    /// # static MAIN_LOOP: Event = Event::new("main loop");
    /// let size = MAIN_LOOP.wait(|| receives.recv());
    /// assert_eq!(size, Ok(3));
    /// ```
    #[track_caller]
    #[inline]
    pub fn wait<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.obligations.wait(self.name, wait)
    }

    /// Waits for this event with a timeout. Never a finding, because it cannot hang.
    /// [`held`](crate::held) and the [`watchdog`](crate::watchdog) show the wait.
    #[track_caller]
    #[inline]
    pub fn wait_timeout<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.obligations.wait_timeout(self.name, wait)
    }

    /// Runs a handler, which owes this event until it is ready or dropped: a task that waits for the event
    /// waits for this handler. As [`owe`](Self::owe), for a future.
    ///
    /// With an event for each actor, a handler of one actor that asks another one is in the lock order:
    ///
    /// ```
    /// # use lockdep::external::Event;
    /// struct Ledger {
    ///     replies: Event,
    /// }
    ///
    /// impl Ledger {
    ///     async fn handle(&self, message: u32) -> u32 {
    ///         self.replies.owe_while(async { message + 1 }).await
    ///     }
    /// }
    ///
    /// async fn ask(ledger: &Ledger, message: u32) -> u32 {
    ///     # let send = ledger.handle(message);
    ///     ledger.replies.wait_async(send).await
    /// }
    /// ```
    #[track_caller]
    #[inline]
    pub fn owe_while<F: Future>(&self, handler: F) -> impl Future<Output = F::Output> + use<'_, F> {
        self.obligations.owe_while(self.name, handler)
    }

    /// As [`wait`](Self::wait), for the task that awaits it: polls `wait` until the answer is there. Checks
    /// the wait when it is first polled, in a [known task](crate::as_task()).
    ///
    /// A wait that a timeout around it would end is checked all the same: where this is a finding, there
    /// is no answer.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub fn wait_async<F: Future>(&self, wait: F) -> impl Future<Output = F::Output> + use<'_, F> {
        self.obligations.wait_async(self.name, wait)
    }

    /// Returns the event's id; `None` in a build that is not checked.
    pub(crate) fn number(&self) -> Option<u64> {
        self.obligations.number(self.name)
    }
}

impl Drop for Owed<'_> {
    #[inline]
    fn drop(&mut self) {
        self.event.obligations.end();
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&self.name).finish()
    }
}

impl fmt::Debug for Owed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Owed").field(&self.event.name).finish()
    }
}
