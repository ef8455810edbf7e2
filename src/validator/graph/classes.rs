//! Classes of locks, as a second opinion: an order between two locks that were made alike
//! stands for the order between all that were.
//!
//! Test suites make fresh locks in every test, so that no pair of instances is ever seen in
//! both orders. The idea is the kernel lockdep's, where a class is all that there is. What is
//! kept here outlives the locks: it is bounded by the places in the source that make them.

use std::panic::Location;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    finding::{Edge, LockKind, LockOf, Mode, Site},
    validator::lock_id::LockId,
};

/// The number of a class.
pub(in crate::validator) type ClassId = u32;

/// How many ways of nesting two classes are kept.
const MAX_NESTINGS: usize = 4;

/// What makes a class.
#[derive(PartialEq, Eq, Hash)]
enum Class {
    /// A call of a constructor, and what it makes.
    Made(Site, &'static str, &'static str),
    /// The program says so.
    Given(&'static str),
}

/// A lock that somebody held meanwhile, and its class.
#[derive(Clone, Copy, Debug)]
pub(in crate::validator) struct Gate {
    pub(in crate::validator) lock: LockId,
    pub(in crate::validator) class: Option<ClassId>,
    pub(in crate::validator) mode: Mode,
}

/// How a lock of one class was acquired while one of another was held.
#[derive(Clone)]
pub(in crate::validator) struct Way {
    pub(in crate::validator) held: Mode,
    pub(in crate::validator) wanted: Mode,
    /// All that was held beside the two.
    pub(in crate::validator) gates: Vec<Gate>,
}

#[derive(Default)]
pub(in crate::validator) struct Classes {
    numbers: FxHashMap<Class, ClassId>,
    /// The same by address, which tells nothing if it is not there.
    by_address: FxHashMap<(usize, usize), ClassId>,
    given: FxHashMap<LockId, &'static str>,
    nestings: FxHashMap<(ClassId, ClassId), Vec<(Way, Edge)>>,
    /// Pairs of which two locks were seen in both orders themselves: that says more.
    told: FxHashSet<[ClassId; 2]>,
    /// Changes with all that may unsettle a pair.
    version: u64,
}

impl Classes {
    /// The class of a lock. None if nothing says how it was made.
    pub(in crate::validator) fn of(
        &mut self,
        lock: LockId,
        created: Option<&'static Location<'static>>,
        kind: &'static LockKind,
    ) -> Option<ClassId> {
        if let Some(given) = self.given.get(&lock) {
            let given = Class::Given(given);
            return Some(self.number(given));
        }
        let created = created?;
        let address = (std::ptr::from_ref(created) as usize, std::ptr::from_ref(kind) as usize);
        if let Some(&known) = self.by_address.get(&address) {
            return Some(known);
        }
        let site = Site::from(created);
        if site.is_of_the_toolchain() {
            return None;
        }
        let value = match kind.of {
            LockOf::Nothing | LockOf::Unknown => "",
            LockOf::Value(value) | LockOf::Awaited(value) | LockOf::Raw { raw: value, .. } => {
                value()
            }
        };
        let number = self.number(Class::Made(site, kind.wrapper, value));
        self.by_address.insert(address, number);
        Some(number)
    }

    fn number(&mut self, class: Class) -> ClassId {
        let next = ClassId::try_from(self.numbers.len()).unwrap_or(ClassId::MAX);
        *self.numbers.entry(class).or_insert(next)
    }

    /// The name that the program gave to a lock's class.
    pub(in crate::validator) fn given(&self, lock: LockId) -> Option<&'static str> {
        self.given.get(&lock).copied()
    }

    /// Changes with all that may unsettle a pair of classes.
    pub(in crate::validator) fn version(&self) -> u64 {
        self.version
    }

    /// Puts a lock in a class. Whether it was in none that was given.
    pub(in crate::validator) fn give(&mut self, lock: LockId, class: &'static str) -> bool {
        self.version += 1;
        self.given.insert(lock, class).is_none()
    }

    /// Whether it was in a class that was given.
    pub(in crate::validator) fn forget(&mut self, lock: LockId) -> bool {
        self.given.remove(&lock).is_some()
    }

    /// Whether no way to acquire a lock of one class while one of another is held, in these modes,
    /// has anything to tell.
    pub(in crate::validator) fn is_settled(
        &self,
        (held, wanted): (ClassId, ClassId),
        modes: (Mode, Mode),
    ) -> bool {
        let is_freest =
            |(it, _): &(Way, Edge)| it.gates.is_empty() && (it.held, it.wanted) == modes;
        let known = self.nestings.get(&(held, wanted));
        let is_one_way = || {
            !self.nestings.contains_key(&(wanted, held)) || self.told.contains(&pair(held, wanted))
        };
        held == wanted || known.is_some_and(|known| known.iter().any(is_freest)) && is_one_way()
    }

    /// Whether it is news that a lock of one class was acquired while one of another was held in
    /// this way.
    pub(in crate::validator) fn is_new(&self, classes: (ClassId, ClassId), way: &Way) -> bool {
        let known = self.nestings.get(&classes);
        classes.0 != classes.1
            && !known.is_some_and(|known| known.iter().any(|(it, _)| it.is_as_free_as(way)))
    }

    /// Notes [news](Self::is_new), with an edge to be told of it.
    pub(in crate::validator) fn nest(&mut self, classes: (ClassId, ClassId), way: Way, edge: Edge) {
        self.version += 1;
        let known = self.nestings.entry(classes).or_default();
        known.retain(|(it, _)| !way.is_as_free_as(it));
        if known.len() < MAX_NESTINGS {
            known.push((way, edge));
        }
    }

    /// An edge that was seen before the other way round, if the two would wait for each other
    /// were they of the same locks; unless two locks of these classes were seen so themselves.
    pub(in crate::validator) fn inversion(
        &self,
        (held, wanted): (ClassId, ClassId),
        way: &Way,
    ) -> Option<&Edge> {
        if held == wanted || self.told.contains(&pair(held, wanted)) {
            return None;
        }
        let others = self.nestings.get(&(wanted, held))?;
        others.iter().find(|(it, _)| it.meets(way)).map(|(_, edge)| edge)
    }

    /// Two locks of these classes were seen in both orders.
    pub(in crate::validator) fn tell(&mut self, (held, wanted): (ClassId, ClassId)) {
        self.told.insert(pair(held, wanted));
    }

    pub(in crate::validator) fn reset(&mut self) {
        self.version += 1;
        self.nestings.clear();
        self.told.clear();
    }
}

/// Two classes, whichever is held.
pub(in crate::validator) fn pair(one: ClassId, other: ClassId) -> [ClassId; 2] {
    [one.min(other), one.max(other)]
}

impl Gate {
    /// Whether it would be the same lock, were the two nestings of the same locks.
    fn is_same(&self, other: &Self) -> bool {
        self.lock == other.lock || self.class.is_some() && self.class == other.class
    }
}

impl Way {
    /// Whether each would wait for the other. Readers that wait for readers behind a writer
    /// are left out: whether there is one is a matter of instances.
    fn meets(&self, other: &Self) -> bool {
        let waits = |one: &Self, other: &Self| one.wanted.waits_for(other.held, false);
        let is_gate = |(one, other): (&Gate, &Gate)| {
            one.is_same(other) && [one.mode, other.mode].contains(&Mode::Exclusive)
        };
        let pairs = self.gates.iter().flat_map(|one| other.gates.iter().map(move |it| (one, it)));
        waits(self, other) && waits(other, self) && !pairs.clone().any(is_gate)
    }

    fn is_as_free_as(&self, other: &Self) -> bool {
        let is_there = |gate: &Gate| other.gates.iter().any(|it| gate.is_same(it));
        (self.held, self.wanted) == (other.held, other.wanted) && self.gates.iter().all(is_there)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{
        finding::{LockInfo, Role, ThreadInfo},
        stack::Stack,
    };

    const X: Mode = Mode::Exclusive;
    const S: Mode = Mode::Shared;

    fn edge() -> Edge {
        static KIND: LockKind =
            LockKind { wrapper: "Mutex", of: LockOf::Nothing, role: Role::Lock };
        let site = Site::from(Location::caller());
        let lock = |id| LockInfo {
            static_offset: None,
            id,
            kind: &KIND,
            created_at: None,
            seen_at: site.clone(),
            name: None,
            class: None,
        };
        Edge {
            held: lock(1),
            held_mode: X,
            held_at: site.clone(),
            held_backtrace: Stack::default(),
            wanted: lock(2),
            wanted_mode: X,
            acquired_at: site.clone(),
            backtrace: Stack::default(),
            thread: ThreadInfo::default(),
            is_queued: false,
            is_granted: false,
            may_have_left: false,
            waited: None,
        }
    }

    fn gate(lock: LockId, class: Option<ClassId>, mode: Mode) -> Gate {
        Gate { lock, class, mode }
    }

    fn behind(gates: impl IntoIterator<Item = Gate>) -> Way {
        Way { held: X, wanted: X, gates: gates.into_iter().collect() }
    }

    fn note(classes: &mut Classes, nesting: (ClassId, ClassId), way: &Way) {
        if classes.is_new(nesting, way) {
            classes.nest(nesting, way.clone(), edge());
        }
    }

    fn is_told(classes: &mut Classes, nesting: (ClassId, ClassId), way: &Way) -> bool {
        note(classes, nesting, way);
        classes.inversion(nesting, way).is_some()
    }

    #[test]
    fn a_class_is_a_constructors_call_or_what_the_program_says() {
        static BYTE: LockKind =
            LockKind { wrapper: "Mutex", of: LockOf::Value(|| "u8"), role: Role::Lock };
        static TEXT: LockKind =
            LockKind { wrapper: "Mutex", of: LockOf::Value(|| "str"), role: Role::Lock };
        #[track_caller]
        fn place() -> &'static Location<'static> {
            Location::caller()
        }
        let (mut classes, here, there) = (Classes::default(), Some(place()), Some(place()));
        let class = classes.of(1, here, &BYTE);
        assert!(class.is_some() && classes.of(2, here, &BYTE) == class);
        assert!(classes.of(2, there, &BYTE) != class && classes.of(2, here, &TEXT) != class);
        assert_eq!(classes.of(3, None, &BYTE), None);

        assert!(classes.give(3, "given") && !classes.give(3, "given too"));
        assert_eq!((classes.given(3), classes.given(1)), (Some("given too"), None));
        let given = classes.of(3, here, &BYTE);
        assert!(given.is_some() && given != class);
        assert!(classes.forget(3) && !classes.forget(3));
        assert_eq!(classes.of(3, here, &BYTE), class);
    }

    #[test]
    fn two_orders_of_two_classes_are_told_until_locks_of_theirs_tell_more() {
        let (mut classes, free) = (Classes::default(), behind([]));
        assert!(!is_told(&mut classes, (1, 1), &free) && !is_told(&mut classes, (1, 2), &free));
        assert!(is_told(&mut classes, (2, 1), &free) && is_told(&mut classes, (1, 2), &free));
        classes.tell((2, 1));
        assert!(!is_told(&mut classes, (2, 1), &free) && !is_told(&mut classes, (1, 2), &free));
        // Of these two alone.
        assert!(!is_told(&mut classes, (3, 4), &free) && is_told(&mut classes, (4, 3), &free));
        classes.reset();
        assert!(!is_told(&mut classes, (1, 2), &free) && is_told(&mut classes, (2, 1), &free));
    }

    /// Whoever takes them in one order, or was told of the other, has nothing to say any more.
    #[test]
    fn what_was_seen_without_gates_is_settled() {
        let (mut classes, free) = (Classes::default(), behind([]));
        assert!(classes.is_settled((1, 1), (X, X)) && !classes.is_settled((1, 2), (X, X)));
        note(&mut classes, (1, 2), &behind([gate(9, None, X)]));
        assert!(!classes.is_settled((1, 2), (X, X)));
        note(&mut classes, (1, 2), &free);
        assert!(classes.is_settled((1, 2), (X, X)) && !classes.is_settled((1, 2), (S, X)));
        note(&mut classes, (2, 1), &free);
        assert!(![(1, 2), (2, 1)].iter().any(|&pair| classes.is_settled(pair, (X, X))));
        classes.tell((1, 2));
        assert!([(1, 2), (2, 1)].iter().all(|&pair| classes.is_settled(pair, (X, X))));
    }

    #[test]
    fn only_those_that_wait_for_each_other_meet() {
        let way = |held, wanted| Way { held, wanted, gates: Vec::new() };
        for (one, other, meet) in [
            ((X, X), (X, X), true),
            ((X, S), (X, S), true),
            ((S, X), (S, X), true),
            // The one waits, the other does not: a reader and a reader.
            ((S, X), (X, S), false),
            ((X, S), (S, X), false),
            ((S, S), (S, S), false),
        ] {
            assert_eq!(way(one.0, one.1).meets(&way(other.0, other.1)), meet, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_gate_is_one_lock_or_two_of_a_class_that_exclude_each_other() {
        for (one, other, is_gate) in [
            (gate(8, None, X), gate(8, None, X), true),
            (gate(8, None, X), gate(8, None, S), true),
            (gate(8, None, S), gate(8, None, S), false),
            (gate(8, Some(3), X), gate(9, Some(3), X), true),
            (gate(8, Some(3), X), gate(9, Some(4), X), false),
            (gate(8, None, X), gate(9, None, X), false),
        ] {
            assert_eq!(!behind([one]).meets(&behind([other])), is_gate, "{one:?} {other:?}");
        }
    }

    /// What is kept is bounded; whoever comes with fewer gates takes the place of those with more,
    /// and whoever comes with more is not noted.
    #[test]
    fn ways_with_few_gates_are_kept() {
        let (mut classes, own) = (Classes::default(), |lock| gate(lock, None, X));
        let nest = |classes: &mut Classes, locks: &[LockId]| {
            let way = behind(locks.iter().map(|&lock| own(lock)));
            assert!(!is_told(classes, (1, 2), &way));
            classes.nestings[&(1, 2)].len()
        };
        assert_eq!([11, 12, 13, 14, 15].map(|lock| nest(&mut classes, &[lock])), [1, 2, 3, 4, 4]);
        let all_kept = behind([11, 12, 13, 14].map(own));
        assert!(!is_told(&mut classes, (2, 1), &all_kept));
        classes.reset();
        assert_eq!(nest(&mut classes, &[11, 12]), 1);
        assert_eq!(nest(&mut classes, &[11, 12, 13]), 1);
        assert_eq!(nest(&mut classes, &[11]), 1);
        assert!(is_told(&mut classes, (2, 1), &behind([own(12)])));
        // Another mode is another way.
        let reads = Way { held: S, ..behind([own(11)]) };
        note(&mut classes, (1, 2), &reads);
        assert_eq!(classes.nestings[&(1, 2)].len(), 2);
    }
}
