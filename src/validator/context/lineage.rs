//! Which threads have spawned and joined each other, and so which cannot run at the same time.
//! Pure.
//!
//! A thread's life is divided into segments. A new one begins whenever the thread has spawned or
//! joined another thread. A segment of an ancestor ends before a descendant exists if it ends with
//! the spawn on the path to the descendant, or earlier. It begins after a descendant has ended if
//! it begins with the join of the thread on that path, or later. All segments in between are
//! concurrent with the descendant.
//!
//! Only an ancestor and a descendant are ever ordered. Two threads that a third has spawned one
//! after the other are not: only the third thread separates them, and in another run it may not. So
//! this takes two numbers per observation rather than vector clocks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use super::position::Job;

/// The index of a segment: the number of threads spawned so far in the upper half, and joined in
/// the lower.
pub(in crate::validator) type SegmentIndex = u64;

pub(in crate::validator) const SPAWNED: SegmentIndex = 1 << 32;
pub(in crate::validator) const JOINED: SegmentIndex = 1;

/// Returns the number of threads that had been spawned.
pub(in crate::validator) fn spawned(index: SegmentIndex) -> u64 {
    index >> 32
}

/// The number of ancestors remembered. In a chain of threads that each spawn the next and end,
/// there is no limit to them.
const MAX_ANCESTORS: usize = 16;

/// The ancestors of a thread. Kept while the thread or an observation of it exists.
#[derive(Debug)]
pub(crate) struct Lineage {
    /// Nearest first.
    ancestors: Box<[Ancestor]>,
    end: Arc<End>,
    family: Arc<Family>,
}

#[derive(Clone, Debug)]
struct Ancestor {
    thread: u64,
    /// The segment in which it spawned the next thread of the line.
    at: SegmentIndex,
    end: Arc<End>,
}

/// The thread that has joined another, and the segment that began with that.
#[derive(Debug, Default)]
struct End {
    by: AtomicU64,
    at: AtomicU64,
}

/// All threads that descend from a thread without known ancestors, the root, including it.
#[derive(Debug)]
struct Family {
    root: u64,
    /// The number of threads that were spawned and not joined yet.
    open: AtomicUsize,
    /// The segment of the root that began when all of them had been joined.
    quiet_since: AtomicU64,
}

impl Lineage {
    /// Creates the lineage of a thread without known ancestors.
    pub(in crate::validator) fn root(thread: u64) -> Arc<Self> {
        let (open, quiet_since) = (AtomicUsize::new(0), AtomicU64::new(0));
        let family = Family { root: thread, open, quiet_since };
        Arc::new(Self { ancestors: Box::default(), end: Arc::default(), family: Arc::new(family) })
    }

    /// Creates the lineage of a thread that this one, with the number `own`, is about to spawn in a
    /// segment.
    pub(in crate::validator) fn child(&self, own: u64, at: SegmentIndex) -> Arc<Self> {
        self.family.open.fetch_add(1, SeqCst);
        let own = Ancestor { thread: own, at, end: Arc::clone(&self.end) };
        let all = [own].into_iter().chain(self.ancestors.iter().cloned());
        Arc::new(Self {
            ancestors: all.take(MAX_ANCESTORS).collect(),
            end: Arc::default(),
            family: Arc::clone(&self.family),
        })
    }

    /// Called if the thread could not be spawned.
    pub(in crate::validator) fn was_not_spawned(&self) {
        self.family.open.fetch_sub(1, SeqCst);
    }

    /// Called when the thread was joined by another one, which begins a segment with that. `of` is
    /// the lineage of the joining thread.
    pub(in crate::validator) fn joined(&self, by: u64, of: Option<&Self>, at: SegmentIndex) {
        if self.end.by.load(SeqCst) != 0 {
            return;
        }
        self.end.at.store(at, SeqCst);
        self.end.by.store(by, SeqCst);
        if of.is_some_and(|of| Arc::ptr_eq(&of.family, &self.family))
            && self.family.open.fetch_sub(1, SeqCst) == 1
            && by == self.family.root
        {
            self.family.quiet_since.store(at, SeqCst);
        }
    }

    /// Returns the number of the family's root.
    pub(in crate::validator) fn family(&self) -> u64 {
        self.family.root
    }

    /// Returns `true` if an ancestor, by index, knew in this segment that the thread had ended: it
    /// had joined the thread, or the thread that had joined that one, and so on.
    fn has_ended_for(&self, ancestor: usize, at: SegmentIndex) -> bool {
        let mut end = &self.end;
        loop {
            let by = end.by.load(SeqCst);
            let Some(index) = self.ancestors.iter().position(|it| it.thread == by) else {
                return false;
            };
            if index >= ancestor {
                return index == ancestor && end.at.load(SeqCst) <= at;
            }
            end = &self.ancestors[index].end;
        }
    }
}

/// A segment of a thread's life.
#[derive(Clone, Debug)]
pub(in crate::validator) struct Segment {
    pub(in crate::validator) thread: u64,
    pub(in crate::validator) index: SegmentIndex,
    /// `None` if the thread has no known ancestors and had spawned nothing.
    pub(in crate::validator) lineage: Option<Arc<Lineage>>,
    /// The job that a thread ran, or in which it waited, where that matters. Then index and lineage are those of the
    /// thread from which the job comes.
    pub(in crate::validator) job: Option<Arc<Job>>,
}

impl Segment {
    /// Returns the number of the thread whose index and lineage these are.
    fn flow(&self) -> u64 {
        self.job.as_ref().map_or(self.thread, |job| job.flow)
    }

    /// Returns the segment of the thread from which the job comes.
    pub(in crate::validator) fn of_flow(&self) -> Self {
        Self { thread: self.flow(), job: None, ..self.clone() }
    }

    /// Returns `true` if two jobs of one flow cannot run at the same time. That is assumed if one of
    /// them has no position.
    fn is_apart_in_flow(&self, other: &Self) -> bool {
        match (&self.job, &other.job) {
            (Some(own), Some(theirs)) => own.is_apart_from(theirs),
            (Some(job), None) => job.is_of(other.thread),
            (None, Some(job)) => job.is_of(self.thread),
            (None, None) => false,
        }
    }

    /// Returns `true` if it can be at the same time as any other, as far as is known.
    pub(in crate::validator) fn is_at_any_time(&self) -> bool {
        self.lineage.is_none() && self.job.is_none()
    }

    /// Returns the number of the thread's family, which is its own number without a lineage.
    pub(in crate::validator) fn family(&self) -> u64 {
        self.lineage.as_ref().map_or(self.flow(), |lineage| lineage.family())
    }

    /// Returns `true` if both segments belong to one thread that has spawned no other in between.
    /// They are concurrent with the same threads, among those that still exist.
    pub(in crate::validator) fn is_like(&self, other: &Self) -> bool {
        self.thread == other.thread
            && spawned(self.index) == spawned(other.index)
            && self.job == other.job
    }

    /// Returns `true` if one segment ended before the other's thread existed, or began after that
    /// thread had ended.
    pub(in crate::validator) fn is_apart_from(&self, other: &Self) -> bool {
        self.is_apart_in_flow(other) || self.is_outside(other) || other.is_outside(self)
    }

    /// Returns `true` if this segment was before or after the life of the other's thread, a
    /// descendant.
    fn is_outside(&self, descendant: &Self) -> bool {
        let Some(lineage) = &descendant.lineage else { return false };
        let Some(index) = lineage.ancestors.iter().position(|it| it.thread == self.flow()) else {
            return false;
        };
        self.index <= lineage.ancestors[index].at || lineage.has_ended_for(index, self.index)
    }

    /// Returns `true` if this segment was before or after the lives of all other threads of a
    /// family, observed or not.
    pub(in crate::validator) fn is_outside_family(&self, family: u64) -> bool {
        if self.thread != family {
            return false;
        }
        if spawned(self.index) == 0 {
            return true;
        }
        let Some(lineage) = &self.lineage else { return false };
        let Family { open, quiet_since, .. } = &*lineage.family;
        open.load(SeqCst) == 0 && quiet_since.load(SeqCst) <= self.index
    }

    /// Returns `true` if a common ancestor joined one of the threads before it spawned the other.
    pub(in crate::validator) fn is_in_sequence_with(&self, other: &Self) -> bool {
        self.ends_before(other) || other.ends_before(self)
    }

    fn ends_before(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (&self.lineage, &other.lineage) else { return false };
        let common =
            |it: &Ancestor| others.ancestors.iter().position(|theirs| theirs.thread == it.thread);
        let nearest = own.ancestors.iter().enumerate().find_map(|(at, it)| Some((at, common(it)?)));
        nearest.is_some_and(|(at, theirs)| own.has_ended_for(at, others.ancestors[theirs].at))
    }
}

/// Random histories of threads that spawn each other and are joined by their parents, with vector
/// clocks.
#[cfg(all(test, not(loom)))]
pub(in crate::validator) mod histories {
    use std::{collections::HashMap, iter};

    use proptest::{prelude::*, sample};

    use super::*;

    /// The number of steps that happened before, by thread.
    type Clock = HashMap<usize, usize>;

    struct Thread {
        lineage: Arc<Lineage>,
        segment: SegmentIndex,
        parent: Option<usize>,
        clock: Clock,
        steps: usize,
        has_ended: bool,
    }

    impl Thread {
        fn new(lineage: Arc<Lineage>, parent: Option<usize>, clock: Clock) -> Self {
            Self { lineage, segment: 0, parent, clock, steps: 0, has_ended: false }
        }
    }

    /// A step of a thread that was observed.
    pub(in crate::validator) struct Observed {
        thread: usize,
        step: usize,
        clock: Clock,
        pub(in crate::validator) segment: Segment,
    }

    impl Observed {
        pub(in crate::validator) fn is_before(&self, other: &Self) -> bool {
            other.clock.get(&self.thread).is_some_and(|&known| known >= self.step)
        }
    }

    /// The action, the acting thread, and the thread that it joins.
    pub(in crate::validator) type Step = (u8, sample::Index, sample::Index);

    pub(in crate::validator) fn any_step() -> impl Strategy<Value = Step> {
        (0..4_u8, any::<sample::Index>(), any::<sample::Index>())
    }

    pub(in crate::validator) struct History {
        threads: Vec<Thread>,
    }

    impl History {
        /// Creates threads without known ancestors.
        pub(in crate::validator) fn new(roots: usize) -> Self {
            let root = |at| Thread::new(Lineage::root(number(at)), None, Clock::new());
            Self { threads: (0..roots).map(root).collect() }
        }

        /// Makes a thread spawn another, join another, or otherwise do something.
        pub(in crate::validator) fn step(&mut self, (what, who, whom): Step) -> Option<Observed> {
            let threads = &mut self.threads;
            let alive: Vec<_> = (0..threads.len()).filter(|&at| !threads[at].has_ended).collect();
            let at = *who.get(&alive);
            threads[at].steps += 1;
            let step = threads[at].steps;
            threads[at].clock.insert(at, step);
            match what {
                0 => {
                    let parent = &mut threads[at];
                    let lineage = parent.lineage.child(number(at), parent.segment);
                    parent.segment += SPAWNED;
                    let clock = parent.clock.clone();
                    threads.push(Thread::new(lineage, Some(at), clock));
                }
                1 => {
                    let is_child = |it: &Thread| it.parent == Some(at) && !it.has_ended;
                    let children: Vec<_> =
                        (0..threads.len()).filter(|&it| is_child(&threads[it])).collect();
                    if children.is_empty() {
                        return None;
                    }
                    let child = *whom.get(&children);
                    threads[child].has_ended = true;
                    threads[at].segment += JOINED;
                    let own = Arc::clone(&threads[at].lineage);
                    threads[child].lineage.joined(number(at), Some(&own), threads[at].segment);
                    for (of, known) in threads[child].clock.clone() {
                        let own = threads[at].clock.entry(of).or_default();
                        *own = known.max(*own);
                    }
                }
                _ => {
                    let Thread { lineage, segment: index, clock, .. } = &threads[at];
                    let lineage = Some(Arc::clone(lineage));
                    let segment = Segment { thread: number(at), index: *index, lineage, job: None };
                    return Some(Observed { thread: at, step, clock: clock.clone(), segment });
                }
            }
            None
        }

        /// Returns `true` if one thread descends from the other and, by their clocks, acted before
        /// or after all of the other's life.
        pub(in crate::validator) fn are_apart(&self, one: &Observed, other: &Observed) -> bool {
            let is_line =
                self.descends(one.thread, other.thread) || self.descends(other.thread, one.thread);
            is_line && (one.is_before(other) || other.is_before(one))
        }

        /// Returns `true` if the thread knows of the last steps of all other threads, except some
        /// roots.
        pub(in crate::validator) fn is_alone(&self, one: &Observed, roots: usize) -> bool {
            let has_seen = |(other, it): (usize, &Thread)| {
                it.steps <= one.clock.get(&other).copied().unwrap_or_default()
            };
            self.threads.iter().enumerate().skip(roots).all(has_seen)
        }

        fn descends(&self, one: usize, from: usize) -> bool {
            let parent = |&it: &usize| self.threads[it].parent;
            iter::successors(parent(&one), parent).any(|it| it == from)
        }
    }

    fn number(thread: usize) -> u64 {
        thread as u64 + 1
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::histories::{History, any_step};

    proptest! {
        /// Agrees with vector clocks about ancestors and descendants.
        #[test]
        fn agrees_with_vector_clocks(steps in prop::collection::vec(any_step(), 1..60)) {
            let mut history = History::new(1);
            let mut observed = Vec::new();
            for step in steps {
                let Some(new) = history.step(step) else { continue };
                if new.segment.is_outside_family(1) {
                    prop_assert!(history.is_alone(&new, 1));
                }
                observed.push(new);
            }
            for one in &observed {
                for other in &observed {
                    let is_apart = one.segment.is_apart_from(&other.segment);
                    prop_assert_eq!(is_apart, history.are_apart(one, other));
                    // Threads in sequence are ordered by their clocks as well.
                    if one.segment.ends_before(&other.segment) {
                        prop_assert!(one.is_before(other));
                    }
                }
            }
        }
    }
}
