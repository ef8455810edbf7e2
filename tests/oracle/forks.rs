//! Who spawns and joins whom in a program, and what is over before what begins.
//!
//! A thread's life is divided into segments: a new one begins with each spawn and each join. One is
//! before another if spawns and joins lead from it to that one, which is searched as plainly as
//! it is said.

use crate::program::{Program, Step, Thread, members};

/// A thread, and how many spawns and joins come before.
pub(crate) type Segment = (Thread, usize);

/// How two segments of two threads are kept from being there at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apart {
    /// One of the threads descends from the other, which is joined by those between them.
    InLine,
    /// Neither of them descends from the other, or the earlier one is joined by a thread from which it
    /// does not descend.
    Otherwise,
}

/// The spawns and joins of a program.
pub(crate) struct Forks {
    spawner: Vec<Option<Thread>>,
    joiner: Vec<Option<Thread>>,
    /// What each segment leads to.
    next: Vec<Vec<Vec<Segment>>>,
}

/// Whether a new segment begins with a step.
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

    /// The threads that wait for the end of this one, as one joins the other.
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

    /// How two segments of different threads are kept apart, if they are.
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
