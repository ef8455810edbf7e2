//! Code inserted at points of locks of all flavours: its panics, and how often it runs.
#![cfg(all(
    any(debug_assertions, feature = "enforce"),
    feature = "interleave",
    feature = "parking_lot"
))]

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::PoisonError,
    thread,
    time::Duration,
};

use lockdep::{
    interleave::{self, Point, Schedule, acquire, at, inside, point, release},
    parking_lot::{self, lock_api::RwLockUpgradableReadGuard},
    sync::{Arc, Condvar, Mutex, Once, RwLock},
    testing::Scope,
};

const A_MOMENT: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Locks {
    mutex: Mutex<()>,
    rwlock: RwLock<()>,
    raw_mutex: parking_lot::Mutex<()>,
    raw_rwlock: parking_lot::RwLock<()>,
}

impl Locks {
    /// Acquires each lock in every way.
    fn take_all(&self) {
        drop((self.mutex.lock(), self.rwlock.read()));
        drop((self.mutex.try_lock(), self.rwlock.try_write()));
        drop(self.rwlock.write());
        let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        drop(Condvar::new().wait_timeout(guard, A_MOMENT));
        drop((self.raw_mutex.try_lock(), self.raw_rwlock.read_recursive()));
        drop((self.raw_mutex.try_lock_for(A_MOMENT), self.raw_rwlock.try_write_for(A_MOMENT)));
        let upgradable = self.raw_rwlock.upgradable_read();
        drop(RwLockUpgradableReadGuard::upgrade(upgradable));
        let upgradable = self.raw_rwlock.upgradable_read();
        drop(RwLockUpgradableReadGuard::try_upgrade(upgradable));
        let mut guard = self.raw_mutex.lock();
        parking_lot::Condvar::new().wait_for(&mut guard, A_MOMENT);
        parking_lot::MutexGuard::bump(&mut guard);
        parking_lot::MutexGuard::unlocked(&mut guard, || {});
    }

    fn are_free(&self) -> bool {
        self.mutex.clear_poison();
        self.rwlock.clear_poison();
        self.mutex.try_lock().is_ok()
            && self.rwlock.try_write().is_ok()
            && self.raw_mutex.try_lock().is_some()
            && self.raw_rwlock.try_write().is_some()
    }
}

/// A point of a lock, and whether code is to run before it.
type Place = fn(&str) -> (bool, Point);

/// A failed assertion in inserted code fails a test, but it must not leave a lock held that other
/// threads wait for.
#[test]
fn what_panics_at_a_point_leaves_no_lock_behind() {
    let scope = Scope::new();
    let locks = Locks::default();
    let mut thrown = 0;
    let places: [Place; 4] = [
        |lock| (true, acquire(lock)),
        |lock| (false, acquire(lock)),
        |lock| (true, release(lock)),
        |lock| (false, release(lock)),
    ];
    for place in places {
        for lock in ["mutex", "rwlock", "raw_mutex", "raw_rwlock"] {
            for time in 1..10 {
                let (is_before, point) = place(lock);
                let passed = Cell::new(0);
                let code = || {
                    passed.set(passed.get() + 1);
                    assert_ne!(passed.get(), time, "on purpose");
                };
                let take_all = || locks.take_all();
                let result = catch_unwind(AssertUnwindSafe(|| {
                    if is_before {
                        interleave::before(point, code).every_time().within(take_all);
                    } else {
                        interleave::after(point, code).every_time().within(take_all);
                    }
                }));
                assert_eq!(result.is_err(), passed.get() >= time, "{lock}, {time}");
                thrown += u32::from(result.is_err());
                assert!(locks.are_free(), "{lock}, {time}");
                scope.assert_no_findings();
            }
        }
    }
    assert!(thrown > 40, "{thrown}");
}

/// Returns how often code ran before and after an operation on a lock.
fn times(point: impl Fn() -> Point, body: impl FnOnce()) -> (u32, u32) {
    let (before, after) = (Cell::new(0), Cell::new(0));
    interleave::before(point(), || before.set(before.get() + 1)).every_time().within(|| {
        interleave::after(point(), || after.set(after.get() + 1)).every_time().within(body);
    });
    (before.get(), after.get())
}

#[test]
fn each_passage_is_one() {
    let once = Once::new();
    assert_eq!(times(|| acquire(&once), || once.call_once(|| {})), (1, 1));
    let lock = Mutex::new(());
    let wait = || {
        let guard = lock.lock().unwrap();
        drop(Condvar::new().wait_timeout(guard, A_MOMENT));
    };
    // Before it is acquired again, the thread cannot be stopped.
    assert_eq!(times(|| acquire(&lock), wait), (1, 1));
    assert_eq!(times(|| release(&lock), wait), (2, 2));
    let lock = parking_lot::Mutex::new(());
    let bump = || parking_lot::MutexGuard::bump(&mut lock.lock());
    assert_eq!(times(|| acquire(&lock), bump), (2, 2));
    assert_eq!(times(|| release(&lock), bump), (2, 2));
    let lock = parking_lot::RwLock::new(());
    let upgrade = || drop(RwLockUpgradableReadGuard::upgrade(lock.upgradable_read()));
    assert_eq!(times(|| acquire(&lock), upgrade), (2, 2));
    let upgrade = || drop(RwLockUpgradableReadGuard::try_upgrade(lock.upgradable_read()));
    assert_eq!(times(|| acquire(&lock), upgrade), (2, 2));
    assert_eq!(times(|| release(&lock), upgrade), (1, 1));
}

/// A bumped guard holds its lock once, so its release leaves nothing held.
#[test]
fn a_lock_that_was_bumped_makes_no_dead_end() {
    let lock = parking_lot::Mutex::new(());
    Schedule::new().order([at("after bump", "got it"), at("bumper", "late")]).run(|| {
        thread::scope(|scope| {
            let (is_bumped, when_bumped) = std::sync::mpsc::channel();
            let lock = &lock;
            scope.spawn(inside("bumper", move || {
                parking_lot::MutexGuard::bump(&mut lock.lock());
                is_bumped.send(()).unwrap();
                point!("late");
            }));
            when_bumped.recv().unwrap();
            let guard = lock.lock();
            scope.spawn(inside("after bump", move || {
                drop(lock.lock());
                point!("got it");
            }));
            // Until it waits.
            thread::sleep(Duration::from_millis(50));
            drop(guard);
        });
    });
}

thread_local! {
    static LAST: Cell<Option<AtTheEnd>> = const { Cell::new(None) };
}

/// Reaches points while its thread's locals are destroyed.
struct AtTheEnd(Arc<Mutex<u32>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        point!("at the end");
        *self.0.lock().unwrap() += 1;
        inside("a role", || {})();
        interleave::before("inserted", || {}).within(|| point!("inserted"));
    }
}

#[test]
fn a_thread_that_ends_may_come_to_points() {
    let count = Arc::new(Mutex::new(0));
    let first = |count: Arc<Mutex<u32>>| {
        LAST.set(Some(AtTheEnd(Arc::clone(&count))));
        drop(count.lock());
        point!("there");
    };
    let last = |count: Arc<Mutex<u32>>| {
        drop(count.lock());
        point!("there");
        LAST.set(Some(AtTheEnd(count)));
    };
    for body in [first, last] {
        Schedule::new().order([at("ends", "there")]).run(|| {
            let count = Arc::clone(&count);
            let thread = thread::Builder::new().name("ends".into());
            thread.spawn(move || body(count)).unwrap().join().unwrap();
        });
    }
    assert_eq!(*count.lock().unwrap(), 2);
}
