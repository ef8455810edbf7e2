//! What new edges say of the classes of their locks.

use petgraph::graph::EdgeIndex;
use smallvec::SmallVec;

use super::{
    Cycle, Edges, LockGraph,
    classes::{self, ClassId, Gate, Way},
};
use crate::{
    finding::{Detail, FindingKind, Level, Site},
    ledger,
    validator::context::held::Entry,
};

impl LockGraph {
    /// What the edges of held locks to the wanted one say of their classes, unless one of these
    /// cycles says it of the locks themselves. All are noted, one is told; again only if that is
    /// denied each time.
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
                self.classes.tell((of_held, class));
            }
            found.extend(self.nest_classes(edge, [entry, wanted], (of_held, class), &gates));
        }
        found
    }

    fn class_of(&mut self, entry: &Entry) -> Option<ClassId> {
        self.classes.of(entry.tag.lock(), entry.created(), entry.kind())
    }

    /// Held locks, as they are gates of each other.
    fn gates(&mut self, held: &[Entry]) -> SmallVec<[Gate; 4]> {
        let gate = |entry: &Entry| Gate {
            lock: entry.tag.lock(),
            class: self.class_of(entry),
            mode: entry.tag.mode(),
        };
        held.iter().map(gate).collect()
    }

    /// Notes the order of two locks' classes. The inversion of these, if there is one that was
    /// not told of locks of theirs.
    fn nest_classes(
        &mut self,
        edge: EdgeIndex,
        [entry, wanted]: [&Entry; 2],
        classes: (ClassId, ClassId),
        held: &[Gate],
    ) -> Option<Cycle> {
        let modes = (entry.tag.mode(), wanted.tag.mode());
        // Who holds a thousand locks has a thousand ways, of a thousand gates each.
        if self.classes.is_settled(classes, modes) {
            return None;
        }
        let is_other = |it: &&Gate| (it.lock, it.mode) != (entry.tag.lock(), entry.tag.mode());
        let gates = held.iter().filter(is_other).copied().collect();
        let way = Way { held: modes.0, wanted: modes.1, gates };
        if self.classes.is_new(classes, &way) {
            self.classes.nest(classes, way.clone(), self.edge(edge, 0));
        }
        let other = self.classes.inversion(classes, &way)?;
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
