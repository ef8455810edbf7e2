//! Both sides of the switch: the library's own checked types, or `std::sync` itself.

use std::any::TypeId;

use crate::support::in_a_child;

/// Evaluates to `true` if a type of `lockdep::sync` is that of `std::sync`.
macro_rules! is_std {
    ($($type:tt)*) => {
        TypeId::of::<lockdep::sync::$($type)*>() == TypeId::of::<std::sync::$($type)*>()
    };
}

#[test]
fn what_is_checked_is_ours_and_only_then() {
    assert_eq!(lockdep::ENABLED, cfg!(any(debug_assertions, feature = "enforce")));
    let is_std = [
        is_std!(Mutex<u8>),
        is_std!(MutexGuard<'static, u8>),
        is_std!(RwLock<u8>),
        is_std!(RwLockReadGuard<'static, u8>),
        is_std!(RwLockWriteGuard<'static, u8>),
        is_std!(Condvar),
        is_std!(Once),
        is_std!(OnceLock<u8>),
        is_std!(LazyLock<u8>),
        is_std!(Barrier),
        is_std!(mpsc::Sender<u8>),
        is_std!(mpsc::SyncSender<u8>),
        is_std!(mpsc::Receiver<u8>),
        is_std!(mpsc::Iter<'static, u8>),
        is_std!(mpsc::TryIter<'static, u8>),
        is_std!(mpsc::IntoIter<u8>),
    ];
    assert_eq!(is_std, [!lockdep::ENABLED; 16]);
}

#[test]
fn everything_else_is_always_std() {
    let is_std = [
        is_std!(Arc<u8>),
        is_std!(Weak<u8>),
        is_std!(BarrierWaitResult),
        is_std!(OnceState),
        is_std!(PoisonError<u8>),
        is_std!(TryLockError<u8>),
        is_std!(LockResult<u8>),
        is_std!(WaitTimeoutResult),
        is_std!(mpsc::SendError<u8>),
        is_std!(mpsc::TrySendError<u8>),
        is_std!(mpsc::RecvError),
        is_std!(mpsc::RecvTimeoutError),
        is_std!(mpsc::TryRecvError),
        is_std!(atomic::AtomicU8),
    ];
    assert_eq!(is_std, [true; 14]);
}

/// The same for parking_lot, and for any raw lock of lock_api.
#[cfg(feature = "parking_lot")]
#[test]
fn parking_lot_is_ours_only_when_checked() {
    macro_rules! is_parking_lot {
        ($($type:tt)*) => {
            TypeId::of::<lockdep::parking_lot::$($type)*>()
                == TypeId::of::<parking_lot::$($type)*>()
        };
    }
    let is_real = [
        is_parking_lot!(Mutex<u8>),
        is_parking_lot!(FairMutex<u8>),
        is_parking_lot!(ReentrantMutex<u8>),
        is_parking_lot!(RwLock<u8>),
        is_parking_lot!(RwLockUpgradableReadGuard<'static, u8>),
        is_parking_lot!(Condvar),
        is_parking_lot!(Once),
        is_parking_lot!(RawMutex),
        TypeId::of::<lockdep::lock_api::RawMutex<parking_lot::RawMutex>>()
            == TypeId::of::<parking_lot::RawMutex>(),
    ];
    assert_eq!(is_real, [!lockdep::ENABLED; 9]);
}

#[cfg(feature = "parking_lot_0_13")]
#[test]
fn parking_lot_0_13_is_ours_only_when_checked() {
    macro_rules! is_parking_lot {
        ($($type:tt)*) => {
            TypeId::of::<lockdep::parking_lot_0_13::$($type)*>()
                == TypeId::of::<parking_lot_0_13::$($type)*>()
        };
    }
    let is_real = [
        is_parking_lot!(Mutex<u8>),
        is_parking_lot!(ReentrantMutex<u8>),
        is_parking_lot!(RwLock<u8>),
        is_parking_lot!(RecursiveRwLock<u8>),
        is_parking_lot!(Condvar),
        is_parking_lot!(Once),
        TypeId::of::<lockdep::lock_api_0_5::RawMutex<parking_lot_0_13::RawMutex>>()
            == TypeId::of::<parking_lot_0_13::RawMutex>(),
    ];
    assert_eq!(is_real, [!lockdep::ENABLED; 7]);
}

#[cfg(feature = "once_cell")]
#[test]
fn once_cell_is_ours_only_when_checked() {
    use lockdep::once_cell::sync as ours;
    let is_real = [
        TypeId::of::<ours::OnceCell<u8>>() == TypeId::of::<once_cell::sync::OnceCell<u8>>(),
        TypeId::of::<ours::Lazy<u8>>() == TypeId::of::<once_cell::sync::Lazy<u8>>(),
    ];
    assert_eq!(is_real, [!lockdep::ENABLED; 2]);
}

#[cfg(feature = "tokio")]
#[test]
fn tokio_is_ours_only_when_checked() {
    macro_rules! is_tokio {
        ($($type:tt)*) => {
            TypeId::of::<lockdep::tokio::$($type)*>() == TypeId::of::<tokio::$($type)*>()
        };
    }
    let is_real = [
        is_tokio!(sync::Mutex<u8>),
        is_tokio!(task::JoinSet<u8>),
        is_tokio!(task::LocalSet),
        is_tokio!(runtime::Builder),
        is_tokio!(runtime::Handle),
        is_tokio!(runtime::Runtime),
    ];
    assert_eq!(is_real, [!lockdep::ENABLED; 6]);
    let is_real = [
        is_tokio!(task::AbortHandle),
        is_tokio!(task::JoinError),
        is_tokio!(task::JoinHandle<u8>),
        is_tokio!(task::LocalEnterGuard),
        is_tokio!(runtime::EnterGuard<'static>),
        is_tokio!(runtime::RuntimeFlavor),
        is_tokio!(runtime::TryCurrentError),
        is_tokio!(time::Sleep),
    ];
    assert_eq!(is_real, [true; 8]);
}

/// The functions exist in both, so that no program needs a `cfg` for them.
#[test]
fn the_functions_work_in_both() {
    let child = in_a_child(the_functions_work_in_both, || {
        let lock = lockdep::sync::Mutex::new(1);
        lockdep::name(&lock, "switched");
        lockdep::set_level(lockdep::FindingKind::Inversion, lockdep::Level::Deny);
        let _guard = lock.lock().unwrap();
        let held = lockdep::held();
        assert_eq!(held.to_string().contains("`switched` (exclusive)"), lockdep::ENABLED);
        let mut all = held.threads().iter().flat_map(lockdep::ThreadSnapshot::held);
        let it = all.find(|it| it.lock().name() == Some("switched"));
        assert_eq!(
            it.map(lockdep::LockUse::mode),
            lockdep::ENABLED.then_some(lockdep::Mode::Exclusive)
        );
        assert!(it.is_none_or(|it| it.since().file() == file!()));
        assert_eq!(lockdep::allow(|| 2), 2);
        assert!(lockdep::take_findings().is_empty());
        assert!(lockdep::order_graph().to_dot().starts_with("digraph"));
        assert_eq!(lockdep::stats().locks() > 0, lockdep::ENABLED);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Without checks, an event consists of its name only.
#[test]
fn an_event_is_there_in_both() {
    use std::mem::size_of;

    use lockdep::external::{Event, Owed};

    static EVENT: Event = Event::new("switched event");
    let owes: Owed<'_> = EVENT.owe();
    assert_eq!(
        lockdep::held().to_string().contains("owes       `switched event`"),
        lockdep::ENABLED
    );
    drop(owes);
    assert_eq!((EVENT.wait(|| 1), EVENT.wait_timeout(|| 2)), (1, 2));
    assert_eq!(size_of::<Event>() == size_of::<&str>(), !lockdep::ENABLED);
    assert_eq!(std::mem::needs_drop::<Event>(), lockdep::ENABLED);
}

/// Without checks, inserted code and orders at points that are never passed cause no failure.
/// Unchecked, a resource is the call and nothing else.
#[test]
fn a_resource_is_there_in_both() {
    use lockdep::external::{Held, Mode, Resource};
    if !lockdep::ENABLED {
        assert_eq!((size_of::<Resource>(), size_of::<Held<u64>>()), (0, size_of::<u64>()));
    }
    let order = Resource::new("redis", "order:1").class("order:{}").reentrant();
    let mut held = order.acquire(Mode::Exclusive, || Ok::<_, ()>(3)).unwrap();
    *held += 1;
    assert_eq!((*held, held.into_inner()), (4, 4));
    assert_eq!(order.try_acquire(Mode::Shared, || Err::<(), _>("taken")).unwrap_err(), "taken");
    let (held, ()) = order.acquired(Mode::Exclusive).split();
    drop(held);
    lockdep::name(&order, "the first order");
}

#[test]
#[cfg(feature = "interleave")]
fn interleavings_are_made_only_when_checked() {
    use lockdep::interleave::{self, Schedule, acquire, at, inside, point};

    let lock = lockdep::sync::Mutex::new(0);
    let mut ran = 0;
    interleave::before("switched", || ran += 1).within(|| point!("switched"));
    interleave::after(acquire(&lock), || ran += 1).within(|| *lock.lock().unwrap() += 1);
    assert_eq!(ran, if lockdep::ENABLED { 2 } else { 0 });

    let schedule = Schedule::new().order([at("switched", "here"), at("switched", "nowhere")]);
    let result = schedule.try_run(|| {
        std::thread::scope(|scope| {
            scope.spawn(inside("switched", || point!("here")));
        });
    });
    assert_eq!(result.is_err(), lockdep::ENABLED);

    let mut runs = 0;
    let explored = interleave::explore(0..3, || runs += 1);
    assert_eq!((explored.orders().len(), runs), (3, if lockdep::ENABLED { 4 } else { 3 }));
}

/// The same for rayon-core.
#[cfg(feature = "rayon")]
#[test]
fn rayon_is_checked_and_only_then() {
    macro_rules! is_rayons {
        ($type:ident) => {
            TypeId::of::<lockdep::rayon::$type>() == TypeId::of::<rayon_core::$type>()
        };
    }
    let ours = [is_rayons!(ThreadPool), is_rayons!(ThreadPoolBuilder), is_rayons!(ThreadBuilder)];
    assert_eq!(ours, [!lockdep::ENABLED; 3]);
    let theirs = [is_rayons!(FnContext), is_rayons!(ThreadPoolBuildError), is_rayons!(Yield)];
    assert_eq!(theirs, [true; 3]);
}
