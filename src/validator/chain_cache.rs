//! Chains that were checked before.
//!
//! A chain is the sequence of locks that a thread holds, with their modes, followed by the lock
//! that it wants. Its key is a 64-bit hash, which each acquisition extends by one step, so a
//! look-up costs the same at any depth. A key is in these tables if its chain was checked and found
//! harmless. The idea is the chain cache of the kernel's lockdep. Two different chains collide with
//! a probability of 2⁻⁵⁶ per pair; a collision may hide an inversion, but never invents one.
//!
//! Look-ups take no lock and never wait. Only the thread that holds the order graph's lock inserts.

use std::{array, sync::atomic};

use once_cell::race::OnceBox;

use super::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Mixes a tag into a chain: a folded multiplication, as in wyhash, of a sum that depends on both.
/// Locks with consecutive ids spread over all 64 bits.
#[inline(always)]
pub(super) fn step(chain: u64, tag: u64) -> u64 {
    let sum = chain.wrapping_add(tag.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let product = u128::from(sum) * 0xD6E8_FEB8_6659_FD93;
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are what is folded")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// Returns the key of a chain, never 0. It includes the epoch, so all keys change with the epoch.
#[inline]
pub(super) fn key(chain: u64) -> u64 {
    (chain ^ EPOCH.load(atomic::Ordering::Relaxed)) | 1
}

/// Returns the key of a chain for one thread, by its number. It stands for a chain that is harmless
/// in this thread, while another thread may still show something new with it.
///
/// Inverts the key, because a thread's number may equal a lock's tag. Otherwise this could be the
/// key of the chain that continues with that lock.
pub(super) fn by(key: u64, thread: u64) -> u64 {
    step(!key, thread) | 1
}

/// Returns the key of a chain for all threads of a family.
pub(super) fn by_family(key: u64, family: u64) -> u64 {
    by(key, !family)
}

static EPOCH: atomic::AtomicU64 = atomic::AtomicU64::new(0);

/// Changes with each [`forget_all`].
pub(super) fn epoch() -> u64 {
    EPOCH.load(atomic::Ordering::SeqCst)
}

/// Invalidates every key, because the order was reset or a level has changed. The caller then
/// clears the recent chains of all threads.
pub(super) fn forget_all() {
    static COUNT: atomic::AtomicU64 = atomic::AtomicU64::new(1);
    let next = COUNT.fetch_add(1, atomic::Ordering::Relaxed);
    EPOCH.store(step(0, next), atomic::Ordering::SeqCst);
}

/// Of this many misses that hit the process-wide cache, one replaces an entry.
const REPLACE_ONE_IN: u64 = 8;

/// A direct-mapped cache of the chains that one thread used recently. Only that thread inserts, so
/// it needs no model.
pub(super) struct Recent {
    chains: [atomic::AtomicU64; 256],
    /// The number of look-ups that missed here and hit the process-wide cache.
    misses: atomic::AtomicU64,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self {
            chains: array::from_fn(|_| atomic::AtomicU64::new(0)),
            misses: atomic::AtomicU64::new(0),
        }
    }

    #[inline(always)]
    pub(super) fn contains(&self, chain: u64) -> bool {
        self.place(chain).load(atomic::Ordering::Relaxed) == chain
    }

    #[inline]
    pub(super) fn insert(&self, chain: u64) {
        self.place(chain).store(chain, atomic::Ordering::SeqCst);
    }

    /// Returns `true` if a chain that missed here and hit the process-wide cache should be
    /// inserted: if its slot is vacant, and otherwise one time in [`REPLACE_ONE_IN`].
    ///
    /// An insertion is an atomic exchange. A thread that cycles through more chains than fit would
    /// pay for it each time, for an entry that is replaced before it is looked up again.
    #[inline]
    pub(super) fn should_insert(&self, chain: u64) -> bool {
        let misses = self.misses.load(atomic::Ordering::Relaxed).wrapping_add(1);
        self.misses.store(misses, atomic::Ordering::Relaxed);
        misses.is_multiple_of(REPLACE_ONE_IN)
            || self.place(chain).load(atomic::Ordering::Relaxed) == 0
    }

    /// Forgets all chains. For the owning thread.
    pub(super) fn clear_own(&self) {
        self.chains.iter().for_each(|place| place.store(0, atomic::Ordering::Relaxed));
    }

    /// Forgets all chains. May be called by any thread.
    pub(super) fn clear(&self) {
        self.chains.iter().for_each(|place| place.store(0, atomic::Ordering::SeqCst));
    }

    #[inline(always)]
    fn place(&self, chain: u64) -> &atomic::AtomicU64 {
        // The low byte of a chain is its depth.
        &self.chains[(chain >> 8) as usize % self.chains.len()]
    }
}

/// The tables' sizes: 2¹⁰ to 2²⁰ keys, 8 KiB to 8 MiB.
const SMALLEST: usize = if cfg!(loom) { 2 } else { 1 << 10 };
const SIZES: usize = 11;

type Table = Box<[AtomicU64]>;

/// The harmless chains of the whole process: open addressing in tables of doubling size, of which
/// the last is current. Smaller tables are kept for readers that still use them; together they are
/// as large as the current one.
pub(super) struct Seen {
    tables: [OnceBox<Table>; SIZES],
    current: AtomicUsize,
}

/// The state of insertion, kept under the order graph's lock.
#[derive(Default)]
pub(super) struct Filling {
    keys: usize,
    /// The number of locks destroyed since the table was created or cleared.
    destroyed: usize,
}

impl Seen {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { tables: [const { OnceBox::new() }; SIZES], current: AtomicUsize::new(0) }
    }

    /// Loom's atomics cannot be created in a constant.
    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self { tables: [const { OnceBox::new() }; SIZES], current: AtomicUsize::new(0) }
    }

    pub(super) fn contains(&self, key: u64) -> bool {
        self.tables[self.current.load(Acquire)]
            .get()
            .is_some_and(|table| probe(table, key).load(Relaxed) == key)
    }

    /// Adds a key. `filling` proves that the caller is the only one to insert.
    pub(super) fn insert(&self, key: u64, filling: &mut Filling) {
        let size = self.current.load(Relaxed);
        let mut table = self.table(size);
        // At half full, probe sequences are still short.
        if filling.keys * 2 >= table.len() {
            table = self.make_room(size, table, filling);
        }
        let place = probe(table, key);
        if place.load(Relaxed) != key {
            place.store(key, Relaxed);
            filling.keys += 1;
        }
    }

    /// Returns the table of a size, and creates it if it is new.
    fn table(&self, size: usize) -> &[AtomicU64] {
        self.tables[size]
            .get_or_init(|| Box::new((0..SMALLEST << size).map(|_| AtomicU64::new(0)).collect()))
    }

    /// Grows, or clears the table if many locks were destroyed, because their keys are never looked
    /// up again. A forgotten chain is only checked again.
    fn make_room<'a>(
        &'a self,
        size: usize,
        table: &'a [AtomicU64],
        filling: &mut Filling,
    ) -> &'a [AtomicU64] {
        let churn = filling.destroyed * 4 >= table.len();
        *filling = Filling::default();
        if churn || size + 1 == SIZES {
            for place in table {
                place.store(0, Relaxed);
            }
            return table;
        }
        let larger = self.table(size + 1);
        for key in table.iter().map(|place| place.load(Relaxed)).filter(|&key| key != 0) {
            probe(larger, key).store(key, Relaxed);
            filling.keys += 1;
        }
        self.current.store(size + 1, Release);
        larger
    }
}

impl Filling {
    pub(super) fn lock_destroyed(&mut self) {
        self.destroyed += 1;
    }
}

/// Returns the slot of a key, or the vacant slot where it belongs. Terminates because tables are at
/// most half full.
#[inline]
fn probe(table: &[AtomicU64], key: u64) -> &AtomicU64 {
    // A mask instead of `%`: the compiler does not know that the length is a power of two.
    let mask = table.len() - 1;
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    let start = (key >> 8) as usize;
    let at = |step: usize| &table[(start + step) & mask];
    (0..table.len())
        .map(at)
        .find(|place| matches!(place.load(Relaxed), 0) || place.load(Relaxed) == key)
        .unwrap_or_else(|| at(0))
}

#[cfg(all(test, loom))]
mod loom_models {
    use std::sync::Arc;

    use super::*;

    /// One thread inserts, growing the table twice, while another looks up. A look-up never finds a
    /// key that was not inserted, and in the end every key is there.
    #[test]
    fn loom_insert_grow_and_look() {
        loom::model(|| {
            let seen = Arc::new(Seen::new());
            let mut filling = Filling::default();
            // The first table is published by a `OnceBox`, which loom cannot see.
            seen.insert(3, &mut filling);
            let reader = loom::thread::spawn({
                let seen = Arc::clone(&seen);
                move || {
                    assert!(!seen.contains(9));
                    // Growing loses no key.
                    assert!(seen.contains(3));
                    seen.contains(5)
                }
            });
            for key in [5, 7] {
                seen.insert(key, &mut filling);
            }
            reader.join().unwrap();
            assert!([3, 5, 7].into_iter().all(|key| seen.contains(key)));
        });
    }

    /// Clearing never makes up a key.
    #[test]
    fn loom_clear_and_look() {
        loom::model(|| {
            let seen = Arc::new(Seen::new());
            let mut filling = Filling::default();
            seen.insert(3, &mut filling);
            filling.lock_destroyed();
            let reader = loom::thread::spawn({
                let seen = Arc::clone(&seen);
                move || (seen.contains(3), assert!(!seen.contains(9)))
            });
            seen.insert(5, &mut filling);
            reader.join().unwrap();
            assert!(seen.contains(5) && !seen.contains(3));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every inserted key is found until enough locks were destroyed to clear the table, and no
    /// other key is.
    #[test]
    fn keys_are_found_through_every_growth() {
        let seen = Seen::new();
        let mut filling = Filling::default();
        let keys = 200_000;
        let key = |number| step(1, number) | 1;
        for number in 0..keys {
            seen.insert(key(number), &mut filling);
        }
        assert!((0..keys).all(|number| seen.contains(key(number))));
        assert!((keys..2 * keys).all(|number| !seen.contains(key(number))));
    }

    /// The largest table is cleared rather than filled, whatever is alive.
    #[test]
    fn the_largest_table_is_never_full() {
        let seen = Seen::new();
        let mut filling = Filling::default();
        let last = SMALLEST << (SIZES - 2);
        for number in 0..=last as u64 {
            seen.insert(step(1, number) | 1, &mut filling);
        }
        assert_eq!((seen.current.load(Relaxed), filling.keys), (SIZES - 1, 1));
        assert!(seen.contains(step(1, last as u64) | 1) && !seen.contains(step(1, 0) | 1));
    }

    #[test]
    fn churn_does_not_grow() {
        let seen = Seen::new();
        let mut filling = Filling::default();
        for number in 0..1_000_000 {
            seen.insert(step(1, number) | 1, &mut filling);
            filling.lock_destroyed();
        }
        assert_eq!(seen.current.load(Relaxed), 0);
    }

    /// 0 means no key, and keys of an earlier epoch are not found.
    #[test]
    fn keys_are_never_0_and_change_with_the_epoch() {
        let keys = || (0..1_000).map(|chain| key(chain * 2)).collect::<HashSet<_>>();
        assert_ne!(key(EPOCH.load(Relaxed) ^ 1), 0);
        let before = keys();
        forget_all();
        let after = keys();
        assert_eq!((before.len(), after.len()), (1_000, 1_000));
        assert!(before.is_disjoint(&after) && !after.contains(&0));
    }

    /// A chain that is harmless for one thread is not known for another, nor for all.
    #[test]
    fn each_thread_has_its_own_keys() {
        let keys: HashSet<_> = (1..1_000).map(|thread| by(5, thread)).collect();
        assert_eq!(keys.len(), 999);
        assert!(!keys.contains(&5) && keys.iter().all(|key| key % 2 == 1));
    }

    #[test]
    fn a_thread_knows_its_last_chains_until_it_ends() {
        let recent = Recent::new();
        let keys = || (0..20).map(|number| step(1, number) | 1);
        keys().for_each(|key| recent.insert(key));
        // Other chains may have replaced some.
        assert!(keys().filter(|&key| recent.contains(key)).count() > 10);
        assert!((20..100).all(|number| !recent.contains(step(1, number) | 1)));
        recent.clear();
        assert!(!keys().any(|key| recent.contains(key)));
    }

    /// A loop over more chains than fit replaces few entries; a chain that repeats often gets in.
    #[test]
    fn a_chain_replaces_another_now_and_then() {
        let recent = Recent::new();
        // Chains of two depths that share a slot.
        let [first, second] = [0x0202, 0x1_0203];
        assert!(recent.should_insert(first), "its slot is vacant");
        recent.insert(first);
        let misses = 0..10 * REPLACE_ONE_IN;
        let replacing = misses.filter(|_| recent.should_insert(second)).count() as u64;
        assert_eq!(replacing, 10);
        recent.insert(second);
        assert!(recent.contains(second) && !recent.contains(first));
    }

    /// Slots are chosen by low bits, but locks whose ids differ only in high bits are spread as
    /// well.
    #[test]
    fn keys_are_spread() {
        let places: HashSet<_> = (0..256).map(|number| step(8, number << 20) >> 1 & 255).collect();
        assert!(places.len() > 100, "{}", places.len());
    }

    /// A key for thread 8 is not the key of the chain that continues with the lock whose tag is 8.
    #[test]
    fn a_key_for_a_thread_is_not_that_of_a_longer_chain() {
        for tags in (1..1_000_u64).map(|tag| [tag, tag + 8, 8]) {
            let chain = |tags: &[u64]| tags.iter().copied().reduce(step).expect("it has locks");
            // As in epoch 0.
            let [key, longer] = [&tags[..2], &tags].map(|tags| chain(tags) | 1);
            assert_ne!(by(key, 8), longer, "{tags:?}");
        }
    }

    /// Short chains of locks with consecutive ids, as programs have them, do not collide.
    #[test]
    fn keys_do_not_collide() {
        let mut keys = HashSet::new();
        let tags = || (1..=60_u64).flat_map(|lock| [lock << 2, lock << 2 | 1]);
        for (a, b) in tags().flat_map(|a| tags().map(move |b| (a, b))) {
            let pair = step(a, b);
            assert!(keys.insert(pair | 1), "{a} {b}");
            for c in tags() {
                assert!(keys.insert(step(pair, c) | 1), "{a} {b} {c}");
            }
        }
    }
}
