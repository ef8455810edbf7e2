//! Class inversions that new edges reveal.

use petgraph::graph::EdgeIndex;
use smallvec::SmallVec;

use super::{
    Cycle, Edges, LockGraph,
    classes::{self, ClassId, Gate, Nesting},
};
use crate::{
    finding::{Detail, FindingKind, Level, Site},
    ledger,
    validator::context::held::Entry,
};

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
    ) -> Vec<Cycle> {
        let again = ledger::level(FindingKind::ClassInversion) >= Level::Deny;
        let mut found = Vec::new();
        if !again && edges.iter().all(|(_, is_new)| !is_new) {
            return found;
        }
        let Some(class) = self.class_of(wanted) else { return found };
        let gates = self.gates(held);
        for ((&(edge, is_new), entry), gate) in edges.iter().zip(held).zip(&gates) {
            let Some(of_held) = gate.class.filter(|_| is_new || again) else { continue };
            let is_it = |cycle: &Cycle| {
                cycle.edges.len() == 2 && cycle.edges[0].held.id == entry.tag.lock()
            };
            if cycles.iter().any(is_it) {
                self.classes.mark_reported((of_held, class));
            }
            found.extend(self.nest_classes(edge, [entry, wanted], (of_held, class), &gates));
        }
        found
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
        edge: EdgeIndex,
        [entry, wanted]: [&Entry; 2],
        classes: (ClassId, ClassId),
        held: &[Gate],
    ) -> Option<Cycle> {
        let modes = (entry.tag.mode(), wanted.tag.mode());
        // A thread that holds a thousand locks has a thousand nestings, each with a thousand gates.
        if self.classes.is_settled(classes, modes) {
            return None;
        }
        let is_other = |it: &&Gate| (it.lock, it.mode) != (entry.tag.lock(), entry.tag.mode());
        let gates = held.iter().filter(is_other).copied().collect();
        let nesting = Nesting { held: modes.0, wanted: modes.1, gates };
        if self.classes.is_new(classes, &nesting) {
            self.classes.nest(classes, nesting.clone(), self.edge(edge, 0));
        }
        let other = self.classes.inversion(classes, &nesting)?;
        let is_made = |entry: &&Entry| self.classes.given(entry.tag.lock()).is_none();
        let made = [entry, wanted].into_iter().filter(is_made);
        Some(Cycle {
            kind: FindingKind::ClassInversion,
            edges: vec![self.edge(edge, 0), other.clone()],
            detail: Detail::Classes {
                numbers: classes::pair(classes.0, classes.1),
                made_at: made.filter_map(Entry::created).map(Site::from).collect(),
            },
        })
    }
}
