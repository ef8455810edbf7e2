//! Which threads have spawned and joined which others: what can happen at the same time. Pure.
//!
//! A thread's life is divided into segments. A new one begins whenever the thread has spawned another
//! thread, and whenever it has joined one. A segment of an ancestor is over before a descendant exists
//! if it ends with the spawn from which that one descends, or earlier; and it begins after a descendant
//! has ended if it begins with the join of the thread from which that one descends, or later. Between
//! these, the two threads exist at the same time.
//!
//! Only an ancestor and a descendant are ever ordered. Two threads that a third one has spawned one
//! after the other are not: nothing but that third thread keeps them apart, and in the next run it may
//! not. So this takes two numbers per observation and no vector clocks.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
};

/// The number of a segment: how many threads have been spawned, in the upper half, and joined.
pub(in crate::validator) type SegmentIndex = u64;

pub(in crate::validator) const SPAWNED: SegmentIndex = 1 << 32;
pub(in crate::validator) const JOINED: SegmentIndex = 1;

/// How many threads had been spawned.
pub(in crate::validator) fn spawned(index: SegmentIndex) -> u64 {
    index >> 32
}

/// How many ancestors are remembered. A thread that spawns the next one and ends has no end of them.
const MAX_ANCESTORS: usize = 16;

/// The ancestors of a thread. It lives as long as the thread or an observation of it.
#[derive(Debug)]
pub(crate) struct Lineage {
    /// The nearest first.
    ancestors: Box<[Ancestor]>,
    end: Arc<End>,
    family: Arc<Family>,
}

#[derive(Clone, Debug)]
struct Ancestor {
    thread: u64,
    /// The segment in which it spawned the next one of the line.
    at: SegmentIndex,
    end: Arc<End>,
}

/// The thread that has joined another, and its segment that began with that.
#[derive(Debug, Default)]
struct End {
    by: AtomicU64,
    at: AtomicU64,
}

/// A thread without known ancestors, its root, and all that descend from it.
#[derive(Debug)]
struct Family {
    root: u64,
    /// How many of them were spawned and not joined yet.
    open: AtomicUsize,
    /// The root's segment that began when all of them had been joined.
    quiet_since: AtomicU64,
}

impl Lineage {
    /// For a thread without known ancestors.
    pub(in crate::validator) fn root(thread: u64) -> Arc<Self> {
        let (open, quiet_since) = (AtomicUsize::new(0), AtomicU64::new(0));
        let family = Family { root: thread, open, quiet_since };
        Arc::new(Self { ancestors: Box::default(), end: Arc::default(), family: Arc::new(family) })
    }

    /// For a thread that this one, whose number is `own`, is about to spawn in a segment of its life.
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

    /// The thread could not be spawned.
    pub(in crate::validator) fn was_not_spawned(&self) {
        self.family.open.fetch_sub(1, SeqCst);
    }

    /// The thread has ended and was joined by another one, for which a segment begins. `of` is that
    /// one's lineage.
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

    /// The number of the family's root.
    pub(in crate::validator) fn family(&self) -> u64 {
        self.family.root
    }

    /// Returns `true` if the thread had ended for an ancestor, by index, in this segment: if that one
    /// had joined it, or the thread that had joined it, and so on.
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
}

impl Segment {
    /// The number of the thread's family: its own if it has no lineage.
    pub(in crate::validator) fn family(&self) -> u64 {
        self.lineage.as_ref().map_or(self.thread, |lineage| lineage.family())
    }

    /// Returns `true` if it is of the same thread, which has spawned no other one in between. Such
    /// segments meet the same threads, among those that still exist.
    pub(in crate::validator) fn is_like(&self, other: &Self) -> bool {
        self.thread == other.thread && spawned(self.index) == spawned(other.index)
    }

    /// Returns `true` if one of the two was over before the other's thread existed, or began after that
    /// had ended.
    pub(in crate::validator) fn is_apart_from(&self, other: &Self) -> bool {
        self.is_outside(other) || other.is_outside(self)
    }

    /// Returns `true` if it was before or after the life of the other's thread, which descends from its
    /// own.
    fn is_outside(&self, descendant: &Self) -> bool {
        let Some(lineage) = &descendant.lineage else { return false };
        let Some(index) = lineage.ancestors.iter().position(|it| it.thread == self.thread) else {
            return false;
        };
        self.index <= lineage.ancestors[index].at || lineage.has_ended_for(index, self.index)
    }

    /// Returns `true` if it was before or after the lives of all others of a family, observed or not.
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

    /// Returns `true` if one thread was joined before the other was spawned, by one from which both
    /// descend.
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

/// Histories of threads that spawn each other and are joined by their parents, with vector clocks.
#[cfg(all(test, not(loom)))]
pub(in crate::validator) mod histories {
    use std::{collections::HashMap, iter};

    use proptest::{prelude::*, sample};

    use super::*;

    /// By thread, how many of its steps happened before.
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

    /// What a thread did in one of its steps.
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

    /// What a thread does, which one, and whom it joins.
    pub(in crate::validator) type Step = (u8, sample::Index, sample::Index);

    pub(in crate::validator) fn any_step() -> impl Strategy<Value = Step> {
        (0..4_u8, any::<sample::Index>(), any::<sample::Index>())
    }

    pub(in crate::validator) struct History {
        threads: Vec<Thread>,
    }

    impl History {
        /// Threads with no known ancestors.
        pub(in crate::validator) fn new(roots: usize) -> Self {
            let root = |at| Thread::new(Lineage::root(number(at)), None, Clock::new());
            Self { threads: (0..roots).map(root).collect() }
        }

        /// A thread spawns another one, joins one, or, else, does something.
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
                    let segment = Segment { thread: number(at), index: *index, lineage };
                    return Some(Observed { thread: at, step, clock: clock.clone(), segment });
                }
            }
            None
        }

        /// Returns `true` if one thread descends from the other and, by their clocks, did its part before
        /// or after that one.
        pub(in crate::validator) fn are_apart(&self, one: &Observed, other: &Observed) -> bool {
            let is_line =
                self.descends(one.thread, other.thread) || self.descends(other.thread, one.thread);
            is_line && (one.is_before(other) || other.is_before(one))
        }

        /// Returns `true` if the thread has seen the last steps of all others but of some roots.
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
        /// Says of ancestors and descendants what vector clocks say.
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
                    // Whatever is in sequence is over before the other begins.
                    if one.segment.ends_before(&other.segment) {
                        prop_assert!(one.is_before(other));
                    }
                }
            }
        }
    }
}
