//! What each thread of a program does, for each way in which its tries can end.
//!
//! Owns the paths: a thread's steps without those that do nothing after a failed try. What
//! a validator is to know of a program, it must have seen on all of them: a deadlock may be
//! on the path past a gate that could not be had.

use std::collections::BTreeSet;

use crate::program::{Lock, Program, Step, Thread};

/// Of one thread.
pub(crate) type Paths = Vec<Vec<Step>>;

/// A thread's paths, the one without a failed try first.
pub(crate) fn paths(
    program: &Program,
    thread: Thread,
    failing_tries: &BTreeSet<(Thread, usize)>,
) -> Paths {
    let mut paths = vec![(Vec::new(), BTreeSet::<Lock>::new())];
    for (at, &step) in program.threads[thread].iter().enumerate() {
        let mut failed = Vec::new();
        if let Step::TryAcquire(lock, _) = step
            && failing_tries.contains(&(thread, at))
        {
            failed.clone_from(&paths);
            for (_, missed) in &mut failed {
                missed.insert(lock);
            }
        }
        for (path, missed) in &mut paths {
            if !step.lock().is_some_and(|lock| missed.contains(&lock)) {
                path.push(step);
            } else if let Step::Release(lock) = step {
                missed.remove(&lock);
            }
        }
        paths.append(&mut failed);
    }
    paths.into_iter().map(|(path, _)| path).collect()
}
