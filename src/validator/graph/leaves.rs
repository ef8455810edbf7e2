//! Leaves: new locks that were acquired while exactly one other lock was held, and that are
//! otherwise unknown.
//!
//! No path leads out of a leaf, so its edge closes no cycle, and if its classes already nest this
//! way, the edge reveals nothing about them either. So the edge need not be in the graph until the
//! graph is read. It is deferred here, and most leaves are destroyed before that. [`super::lock`]
//! enters all of them first. Their ids are in [`known_locks`], so that a leaf is destroyed without
//! the graph's lock.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use petgraph::graph::EdgeIndex;
use rustc_hash::FxHashMap;

use super::{
    Acquisition, EdgeFacts, GRAPH, LockGraph,
    classes::ClassId,
    is_any_declared,
    observations::{Observation, Settled},
    one_class,
    shown::Shown,
    topology::Tail,
};
use crate::{
    finding::ScopeId,
    ledger::{self, Backtraces},
    stack::{RawStack, Stack, number_walk, walk_number},
    validator::{
        chain_cache,
        context::{Context, State, held::Entry, leaks, lineage::SegmentIndex},
        lock_id::{
            LockId,
            creation_sites::{self, SiteIndex, UNKNOWN_SITE},
            known_locks,
        },
    },
};

/// The number of pairs of creation sites remembered.
const MAX_PAIRS: usize = 64;

/// When leaves are entered and more stacks than this have a number, all numbers are forgotten. A
/// cached walk then has the number of an older generation, and is numbered again.
const MAX_STACKS: usize = 1_000;

/// Part of each stack's number. Changes when all numbers are forgotten. Written under the graph's
/// lock.
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// The edge to a leaf.
#[derive(Clone, Copy)]
struct Leaf {
    held: Entry,
    wanted: Entry,
    has_writer: bool,
    context: &'static Context,
    segment: SegmentIndex,
    scope: Option<ScopeId>,
    stack: u64,
}

pub(super) struct Leaves {
    /// Indexed by slot. The entry of a destroyed leaf stays until its slot is used again.
    noted: Vec<Option<Leaf>>,
    /// The slots to which a leaf was added since all were entered, one bit each.
    added: u64,
    /// The last lock found to be in the graph, not new, and in no named class.
    holder: LockId,
    /// Its creation site.
    holders_site: SiteIndex,
    /// The block of ids, with its creation site, of the last wanted lock.
    block: (Range<LockId>, SiteIndex),
    /// Pairs of creation sites and modes whose classes can reveal nothing new, and nestings within one class.
    settled: [u64; MAX_PAIRS],
    /// Stacks by small numbers, which are stored with the cached walks.
    stacks: Vec<Stack>,
    /// Their numbers, by the address of their frames.
    stack_numbers: FxHashMap<usize, usize>,
    /// The last edge's [`Shown`], and the number of its stack.
    last: Option<(Arc<Shown>, u64)>,
    /// The version of the classes for which `settled` is valid.
    version: u64,
}

impl Default for Leaves {
    fn default() -> Self {
        Self {
            noted: vec![None; known_locks::LEAVES],
            added: 0,
            holder: 0,
            holders_site: UNKNOWN_SITE,
            block: (0..0, UNKNOWN_SITE),
            settled: [0; MAX_PAIRS],
            stacks: Vec::new(),
            stack_numbers: FxHashMap::default(),
            last: None,
            version: 0,
        }
    }
}

impl Leaves {
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    fn slot(key: u64) -> usize {
        (key ^ key >> 27) as usize % MAX_PAIRS
    }

    fn is_known_settled(&self, key: u64) -> bool {
        self.settled[Self::slot(key)] == key
    }

    fn note_settled(&mut self, key: u64) {
        self.settled[Self::slot(key)] = key;
    }

    /// Returns the stack with a number.
    fn stack(&self, number: u64) -> Stack {
        #[allow(clippy::cast_possible_truncation, reason = "the low half")]
        let stack = self.stacks.get(number as u32 as usize).filter(|_| number != 0);
        stack.cloned().unwrap_or_default()
    }

    /// Forgets the last edge's [`Shown`], whose number in the store of facts is no longer valid.
    pub(super) fn forget_shown(&mut self) {
        self.last = None;
    }
}

/// Defers the edge of an acquisition that creates a new leaf and reveals nothing, without
/// allocating. If the lock is not new (`is_new`: the graph knows nothing about it), enters the edge
/// into the graph if it agrees with everything known, as most do. Returns `true` if it has done
/// either. `key` is that of the chain, which is recorded as harmless if the edge is there already.
#[inline(never)]
pub(in crate::validator) fn note(
    context: &'static Context,
    acquisition: &Acquisition<'_>,
    is_new: bool,
    key: u64,
) -> bool {
    let Acquisition { identity, wanted, named_at } = acquisition;
    let Some(held) = context.held.only() else { return false };
    if held.tag.lock() == wanted.tag.lock()
        || !std::ptr::eq(*named_at, wanted.site)
        || context.is(State::Tracing)
        // By the time a leaf is entered, the thread may poll another task in this context.
        || is_new && context.is_of_task()
    {
        return false;
    }
    // From here on, the graph's lock may be held, so locks of signal handlers are not tracked.
    let _inside = context.enter(State::InValidator);
    let mark = 0_u64;
    let from = std::ptr::from_ref(&mark).addr();
    let has_stack = ledger::settings().backtraces != Backtraces::Off;
    let mut stack = if has_stack { walk_number(from) } else { 0 };
    // Before the graph's lock is taken, because an unwinder may take locks.
    let is_unnumbered = has_stack && stack >> 32 != GENERATION.load(Relaxed);
    let captured = is_unnumbered.then(|| RawStack::capture_from(from));
    // Waiting for the lock may allocate.
    let Some(mut graph) = GRAPH.try_lock() else { return false };
    let Some(graph) = &mut *graph else { return false };
    if is_any_declared() {
        return false;
    }
    let lock = wanted.tag.lock();
    if is_new && known_locks::leaf_at(known_locks::leaf_index(lock)) != 0 {
        graph.enter_leaves();
    }
    if let Some(captured) = captured {
        stack = graph.number_stack(&captured);
        number_walk(from, stack);
    } else if has_stack && stack >> 32 != GENERATION.load(Relaxed) {
        // All numbers were just forgotten.
        return false;
    }
    if held.tag.lock() != graph.leaves.holder {
        let lock = held.tag.lock();
        let node = graph.order.node(lock);
        if node.is_none_or(|node| graph.order.is_new(node)) || graph.classes.given(lock).is_some() {
            return false;
        }
        graph.leaves.holder = lock;
        graph.leaves.holders_site = creation_sites::site_of(lock);
    }
    if !is_new {
        return graph.enter_plainly(context, acquisition, &held, (stack, key));
    }
    // Another thread may have nested it first.
    if known_locks::may_be_known(lock)
        || !graph.is_settled(&held, wanted, stack)
        || !graph.needs_no_line(context, &held, wanted)
    {
        return false;
    }
    graph.edges += 1;
    known_locks::add_leaf(lock);
    let at = known_locks::leaf_index(lock);
    graph.leaves.added |= 1 << at;
    graph.leaves.noted[at] = Some(Leaf {
        held,
        wanted: *wanted,
        has_writer: identity.has_writer(),
        context,
        segment: context.segment_index(),
        scope: context.scope(),
        stack,
    });
    true
}

/// Forgets a destroyed lock if it is a leaf. Returns `false` if it is not, or if any lock was left
/// held, as this one may be.
#[inline]
pub(in crate::validator) fn forget(lock: LockId) -> bool {
    !leaks::are_any() && known_locks::remove_leaf(lock)
}

impl LockGraph {
    /// Enters an edge between two locks that are in the graph, if it agrees with everything known.
    fn enter_plainly(
        &mut self,
        context: &'static Context,
        acquisition: &Acquisition<'_>,
        held: &Entry,
        (stack, key): (u64, u64),
    ) -> bool {
        let Acquisition { identity, wanted, .. } = acquisition;
        // `holders_site` stays that of the held lock, though this clears `holder`.
        if self.leaves.added != 0 {
            self.enter_leaves();
        }
        if !self.order.back_edges().is_empty() {
            return false;
        }
        let node = |entry: &Entry| self.order.node(entry.tag.lock());
        let (Some(tail), Some(head)) = (node(held), node(wanted)) else { return false };
        // Locks in a named class are checked each time: a class inversion that was reported counts
        // as settled, but is denied again.
        if self.classes.given(wanted.tag.lock()).is_some() || !self.is_settled(held, wanted, stack)
        {
            return false;
        }
        let modes = (held.tag.mode(), wanted.tag.mode());
        if let Some(edge) = self.order.find(tail, head, modes) {
            return self.enter_again(context, edge, [held, wanted], key);
        }
        if !self.order.agrees(tail, head) || !self.needs_no_line(context, held, wanted) {
            return false;
        }
        if identity.has_writer() {
            self.order.note_writer(wanted.tag.lock());
        }
        self.edges += 1;
        let shown = self.shown_of(context, held, wanted, stack);
        let facts = self.facts.once(&shown);
        self.order.insert(tail, head, modes, facts);
        true
    }

    /// Adds an observation to an edge that the same thread has made before: the thread may have
    /// spawned another one since. Returns `false` if the full check must do it.
    fn enter_again(
        &mut self,
        context: &Context,
        edge: EdgeIndex,
        entries: [&Entry; 2],
        key: u64,
    ) -> bool {
        if self.order.graph()[edge].tail() != Tail::Shared {
            return false;
        }
        let facts = self.order.facts_mut(edge);
        let new = Observation::new(context.segment(), [entries[0].tag]);
        if self.facts.settled_for(facts, &new) > Settled::No {
            return false;
        }
        if !self.facts.knows(facts, &new) {
            let Some(shown) = self.facts.shown_earlier(facts, &new, entries).cloned() else {
                return false;
            };
            self.facts.learn(facts, entries[0].tag, new, shown);
        }
        self.settle(chain_cache::by(key, context.number_in_segment()));
        true
    }

    /// Returns `true` unless the edge must be written to the record.
    fn needs_no_line(&self, context: &Context, held: &Entry, wanted: &Entry) -> bool {
        !ledger::records() || self.is_recorded(context, held, wanted)
    }

    /// Returns the [`Shown`] of an edge, which is often that of the last edge.
    fn shown_of(
        &mut self,
        context: &'static Context,
        held: &Entry,
        wanted: &Entry,
        stack: u64,
    ) -> Arc<Shown> {
        let scope = context.scope();
        let who = (context.number(), context.segment_index());
        if let Some((last, of)) = &self.leaves.last
            && *of == stack
            && last.is(who, scope, [held.site, wanted.site])
        {
            return Arc::clone(last);
        }
        let frames = self.leaves.stack(stack);
        let who = (&context.segment(), scope);
        let shown = self.shown.noted(context, who, [held, wanted], &frames);
        self.leaves.last = Some((Arc::clone(&shown), stack));
        shown
    }

    /// Returns the number of a stack.
    #[cold]
    #[inline(never)]
    fn number_stack(&mut self, stack: &RawStack) -> u64 {
        let stack = self.shown.stack(stack.frames());
        let frames = stack.frames().as_ptr();
        let Leaves { stacks, stack_numbers, .. } = &mut self.leaves;
        let at = *stack_numbers.entry(frames.addr()).or_insert_with(|| {
            stacks.push(stack);
            stacks.len() - 1
        });
        GENERATION.load(Relaxed) << 32 | at as u64
    }

    /// Returns `true` if this nesting reveals nothing new about the classes of the two locks.
    /// `holders_site` must be that of the held lock; `stack` is the number of a stack.
    fn is_settled(&mut self, held: &Entry, wanted: &Entry, stack: u64) -> bool {
        if self.leaves.version != self.classes.version() {
            self.leaves.version = self.classes.version();
            self.leaves.settled = [0; MAX_PAIRS];
        }
        if !self.leaves.block.0.contains(&wanted.tag.lock()) {
            self.leaves.block = creation_sites::block_of(wanted.tag.lock());
        }
        let (of_held, of_wanted) = (self.leaves.holders_site, self.leaves.block.1);
        let modes = (held.tag.mode(), wanted.tag.mode());
        if of_held == UNKNOWN_SITE || of_wanted == UNKNOWN_SITE {
            return false;
        }
        let pair = (of_held as u64) << 32
            | (of_wanted as u64) << 8
            | (modes.0 as u64) << 4
            | modes.1 as u64;
        // Of one class, it depends on where and how the two are acquired.
        let is_one_site = of_held == of_wanted;
        let key = if is_one_site { one_class::hash(pair, held, wanted, stack) } else { pair };
        if self.leaves.is_known_settled(key) && !(is_one_site && one_class::is_denied()) {
            return true;
        }
        let class =
            |this: &mut Self, of: &Entry| this.classes.of(of.tag.lock(), of.created(), of.kind());
        let is_settled = match (class(self, held), class(self, wanted)) {
            (Some(of_held), Some(of_wanted)) if of_held == of_wanted => {
                return self.is_nesting_known([held, wanted], (of_held, pair), stack);
            }
            (Some(held), Some(wanted)) => self.classes.is_settled((held, wanted), modes, None),
            _ => true,
        };
        if is_settled {
            self.leaves.note_settled(key);
        }
        is_settled
    }

    /// Returns `true` if a nesting of two locks of one class was seen here before, or can reveal nothing. The full check
    /// looks at it the first time. `pair` has their creation sites, which may differ: one place may have several addresses.
    fn is_nesting_known(
        &mut self,
        [held, wanted]: [&Entry; 2],
        (class, pair): (ClassId, u64),
        stack: u64,
    ) -> bool {
        let key = one_class::hash(pair, held, wanted, stack);
        let is_known = self.leaves.is_known_settled(key) && !one_class::is_denied();
        self.leaves.note_settled(key);
        is_known
            || !wanted.tag.mode().waits_for(held.tag.mode(), false)
            || self.classes.is_reported((class, class))
    }

    /// Enters all deferred leaves into the graph. Called before the graph is read or changed, and
    /// when the slot of a leaf is taken.
    pub(super) fn enter_leaves(&mut self) {
        self.leaves.holder = 0;
        const { assert!(known_locks::LEAVES <= u64::BITS as usize, "a bit for each slot") };
        while self.leaves.added != 0 {
            let at = self.leaves.added.trailing_zeros() as usize;
            self.leaves.added &= self.leaves.added - 1;
            if let Some(leaf) = self.leaves.noted[at]
                && known_locks::leaf_at(at) == leaf.wanted.tag.lock()
            {
                self.enter(&leaf);
            }
        }
        if self.leaves.stacks.len() > MAX_STACKS {
            self.leaves.stacks.clear();
            self.leaves.stack_numbers.clear();
            GENERATION.fetch_add(1, Relaxed);
            self.leaves.last = None;
        }
    }

    fn enter(&mut self, leaf: &Leaf) {
        let Leaf { held, wanted, has_writer, context, segment, scope, stack } = leaf;
        // Read before the leaf is removed: as long as there is one, a thread that ends waits for the
        // graph's lock. Afterwards, its context may be another thread's.
        let stack = self.leaves.stack(*stack);
        let segment = context.segment_at(*segment);
        let shown = self.shown.noted(context, (&segment, *scope), [held, wanted], &stack);
        // Counted before it is removed, so that a thread that destroys it meanwhile finds one or
        // the other.
        known_locks::entered(wanted.tag.lock());
        let is_alive = known_locks::remove_leaf(wanted.tag.lock());
        // Without the held lock there is no edge.
        let (true, Some(tail)) = (is_alive, self.order.node(held.tag.lock())) else {
            known_locks::left(wanted.tag.lock());
            return;
        };
        let origin = self.origins.of(wanted, wanted.site);
        let head = self.order.node_or_insert(wanted.tag.lock(), || origin);
        if *has_writer {
            self.order.note_writer(wanted.tag.lock());
        }
        let modes = (held.tag.mode(), wanted.tag.mode());
        let edge = self.order.insert(tail, head, modes, EdgeFacts::default());
        let observation = Observation::new(segment, [held.tag]);
        self.facts.learn(self.order.facts_mut(edge), held.tag, observation, shown);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::{
        finding::Mode,
        validator::context::{held::Tag, registry},
    };

    /// Its number in the store of facts is not valid after a reset.
    #[test]
    fn the_last_shown_is_forgotten_by_a_reset() {
        let context = registry::take_up();
        let mut graph = LockGraph::default();
        let entry = |lock| Entry { tag: Tag::new(lock, Mode::Exclusive), site: Location::caller() };
        for _ in 0..2 {
            let shown = graph.shown_of(context, &entry(1), &entry(2), 0);
            let facts = graph.facts.once(&shown);
            assert!(Arc::ptr_eq(graph.facts.get(&facts, 0).unwrap(), &shown));
            graph.reset();
        }
        registry::give_back(context);
    }
}
