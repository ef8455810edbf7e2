//! The paths of each thread of a program, one for each combination of failed tries.
//!
//! A path is a thread's steps without those that do nothing after a failed try. A validator must
//! have seen all of them: the path past a gate that could not be acquired may deadlock.

use std::collections::BTreeSet;

use crate::program::{Lock, Program, Step, Thread};

/// The paths of one thread.
pub(crate) type Paths = Vec<Vec<Step>>;

/// Returns a thread's paths, the one without a failed try first.
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
