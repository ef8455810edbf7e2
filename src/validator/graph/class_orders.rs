//! What new edges reveal about the classes of their locks: inversions of two, and nestings of one.
//!
//! A thread that holds a thousand locks makes a thousand edges at once, and each has the others as
//! gates. Gates of one class and mode count as one, and an edge with more than [`MAX_GATES`] is
//! not compared by class, so each edge takes a bounded number of steps.

use petgraph::graph::EdgeIndex;
use smallvec::SmallVec;

use super::{
    Cycle, Edges, LockGraph,
    classes::{self, ClassId, Gate, Nesting},
    one_class::{self, Place},
    show_now,
    topology::Tail,
    unshared::Question,
};
use crate::{
    finding::{Detail, FindingKind, Level, Mode, Site},
    ledger,
    stack::{RawStack, Stack},
    validator::{
        context::{Context, held::Entry},
        lock_id::LockId,
    },
};

/// The number of different gates of a nesting.
const MAX_GATES: usize = 64;

/// A gate, and the number of held locks for which it stands.
type Counted = (Gate, usize);

/// A class inversion or a nesting of one class, if the answers to some questions are no.
pub(super) struct OfClasses {
    pub(super) cycle: Cycle,
    questions: Vec<Question>,
    nesting: Option<Place>,
}

impl LockGraph {
    /// Returns what the edges from held locks to the wanted one, with this stack, reveal about their classes, unless
    /// one of `cycles` already shows it between the locks themselves. All nestings are recorded. An
    /// edge that is not new counts only if such findings are denied, which happens each time.
    pub(super) fn findings_of_classes(
        &mut self,
        edges: &Edges,
        held: &[Entry],
        wanted: &Entry,
        cycles: &[Cycle],
        stack: &Stack,
    ) -> Vec<OfClasses> {
        let denies_inversions = ledger::level(FindingKind::ClassInversion) >= Level::Deny;
        let denies_nestings = one_class::is_denied();
        let mut found = Vec::new();
        let is_any_new = edges.iter().any(|&(_, is_new)| is_new);
        if !is_any_new && !denies_inversions && !denies_nestings {
            return found;
        }
        let Some(class) = self.class_of(wanted) else { return found };
        let gates = self.gates(held);
        let distinct = distinct(&gates);
        for ((&(edge, is_new), entry), gate) in edges.iter().zip(held).zip(&gates) {
            let Some(of_held) = gate.class else { continue };
            let is_one_class = of_held == class;
            let again = if is_one_class { denies_nestings } else { denies_inversions };
            if !(is_new || again) || !self.counts(edge) {
                continue;
            }
            let is_it = |cycle: &Cycle| {
                let says_more = match cycle.kind {
                    FindingKind::Inversion | FindingKind::SingleThreadInversion => true,
                    _ => !is_one_class,
                };
                let is_of_two = cycle.edges.len() == 2 || is_one_class;
                says_more && is_of_two && cycle.edges[0].held.id == entry.tag.lock()
            };
            if cycles.iter().any(is_it) {
                self.classes.mark_reported((of_held, class));
            }
            let classes = (of_held, class);
            let edge = (edge, is_new);
            found.extend(self.nest_classes(edge, [entry, wanted], classes, gate, &distinct, stack));
        }
        found
    }

    /// Returns what an acquisition whose edges were just added reveals about classes, once questions about that are
    /// answered, or further questions. `new` are the held locks whose edges are new.
    pub(in crate::validator) fn findings_of_classes_again(
        &mut self,
        context: &Context,
        (held, wanted): (&[Entry], &Entry),
        new: &[Entry],
        backtrace: &RawStack,
    ) -> Result<Vec<Cycle>, Vec<Question>> {
        let is_new = |held: &Entry| new.iter().any(|new| new.tag == held.tag);
        let mut edge = |held: &Entry| Some((self.edge_between(held, wanted)?, is_new(held)));
        let edges: Option<Edges> = held.iter().map(&mut edge).collect();
        // Without an edge, the order was reset meanwhile.
        let Some(edges) = edges else { return Ok(Vec::new()) };
        let stack = self.shown.stack(backtrace.frames());
        let found = self.findings_of_classes(&edges, held, wanted, &[], &stack);
        let mut cycles = self.answered(found, &stack)?;
        show_now(context, &mut cycles, (held, wanted), &stack);
        Ok(cycles)
    }

    /// Returns findings about classes, or the questions on which they depend.
    pub(super) fn answered(
        &mut self,
        found: Vec<OfClasses>,
        stack: &Stack,
    ) -> Result<Vec<Cycle>, Vec<Question>> {
        if found.iter().any(|it| !it.questions.is_empty()) {
            return Err(found.into_iter().flat_map(|it| it.questions).collect());
        }
        for place in found.iter().filter_map(|it| it.nesting) {
            self.one_class.note(place, stack);
        }
        Ok(found.into_iter().map(|it| it.cycle).collect())
    }

    /// Called when the source says that the locks of one of two classes are of different kinds. An
    /// inversion of the two will not be found again.
    pub(in crate::validator) fn settle_classes(&mut self, [one, other]: [ClassId; 2]) {
        self.classes.mark_reported((one, other));
    }

    fn class_of(&mut self, entry: &Entry) -> Option<ClassId> {
        self.classes.of(entry.tag.lock(), entry.created(), entry.kind())
    }

    /// Returns the held locks as gates.
    fn gates(&mut self, held: &[Entry]) -> SmallVec<[Gate; 4]> {
        let gate = |entry: &Entry| Gate {
            lock: entry.tag.lock(),
            class: self.class_of(entry),
            mode: entry.tag.mode(),
        };
        held.iter().map(gate).collect()
    }

    /// Records the order of two locks' classes. Returns their inversion, unless it was reported for
    /// two locks of these classes; or that they are one class, unless that was reported for this nesting.
    fn nest_classes(
        &mut self,
        (edge, is_new): (EdgeIndex, bool),
        [entry, wanted]: [&Entry; 2],
        classes: (ClassId, ClassId),
        own: &Gate,
        distinct: &[Counted],
        stack: &Stack,
    ) -> Option<OfClasses> {
        let modes = (entry.tag.mode(), wanted.tag.mode());
        let one = (classes.0 == classes.1).then(|| Place::new(classes.0, entry, wanted));
        if one.is_some_and(|place| self.is_nesting_settled(place, modes, stack)) {
            return None;
        }
        let is_new_tail = is_new && self.order.graph()[edge].tail() == Tail::New;
        let new_lock = is_new_tail.then(|| self.new_lock(edge)).flatten();
        // An edge that is known not to count does not get here.
        let new_lock = new_lock.filter(|lock| self.new_locks.answer(lock).is_none());
        let is_settled = if one.is_some() {
            let are_locks = [entry, wanted].iter().all(|it| it.kind().role.is_lock());
            !are_locks || self.is_declared(entry, wanted)
        } else {
            self.classes.is_settled(classes, modes, new_lock.as_ref())
        };
        if is_settled || distinct.len() > MAX_GATES {
            return None;
        }
        let is_other = |(gate, count): &&Counted| *count > 1 || kind(gate) != kind(own);
        let gates = distinct.iter().filter(is_other).map(|(gate, _)| *gate).collect();
        let nesting = Nesting { held: modes.0, wanted: modes.1, gates, new_lock };
        if self.classes.is_new(classes, &nesting)
            && !self.classes.nest(classes, nesting.clone(), self.edge(edge, 0))
        {
            ledger::note_cut_short();
        }
        let new_locks = &self.new_locks;
        let opposite = self.classes.inversion(classes, &nesting, |lock| new_locks.answer(lock));
        let opposite = opposite.map(|(edge, new_lock)| (edge.clone(), new_lock.cloned()));
        // Another thread may do the same with two locks of one class, exchanged.
        let is_own_opposite = one.is_some() && nesting.meets(&nesting);
        let opposite = if is_own_opposite { None } else { Some(opposite?) };
        let mut edges = vec![self.edge(edge, 0)];
        let own_question = nesting.new_lock.map(|lock| Question::new(edges[0].clone(), lock));
        let mut questions: Vec<_> = own_question.into_iter().collect();
        if let Some((edge, new_lock)) = opposite {
            questions.extend(new_lock.map(|lock| Question::new(edge.clone(), lock)));
            edges.extend(one.is_none().then_some(edge));
        }
        let is_made = |entry: &&Entry| self.classes.given(entry.tag.lock()).is_none();
        let made = [entry, wanted].into_iter().filter(is_made);
        let made_at = made.filter_map(Entry::created).map(Site::from).collect();
        let (kind, detail) = if one.is_some() {
            let detail = Detail::OneClass { number: classes.0, made_at, shown_at: None };
            (FindingKind::SameClassNesting, detail)
        } else {
            let numbers = classes::pair(classes.0, classes.1);
            (FindingKind::ClassInversion, Detail::Classes { numbers, made_at })
        };
        let cycle = Cycle { kind, edges, path: Vec::new(), detail };
        Some(OfClasses { cycle, questions, nesting: one })
    }
}

/// Returns one gate for all that are [the same](Gate::is_same) in every nesting, with their number.
fn distinct(gates: &[Gate]) -> SmallVec<[Counted; 4]> {
    let mut sorted: SmallVec<[Gate; 4]> = gates.into();
    sorted.sort_by_key(kind);
    let alike = sorted.chunk_by(|a, b| kind(a) == kind(b));
    alike.map(|alike| (alike[0], alike.len())).collect()
}

/// Returns what a gate stands for: its class, or the lock itself if it has none; and its mode.
fn kind(gate: &Gate) -> (Option<ClassId>, Option<LockId>, Mode) {
    (gate.class, gate.class.is_none().then_some(gate.lock), gate.mode)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn gates_of_one_class_and_mode_count_as_one() {
        let gate = |lock, class, mode| Gate { lock, class, mode };
        let (x, s) = (Mode::Exclusive, Mode::Shared);
        let held = [
            gate(1, Some(7), x),
            gate(2, None, x),
            gate(3, Some(7), s),
            gate(4, None, x),
            gate(5, Some(7), x),
        ];
        let distinct = distinct(&held);
        let counts: Vec<_> = distinct.iter().map(|(gate, count)| (gate.lock, *count)).collect();
        assert_eq!(counts, [(2, 1), (4, 1), (1, 2), (3, 1)]);
    }
}
