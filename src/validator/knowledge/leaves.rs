//! New locks that are taken while one other is held, of which nothing else is known: leaves.
//!
//! No path leads from a leaf anywhere, so that its edge closes no cycle, and what it says of classes
//! may have been said before. So it need not be in the graph, as long as nobody looks: it is noted here,
//! and most are gone before that. Whoever takes the lock around all that is known
//! [in any other way](super::lock) has them entered first.

use std::sync::Arc;

use super::{Acquisition, EdgeFacts, KNOWLEDGE, Knowledge, is_any_declared, shown::Shown};
use crate::{
    finding::{RawStack, ScopeId, Stack, recall_walk, remember_walk},
    ledger::{self, Backtraces},
    validator::{
        context::{Context, State},
        held::Entry,
        identity::LockId,
        leaks, made, presence, seen,
        sightings::Sighting,
    },
};

/// How many wait to be entered.
const KEPT: usize = 64;

/// How many pairs of makers are remembered.
const PAIRS: usize = 64;

/// An edge that is noted.
struct Leaf {
    held: Entry,
    wanted: Entry,
    has_writer: bool,
    context: &'static Context,
    number: u64,
    scope: Option<ScopeId>,
    stack: u64,
}

pub(super) struct Leaves {
    noted: Vec<Leaf>,
    /// A lock of which it was seen last that it is in the graph, and in no class that was given.
    holder: LockId,
    /// Its maker.
    holders_maker: usize,
    /// Numbers of one maker, that of the last.
    block: (std::ops::Range<LockId>, usize),
    /// Pairs of makers and modes of which nothing is left to tell.
    settled: [u64; PAIRS],
    /// Stacks, by small numbers that are remembered with the walks that found them.
    stacks: Vec<Stack>,
    generation: u64,
    /// What was told last, and of which stack.
    last: Option<(Arc<Shown>, u64)>,
    /// Of the classes, as far as pairs are remembered.
    version: u64,
}

impl Default for Leaves {
    fn default() -> Self {
        Self {
            noted: Vec::with_capacity(KEPT),
            holder: 0,
            holders_maker: 0,
            block: (0..0, 0),
            settled: [0; PAIRS],
            stacks: Vec::new(),
            generation: 1,
            last: None,
            version: 0,
        }
    }
}

/// Notes an acquisition, if it makes one new leaf of which there is nothing to tell. Allocates nothing
/// then. Or enters it into the graph, if it makes one edge there that agrees with all that is known:
/// what most edges do. `key`: of the chain, which is remembered if all of that is known.
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
        || is_any_declared()
        || context.is(State::Tracing)
    {
        return false;
    }
    // From here on, our lock may be held: signal handlers are not looked at.
    let _inside = context.enter(State::Inside);
    let mark = 0_u64;
    let from = std::ptr::from_ref(&mark).addr();
    let mut stack = match ledger::settings().backtraces {
        Backtraces::Off => 0,
        _ => recall_walk(from),
    };
    // To wait for it may allocate.
    let Some(mut knowledge) = KNOWLEDGE.try_lock() else { return false };
    let Some(knowledge) = &mut *knowledge else { return false };
    if knowledge.leaves.noted.len() == KEPT {
        knowledge.enter_leaves();
    }
    if stack >> 32 != knowledge.leaves.generation && ledger::settings().backtraces != Backtraces::Off {
        stack = knowledge.number_stack(from);
    }
    if held.tag.lock() != knowledge.leaves.holder {
        let lock = held.tag.lock();
        if knowledge.order.node(lock).is_none() || knowledge.classes.given(lock).is_some() {
            return false;
        }
        knowledge.leaves.holder = lock;
        knowledge.leaves.holders_maker = made::maker(lock);
    }
    if !is_new {
        return knowledge.enter_plainly(context, acquisition, &held, (stack, key));
    }
    if !knowledge.is_settled(&held, wanted) || !knowledge.needs_no_line(context, &held, wanted) {
        return false;
    }
    knowledge.edges += 1;
    presence::entered(wanted.tag.lock());
    knowledge.leaves.noted.push(Leaf {
        held,
        wanted: *wanted,
        has_writer: identity.has_writer(),
        context,
        number: context.number(),
        scope: context.scope(),
        stack,
    });
    true
}

/// Forgets a lock that was destroyed, if it is a leaf and nothing else is known of it.
pub(in crate::validator) fn forget(lock: LockId) -> bool {
    if leaks::are_any() {
        return false;
    }
    // To wait for it may allocate.
    let Some(mut knowledge) = KNOWLEDGE.try_lock() else { return false };
    let Some(knowledge) = &mut *knowledge else { return false };
    let noted = &mut knowledge.leaves.noted;
    let Some(at) = noted.iter().rposition(|leaf| leaf.wanted.tag.lock() == lock) else {
        return false;
    };
    noted.swap_remove(at);
    presence::left(lock);
    true
}

impl Knowledge {
    /// Enters an edge between two locks that are in the graph, if that agrees with all that is known.
    fn enter_plainly(
        &mut self,
        context: &'static Context,
        acquisition: &Acquisition<'_>,
        held: &Entry,
        (stack, key): (u64, u64),
    ) -> bool {
        let Acquisition { identity, wanted, .. } = acquisition;
        if !self.order.refused().is_empty() || !self.leaves.noted.is_empty() {
            return false;
        }
        let node = |entry: &Entry| self.order.node(entry.tag.lock());
        let (Some(tail), Some(head)) = (node(held), node(wanted)) else { return false };
        // What is denied of classes is denied each time.
        if self.classes.given(wanted.tag.lock()).is_some() || !self.is_settled(held, wanted) {
            return false;
        }
        let modes = (held.tag.mode(), wanted.tag.mode());
        if let Some(edge) = self.order.find(tail, head, modes) {
            let facts = &self.order.graph()[edge].facts;
            let is_known = matches!(facts, EdgeFacts::Once(shown) if shown.thread() == context.number());
            if is_known {
                self.settle(seen::by(key, context.number()));
            }
            return is_known;
        }
        if !self.order.agrees(tail, head) || !self.needs_no_line(context, held, wanted) {
            return false;
        }
        if identity.has_writer() {
            self.order.note_writer(wanted.tag.lock());
        }
        self.edges += 1;
        let shown = self.shown_of(context, held, wanted, stack);
        self.order.insert(tail, head, modes, EdgeFacts::Once(shown));
        true
    }

    /// Returns `true` unless the edge must be written to the record.
    fn needs_no_line(&self, context: &Context, held: &Entry, wanted: &Entry) -> bool {
        !ledger::records() || self.is_recorded(context, held, wanted)
    }

    /// What is to be told of an edge, of which the last is often told again.
    fn shown_of(
        &mut self,
        context: &'static Context,
        held: &Entry,
        wanted: &Entry,
        stack: u64,
    ) -> Arc<Shown> {
        let (number, scope) = (context.number(), context.scope());
        if let Some((last, of)) = &self.leaves.last
            && *of == stack
            && last.is(number, scope, [held.site, wanted.site])
        {
            return Arc::clone(last);
        }
        #[allow(clippy::cast_possible_truncation, reason = "the low half")]
        let frames = self.leaves.stacks.get(stack as u32 as usize).filter(|_| stack != 0);
        let frames = frames.cloned().unwrap_or_default();
        let shown = self.shown.noted(context, (number, scope), held, wanted, &frames);
        self.leaves.last = Some((Arc::clone(&shown), stack));
        shown
    }

    /// A number for the stack of the calling function's caller.
    #[cold]
    #[inline(never)]
    fn number_stack(&mut self, from: usize) -> u64 {
        let stack = RawStack::capture();
        let stack = self.shown.stack(stack.frames());
        let frames = stack.frames().as_ptr();
        let Leaves { stacks, generation, .. } = &mut self.leaves;
        let at = stacks.iter().position(|it| std::ptr::eq(it.frames().as_ptr(), frames));
        let at = at.unwrap_or_else(|| {
            stacks.push(stack);
            stacks.len() - 1
        });
        let number = *generation << 32 | at as u64;
        remember_walk(from, number);
        number
    }

    /// Whether these makers' locks were taken so before, and nothing is left to tell of it.
    fn is_settled(&mut self, held: &Entry, wanted: &Entry) -> bool {
        if self.leaves.version != self.classes.version() {
            self.leaves.version = self.classes.version();
            self.leaves.settled = [0; PAIRS];
        }
        if !self.leaves.block.0.contains(&wanted.tag.lock()) {
            self.leaves.block = made::block(wanted.tag.lock());
        }
        let (of_held, of_wanted) = (self.leaves.holders_maker, self.leaves.block.1);
        let modes = (held.tag.mode(), wanted.tag.mode());
        if of_held == 0 || of_wanted == 0 {
            return false;
        }
        let pair = (of_held as u64) << 32 | (of_wanted as u64) << 8 | (modes.0 as u64) << 4 | modes.1 as u64;
        let at = (pair ^ pair >> 27) as usize % PAIRS;
        if self.leaves.settled[at] == pair {
            return true;
        }
        let class = |this: &mut Self, of: &Entry| {
            this.classes.of(of.tag.lock(), of.created(), of.kind())
        };
        let is_settled = match (class(self, held), class(self, wanted)) {
            (Some(held), Some(wanted)) => self.classes.is_settled((held, wanted), modes),
            _ => true,
        };
        if is_settled {
            self.leaves.settled[at] = pair;
        }
        is_settled
    }

    /// Enters all that are noted into the graph: somebody is going to look, and may change what they
    /// depend on.
    pub(super) fn enter_leaves(&mut self) {
        self.leaves.holder = 0;
        if self.leaves.noted.is_empty() {
            return;
        }
        let mut noted = std::mem::take(&mut self.leaves.noted);
        for leaf in noted.drain(..) {
            self.enter(&leaf);
        }
        self.leaves.noted = noted;
        if self.leaves.stacks.len() > 1_000 {
            self.leaves.stacks.clear();
            self.leaves.generation += 1;
            self.leaves.last = None;
        }
    }

    fn enter(&mut self, leaf: &Leaf) {
        let Leaf { held, wanted, has_writer, context, number, scope, stack } = leaf;
        // The lock that was held is gone, and the edge with it.
        let Some(tail) = self.order.node(held.tag.lock()) else {
            presence::left(wanted.tag.lock());
            return;
        };
        let origin = self.origins.of(wanted, wanted.site);
        let head = self.order.node_or_insert(wanted.tag.lock(), || origin);
        if *has_writer {
            self.order.note_writer(wanted.tag.lock());
        }
        let modes = (held.tag.mode(), wanted.tag.mode());
        let edge = self.order.insert(tail, head, modes, EdgeFacts::default());
        #[allow(clippy::cast_possible_truncation, reason = "the low half")]
        let stack = self.leaves.stacks.get(*stack as u32 as usize).filter(|_| *stack != 0);
        let stack = stack.cloned().unwrap_or_default();
        let shown = self.shown.noted(context, (*number, *scope), held, wanted, &stack);
        let sighting = Sighting::new(*number, [held.tag]);
        if let Some(facts) = self.order.facts_mut(edge) {
            facts.learn(held.tag, sighting, shown);
        }
    }
}
