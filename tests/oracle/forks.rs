//! The spawns and joins of a program, and which parts of threads come before which.
//!
//! A thread's life consists of segments: each spawn and each join starts a new one. A segment is
//! before another if spawns and joins lead from the first to the second, which is searched naively.

use crate::program::{Program, Step, Thread, members};

/// A thread, and the number of spawns and joins before the segment.
pub(crate) type Segment = (Thread, usize);

/// Why two segments of two threads cannot be concurrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// One of the threads descends from the other, and is joined by the threads in between.
    InLine,
    /// Neither of them descends from the other, or the earlier one is joined by a thread from which
    /// it does not descend.
    Otherwise,
}

/// The spawns and joins of a program.
pub(crate) struct Forks {
    spawner: Vec<Option<Thread>>,
    joiner: Vec<Option<Thread>>,
    /// The segments to which each segment leads.
    next: Vec<Vec<Vec<Segment>>>,
}

/// Returns `true` if a step starts a new segment.
pub(crate) fn is_boundary(step: Step) -> bool {
    matches!(step, Step::Spawn(_)) || step.joins() != 0
}

impl Forks {
    pub(crate) fn new(program: &Program) -> Self {
        let count = program.threads.len();
        let segments = |steps: &Vec<Step>| {
            vec![Vec::new(); 1 + steps.iter().filter(|it| is_boundary(**it)).count()]
        };
        let mut forks = Self {
            spawner: vec![None; count],
            joiner: vec![None; count],
            next: program.threads.iter().map(segments).collect(),
        };
        for (thread, steps) in program.threads.iter().enumerate() {
            for (at, &step) in steps.iter().filter(|it| is_boundary(**it)).enumerate() {
                forks.next[thread][at].push((thread, at + 1));
                if let Step::Spawn(child) = step {
                    forks.spawner[child] = Some(thread);
                    forks.next[thread][at].push((child, 0));
                }
                for joined in members(step.joins()) {
                    forks.joiner[joined] = Some(thread);
                    let last = forks.next[joined].len() - 1;
                    forks.next[joined][last].push((thread, at + 1));
                }
            }
        }
        forks
    }

    /// Returns the threads that wait for the end of this one, by a chain of joins.
    pub(crate) fn joiners(&self, thread: Thread) -> impl Iterator<Item = Thread> {
        std::iter::successors(self.joiner[thread], |&joiner| self.joiner[joiner])
    }

    fn is_before(&self, one: Segment, other: Segment) -> bool {
        let mut reached = vec![one];
        let mut at = 0;
        while let Some(&(thread, segment)) = reached.get(at) {
            for &next in &self.next[thread][segment] {
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
            at += 1;
        }
        reached.contains(&other)
    }

    /// Returns why two segments of different threads cannot be concurrent, if so.
    pub(crate) fn apart(&self, one: Segment, other: Segment) -> Option<Apart> {
        if self.is_before(one, other) {
            Some(self.how(one.0, other.0))
        } else if self.is_before(other, one) {
            Some(self.how(other.0, one.0))
        } else {
            None
        }
    }

    fn how(&self, earlier: Thread, later: Thread) -> Apart {
        let mut between = std::iter::successors(Some(earlier), |&it| self.joiner[it])
            .take_while(|&it| it == earlier || self.descends(earlier, it));
        if self.descends(later, earlier) || between.any(|it| it == later) {
            Apart::InLine
        } else {
            Apart::Otherwise
        }
    }

    fn descends(&self, thread: Thread, from: Thread) -> bool {
        std::iter::successors(self.spawner[thread], |&it| self.spawner[it]).any(|it| it == from)
    }
}
