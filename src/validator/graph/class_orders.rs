//! Class inversions that new edges reveal.
//!
//! A thread that holds a thousand locks makes a thousand edges at once, and each has the others as
//! gates. Gates of one class and mode count as one, and an edge with more than [`MAX_GATES`] is
//! not compared by class, so each edge takes a bounded number of steps.

use petgraph::graph::EdgeIndex;
use smallvec::SmallVec;

use super::{
    Cycle, Edges, LockGraph,
    classes::{self, ClassId, Gate, Nesting},
    show_now,
    topology::Tail,
    unshared::Question,
};
use crate::{
    finding::{Detail, FindingKind, Level, Mode, Site},
    ledger,
    stack::RawStack,
    validator::{
        context::{Context, held::Entry},
        lock_id::LockId,
    },
};

/// The number of different gates of a nesting.
const MAX_GATES: usize = 64;

/// A gate, and the number of held locks for which it stands.
type Counted = (Gate, usize);

/// A class inversion, if the answers to some questions are no.
pub(super) struct ClassInversion {
    pub(super) cycle: Cycle,
    questions: Vec<Question>,
}

impl LockGraph {
    /// Returns the class inversion that the edges from held locks to the wanted one reveal, unless
    /// one of `cycles` already shows it between the locks themselves. All nestings are recorded. An
    /// edge that is not new counts only if class inversions are denied, which happens each time.
    pub(super) fn class_inversions(
        &mut self,
        edges: &Edges,
        held: &[Entry],
        wanted: &Entry,
        cycles: &[Cycle],
    ) -> Vec<ClassInversion> {
        let again = ledger::level(FindingKind::ClassInversion) >= Level::Deny;
        let mut found = Vec::new();
        if !again && edges.iter().all(|(_, is_new)| !is_new) {
            return found;
        }
        let Some(class) = self.class_of(wanted) else { return found };
        let gates = self.gates(held);
        let distinct = distinct(&gates);
        for ((&(edge, is_new), entry), gate) in edges.iter().zip(held).zip(&gates) {
            let is_meant = self.counts(edge) && (is_new || again);
            let Some(of_held) = gate.class.filter(|_| is_meant) else { continue };
            let is_it = |cycle: &Cycle| {
                cycle.edges.len() == 2 && cycle.edges[0].held.id == entry.tag.lock()
            };
            if cycles.iter().any(is_it) {
                self.classes.mark_reported((of_held, class));
            }
            let classes = (of_held, class);
            let edge = (edge, is_new);
            found.extend(self.nest_classes(edge, [entry, wanted], classes, gate, &distinct));
        }
        found
    }

    /// Returns the class inversions of an acquisition whose edges were just added, once questions about them are
    /// answered, or further questions. `new` are the held locks whose edges are new.
    pub(in crate::validator) fn class_inversions_of(
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
        let mut cycles = answered(self.class_inversions(&edges, held, wanted, &[]))?;
        show_now(context, &mut cycles, (held, wanted), &self.shown.stack(backtrace.frames()));
        Ok(cycles)
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
    /// two locks of these classes.
    fn nest_classes(
        &mut self,
        (edge, is_new): (EdgeIndex, bool),
        [entry, wanted]: [&Entry; 2],
        classes: (ClassId, ClassId),
        own: &Gate,
        distinct: &[Counted],
    ) -> Option<ClassInversion> {
        let modes = (entry.tag.mode(), wanted.tag.mode());
        let is_new_tail = is_new && self.order.graph()[edge].tail() == Tail::New;
        let new_lock = is_new_tail.then(|| self.new_lock(edge)).flatten();
        // An edge that is known not to count does not get here.
        let new_lock = new_lock.filter(|lock| self.new_locks.answer(lock).is_none());
        if self.classes.is_settled(classes, modes, new_lock.as_ref()) || distinct.len() > MAX_GATES
        {
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
        let (other, new_lock) =
            self.classes.inversion(classes, &nesting, |lock| new_locks.answer(lock))?;
        let other = other.clone();
        let question = new_lock.cloned().map(|lock| Question::new(other.clone(), lock));
        let own_question = nesting.new_lock.map(|lock| Question::new(self.edge(edge, 0), lock));
        let is_made = |entry: &&Entry| self.classes.given(entry.tag.lock()).is_none();
        let made = [entry, wanted].into_iter().filter(is_made);
        let cycle = Cycle {
            kind: FindingKind::ClassInversion,
            edges: vec![self.edge(edge, 0), other],
            path: Vec::new(),
            detail: Detail::Classes {
                numbers: classes::pair(classes.0, classes.1),
                made_at: made.filter_map(Entry::created).map(Site::from).collect(),
            },
        };
        Some(ClassInversion {
            cycle,
            questions: question.into_iter().chain(own_question).collect(),
        })
    }
}

/// Returns the class inversions, or the questions on which they depend.
pub(super) fn answered(found: Vec<ClassInversion>) -> Result<Vec<Cycle>, Vec<Question>> {
    let (mut cycles, mut questions) = (Vec::new(), Vec::new());
    for inversion in found {
        cycles.push(inversion.cycle);
        questions.extend(inversion.questions);
    }
    if questions.is_empty() { Ok(cycles) } else { Err(questions) }
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
