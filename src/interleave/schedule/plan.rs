//! A partial order of events, and the progress of each. Pure.

use std::fmt;

use petgraph::{
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
};

use crate::{
    interleave::point::{Point, describe},
    points::SyncEvent,
};

/// The event that a thread passes a point: created by [`at`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub(super) role: Box<str>,
    point: Point,
    nth: u64,
}

/// Returns the event that a thread passes a point, for the first time unless [`nth`](Event::nth) is
/// called.
///
/// `thread` is a [role](super::super::inside()) or the name of a thread.
///
/// ```
/// use lockdep::interleave::{at, release};
///
/// let event = at("worker", release("accounts")).nth(2);
/// assert_eq!(event.to_string(), "release of `accounts` by `worker` (time 2)");
/// ```
#[must_use]
pub fn at(thread: &str, point: impl Into<Point>) -> Event {
    Event { role: thread.into(), point: point.into(), nth: 1 }
}

impl Event {
    /// Makes it the n-th time that this thread passes the point, counted from 1.
    ///
    /// ```
    /// # use std::thread;
    /// # use lockdep::interleave::{Schedule, at, inside, point};
    /// // The reader comes between the writer's second page and its third.
    /// let order = [at("writer", "page").nth(2), at("reader", "reads"), at("writer", "page").nth(3)];
    /// Schedule::new().order(order).run(|| {
    ///     let reader = thread::spawn(inside("reader", || point!("reads")));
    ///     let writer = thread::spawn(inside("writer", || for _ in 0..3 { point!("page") }));
    /// #   reader.join().unwrap();
    /// #   writer.join().unwrap();
    /// });
    /// ```
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }
}

impl fmt::Display for Event {
    /// Writes the event as reports name it: ``acquire of `accounts` by `worker` ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by `{}`", self.point, self.role)?;
        if self.nth > 1 { write!(f, " (time {})", self.nth) } else { Ok(()) }
    }
}

/// The progress of an event, the furthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    Passed,
    /// The thread has arrived: it waits, or performs the operation.
    Begun,
    /// The thread has not arrived, or not often enough.
    Ahead,
}

/// A partial order of events, with the progress of each.
#[derive(Debug, Default)]
pub(super) struct Plan {
    order: DiGraph<Event, ()>,
    /// For each event, how often its thread has passed its point.
    counts: Vec<u64>,
    progress: Vec<Progress>,
    /// For each event, a description of the operation, if its point has no name.
    descriptions: Vec<Option<String>>,
}

/// The index of an event.
pub(super) type At = NodeIndex;

impl Plan {
    /// Adds events, each to be passed before the next.
    pub(super) fn order(&mut self, events: impl IntoIterator<Item = Event>) {
        let mut before = None;
        for event in events {
            let known = self.order.node_indices().find(|&at| self.order[at] == event);
            let at = known.unwrap_or_else(|| {
                self.counts.push(0);
                self.progress.push(Progress::Ahead);
                self.descriptions.push(None);
                self.order.add_node(event)
            });
            if let Some(before) = before {
                self.order.update_edge(before, at, ());
            }
            before = Some(at);
        }
    }

    /// Returns the events of a cycle in the order, if there is one.
    pub(super) fn contradiction(&self) -> Option<Vec<&Event>> {
        let on_cycle = toposort(&self.order, None).err()?.node_id();
        let of_cycle = tarjan_scc(&self.order).into_iter().find(|group| group.contains(&on_cycle));
        Some(of_cycle?.into_iter().rev().map(|at| &self.order[at]).collect())
    }

    /// Handles the arrival of a thread at a point. Returns the events that this begins.
    pub(super) fn arrive(&mut self, role: &str, sync_event: &SyncEvent<'_>) -> Vec<At> {
        let mut begun = Vec::new();
        for at in self.order.node_indices() {
            let event = &self.order[at];
            if *event.role == *role && event.point.is(sync_event) {
                self.counts[at.index()] += 1;
                if !event.point.is_named() {
                    self.descriptions[at.index()].get_or_insert_with(|| describe(sync_event));
                }
                if self.counts[at.index()] == event.nth {
                    self.progress[at.index()] = Progress::Begun;
                    begun.push(at);
                }
            }
        }
        begun
    }

    pub(super) fn pass(&mut self, at: At) {
        self.progress[at.index()] = Progress::Passed;
    }

    /// Returns the events that must be passed before this one and are not.
    pub(super) fn missing(&self, at: At) -> impl Iterator<Item = At> {
        let before = self.order.neighbors_directed(at, petgraph::Incoming);
        before.filter(|&before| self.progress(before) != Progress::Passed)
    }

    pub(super) fn progress(&self, at: At) -> Progress {
        self.progress[at.index()]
    }

    pub(super) fn event(&self, at: At) -> &Event {
        &self.order[at]
    }

    /// Describes an event, with the lock's name if it is known.
    pub(super) fn describe(&self, at: At) -> String {
        let Event { role, nth, .. } = self.event(at);
        match &self.descriptions[at.index()] {
            Some(event) if *nth > 1 => format!("{event} by `{role}` (time {nth})"),
            Some(event) => format!("{event} by `{role}`"),
            None => self.event(at).to_string(),
        }
    }

    /// Returns all events in topological order, or in the order of their insertion if there is a
    /// cycle.
    pub(super) fn events(&self) -> Vec<At> {
        toposort(&self.order, None).unwrap_or_else(|_| self.order.node_indices().collect())
    }

    pub(super) fn is_followed(&self) -> bool {
        self.progress.iter().all(|&progress| progress == Progress::Passed)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn plan(orders: &[&[(&str, &str)]]) -> Plan {
        let mut plan = Plan::default();
        for order in orders {
            plan.order(order.iter().map(|&(role, point)| at(role, point)));
        }
        plan
    }

    #[test]
    fn an_event_waits_for_all_before_it() {
        let mut plan = plan(&[&[("a", "x"), ("c", "z")], &[("b", "y"), ("c", "z")]]);
        let z = plan.arrive("c", &SyncEvent::Point("z"))[0];
        assert_eq!(plan.missing(z).count(), 2);
        for (role, point) in [("a", "x"), ("b", "y")] {
            let begun = plan.arrive(role, &SyncEvent::Point(point));
            assert_eq!(plan.missing(begun[0]).count(), 0);
            plan.pass(begun[0]);
        }
        assert_eq!(plan.missing(z).count(), 0);
        assert!(!plan.is_followed());
        plan.pass(z);
        assert!(plan.is_followed());
    }

    #[test]
    fn nth_counts_passages() {
        let mut plan = Plan::default();
        plan.order([at("a", "x").nth(2)]);
        assert!(plan.arrive("a", &SyncEvent::Point("x")).is_empty());
        assert!(plan.arrive("b", &SyncEvent::Point("x")).is_empty());
        assert_eq!(plan.arrive("a", &SyncEvent::Point("x")).len(), 1);
        assert!(plan.arrive("a", &SyncEvent::Point("x")).is_empty());
    }

    /// A role, a point, and n.
    type Naive = (u8, u8, u64);

    fn event((role, point, nth): Naive) -> Event {
        at(&format!("r{role}"), &*format!("p{point}")).nth(nth)
    }

    proptest! {
        /// Compares with sets of events and of pairs of events.
        #[test]
        fn agrees_with_sets(
            orders in prop::collection::vec(
                prop::collection::vec((0..3_u8, 0..2_u8, 1..3_u64), 1..4), 0..4),
            arrivals in prop::collection::vec((0..3_u8, 0..3_u8, any::<bool>()), 0..30),
        ) {
            let mut plan = Plan::default();
            let events: BTreeSet<Naive> = orders.iter().flatten().copied().collect();
            let mut before: BTreeSet<(Naive, Naive)> = BTreeSet::new();
            for order in &orders {
                plan.order(order.iter().copied().map(event));
                before.extend(order.windows(2).map(|pair| (pair[0], pair[1])));
            }
            let direct = before.clone();
            while let Some(new) = {
                let pairs = before.iter().flat_map(|a| before.iter().map(move |b| (a, b)));
                let joined = pairs.filter(|(a, b)| a.1 == b.0).map(|(a, b)| (a.0, b.1));
                joined.into_iter().find(|pair| !before.contains(pair))
            } {
                before.insert(new);
            }
            let is_circular = before.iter().any(|(a, b)| a == b);
            prop_assert_eq!(plan.contradiction().is_some(), is_circular);
            prop_assert_eq!(plan.events().len(), events.len());

            let (mut came, mut passed) = (Vec::new(), BTreeSet::new());
            for (role, point, passes) in arrivals {
                let (name, place) = (format!("r{role}"), format!("p{point}"));
                let begun = plan.arrive(&name, &SyncEvent::Point(&place));
                came.push((role, point));
                let nth = came.iter().filter(|it| **it == (role, point)).count() as u64;
                let expected = events.get(&(role, point, nth));
                prop_assert_eq!(begun.len(), expected.iter().count());
                if let (&[begun], Some(&expected)) = (&begun[..], expected) {
                    let missing: BTreeSet<_> =
                        plan.missing(begun).map(|at| plan.event(at).to_string()).collect();
                    let wanted = direct.iter().filter(|(_, to)| *to == expected);
                    let wanted = wanted.filter(|(from, _)| !passed.contains(from));
                    let wanted: BTreeSet<_> =
                        wanted.map(|(from, _)| event(*from).to_string()).collect();
                    prop_assert_eq!(missing, wanted);
                    if passes {
                        plan.pass(begun);
                        passed.insert(expected);
                    }
                }
                prop_assert_eq!(plan.is_followed(), passed == events);
            }
        }
    }

    #[test]
    fn a_contradiction_lists_the_whole_cycle() {
        let plan = plan(&[&[("a", "x"), ("b", "y"), ("a", "x")], &[("a", "x"), ("c", "z")]]);
        let mut of_it: Vec<_> =
            plan.contradiction().unwrap().into_iter().map(ToString::to_string).collect();
        of_it.sort_unstable();
        assert_eq!(of_it, ["point `x` by `a`", "point `y` by `b`"]);
    }
}
