//! Raw locks that unwind: what is recorded as held is what lock_api says is held then.
#![cfg(all(
    feature = "parking_lot",
    feature = "parking_lot_0_13",
    any(debug_assertions, feature = "enforce")
))]
#![allow(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "raw locks that forward to parking_lot's: the state and its mode are the caller's"
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use lockdep::Trackable;

/// Gives a lock a name, by which `is_held` finds it.
fn named<L: Trackable>(lock: L, name: &str) -> L {
    lockdep::name(&lock, name);
    lock
}

fn is_held(name: &str) -> bool {
    lockdep::held().to_string().contains(&format!("`{name}`"))
}

fn unwinds<R>(operation: impl FnOnce() -> R) {
    let unwound = catch_unwind(AssertUnwindSafe(operation)).err().expect("it unwinds");
    assert_eq!(unwound.downcast_ref(), Some(&"the raw lock unwinds"));
}

/// Set if the next operation unwinds.
struct Fails(AtomicBool);

impl Fails {
    fn next(&self) {
        self.0.store(true, Relaxed);
    }

    fn check(&self) {
        if self.0.swap(false, Relaxed) {
            std::panic::panic_any("the raw lock unwinds");
        }
    }
}

/// A guard of lock_api 0.4 outlives an operation that unwinds, so its lock is held as before until it is dropped.
mod line_0_4 {
    use ::lock_api::{
        RawRwLockDowngrade, RawRwLockFair, RawRwLockUpgrade, RawRwLockUpgradeDowngrade,
        RawRwLockUpgradeFair, RwLockUpgradableReadGuard, RwLockWriteGuard,
    };
    use lockdep::{lock_api::RawRwLock, parking_lot};

    use super::*;

    type Inner = ::parking_lot::RawRwLock;
    type RwLock<T> = ::lock_api::RwLock<RawRwLock<Raw>, T>;

    static FAILS: Fails = Fails(AtomicBool::new(false));

    struct Raw(Inner);

    unsafe impl ::lock_api::RawRwLock for Raw {
        const INIT: Self = Self(Inner::INIT);
        type GuardMarker = <Inner as ::lock_api::RawRwLock>::GuardMarker;

        fn lock_shared(&self) {
            self.0.lock_shared();
        }
        fn try_lock_shared(&self) -> bool {
            self.0.try_lock_shared()
        }
        unsafe fn unlock_shared(&self) {
            unsafe { self.0.unlock_shared() }
        }
        fn lock_exclusive(&self) {
            self.0.lock_exclusive();
        }
        fn try_lock_exclusive(&self) -> bool {
            self.0.try_lock_exclusive()
        }
        unsafe fn unlock_exclusive(&self) {
            unsafe { self.0.unlock_exclusive() }
        }
    }

    unsafe impl RawRwLockFair for Raw {
        unsafe fn unlock_shared_fair(&self) {
            unsafe { self.0.unlock_shared_fair() }
        }
        unsafe fn unlock_exclusive_fair(&self) {
            unsafe { self.0.unlock_exclusive_fair() }
        }
        unsafe fn bump_shared(&self) {
            FAILS.check();
        }
        unsafe fn bump_exclusive(&self) {
            FAILS.check();
        }
    }

    unsafe impl RawRwLockDowngrade for Raw {
        unsafe fn downgrade(&self) {
            FAILS.check();
            unsafe { self.0.downgrade() }
        }
    }

    unsafe impl RawRwLockUpgrade for Raw {
        fn lock_upgradable(&self) {
            self.0.lock_upgradable();
        }
        fn try_lock_upgradable(&self) -> bool {
            self.0.try_lock_upgradable()
        }
        unsafe fn unlock_upgradable(&self) {
            unsafe { self.0.unlock_upgradable() }
        }
        unsafe fn upgrade(&self) {
            FAILS.check();
            unsafe { self.0.upgrade() }
        }
        unsafe fn try_upgrade(&self) -> bool {
            FAILS.check();
            unsafe { self.0.try_upgrade() }
        }
    }

    unsafe impl RawRwLockUpgradeFair for Raw {
        unsafe fn unlock_upgradable_fair(&self) {
            unsafe { self.0.unlock_upgradable_fair() }
        }
        unsafe fn bump_upgradable(&self) {
            FAILS.check();
        }
    }

    unsafe impl RawRwLockUpgradeDowngrade for Raw {
        unsafe fn downgrade_upgradable(&self) {
            FAILS.check();
            unsafe { self.0.downgrade_upgradable() }
        }
        unsafe fn downgrade_to_upgradable(&self) {
            FAILS.check();
            unsafe { self.0.downgrade_to_upgradable() }
        }
    }

    #[test]
    fn conversions_and_bumps_that_unwind_leave_their_guard() {
        let lock = named(RwLock::new(()), "older");
        let free = || {
            assert!(!is_held("older"), "{}", lockdep::held());
            drop(lock.write());
            FAILS.next();
        };
        free();
        unwinds(|| RwLockWriteGuard::downgrade(lock.write()));
        free();
        unwinds(|| RwLockWriteGuard::downgrade_to_upgradable(lock.write()));
        free();
        unwinds(|| RwLockUpgradableReadGuard::downgrade(lock.upgradable_read()));
        free();
        unwinds(|| RwLockUpgradableReadGuard::upgrade(lock.upgradable_read()));
        free();
        unwinds(|| RwLockUpgradableReadGuard::try_upgrade(lock.upgradable_read()).is_ok());
        free();
        let mut guard = lock.read();
        unwinds(|| ::lock_api::RwLockReadGuard::bump(&mut guard));
        assert!(is_held("older"));
        drop(guard);
        free();
        let mut guard = lock.write();
        unwinds(|| RwLockWriteGuard::bump(&mut guard));
        assert!(is_held("older"));
        drop(guard);
        free();
        let mut guard = lock.upgradable_read();
        unwinds(|| RwLockUpgradableReadGuard::bump(&mut guard));
        assert!(is_held("older"));
        drop(guard);
        assert!(!is_held("older"));
    }

    /// parking_lot panics if a second mutex comes to a condition variable, before it releases that mutex.
    #[test]
    fn a_wait_that_unwinds_leaves_its_guard() {
        let changed = parking_lot::Condvar::new();
        let first = parking_lot::Mutex::new(false);
        let second = named(parking_lot::Mutex::new(()), "second");
        let has_begun = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut is_over = first.lock();
                has_begun.wait();
                changed.wait_while(&mut is_over, |is_over| !*is_over);
            });
            has_begun.wait();
            // Free once the other thread waits.
            drop(first.lock());
            let mut guard = second.lock();
            let waited = catch_unwind(AssertUnwindSafe(|| changed.wait(&mut guard)));
            let was_held = is_held("second");
            drop(guard);
            *first.lock() = true;
            changed.notify_all();
            assert!(waited.is_err() && was_held && !is_held("second"));
        });
    }
}

/// An operation of lock_api 0.5 that consumes the state of a guard releases the lock if it unwinds.
mod line_0_5 {
    use lock_api_0_5::{
        self as lock_api, RawRwLock as _, RawRwLockDowngrade, RawRwLockFair, RawRwLockTimed,
        RawRwLockUpgrade, RawRwLockUpgradeDowngrade, RawRwLockUpgradeFair, RawRwLockUpgradeTimed,
        RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
    };
    use lockdep::lock_api_0_5::RawRwLock;

    use super::*;

    type Inner = parking_lot_0_13::RawRwLock;
    type RwLock<T> = lock_api::RwLock<RawRwLock<Raw>, T>;
    type State = <Inner as lock_api::RawRwLock>::SharedGuard;
    type Duration = <Inner as RawRwLockTimed>::Duration;
    type Instant = <Inner as RawRwLockTimed>::Instant;

    static FAILS: Fails = Fails(AtomicBool::new(false));

    struct Raw(Inner);

    impl Raw {
        /// Releases the lock if the operation is to unwind.
        unsafe fn check(&self, release: unsafe fn(&Inner, State), state: State) -> State {
            if FAILS.0.load(Relaxed) {
                unsafe { release(&self.0, state) };
                FAILS.check();
                unreachable!();
            }
            state
        }
    }

    unsafe impl lock_api::RawRwLock for Raw {
        const INIT: Self = Self(Inner::INIT);
        type SharedGuard = State;
        type ExclusiveGuard = State;

        fn lock_shared(&self) -> State {
            self.0.lock_shared()
        }
        fn try_lock_shared(&self) -> Option<State> {
            self.0.try_lock_shared()
        }
        unsafe fn unlock_shared(&self, state: State) {
            unsafe { self.0.unlock_shared(state) }
            FAILS.check();
        }
        fn lock_exclusive(&self) -> State {
            self.0.lock_exclusive()
        }
        fn try_lock_exclusive(&self) -> Option<State> {
            self.0.try_lock_exclusive()
        }
        unsafe fn unlock_exclusive(&self, state: State) {
            unsafe { self.0.unlock_exclusive(state) }
            FAILS.check();
        }
        fn is_locked(&self) -> bool {
            self.0.is_locked()
        }
        fn is_locked_exclusive(&self) -> bool {
            self.0.is_locked_exclusive()
        }
    }

    unsafe impl RawRwLockFair for Raw {
        unsafe fn unlock_shared_fair(&self, state: State) {
            unsafe { self.unlock_shared(state) }
        }
        unsafe fn unlock_exclusive_fair(&self, state: State) {
            unsafe { self.unlock_exclusive(state) }
        }
        unsafe fn bump_shared(&self, _: &mut State) {
            FAILS.check();
        }
        unsafe fn bump_exclusive(&self, _: &mut State) {
            FAILS.check();
        }
    }

    unsafe impl RawRwLockDowngrade for Raw {
        unsafe fn downgrade(&self, state: State) -> State {
            unsafe { self.check(Inner::unlock_shared, self.0.downgrade(state)) }
        }
    }

    unsafe impl RawRwLockTimed for Raw {
        type Duration = Duration;
        type Instant = Instant;

        fn try_lock_shared_for(&self, timeout: Duration) -> Option<State> {
            self.0.try_lock_shared_for(timeout)
        }
        fn try_lock_shared_until(&self, timeout: Instant) -> Option<State> {
            self.0.try_lock_shared_until(timeout)
        }
        fn try_lock_exclusive_for(&self, timeout: Duration) -> Option<State> {
            self.0.try_lock_exclusive_for(timeout)
        }
        fn try_lock_exclusive_until(&self, timeout: Instant) -> Option<State> {
            self.0.try_lock_exclusive_until(timeout)
        }
    }

    unsafe impl RawRwLockUpgrade for Raw {
        type UpgradableGuard = State;

        fn lock_upgradable(&self) -> State {
            self.0.lock_upgradable()
        }
        fn try_lock_upgradable(&self) -> Option<State> {
            self.0.try_lock_upgradable()
        }
        unsafe fn unlock_upgradable(&self, state: State) {
            unsafe { self.0.unlock_upgradable(state) }
            FAILS.check();
        }
        unsafe fn upgrade(&self, state: State) -> State {
            unsafe { self.check(Inner::unlock_exclusive, self.0.upgrade(state)) }
        }
        unsafe fn try_upgrade(&self, state: State) -> Result<State, State> {
            let state = unsafe { self.0.try_upgrade(state)? };
            Ok(unsafe { self.check(Inner::unlock_exclusive, state) })
        }
    }

    unsafe impl RawRwLockUpgradeFair for Raw {
        unsafe fn unlock_upgradable_fair(&self, state: State) {
            unsafe { self.unlock_upgradable(state) }
        }
        unsafe fn bump_upgradable(&self, _: &mut State) {
            FAILS.check();
        }
    }

    unsafe impl RawRwLockUpgradeDowngrade for Raw {
        unsafe fn downgrade_upgradable(&self, state: State) -> State {
            unsafe { self.check(Inner::unlock_shared, self.0.downgrade_upgradable(state)) }
        }
        unsafe fn downgrade_to_upgradable(&self, state: State) -> State {
            unsafe { self.check(Inner::unlock_upgradable, self.0.downgrade_to_upgradable(state)) }
        }
    }

    unsafe impl RawRwLockUpgradeTimed for Raw {
        fn try_lock_upgradable_for(&self, timeout: Duration) -> Option<State> {
            self.0.try_lock_upgradable_for(timeout)
        }
        fn try_lock_upgradable_until(&self, timeout: Instant) -> Option<State> {
            self.0.try_lock_upgradable_until(timeout)
        }
        unsafe fn try_upgrade_for(&self, state: State, _: Duration) -> Result<State, State> {
            unsafe { self.try_upgrade(state) }
        }
        unsafe fn try_upgrade_until(&self, state: State, _: Instant) -> Result<State, State> {
            unsafe { self.try_upgrade(state) }
        }
    }

    #[test]
    fn operations_that_unwind_release_what_they_consume() {
        use {
            RwLockReadGuard as Read, RwLockUpgradableReadGuard as Upgradable,
            RwLockWriteGuard as Write,
        };

        let lock = named(RwLock::new(()), "newer");
        let soon = Duration::from_millis(1);
        let operations: [&dyn Fn(); 13] = [
            &|| drop(Write::downgrade(lock.write())),
            &|| drop(Write::downgrade_to_upgradable(lock.write())),
            &|| drop(Upgradable::downgrade(lock.upgradable_read())),
            &|| drop(Upgradable::upgrade(lock.upgradable_read())),
            &|| drop(Upgradable::try_upgrade(lock.upgradable_read())),
            &|| drop(Upgradable::try_upgrade_for(lock.upgradable_read(), soon)),
            &|| drop(Upgradable::try_upgrade_until(lock.upgradable_read(), Instant::now() + soon)),
            &|| drop(lock.read()),
            &|| drop(lock.write()),
            &|| drop(lock.upgradable_read()),
            &|| Read::unlock_fair(lock.read()),
            &|| Write::unlock_fair(lock.write()),
            &|| Upgradable::unlock_fair(lock.upgradable_read()),
        ];
        for (number, operation) in operations.iter().enumerate() {
            FAILS.next();
            unwinds(operation);
            assert!(!is_held("newer"), "after operation {number}: {}", lockdep::held());
            // Neither a false self-deadlock nor a lock that is not free.
            drop(lock.write());
        }
        let (mut reader, is_read) = (lock.read(), || is_held("newer"));
        FAILS.next();
        unwinds(|| Read::bump(&mut reader));
        assert!(is_read());
        drop(reader);
        let mut upgradable = lock.upgradable_read();
        FAILS.next();
        unwinds(|| Upgradable::bump(&mut upgradable));
        assert!(is_read());
        drop(upgradable);
        let mut writer = lock.write();
        FAILS.next();
        unwinds(|| Write::bump(&mut writer));
        assert!(is_read());
        drop(writer);
        assert!(!is_read());
    }
}

/// A recursive reader passes waiting writers when it acquires a lock, and so it does after a bump.
#[test]
fn a_recursive_reader_that_bumps_waits_for_no_other_reader() {
    type Raw = lockdep::lock_api_0_5::RawRwLockRecursive<parking_lot_0_13::RawRwLockRecursive>;
    let rate = lock_api_0_5::RwLock::<Raw, i32>::new(3);
    let lock = lockdep::sync::Mutex::new(());
    let findings = lockdep::testing::Scope::new();
    let on_a_thread = |body: &(dyn Fn() + Sync)| {
        thread::scope(|scope| drop(scope.spawn(findings.inside(body)).join()));
    };
    on_a_thread(&|| drop(rate.write()));
    on_a_thread(&|| drop((rate.read(), lock.lock())));
    on_a_thread(&|| {
        let _guard = lock.lock();
        lock_api_0_5::RwLockReadGuard::bump(&mut rate.read());
    });
    findings.assert_no_findings();
}
