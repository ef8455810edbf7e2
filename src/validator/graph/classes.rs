//! Orders between classes of locks. An order between two locks stands for an order between all
//! locks of their classes.
//!
//! Test suites create fresh locks in every test, so no pair of instances is ever seen in both
//! orders. The idea comes from the kernel's lockdep, which only has classes. What is kept here
//! outlives the locks; its size is bounded by the number of constructor calls in the source, and
//! by [`MAX_ORDERS`].

use std::panic::Location;

use rustc_hash::{FxHashMap, FxHashSet};

use super::unshared::NewLock;
use crate::{
    finding::{Edge, LockKind, LockOf, Mode, Site},
    validator::lock_id::LockId,
};

/// The number of a class.
pub(in crate::validator) type ClassId = u32;

/// The number of nestings kept for each pair of classes.
const MAX_NESTINGS: usize = 4;

/// The number of nestings kept for all pairs, where one with many gates counts for several: some
/// 50 MB. Only a program with hundreds of lines that create locks gets there.
const MAX_ORDERS: usize = 1 << 16;

/// The origin of a class.
#[derive(PartialEq, Eq, Hash)]
enum Class {
    /// The location of a constructor call, and the types that it creates.
    Made(Site, &'static str, &'static str),
    /// The name that the program has given.
    Given(&'static str),
}

/// A lock held during a nesting, and its class.
#[derive(Clone, Copy, Debug)]
pub(in crate::validator) struct Gate {
    pub(in crate::validator) lock: LockId,
    pub(in crate::validator) class: Option<ClassId>,
    pub(in crate::validator) mode: Mode,
}

/// One way in which a lock of one class was acquired while one of another was held.
#[derive(Clone)]
pub(in crate::validator) struct Nesting {
    pub(in crate::validator) held: Mode,
    pub(in crate::validator) wanted: Mode,
    /// All other locks that were held.
    pub(in crate::validator) gates: Vec<Gate>,
    /// The held lock, if it was new.
    pub(in crate::validator) new_lock: Option<NewLock>,
}

#[derive(Default)]
pub(in crate::validator) struct Classes {
    numbers: FxHashMap<Class, ClassId>,
    /// A cache of `numbers` by address. Equal sites may have different addresses.
    by_address: FxHashMap<(usize, usize), ClassId>,
    given: FxHashMap<LockId, &'static str>,
    nestings: FxHashMap<(ClassId, ClassId), Vec<(Nesting, Edge)>>,
    /// Pairs of classes with two locks that were seen in both orders: that report says more. Also
    /// pairs of which one is no class, according to the source. A class may be a pair with itself.
    reported: FxHashSet<[ClassId; 2]>,
    /// The size of all nestings, at most [`MAX_ORDERS`].
    size: usize,
    /// Changes whenever a pair may stop being settled.
    version: u64,
}

impl Classes {
    /// Returns the class of a lock. `None` if its constructor call is unknown.
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
            LockOf::Nothing | LockOf::Unknown | LockOf::Outside => "",
            LockOf::Value(value)
            | LockOf::Awaited(value)
            | LockOf::Woken(value)
            | LockOf::Raw { raw: value, .. } => value(),
        };
        let number = self.number(Class::Made(site, kind.wrapper, value));
        self.by_address.insert(address, number);
        Some(number)
    }

    fn number(&mut self, class: Class) -> ClassId {
        let next = ClassId::try_from(self.numbers.len()).unwrap_or(ClassId::MAX);
        *self.numbers.entry(class).or_insert(next)
    }

    /// Returns the name of the class that the program put the lock into.
    pub(in crate::validator) fn given(&self, lock: LockId) -> Option<&'static str> {
        self.given.get(&lock).copied()
    }

    /// Changes whenever a pair of classes may stop being settled.
    pub(in crate::validator) fn version(&self) -> u64 {
        self.version
    }

    /// Puts a lock into a class. Returns `true` if it was in no named class.
    pub(in crate::validator) fn give(&mut self, lock: LockId, class: &'static str) -> bool {
        self.version += 1;
        self.given.insert(lock, class).is_none()
    }

    /// Forgets a lock. Returns `true` if it was in a named class.
    pub(in crate::validator) fn forget(&mut self, lock: LockId) -> bool {
        self.given.remove(&lock).is_some()
    }

    /// Returns `true` if no acquisition of a lock of one class while one of another is held, in
    /// these modes, can reveal anything new; by a thread whose held lock is `new_lock`, if it is new.
    pub(in crate::validator) fn is_settled(
        &self,
        (held, wanted): (ClassId, ClassId),
        modes: (Mode, Mode),
        new_lock: Option<&NewLock>,
    ) -> bool {
        let is_freest = |(it, _): &(Nesting, Edge)| {
            it.gates.is_empty()
                && (it.held, it.wanted) == modes
                && counts_as(it.new_lock.as_ref(), new_lock)
        };
        let known = self.nestings.get(&(held, wanted));
        let is_one_way =
            || !self.nestings.contains_key(&(wanted, held)) || self.is_reported((held, wanted));
        known.is_some_and(|known| known.iter().any(is_freest)) && is_one_way()
    }

    /// Returns `true` if a nesting of two classes is new: no known one has the same modes and no
    /// more gates.
    pub(in crate::validator) fn is_new(
        &self,
        classes: (ClassId, ClassId),
        nesting: &Nesting,
    ) -> bool {
        let known = self.nestings.get(&classes);
        !known.is_some_and(|known| known.iter().any(|(it, _)| it.is_as_free_as(nesting)))
    }

    /// Records a [new](Self::is_new) nesting, with an edge to report for it. Returns `false` if all
    /// pairs together have too many.
    pub(in crate::validator) fn nest(
        &mut self,
        classes: (ClassId, ClassId),
        nesting: Nesting,
        edge: Edge,
    ) -> bool {
        let known = self.nestings.entry(classes).or_default();
        known.retain(|(it, _)| {
            let is_kept = !nesting.is_as_free_as(it);
            self.size -= if is_kept { 0 } else { it.size() };
            is_kept
        });
        if self.size + nesting.size() > MAX_ORDERS {
            if known.is_empty() {
                self.nestings.remove(&classes);
            }
            return false;
        }
        if known.len() < MAX_NESTINGS {
            self.version += 1;
            self.size += nesting.size();
            known.push((nesting, edge));
        }
        true
    }

    /// Returns an edge in the opposite order, if the two nestings would wait for each other if they
    /// were of the same two locks, and its held lock, if that was new. `None` if two locks of these classes were
    /// themselves seen in both orders.
    ///
    /// `is_unshared` returns what the source says of a new lock. Nestings in which no other thread knew it are
    /// removed.
    pub(in crate::validator) fn inversion(
        &mut self,
        (held, wanted): (ClassId, ClassId),
        nesting: &Nesting,
        is_unshared: impl Fn(&NewLock) -> Option<bool>,
    ) -> Option<(&Edge, Option<&NewLock>)> {
        if self.is_reported((held, wanted)) {
            return None;
        }
        let others = self.nestings.get_mut(&(wanted, held))?;
        others.retain_mut(|(it, _)| {
            let answer = it.new_lock.as_ref().and_then(&is_unshared);
            if answer == Some(false) {
                it.new_lock = None;
            }
            self.size -= if answer == Some(true) { it.size() } else { 0 };
            answer != Some(true)
        });
        let meeting = || others.iter().filter(|(it, _)| it.meets(nesting));
        let known = meeting().find(|(it, _)| it.new_lock.is_none()).or_else(|| meeting().next())?;
        Some((&known.1, known.0.new_lock.as_ref()))
    }

    /// Records that an inversion of these classes must not be reported.
    pub(in crate::validator) fn mark_reported(&mut self, (held, wanted): (ClassId, ClassId)) {
        self.reported.insert(pair(held, wanted));
    }

    /// Returns `true` if findings about these classes must not be reported any more.
    pub(in crate::validator) fn is_reported(&self, (held, wanted): (ClassId, ClassId)) -> bool {
        self.reported.contains(&pair(held, wanted))
    }

    pub(in crate::validator) fn reset(&mut self) {
        self.version += 1;
        self.nestings.clear();
        self.size = 0;
        self.reported.clear();
    }
}

/// Returns the pair of two classes in either order.
pub(in crate::validator) fn pair(one: ClassId, other: ClassId) -> [ClassId; 2] {
    [one.min(other), one.max(other)]
}

impl Gate {
    /// Returns `true` if both may be the same lock, assuming that the two nestings are of the same
    /// locks.
    fn is_same(&self, other: &Self) -> bool {
        self.lock == other.lock || self.class.is_some() && self.class == other.class
    }
}

/// Returns `true` if a nesting counts whenever another one does, given which of their held locks were new.
fn counts_as(own: Option<&NewLock>, other: Option<&NewLock>) -> bool {
    match (own, other) {
        (None, _) => true,
        (Some(own), Some(other)) => own.is_like(other),
        (Some(_), None) => false,
    }
}

impl Nesting {
    /// Returns how many of [`MAX_ORDERS`] it counts for.
    fn size(&self) -> usize {
        1 + self.gates.len() / 16
    }

    /// Returns `true` if each would wait for the other. Readers that wait for readers behind a
    /// writer are left out, because the presence of a writer depends on the instances.
    pub(in crate::validator) fn meets(&self, other: &Self) -> bool {
        let waits = |one: &Self, other: &Self| one.wanted.waits_for(other.held, false);
        let is_gate = |(one, other): (&Gate, &Gate)| {
            one.is_same(other) && [one.mode, other.mode].contains(&Mode::Exclusive)
        };
        let pairs = self.gates.iter().flat_map(|one| other.gates.iter().map(move |it| (one, it)));
        waits(self, other) && waits(other, self) && !pairs.clone().any(is_gate)
    }

    fn is_as_free_as(&self, other: &Self) -> bool {
        let is_there = |gate: &Gate| other.gates.iter().any(|it| gate.is_same(it));
        (self.held, self.wanted) == (other.held, other.wanted)
            && self.gates.iter().all(is_there)
            && counts_as(self.new_lock.as_ref(), other.new_lock.as_ref())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::finding::Role;

    const X: Mode = Mode::Exclusive;
    const S: Mode = Mode::Shared;

    fn gate(lock: LockId, class: Option<ClassId>, mode: Mode) -> Gate {
        Gate { lock, class, mode }
    }

    fn behind(gates: impl IntoIterator<Item = Gate>) -> Nesting {
        Nesting { held: X, wanted: X, gates: gates.into_iter().collect(), new_lock: None }
    }

    fn note(classes: &mut Classes, pair: (ClassId, ClassId), nesting: &Nesting) {
        if classes.is_new(pair, nesting) {
            assert!(classes.nest(pair, nesting.clone(), Edge::for_test(1, 2)));
        }
    }

    fn is_found(classes: &mut Classes, pair: (ClassId, ClassId), nesting: &Nesting) -> bool {
        note(classes, pair, nesting);
        classes.inversion(pair, nesting, |_| None).is_some()
    }

    #[test]
    fn a_class_is_a_constructor_call_or_a_given_name() {
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
    fn class_inversions_are_found_until_one_of_their_locks_is() {
        let (mut classes, free) = (Classes::default(), behind([]));
        assert!(is_found(&mut classes, (1, 1), &free) && !is_found(&mut classes, (1, 2), &free));
        assert!(is_found(&mut classes, (2, 1), &free) && is_found(&mut classes, (1, 2), &free));
        classes.mark_reported((2, 1));
        assert!(!is_found(&mut classes, (2, 1), &free) && !is_found(&mut classes, (1, 2), &free));
        // Only for this pair.
        assert!(!is_found(&mut classes, (3, 4), &free) && is_found(&mut classes, (4, 3), &free));
        classes.reset();
        assert!(!is_found(&mut classes, (1, 2), &free) && is_found(&mut classes, (2, 1), &free));
    }

    /// Another nesting in the same order, or after the inversion was reported, reveals nothing.
    #[test]
    fn a_nesting_without_gates_is_settled() {
        let (mut classes, free) = (Classes::default(), behind([]));
        assert!(!classes.is_settled((1, 2), (X, X), None));
        note(&mut classes, (1, 2), &behind([gate(9, None, X)]));
        assert!(!classes.is_settled((1, 2), (X, X), None));
        note(&mut classes, (1, 2), &free);
        assert!(
            classes.is_settled((1, 2), (X, X), None) && !classes.is_settled((1, 2), (S, X), None)
        );
        note(&mut classes, (2, 1), &free);
        assert!(![(1, 2), (2, 1)].iter().any(|&pair| classes.is_settled(pair, (X, X), None)));
        classes.mark_reported((1, 2));
        assert!([(1, 2), (2, 1)].iter().all(|&pair| classes.is_settled(pair, (X, X), None)));
    }

    #[test]
    fn only_nestings_that_wait_for_each_other_meet() {
        let nesting = |held, wanted| Nesting { held, wanted, gates: Vec::new(), new_lock: None };
        for (one, other, meet) in [
            ((X, X), (X, X), true),
            ((X, S), (X, S), true),
            ((S, X), (S, X), true),
            // One waits but the other does not: two readers.
            ((S, X), (X, S), false),
            ((X, S), (S, X), false),
            ((S, S), (S, S), false),
        ] {
            assert_eq!(
                nesting(one.0, one.1).meets(&nesting(other.0, other.1)),
                meet,
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn a_gate_is_one_lock_or_two_of_a_class_in_exclusive_modes() {
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

    /// The number of nestings is bounded. One with fewer gates replaces those with more; one with
    /// more is not recorded.
    #[test]
    fn nestings_with_few_gates_are_kept() {
        let (mut classes, own) = (Classes::default(), |lock| gate(lock, None, X));
        let nest = |classes: &mut Classes, locks: &[LockId]| {
            let nesting = behind(locks.iter().map(|&lock| own(lock)));
            assert!(!is_found(classes, (1, 2), &nesting));
            classes.nestings[&(1, 2)].len()
        };
        assert_eq!([11, 12, 13, 14, 15].map(|lock| nest(&mut classes, &[lock])), [1, 2, 3, 4, 4]);
        let all_kept = behind([11, 12, 13, 14].map(own));
        assert!(!is_found(&mut classes, (2, 1), &all_kept));
        classes.reset();
        assert_eq!(nest(&mut classes, &[11, 12]), 1);
        assert_eq!(nest(&mut classes, &[11, 12, 13]), 1);
        assert_eq!(nest(&mut classes, &[11]), 1);
        assert!(is_found(&mut classes, (2, 1), &behind([own(12)])));
        // A different mode makes a different nesting.
        let reads = Nesting { held: S, ..behind([own(11)]) };
        note(&mut classes, (1, 2), &reads);
        assert_eq!(classes.nestings[&(1, 2)].len(), 2);
    }

    /// A nesting with many gates counts for several, until one with fewer replaces it.
    #[test]
    fn the_number_of_orders_is_bounded() {
        let (mut classes, free) = (Classes::default(), behind([]));
        let gates = |count| behind((1..=count).map(|lock| gate(lock, None, X)));
        note(&mut classes, (1, 2), &gates(40));
        assert_eq!(classes.size, 3);
        note(&mut classes, (1, 2), &gates(20));
        note(&mut classes, (1, 3), &gates(15));
        assert_eq!(classes.size, 3);
        let others = (10..).map(|class| (0, class)).take(MAX_ORDERS - classes.size);
        others.for_each(|pair| note(&mut classes, pair, &free));
        assert!(!classes.nest((1, 4), free.clone(), Edge::for_test(1, 2)));
        assert!(
            !classes.nestings.contains_key(&(1, 4)) && !classes.is_settled((1, 4), (X, X), None)
        );
        // This one takes no more room.
        note(&mut classes, (1, 3), &free);
        assert!(classes.inversion((3, 1), &free, |_| None).is_some());
    }
}
