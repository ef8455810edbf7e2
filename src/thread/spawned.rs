//! What a handle, or a scope, knows of a thread that it has spawned.

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

/// What an exit is called, as a lock.
static EXIT: LockKind = LockKind { wrapper: "JoinHandle", of: LockOf::Nothing, role: Role::Exit };

/// A thread that was spawned here.
#[derive(Clone)]
pub(super) struct Spawned(Arc<Inner>);

struct Inner {
    /// The exit's identity. Whatever is known of the exit goes with it.
    tracked: Tracked,
    exit: Arc<ThreadExit>,
    state: Mutex<State>,
    changed: Condvar,
    /// The locks under which a thread has last found that this one has finished.
    finished_under: AtomicU64,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    is_joined: bool,
}

/// The body of a thread is over when this is dropped.
struct Running {
    thread: Spawned,
    until: Until,
}

/// What a thread's exit is held until.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The end of the thread, with its thread-locals destroyed: `join` waits for that.
    ThreadEnds,
    /// The end of its body: a scope does not wait for the destructors of thread-locals.
    BodyEnds,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.until == Until::BodyEnds {
            validator::release_exit();
        }
        self.thread.0.state.lock().has_ended = true;
        self.thread.0.changed.notify_all();
    }
}

impl Spawned {
    /// For a thread that is about to be spawned, and what it is to run. `None` if nothing is checked.
    #[track_caller]
    pub(super) fn new<T>(
        name: Option<String>,
        until: Until,
        body: impl FnOnce() -> T,
    ) -> (Option<Self>, impl FnOnce() -> T) {
        let (tracked, site) = (Tracked::new(), here());
        // A thread of tokio's pool gets what was sent to the pool before.
        if !Path::new(site.file()).ends_with("src/runtime/blocking/pool.rs") {
            validator::tasks::may_send_guards();
        }
        let exit = validator::is_on().then(|| ThreadExit::new(tracked.number(&EXIT), site));
        if let (Some(Some(exit)), Some(name)) = (&exit, name) {
            validator::name(exit.id(), &name);
        }
        let spawned = exit.flatten().map(|exit| {
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

    /// Waits until its body is over.
    fn wait(&self) {
        let mut state = self.0.state.lock();
        self.0.changed.wait_while(&mut state, |state| !state.has_ended);
    }

    /// Notes the result of `is_finished`. Joining a thread that has finished cannot block, and a caller
    /// that asks under the same locks under which it then joins has made sure of that.
    pub(super) fn note_finished(&self, is_finished: bool) {
        if is_finished && let Some(held) = validator::held_now() {
            self.0.finished_under.store(held, Relaxed);
        }
    }

    /// How far it is, given whether its handle says that it has finished.
    fn progress(&self, is_finished: bool) -> Progress {
        match is_finished {
            false => Progress::Running,
            true if validator::held_now() == Some(self.0.finished_under.load(Relaxed)) => {
                Progress::FoundFinished
            }
            true => Progress::Finished,
        }
    }

    /// The thread could not be spawned.
    pub(super) fn was_not_spawned(&self) {
        self.0.exit.was_not_spawned();
    }

    /// Its end was waited for.
    fn joined(&self) {
        self.0.state.lock().is_joined = true;
        self.0.exit.joined();
    }

    /// Waits for its end, by acquiring its exit.
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

/// The place in the source that called.
#[track_caller]
pub(super) fn here() -> &'static Location<'static> {
    Location::caller()
}

/// Waits for a thread's end through its handle.
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

    /// Waits until the bodies of all are over, at the end of their scope.
    #[track_caller]
    pub(super) fn wait(&self, end: &'static Location<'static>) {
        loop {
            // While one is waited for, it may spawn others.
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
