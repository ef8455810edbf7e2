//! Has this chain been judged before?
//!
//! A chain is what a thread holds, with the modes, in the order of acquisition, and the
//! lock that it wants next; its key is one 64-bit number, which each acquisition makes
//! of the one before, so that depth does not change what a look costs. A key stands in
//! these tables if its chain was judged and found harmless. The idea is the chain cache of
//! the kernel's lockdep; two different chains meet in one key with a probability of 2⁻⁵⁶
//! per pair, and then an inversion may be missed, never invented.
//!
//! Looking takes no lock and never waits. Only the one that holds the order
//! graph's lock inserts.

use std::{array, sync::atomic};

use once_cell::race::OnceBox;

use super::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

/// Mixes a tag into a chain. A folded multiplication, as in wyhash, of a sum in which the two differ:
/// locks with consecutive ids end up all over the 64 bits.
#[inline(always)]
pub(super) fn step(chain: u64, tag: u64) -> u64 {
    let sum = chain.wrapping_add(tag.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let product = u128::from(sum) * 0xD6E8_FEB8_6659_FD93;
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are what is folded")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// The key of a chain, never 0. The epoch is a part of it, so that a new one makes every
/// key new.
#[inline]
pub(super) fn key(chain: u64) -> u64 {
    (chain ^ EPOCH.load(atomic::Ordering::Relaxed)) | 1
}

/// The key of a chain as one thread shows it, by the thread's number: of a chain that is
/// harmless for that thread, while another may still have something new to show by it.
///
/// The key is inverted, because a thread's number may be a lock's tag: otherwise this could be the
/// key of the chain that continues with that lock.
pub(super) fn by(key: u64, thread: u64) -> u64 {
    step(!key, thread) | 1
}

/// The key of a chain as the threads of one family show it.
pub(super) fn by_family(key: u64, family: u64) -> u64 {
    by(key, !family)
}

static EPOCH: atomic::AtomicU64 = atomic::AtomicU64::new(0);

/// Changes with each [`forget_all`].
pub(super) fn epoch() -> u64 {
    EPOCH.load(atomic::Ordering::SeqCst)
}

/// Makes every chain unseen: the order was reset, or a level has changed. The chains that threads
/// have met lately are forgotten by the caller, afterwards.
pub(super) fn forget_all() {
    static COUNT: atomic::AtomicU64 = atomic::AtomicU64::new(1);
    let next = COUNT.fetch_add(1, atomic::Ordering::Relaxed);
    EPOCH.store(step(0, next), atomic::Ordering::SeqCst);
}

/// One in so many chains that only the process-wide cache knows replaces another here.
const REPLACE_ONE_IN: u64 = 8;

/// A direct-mapped cache of the chains that one thread took last. Only that thread inserts, so no
/// model has to watch it.
pub(super) struct Recent {
    chains: [atomic::AtomicU64; 256],
    /// How many chains were looked up here in vain and found in the process-wide cache.
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

    /// Returns `true` if a chain that missed here and hit the process-wide cache should be inserted:
    /// if its place is vacant, and otherwise now and then.
    ///
    /// An insertion is a locked store. A thread that walks more chains than fit would pay for it
    /// each time, for an entry that is replaced before it is looked up again.
    #[inline]
    pub(super) fn should_insert(&self, chain: u64) -> bool {
        let misses = self.misses.load(atomic::Ordering::Relaxed).wrapping_add(1);
        self.misses.store(misses, atomic::Ordering::Relaxed);
        misses.is_multiple_of(REPLACE_ONE_IN)
            || self.place(chain).load(atomic::Ordering::Relaxed) == 0
    }

    /// Forgets all chains. For the thread itself.
    pub(super) fn clear_own(&self) {
        self.chains.iter().for_each(|place| place.store(0, atomic::Ordering::Relaxed));
    }

    /// Forgets all chains. May be called by any thread.
    pub(super) fn clear(&self) {
        self.chains.iter().for_each(|place| place.store(0, atomic::Ordering::SeqCst));
    }

    #[inline(always)]
    fn place(&self, chain: u64) -> &atomic::AtomicU64 {
        // The low byte is the depth.
        &self.chains[(chain >> 8) as usize % self.chains.len()]
    }
}

/// The tables' sizes: 2¹⁰ to 2²⁰ keys, 8 KiB to 8 MiB.
const SMALLEST: usize = if cfg!(loom) { 2 } else { 1 << 10 };
const SIZES: usize = 11;

type Table = Box<[AtomicU64]>;

/// The chains that any thread has met: open addressing, in tables of doubling
/// size of which the last one counts. The smaller ones stay for the readers that
/// are still in them; together they are as large as the last.
pub(super) struct Seen {
    tables: [OnceBox<Table>; SIZES],
    current: AtomicUsize,
}

/// What the one that inserts has to know. Stands under the order graph's lock.
#[derive(Default)]
pub(super) struct Filling {
    keys: usize,
    /// How many locks were destroyed since the table was new or cleared.
    destroyed: usize,
}

impl Seen {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { tables: [const { OnceBox::new() }; SIZES], current: AtomicUsize::new(0) }
    }

    /// Loom's atomics are not made in a constant.
    #[cfg(loom)]
    pub(super) fn new() -> Self {
        Self { tables: [const { OnceBox::new() }; SIZES], current: AtomicUsize::new(0) }
    }

    pub(super) fn contains(&self, key: u64) -> bool {
        self.tables[self.current.load(Acquire)]
            .get()
            .is_some_and(|table| probe(table, key).load(Relaxed) == key)
    }

    /// Adds a key. `filling` proves that the caller is the only one.
    pub(super) fn insert(&self, key: u64, filling: &mut Filling) {
        let size = self.current.load(Relaxed);
        let mut table = self.table(size);
        // At half full, runs of taken places are still short.
        if filling.keys * 2 >= table.len() {
            table = self.make_room(size, table, filling);
        }
        let place = probe(table, key);
        if place.load(Relaxed) != key {
            place.store(key, Relaxed);
            filling.keys += 1;
        }
    }

    /// The table of a size, made if it is new.
    fn table(&self, size: usize) -> &[AtomicU64] {
        self.tables[size]
            .get_or_init(|| Box::new((0..SMALLEST << size).map(|_| AtomicU64::new(0)).collect()))
    }

    /// Grows, or starts anew where locks come and go: their keys are never asked
    /// for again. A key that is forgotten is judged once more, no harm done.
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

/// Returns the place of a key, or the vacant one where it would go. There always is one:
/// tables are at most half full.
#[inline]
fn probe(table: &[AtomicU64], key: u64) -> &AtomicU64 {
    // A mask instead of `%`: the length is a power of two, which the compiler does not know.
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

    /// One inserts, through two growths; another looks meanwhile. It never sees a key that
    /// was not inserted, and afterwards every key is there.
    #[test]
    fn loom_insert_grow_and_look() {
        loom::model(|| {
            let seen = Arc::new(Seen::new());
            let mut filling = Filling::default();
            // The first table is published by a `OnceBox`, which loom does not see.
            seen.insert(3, &mut filling);
            let reader = loom::thread::spawn({
                let seen = Arc::clone(&seen);
                move || {
                    assert!(!seen.contains(9));
                    // Growing forgets nothing.
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

    /// Clearing, too, only ever forgets.
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

    /// Every key that was inserted is found, until locks that come and go make it
    /// worthwhile to start anew; no other key ever is.
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

    /// There is none after it: it starts anew, whatever is alive.
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

    /// 0 stands for no key; and what was judged under other levels is not known.
    #[test]
    fn a_key_is_never_0_and_a_new_one_in_each_epoch() {
        let keys = || (0..1_000).map(|chain| key(chain * 2)).collect::<HashSet<_>>();
        assert_ne!(key(EPOCH.load(Relaxed) ^ 1), 0);
        let before = keys();
        forget_all();
        let after = keys();
        assert_eq!((before.len(), after.len()), (1_000, 1_000));
        assert!(before.is_disjoint(&after) && !after.contains(&0));
    }

    /// What is harmless for one thread is not for another, nor for all.
    #[test]
    fn each_thread_has_keys_of_its_own() {
        let keys: HashSet<_> = (1..1_000).map(|thread| by(5, thread)).collect();
        assert_eq!(keys.len(), 999);
        assert!(!keys.contains(&5) && keys.iter().all(|key| key % 2 == 1));
    }

    #[test]
    fn a_thread_knows_its_last_chains_until_it_ends() {
        let recent = Recent::new();
        let keys = || (0..20).map(|number| step(1, number) | 1);
        keys().for_each(|key| recent.insert(key));
        // Others may have taken the places of some.
        assert!(keys().filter(|&key| recent.contains(key)).count() > 10);
        assert!((20..100).all(|number| !recent.contains(step(1, number) | 1)));
        recent.clear();
        assert!(!keys().any(|key| recent.contains(key)));
    }

    /// A walk over more chains than fit replaces few of them; one that is met again and again gets in.
    #[test]
    fn a_chain_replaces_another_now_and_then() {
        let recent = Recent::new();
        // Two depths, and chains with the same place.
        let [first, second] = [0x0202, 0x1_0203];
        assert!(recent.should_insert(first), "its place is vacant");
        recent.insert(first);
        let misses = 0..10 * REPLACE_ONE_IN;
        let replacing = misses.filter(|_| recent.should_insert(second)).count() as u64;
        assert_eq!(replacing, 10);
        recent.insert(second);
        assert!(recent.contains(second) && !recent.contains(first));
    }

    /// Places are told by the low bits: locks whose numbers differ in high ones alone have their own.
    #[test]
    fn keys_are_spread() {
        let places: HashSet<_> = (0..256).map(|number| step(8, number << 20) >> 1 & 255).collect();
        assert!(places.len() > 100, "{}", places.len());
    }

    /// That a chain is harmless for thread 8 does not settle the chain that continues with the lock
    /// whose tag is 8.
    #[test]
    fn what_a_thread_knows_is_no_longer_chain() {
        for tags in (1..1_000_u64).map(|tag| [tag, tag + 8, 8]) {
            let chain = |tags: &[u64]| tags.iter().copied().reduce(step).expect("it has locks");
            // As in the first epoch.
            let [key, longer] = [&tags[..2], &tags].map(|tags| chain(tags) | 1);
            assert_ne!(by(key, 8), longer, "{tags:?}");
        }
    }

    /// Chains of few locks with numbers in sequence, as programs have them, have keys of
    /// their own.
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
