//! What makes several findings one bug: locks of the same classes, at the same places in the source, by the same calls of
//! helpers.

use super::{Detail, Edge, Finding, FindingKind, LockInfo, Site, WaitKind};

/// Identifies a bug.
///
/// `E` is an edge without what differs from one occurrence to the next: the classes of its locks
/// instead of the locks, and places. The edges are a set, so that a cycle is the same bug wherever
/// it starts, and however many philosophers there are.
///
/// If all locks are acquired in one helper, those places are the same for all bugs. `S` is where a report
/// shows an edge: at the calls of the helper. Findings without all stacks do not have these places, and
/// may be any bug with the same edges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bug<E, S> {
    about: &'static str,
    wait: Option<&'static str>,
    edges: Box<[E]>,
    shown: Option<Box<[S]>>,
}

/// An edge of a finding in this process: the held lock, then the wanted one.
pub(crate) type BugEdge = [(Class, Site); 2];

/// Where a report shows an edge of a finding in this process: the acquisition of the held lock, then that of
/// the wanted one.
pub(crate) type ShownAt = [Site; 2];

/// The class that the program has given, or the type and the creation site.
type Class = (String, Option<Site>);

impl<E: Ord, S: Ord> Bug<E, S> {
    pub(crate) fn new(
        kind: FindingKind,
        wait: Option<WaitKind>,
        edges: impl Iterator<Item = E>,
        shown: Option<impl Iterator<Item = S>>,
    ) -> Self {
        let mut edges: Vec<_> = edges.collect();
        let about = about(kind, edges.len());
        edges.sort_unstable();
        edges.dedup();
        let shown = shown.map(|shown| {
            let mut shown: Vec<_> = shown.collect();
            shown.sort_unstable();
            shown.dedup();
            shown.into()
        });
        Self { about, wait: wait.map(WaitKind::name), edges: edges.into(), shown }
    }

    /// Returns `true` if it is known where a report shows it.
    pub(crate) fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// Returns it without the places where a report shows it.
    pub(crate) fn unshown(self) -> Self {
        Self { shown: None, ..self }
    }
}

impl Bug<BugEdge, ShownAt> {
    /// `shown` is where a report shows the edges, if that is known.
    pub(crate) fn of(finding: &Finding, shown: Option<&[ShownAt]>) -> Self {
        let end = |lock: &LockInfo, site: &Site| (class(lock), site.clone());
        let edge = |edge: &Edge| {
            let [held_at, acquired_at] = match &finding.detail {
                Detail::OneClass { shown_at: Some(shown_at), .. } => shown_at,
                _ => &[edge.held_at.clone(), edge.acquired_at.clone()],
            };
            [end(&edge.held, held_at), end(&edge.wanted, acquired_at)]
        };
        let shown = shown.map(|shown| shown.iter().cloned());
        Self::new(finding.kind, finding.wait(), finding.cycle.iter().map(edge), shown)
    }
}

fn class(lock: &LockInfo) -> Class {
    match lock.class {
        Some(given) => (given.to_owned(), None),
        None => (lock.type_name(), lock.created_at.clone()),
    }
}

/// Returns the name that all stages of a bug share. A cycle may be found several times as it gets
/// worse: taken by one thread, then by two, then while both wait.
fn about(kind: FindingKind, edges: usize) -> &'static str {
    match (kind, edges) {
        (FindingKind::Deadlock, 1) => FindingKind::SelfDeadlock.name(),
        (FindingKind::Deadlock, 2..)
        | (
            FindingKind::Inversion
            | FindingKind::OrderedInversion
            | FindingKind::SingleThreadInversion
            | FindingKind::GuardedInversion
            | FindingKind::LeasedInversion
            | FindingKind::ClassInversion,
            _,
        ) => FindingKind::Inversion.name(),
        _ => kind.name(),
    }
}

impl FindingKind {
    /// The kinds, worst first: what has happened, what is certain, what two threads can do, what
    /// takes something else as well.
    const WORST_FIRST: [Self; Self::ALL.len()] = [
        Self::Deadlock,
        Self::Futurelock,
        Self::SelfDeadlock,
        Self::Inversion,
        Self::SingleThreadInversion,
        Self::RecursiveRead,
        Self::DeclaredOrder,
        Self::LeakedGuard,
        Self::ExpiredLease,
        Self::LeasedInversion,
        Self::PoolExhaustion,
        Self::WaitWhileHolding,
        Self::HeldAcrossAwait,
        Self::OrderedInversion,
        Self::ClassInversion,
        Self::SameClassNesting,
        Self::GuardedInversion,
    ];

    /// Returns the place of this kind among all, 0 for the worst.
    pub(crate) fn rank(self) -> usize {
        Self::WORST_FIRST.iter().position(|&kind| kind == self).unwrap_or(Self::ALL.len())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_rank() {
        let mut ranks = FindingKind::ALL.map(FindingKind::rank);
        ranks.sort_unstable();
        assert!(ranks.into_iter().eq(0..FindingKind::ALL.len()));
    }

    #[test]
    fn a_cycle_is_one_bug_wherever_it_starts_and_however_bad_it_is() {
        let bug = |kind, edges: &[u8]| {
            Bug::new(kind, None, edges.iter().copied(), None::<std::iter::Empty<u8>>)
        };
        let inversion = bug(FindingKind::Inversion, &[1, 2]);
        for kind in [
            FindingKind::SingleThreadInversion,
            FindingKind::OrderedInversion,
            FindingKind::GuardedInversion,
            FindingKind::ClassInversion,
            FindingKind::Deadlock,
        ] {
            assert_eq!(bug(kind, &[2, 1]), inversion, "{kind}");
        }
        // The same lines pass two locks on, or three.
        let ring = |size| bug(FindingKind::Inversion, &[1].repeat(size));
        assert_eq!(ring(2), ring(3));
        assert_eq!(bug(FindingKind::Deadlock, &[1]), bug(FindingKind::SelfDeadlock, &[1]));
        for other in [
            bug(FindingKind::Inversion, &[1, 3]),
            bug(FindingKind::Inversion, &[1, 2, 3]),
            bug(FindingKind::DeclaredOrder, &[1, 2]),
            Bug::new(
                FindingKind::Inversion,
                Some(WaitKind::Recv),
                [1, 2].into_iter(),
                None::<std::iter::Empty<u8>>,
            ),
            Bug::new(FindingKind::Inversion, None, [1, 2].into_iter(), Some([3, 4].into_iter())),
        ] {
            assert_ne!(other, inversion);
        }
        assert_ne!(bug(FindingKind::SelfDeadlock, &[1]), ring(2));
    }
}
