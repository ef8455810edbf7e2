//! Creation sites, and the ids of the locks that are created at each.
//!
//! A creation site is a constructor call: a source location and the kind of lock created there. A
//! lock gets its id at its first acquisition, from a block of ids that belongs to its creation
//! site. So the id alone leads to both, and neither an acquisition nor the order graph stores them.
//! Each block of a site is twice as large as the one before, so there are few blocks however many
//! locks come and go, and a binary search finds the block of an id.
//!
//! Owns both tables and the lock under which blocks are added. Nothing here allocates, because the
//! lock that gets an id may belong to the global allocator: the tables are static arrays, and the
//! system provides the pages that are touched. Once a table is full, further ids come from a
//! [separate range](UNATTRIBUTED), which leads to no site; nothing else changes.

use std::{
    cell::Cell,
    ops::Range,
    panic::Location,
    ptr,
    sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        compiler_fence,
    },
};

use parking_lot::Mutex;

use super::LockId;
use crate::{
    finding::{LockKind, LockOf, Role},
    validator::interrupted,
};

/// The index of a creation site in its table.
pub(in crate::validator) type SiteIndex = usize;

/// The index that stands for an unknown creation site.
pub(in crate::validator) const UNKNOWN_SITE: SiteIndex = 0;

/// The kind of a lock whose creation site is unknown.
static UNKNOWN_KIND: LockKind = LockKind { wrapper: "Lock", of: LockOf::Unknown, role: Role::Lock };

/// The first id that belongs to no block. Small enough that tags leave their upper byte unused, as
/// the held set's word requires.
const UNATTRIBUTED: LockId = 1 << 44;

/// The sizes of a site's first block and of the largest, as powers of two.
const FIRST_SIZE: u32 = 5;
const LARGEST_SIZE: u32 = 31;

/// The number of ids that a thread takes at once from a site that has created many locks.
const STOCK_SIZE: u64 = 64;
/// The number of sites for which a thread keeps a stock.
const STOCKS: usize = 8;
/// The number of entries that a lookup compares before it gives up.
const MAX_PROBES: usize = 64;

/// Stands for an unknown location, because null stands for a vacant entry.
const NO_LOCATION: *mut Location<'static> = ptr::dangling_mut();

/// A constructor call. Never removed.
struct CreationSite {
    /// Claims the entry. Null while it is vacant.
    location: AtomicPtr<Location<'static>>,
    /// Stored after the entry was claimed. Null until then, so that the entry equals no site.
    kind: AtomicPtr<LockKind>,
    /// The index of its last block in the high half, and the number of ids taken from that block in
    /// the low one. A block of ids. Written completely before it is counted, and constant from then
    /// on.
    taken: AtomicU64,
}

/// A block of ids. Complete before it is counted, and constant from then on.
struct Block {
    start: AtomicU64,
    /// Its site in the low half, and its size as a power of two in the high one.
    site_and_size: AtomicU64,
}

impl Block {
    fn size(&self) -> u32 {
        (self.site_and_size.load(Relaxed) >> 32) as u32
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
    fn site(&self) -> SiteIndex {
        self.site_and_size.load(Relaxed) as u32 as SiteIndex
    }
}

/// All creation sites and blocks.
///
/// Fields that are written together are adjacent, so that the first lock of a process touches two
/// pages. Everything starts as zeros, which take no space in the program's file.
#[repr(C)]
struct Table<const SITES: usize, const BLOCKS: usize> {
    /// The last id of all blocks. Its lock is held while a block is added. It is the innermost lock
    /// of lockdep: an allocation under any other may get here, through a lock of the allocator's.
    adding: Mutex<LockId>,
    /// The index of the last block.
    last_block: AtomicUsize,
    /// The number of ids taken that belong to no block.
    unattributed: AtomicU64,
    /// The number of ids that were taken for locks but will never be used.
    abandoned: AtomicU64,
    /// By ascending start. The first block is empty.
    blocks: [Block; BLOCKS],
    /// Open addressing, hashed by the two addresses. The entry at [`UNKNOWN_SITE`] stays vacant.
    sites: [CreationSite; SITES],
}

static TABLE: Table<{ 1 << 14 }, { 1 << 16 }> = Table::new();

/// Ids that one thread has taken for future locks. Only that thread changes it.
pub(in crate::validator) struct IdStock {
    sites: [SiteStock; STOCKS],
    /// Set while the thread changes its stock. A signal handler that sees it leaves the stock
    /// alone.
    changes: AtomicBool,
}

/// The ids of one site.
struct SiteStock {
    kind: AtomicPtr<LockKind>,
    location: AtomicPtr<Location<'static>>,
    next: AtomicU64,
    end: AtomicU64,
}

thread_local! {
    /// Set while the thread may hold the table's lock. A signal handler that sees it does not wait
    /// for that lock.
    static USES_TABLE: Cell<bool> = const { Cell::new(false) };
}

/// Returns an id for a lock of this kind that was created there. Takes ids from the table, and
/// keeps the rest in the stock of the calling thread, if it has one.
pub(in crate::validator) fn next_id(
    stock: Option<&IdStock>,
    kind: &'static LockKind,
    created: Option<&'static Location<'static>>,
) -> LockId {
    if USES_TABLE.get() || stock.is_some_and(|stock| stock.changes.load(Relaxed)) {
        return TABLE.unattributed(1).start;
    }
    USES_TABLE.set(true);
    compiler_fence(SeqCst);
    interrupted::here();
    let (kind, location) = (kind_address(kind), location_address(created));
    let ids = TABLE.take(kind, location, if stock.is_some() { STOCK_SIZE } else { 1 });
    if let Some(stock) = stock {
        let unused = stock.refill(kind, location, ids.start + 1..ids.end);
        if unused > 0 {
            TABLE.abandoned.fetch_add(unused, Relaxed);
        }
    }
    compiler_fence(SeqCst);
    USES_TABLE.set(false);
    ids.start
}

fn kind_address(kind: &'static LockKind) -> *mut LockKind {
    ptr::from_ref(kind).cast_mut()
}

fn location_address(location: Option<&'static Location<'static>>) -> *mut Location<'static> {
    location.map_or(NO_LOCATION, |location| ptr::from_ref(location).cast_mut())
}

/// Returns `true` if ids of this kind are for locks, rather than threads, channels or barriers.
#[allow(unsafe_code, reason = "std has no atomic reference")]
fn is_for_locks(kind: &AtomicPtr<LockKind>) -> bool {
    // SAFETY: the pointer is null or comes from a `'static` reference.
    unsafe { kind.load(Acquire).as_ref() }.is_none_or(|kind| kind.role.is_lock())
}

/// Records that an id is not used, because another thread has assigned one to the lock first.
pub(in crate::validator) fn abandon_id(id: LockId) {
    TABLE.abandoned.fetch_add(of(id).0.role.is_lock().into(), Relaxed);
}

/// Returns the kind of a lock, and the location where it was created.
pub(in crate::validator) fn of(
    lock: LockId,
) -> (&'static LockKind, Option<&'static Location<'static>>) {
    TABLE.of(lock)
}

/// Returns the creation site of a lock.
pub(in crate::validator) fn site_of(lock: LockId) -> SiteIndex {
    block_of(lock).1
}

/// Returns the ids around a lock's that belong to the same creation site, and that site.
pub(in crate::validator) fn block_of(lock: LockId) -> (Range<LockId>, SiteIndex) {
    TABLE.block_of(lock)
}

/// Returns the number of locks that have an id, given the stocks of all threads. Locks to which
/// other threads are just assigning one may be missing.
pub(in crate::validator) fn count<'a>(stocks: impl Iterator<Item = &'a IdStock>) -> u64 {
    let before = USES_TABLE.replace(true);
    let stocked: u64 = stocks.map(IdStock::locks).sum();
    let taken = TABLE.taken();
    USES_TABLE.set(before);
    taken.saturating_sub(stocked)
}

/// Returns `true` if the calling thread may hold the table's lock. Then a signal has interrupted
/// it.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn is_assigning() -> bool {
    USES_TABLE.get()
}

/// Returns the table's lock.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &TABLE.adding
}

impl IdStock {
    pub(in crate::validator) fn new() -> Self {
        let site = || SiteStock {
            kind: AtomicPtr::new(ptr::null_mut()),
            location: AtomicPtr::new(ptr::null_mut()),
            next: AtomicU64::new(0),
            end: AtomicU64::new(0),
        };
        Self { sites: std::array::from_fn(|_| site()), changes: AtomicBool::new(false) }
    }

    /// Returns the stock of a site, or the one that it would replace.
    #[inline]
    fn of(&self, kind: *mut LockKind, location: *mut Location<'static>) -> &SiteStock {
        &self.sites[(kind.addr() >> 3).wrapping_add(location.addr() >> 3) % STOCKS]
    }

    /// Returns an id for a lock of this kind that was created there, if there is one in stock.
    #[inline]
    pub(in crate::validator) fn next(
        &self,
        kind: &'static LockKind,
        created: Option<&'static Location<'static>>,
    ) -> Option<LockId> {
        let (kind, location) = (kind_address(kind), location_address(created));
        let stock = self.of(kind, location);
        if self.changes.load(Relaxed) {
            return None;
        }
        // A signal handler could take the same id between the load and the store.
        self.change(|| {
            let next = stock.next.load(Relaxed);
            let is_its =
                stock.kind.load(Relaxed) == kind && stock.location.load(Relaxed) == location;
            if !is_its || next >= stock.end.load(Relaxed) {
                return None;
            }
            interrupted::here();
            stock.next.store(next + 1, Relaxed);
            Some(next)
        })
    }

    /// Runs `body` while signal handlers leave the stock alone.
    #[inline]
    fn change<R>(&self, body: impl FnOnce() -> R) -> R {
        self.changes.store(true, Relaxed);
        compiler_fence(SeqCst);
        interrupted::here();
        let result = body();
        compiler_fence(SeqCst);
        self.changes.store(false, Relaxed);
        result
    }

    /// Replaces a stock. Returns the number of ids for locks that were left in it.
    fn refill(
        &self,
        kind: *mut LockKind,
        location: *mut Location<'static>,
        ids: Range<LockId>,
    ) -> u64 {
        let stock = self.of(kind, location);
        self.change(|| {
            let unused = stock.locks();
            stock.kind.store(kind, Relaxed);
            stock.location.store(location, Relaxed);
            stock.next.store(ids.start, Relaxed);
            stock.end.store(ids.end, Relaxed);
            unused
        })
    }

    /// Returns the number of ids left for locks.
    fn locks(&self) -> u64 {
        self.sites.iter().map(SiteStock::locks).sum()
    }
}

impl SiteStock {
    /// Returns the number of ids left, if they are for locks.
    fn locks(&self) -> u64 {
        if !is_for_locks(&self.kind) {
            return 0;
        }
        let left = self.end.load(Relaxed).saturating_sub(self.next.load(Relaxed));
        // Clamped, because another thread may read this between the stores of a change.
        left.min(STOCK_SIZE)
    }
}

impl<const SITES: usize, const BLOCKS: usize> Table<SITES, BLOCKS> {
    const fn new() -> Self {
        Self {
            adding: Mutex::new(0),
            last_block: AtomicUsize::new(0),
            unattributed: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            blocks: [const { Block { start: AtomicU64::new(0), site_and_size: AtomicU64::new(0) } };
                BLOCKS],
            sites: [const {
                CreationSite {
                    location: AtomicPtr::new(ptr::null_mut()),
                    kind: AtomicPtr::new(ptr::null_mut()),
                    taken: AtomicU64::new(0),
                }
            }; SITES],
        }
    }

    /// Takes at least one id for locks of a site, and at most `most`.
    fn take(
        &self,
        kind: *mut LockKind,
        location: *mut Location<'static>,
        most: u64,
    ) -> Range<LockId> {
        let ids = self.site(kind, location).and_then(|site| self.take_from(site, most));
        ids.unwrap_or_else(|| self.unattributed(most))
    }

    /// Takes ids that belong to no site.
    fn unattributed(&self, count: u64) -> Range<LockId> {
        let start = UNATTRIBUTED + self.unattributed.fetch_add(count, Relaxed);
        start..start + count
    }

    /// Returns the index of a site. Adds it if it is new and there is room.
    ///
    /// Two threads that add one site concurrently may create two entries, which does no harm.
    fn site(&self, kind: *mut LockKind, location: *mut Location<'static>) -> Option<SiteIndex> {
        let sum = kind.addr().wrapping_mul(31).wrapping_add(location.addr()) as u64;
        #[allow(clippy::cast_possible_truncation, reason = "the high bits are meant")]
        let start = (sum.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize;
        let places = (0..MAX_PROBES.min(SITES)).map(|step| (start + step) % SITES);
        for at in places.filter(|&at| at != UNKNOWN_SITE) {
            let site = &self.sites[at];
            // No load first: it would fault the page in twice, for reading and for writing.
            match site.location.compare_exchange(ptr::null_mut(), location, Acquire, Acquire) {
                Ok(_) => {
                    site.kind.store(kind, Release);
                    return Some(at);
                }
                Err(known) if known == location && site.kind.load(Acquire) == kind => {
                    return Some(at);
                }
                Err(_) => {}
            }
        }
        None
    }

    /// Takes ids of a site. Returns `None` if it needs another block and there is none left.
    fn take_from(&self, at: SiteIndex, most: u64) -> Option<Range<LockId>> {
        let site = &self.sites[at];
        loop {
            let before = site.taken.load(Acquire);
            let (block, taken) = ((before >> 32) as usize, before & 0xFFFF_FFFF);
            if block != 0 {
                let block = &self.blocks[block];
                let left = (1 << block.size()) - taken;
                // Most sites create few locks, so they should not leave ids in every thread.
                let most = if block.size() <= FIRST_SIZE + 1 { 1 } else { most };
                let count = most.min(left);
                if count > 0 {
                    let after = before + count;
                    if site.taken.compare_exchange_weak(before, after, Acquire, Relaxed).is_ok() {
                        let start = block.start.load(Relaxed) + taken;
                        return Some(start..start + count);
                    }
                    continue;
                }
            }
            self.add_block(at, block)?;
        }
    }

    /// Adds a block for a site whose last one is used up, unless another thread already has.
    #[cold]
    fn add_block(&self, at: SiteIndex, last: usize) -> Option<()> {
        let mut last_id = self.adding.lock();
        let site = &self.sites[at];
        if site.taken.load(Relaxed) >> 32 != last as u64 {
            return Some(());
        }
        let size = match last {
            0 => FIRST_SIZE,
            _ => (self.blocks[last].size() + 1).min(LARGEST_SIZE),
        };
        let next = self.last_block.load(Relaxed) + 1;
        let block = self.blocks.get(next)?;
        let start = *last_id + 1;
        let end = start + (1 << size);
        if end > UNATTRIBUTED {
            return None;
        }
        block.start.store(start, Relaxed);
        block.site_and_size.store(at as u64 | u64::from(size) << 32, Relaxed);
        *last_id = end - 1;
        self.last_block.store(next, Release);
        site.taken.store((next as u64) << 32, Release);
        Some(())
    }

    fn block_of(&self, lock: LockId) -> (Range<LockId>, SiteIndex) {
        if lock >= UNATTRIBUTED {
            return (UNATTRIBUTED..LockId::MAX, UNKNOWN_SITE);
        }
        let blocks = &self.blocks[1..=self.last_block.load(Acquire)];
        let after = blocks.partition_point(|block| block.start.load(Relaxed) <= lock);
        let Some(block) = after.checked_sub(1).map(|at| &blocks[at]) else {
            return (0..1, UNKNOWN_SITE);
        };
        let start = block.start.load(Relaxed);
        let ids = start..start + (1 << block.size());
        // This thread may not see the block yet, if it got the id other than through the table.
        let site = if ids.contains(&lock) { block.site() } else { UNKNOWN_SITE };
        (ids, site)
    }

    #[allow(unsafe_code, reason = "std has no atomic reference")]
    fn of(&self, lock: LockId) -> (&'static LockKind, Option<&'static Location<'static>>) {
        let site = &self.sites[self.block_of(lock).1];
        let location = site.location.load(Acquire);
        let location = if location == NO_LOCATION { ptr::null_mut() } else { location };
        // SAFETY: each pointer is null or comes from a `'static` reference.
        unsafe { (site.kind.load(Acquire).as_ref().unwrap_or(&UNKNOWN_KIND), location.as_ref()) }
    }

    /// Returns the number of ids taken for locks and not abandoned. Ids of no site count as locks.
    fn taken(&self) -> u64 {
        let _adding = self.adding.lock();
        let last = self.last_block.load(Relaxed);
        let blocks = self.blocks[..=last].iter().enumerate().skip(1);
        let blocks = blocks.filter(|(_, block)| is_for_locks(&self.sites[block.site()].kind));
        let taken = blocks.map(|(at, block)| {
            let last = self.sites[block.site()].taken.load(Relaxed);
            if last >> 32 == at as u64 { last & 0xFFFF_FFFF } else { 1 << block.size() }
        });
        let taken = taken.sum::<u64>() + self.unattributed.load(Relaxed);
        taken.saturating_sub(self.abandoned.load(Relaxed))
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    /// A table in a static that is full soon.
    type Small = Table<16, 8>;

    fn kind() -> *mut LockKind {
        Box::leak(Box::new(LockKind { wrapper: "Mutex", of: LockOf::Nothing, role: Role::Lock }))
    }

    fn here() -> *mut Location<'static> {
        ptr::from_ref(Location::caller()).cast_mut()
    }

    /// Every id leads to the creation site of its lock, through blocks of growing size.
    #[test]
    fn an_id_leads_to_its_creation_site() {
        let table = Table::<1_024, 1_024>::new();
        let sites: Vec<_> =
            (0..20).map(|_| (kind(), here())).chain([(kind(), NO_LOCATION)]).collect();
        let mut ids = HashSet::new();
        for round in 0..200 {
            for &(kind, location) in &sites {
                for id in table.take(kind, location, 1 + round % STOCK_SIZE) {
                    assert!(id != 0 && ids.insert(id));
                    let (found, created) = table.of(id);
                    assert!(ptr::eq(found, kind));
                    let created = created.map_or(NO_LOCATION, |it| ptr::from_ref(it).cast_mut());
                    assert_eq!(created, location);
                    let (block, site) = table.block_of(id);
                    assert!(block.contains(&id) && site != UNKNOWN_SITE);
                }
            }
        }
        assert_eq!(table.taken(), ids.len() as u64);
        assert!(*ids.iter().max().unwrap() < 2 * (64 * 21 + ids.len() as u64), "ids are small");
    }

    /// Sites beyond the capacity are unknown. Their locks still get distinct ids, and known sites
    /// are unaffected.
    #[test]
    fn sites_beyond_the_table_are_unknown() {
        let table = Small::new();
        let known: Vec<_> = (0..4).map(|_| (kind(), here())).collect();
        let first: Vec<_> = known.iter().map(|&(kind, at)| table.take(kind, at, 1).start).collect();
        let mut ids: HashSet<_> = first.iter().copied().collect();
        for _ in 0..100 {
            let (kind, location) = (kind(), here());
            for id in [(); 40].map(|()| table.take(kind, location, 1).start) {
                assert!(ids.insert(id));
            }
        }
        let unknown = ids.iter().filter(|&&id| table.block_of(id).1 == UNKNOWN_SITE);
        for &id in unknown.clone() {
            let (kind, created) = table.of(id);
            assert!(id >= UNATTRIBUTED && created.is_none());
            // Otherwise a guard that was sent could be reported as leaked.
            assert!(ptr::eq(kind, &raw const UNKNOWN_KIND) && kind.guards_can_be_sent());
        }
        assert!(unknown.count() > 3_000);
        for (&(kind, location), id) in known.iter().zip(first) {
            assert!(ptr::eq(table.of(id).0, kind));
            assert!(table.site(kind, location).is_some());
        }
        assert_eq!(table.taken(), ids.len() as u64);
    }

    /// A site that needs a block beyond the capacity continues with ids that lead to no site.
    #[test]
    fn ids_beyond_the_blocks_are_unattributed() {
        let table = Small::new();
        let (kind, location) = (kind(), here());
        // Seven blocks, because the first entry is empty.
        let attributed = (1 << (FIRST_SIZE + 7)) - (1 << FIRST_SIZE);
        let mut ids = HashSet::new();
        while (ids.len() as u64) < attributed {
            ids.extend(table.take(kind, location, STOCK_SIZE));
        }
        assert!(ids.iter().all(|&id| ptr::eq(table.of(id).0, kind)));
        for _ in 0..1_000 {
            for id in table.take(kind, location, STOCK_SIZE) {
                assert!(id >= UNATTRIBUTED && ids.insert(id));
            }
        }
        assert_eq!(table.taken(), attributed + 1_000 * STOCK_SIZE);
    }

    #[test]
    fn threads_take_different_ids() {
        let table = Table::<64, 64>::new();
        let pointers = |_| (AtomicPtr::new(kind()), AtomicPtr::new(here()));
        let sites: Vec<_> = (0..3).map(pointers).collect();
        let take = || {
            let ids = (0..3_000).flat_map(|round: usize| {
                let (kind, location) = &sites[round % 3];
                table.take(kind.load(Relaxed), location.load(Relaxed), 5)
            });
            ids.collect::<Vec<_>>()
        };
        let all = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(take));
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(table.taken(), all.len() as u64);
    }

    /// A stock returns each of its ids once, and counts those that it loses to another site.
    #[test]
    fn a_stock_is_counted() {
        let stock = IdStock::new();
        let here = Some(Location::caller());
        let next = || stock.next(&UNKNOWN_KIND, here);
        let refill = |ids| stock.refill(kind_address(&UNKNOWN_KIND), location_address(here), ids);
        assert_eq!((next(), stock.locks()), (None, 0));
        assert_eq!(refill(7..10), 0);
        assert_eq!([next(), next()], [Some(7), Some(8)]);
        assert_eq!(stock.next(&UNKNOWN_KIND, None), None);
        assert_eq!((stock.locks(), refill(20..21)), (1, 1));
        assert_eq!([next(), next()], [Some(20), None]);
        assert_eq!(stock.locks(), 0);
    }
}
