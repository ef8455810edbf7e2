//! The state that a handle or a scope keeps for a thread that it has spawned.

use std::{
    mem,
    panic::Location,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::Result,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    finding::{LockKind, LockOf, Role},
    points::{self, SyncEvent},
    tracked::Tracked,
    validator::{self, Progress, ThreadExit, ThreadState},
};

/// The lock kind of a thread's exit.
static EXIT: LockKind = LockKind { wrapper: "JoinHandle", of: LockOf::Nothing, role: Role::Exit };

/// A spawned thread.
#[derive(Clone)]
pub(super) struct Spawned(Arc<Inner>);

struct Inner {
    /// The exit's identity. Dropping it makes the validator forget the exit.
    tracked: Tracked,
    exit: Arc<ThreadExit>,
    state: Mutex<State>,
    changed: Condvar,
    /// The locks that a thread held when `is_finished` last returned `true`.
    finished_under: AtomicU64,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    is_joined: bool,
}

/// Marks the body of the thread as running, until it is dropped.
struct Running {
    thread: Spawned,
    until: Until,
}

/// When a thread's exit is released.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// At the end of the thread, after its thread-locals were destroyed, which is what `join` waits
    /// for.
    ThreadEnds,
    /// At the end of its body: a scope does not wait for destructors of thread-locals.
    BodyEnds,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.until == Until::BodyEnds {
            validator::release_exit();
        }
        self.thread.0.exit.end();
        self.thread.0.state.lock().has_ended = true;
        self.thread.0.changed.notify_all();
    }
}

impl Spawned {
    /// Creates the state for a thread that is about to be spawned, and the closure that it must
    /// run. `None` if nothing is checked.
    #[track_caller]
    pub(super) fn new<T>(
        name: Option<String>,
        until: Until,
        body: impl FnOnce() -> T,
    ) -> (Option<Self>, impl FnOnce() -> T) {
        let (tracked, site) = (Tracked::new(), here());
        // Guards for a thread of tokio's pool were already sent when its job was queued.
        if !Path::new(site.file()).ends_with("src/runtime/blocking/pool.rs") {
            validator::tasks::may_send_guards();
        }
        let exit = validator::is_on().then(|| ThreadExit::new(tracked.number(&EXIT), site));
        if let (Some(Some(exit)), Some(name)) = (&exit, name) {
            validator::name(exit.id(), &name);
        }
        let exit = exit.flatten();
        validator::may_give_guards_away(exit.as_ref());
        let spawned = exit.map(|exit| {
            Self(Arc::new(Inner {
                exit,
                tracked,
                state: Mutex::default(),
                changed: Condvar::new(),
                finished_under: AtomicU64::new(u64::MAX),
            }))
        });
        let child = spawned.clone();
        let run = move || {
            let _running = child.map(|thread| {
                validator::set_exit(Arc::clone(&thread.0.exit));
                Running { thread, until }
            });
            body()
        };
        (spawned, run)
    }

    /// Waits until the thread's body is over.
    fn wait(&self) {
        let mut state = self.0.state.lock();
        self.0.changed.wait_while(&mut state, |state| !state.has_ended);
    }

    /// Records the result of `is_finished`. Joining a finished thread cannot block, and a caller
    /// that asks under the same locks under which it then joins has made sure of that.
    pub(super) fn note_finished(&self, is_finished: bool) {
        if is_finished && let Some(held) = validator::held_now() {
            self.0.finished_under.store(held, Relaxed);
        }
    }

    /// Returns the thread's progress, given the result of `is_finished`.
    fn progress(&self, is_finished: bool) -> Progress {
        match is_finished {
            false => Progress::Running,
            true if validator::held_now() == Some(self.0.finished_under.load(Relaxed)) => {
                Progress::FoundFinished
            }
            true => Progress::Finished,
        }
    }

    /// Called if the thread could not be spawned.
    pub(super) fn was_not_spawned(&self) {
        self.0.exit.was_not_spawned();
    }

    /// Called after a wait for the thread's end.
    fn joined(&self) {
        self.0.state.lock().is_joined = true;
        self.0.exit.joined();
    }

    /// Waits for the thread's end by acquiring its exit.
    #[track_caller]
    fn join_with<R>(
        &self,
        site: &'static Location<'static>,
        progress: Progress,
        wait: impl FnOnce() -> R,
    ) -> R {
        let Inner { tracked, exit, .. } = &*self.0;
        let event = SyncEvent::Acquire(exit.acquired_at(site));
        let directed = validator::current().filter(|context| context.is(ThreadState::Directed));
        if let Some(context) = directed {
            context.set(ThreadState::Directed, points::arrive(&event));
        }
        let result = validator::join(exit, tracked.identity(), site, progress, wait);
        if directed.is_some() {
            points::passed(&event);
        }
        result
    }
}

/// Returns the caller's location.
#[track_caller]
pub(super) fn here() -> &'static Location<'static> {
    Location::caller()
}

/// Waits for a thread's end on behalf of its handle.
#[track_caller]
pub(super) fn join<T>(
    spawned: Option<&Spawned>,
    is_finished: bool,
    wait: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(spawned) = spawned else { return wait() };
    let result = spawned.join_with(here(), spawned.progress(is_finished), wait);
    spawned.joined();
    result
}

/// The threads of a scope that were not joined.
#[derive(Default)]
pub(super) struct Children(Mutex<Vec<Spawned>>);

impl Children {
    pub(super) fn add(&self, spawned: Option<&Spawned>) {
        let mut all = self.0.lock();
        all.retain(|it| !it.0.state.lock().is_joined);
        all.extend(spawned.cloned());
    }

    fn take(&self) -> Vec<Spawned> {
        mem::take(&mut self.0.lock())
    }

    /// Waits at the end of the scope until the bodies of all threads are over.
    #[track_caller]
    pub(super) fn wait(&self, end: &'static Location<'static>) {
        loop {
            // A thread may spawn others before it ends.
            let some = self.take();
            if some.is_empty() {
                return;
            }
            for spawned in some {
                let State { has_ended, is_joined } = *spawned.0.state.lock();
                if !is_joined {
                    let progress = if has_ended { Progress::Finished } else { Progress::Running };
                    spawned.join_with(end, progress, || spawned.wait());
                    spawned.joined();
                }
            }
        }
    }
}
