//! Runs a program on the library's locks and threads, with its steps in one order.
//!
//! Owns the threads, which spawn and join each other as the program says, and do each step when it
//! is their turn. So no thread ever waits, but the library sees all acquisitions.

use std::{
    array, slice,
    sync::{
        Arc, Condvar, Mutex as StdMutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use lockdep::thread::{self, JoinHandle, Scope};

use crate::{
    locks::{AnyLock, Exits, Guards, perform},
    program::{MAX_THREADS, Program, Step, Thread},
};

/// One run.
struct World {
    threads: Vec<Vec<Step>>,
    locks: Arc<Vec<AnyLock>>,
    /// The thread of each step, in order.
    schedule: Vec<Thread>,
    done: StdMutex<usize>,
    changed: Condvar,
    /// The threads that are spawned and not yet joined.
    handles: [StdMutex<Option<JoinHandle<()>>>; MAX_THREADS],
    /// The lines in which they are spawned.
    lines: [AtomicU32; MAX_THREADS],
}

/// Runs a program on some locks. Returns the lines that identify the exits of its threads.
pub(crate) fn run(program: &Program, locks: &Arc<Vec<AnyLock>>, schedule: Vec<Thread>) -> Exits {
    let world = Arc::new(World {
        threads: program.threads.clone(),
        locks: Arc::clone(locks),
        schedule,
        done: StdMutex::new(0),
        changed: Condvar::new(),
        handles: array::from_fn(|_| StdMutex::default()),
        lines: array::from_fn(|_| AtomicU32::new(0)),
    });
    let is_spawned = |thread: &Thread| {
        program.threads.iter().flatten().any(|step| *step == Step::Spawn(*thread))
    };
    std::thread::scope(|scope| {
        for thread in (0..program.threads.len()).filter(|thread| !is_spawned(thread)) {
            scope.spawn(doing(&world, thread));
        }
    });
    world.wait(|done| done == world.schedule.len());
    for handle in &world.handles {
        let detached = handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(detached.map(JoinHandle::join));
    }
    world.lines.each_ref().map(|line| line.load(Relaxed))
}

/// Returns the body of a thread.
fn doing(world: &Arc<World>, thread: Thread) -> impl FnOnce() + Send + use<> {
    let world = Arc::clone(world);
    move || {
        let steps = world.threads[thread].iter();
        Walker { world: &world, thread, steps, guards: Guards::default() }.walk(None);
    }
}

impl World {
    /// Waits until the number of steps done fulfils a condition.
    fn wait(&self, is_so: impl Fn(usize) -> bool) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        while !is_so(*done) {
            done = self.changed.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn step_is_done(&self) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }
}

/// A thread at a step.
struct Walker<'a> {
    world: &'a Arc<World>,
    thread: Thread,
    steps: slice::Iter<'a, Step>,
    guards: Guards<'a>,
}

impl Walker<'_> {
    /// Runs to the end of the thread, or of the scope.
    fn walk<'scope>(&mut self, scope: Option<&'scope Scope<'scope, '_>>) {
        while let Some(&step) = self.steps.next() {
            let World { schedule, locks, handles, .. } = &**self.world;
            self.world.wait(|done| schedule[done] == self.thread);
            match step {
                Step::Spawn(child) => self.spawn(child, scope),
                Step::Join(child) => {
                    let handle =
                        handles[child].lock().unwrap_or_else(PoisonError::into_inner).take();
                    handle.expect("it was spawned").join().unwrap();
                }
                Step::OpenScope => {
                    self.world.step_is_done();
                    thread::scope(|scope| self.walk(Some(scope)));
                }
                // The end of the scope is the step.
                Step::CloseScope(_) => return,
                _ => perform(step, &mut self.guards, locks),
            }
            self.world.step_is_done();
        }
    }

    fn spawn<'scope>(&self, child: Thread, scope: Option<&'scope Scope<'scope, '_>>) {
        /// Each spawn has its own line.
        macro_rules! spawn {
            () => {{
                self.world.lines[child].store(line!(), Relaxed);
                let body = doing(self.world, child);
                match scope {
                    Some(scope) => drop(scope.spawn(body)),
                    None => {
                        let handle = Some(thread::spawn(body));
                        *self.world.handles[child].lock().unwrap_or_else(PoisonError::into_inner) =
                            handle;
                    }
                }
            }};
        }
        match child {
            0 => spawn!(),
            1 => spawn!(),
            2 => spawn!(),
            _ => spawn!(),
        }
    }
}
