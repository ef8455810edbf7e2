// Which auto traits the types implement, and which they must not.

use std::{
    cell::Cell,
    fmt::{Debug, Display},
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
    rc::Rc,
};

/// Evaluates to `true` if a type has a trait: an inherent constant takes precedence over a trait's,
/// which is the fallback.
macro_rules! has {
    ($type:ty: $bound:path) => {{
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code, reason = "unused where the type has the trait")]
        trait Fallback {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Fallback for Probe<T> {}
        #[allow(dead_code, reason = "unused where the type has not")]
        impl<T: ?Sized + $bound> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

/// `Send Sync UnwindSafe RefUnwindSafe Unpin`, a digit each.
macro_rules! auto {
    ($type:ty) => {
        [
            has!($type: Send),
            has!($type: Sync),
            has!($type: UnwindSafe),
            has!($type: RefUnwindSafe),
            has!($type: Unpin),
        ]
        .map(u8::from)
    };
}

/// `Send`, not `Sync`, not `RefUnwindSafe`.
type Local = Cell<u8>;
/// Nothing but `Unpin`.
type Stuck = Rc<Cell<u8>>;
/// Not even `Debug`.
struct Silent;
/// All but `Send`.
type Tied = std::sync::MutexGuard<'static, u8>;

#[test]
fn locks() {
    assert_eq!(auto!(sync::Mutex<Local>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::Mutex<Stuck>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(sync::Mutex<[u8]>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLock<Local>), [1, 0, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLock<Stuck>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(sync::Condvar), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::Once), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::OnceLock<u8>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::OnceLock<Local>), [1, 0, 1, 0, 1]);
    assert_eq!(auto!(sync::OnceLock<Stuck>), [0, 0, 0, 0, 1]);
    assert_eq!(auto!(sync::LazyLock<u8>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::LazyLock<Local>), [1, 0, 1, 0, 1]);
    assert_eq!(auto!(sync::LazyLock<u8, Local>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::LazyLock<u8, Stuck>), [0, 0, 0, 0, 1]);
}

#[test]
fn channels_and_barriers() {
    use sync::mpsc;
    assert_eq!(auto!(mpsc::Sender<u8>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(mpsc::Sender<Local>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(mpsc::Sender<Stuck>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::SyncSender<Local>), [1, 1, 1, 1, 1]);
    assert_eq!(auto!(mpsc::SyncSender<Stuck>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::Receiver<Local>), [1, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::Receiver<Stuck>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::Iter<'static, Local>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::TryIter<'static, Local>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::IntoIter<Local>), [1, 0, 1, 1, 1]);
    assert_eq!(auto!(mpsc::IntoIter<Stuck>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(sync::Barrier), [1, 1, 1, 1, 1]);
    assert!(has!(mpsc::Sender<Stuck>: Clone) && has!(mpsc::Sender<Tied>: Debug));
    assert!(has!(mpsc::SyncSender<Stuck>: Clone) && has!(mpsc::SyncSender<Tied>: Debug));
    assert!(!has!(mpsc::Receiver<u8>: Clone) && has!(mpsc::Receiver<Tied>: Debug));
    assert!(has!(mpsc::Iter<'static, u8>: Debug) && !has!(mpsc::Iter<'static, Silent>: Debug));
    assert!(!has!(mpsc::TryIter<'static, Silent>: Debug));
    assert!(!has!(mpsc::IntoIter<Silent>: Debug) && !has!(mpsc::IntoIter<u8>: Clone));
    assert!(!has!(sync::Barrier: Default) && has!(sync::Barrier: Debug));
}

#[test]
fn guards() {
    assert_eq!(auto!(sync::MutexGuard<'static, u8>), [0, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::MutexGuard<'static, Tied>), [0, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLockReadGuard<'static, Tied>), [0, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLockWriteGuard<'static, Tied>), [0, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::MutexGuard<'static, Local>), [0, 0, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLockReadGuard<'static, u8>), [0, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLockReadGuard<'static, Local>), [0, 0, 0, 0, 1]);
    assert_eq!(auto!(sync::RwLockWriteGuard<'static, u8>), [0, 1, 1, 1, 1]);
    assert_eq!(auto!(sync::RwLockWriteGuard<'static, Local>), [0, 0, 1, 1, 1]);
}

#[test]
fn other_traits() {
    assert!(has!(sync::MutexGuard<'static, u8>: Display));
    assert!(!has!(sync::MutexGuard<'static, Local>: Display));
    assert!(has!(sync::MutexGuard<'static, Local>: Debug));
    assert!(has!(sync::RwLockReadGuard<'static, u8>: Display));
    assert!(has!(sync::RwLockWriteGuard<'static, u8>: Display));
    assert!(has!(sync::Mutex<[u8]>: Debug));
    assert!(!has!(sync::Mutex<u8>: Clone));
    assert!(!has!(sync::Once: Default));
    assert!(has!(sync::Condvar: Default));
    assert!(has!(sync::OnceLock<u8>: Clone));
    assert!(has!(sync::OnceLock<u8>: Eq));
    assert!(has!(sync::OnceLock<Rc<u8>>: Default));
    assert!(has!(sync::LazyLock<u8>: Default));
    assert!(!has!(sync::LazyLock<u8, Local>: Default));
}

/// A guard may stand for one with a shorter borrow of its lock, and a reader's guard for one of a
/// value with a shorter lifetime. That a writer's guard may not is tested by `compile_fail` tests
/// in `lockdep::sync`.
#[test]
fn variance() {
    fn _mutex<'short, 'long: 'short, T: ?Sized>(
        guard: sync::MutexGuard<'long, T>,
    ) -> sync::MutexGuard<'short, T> {
        guard
    }
    fn _write<'short, 'long: 'short, T: ?Sized>(
        guard: sync::RwLockWriteGuard<'long, T>,
    ) -> sync::RwLockWriteGuard<'short, T> {
        guard
    }
    fn shorter<'a, 'b>(
        guard: sync::RwLockReadGuard<'a, &'static str>,
        _: &'b str,
    ) -> sync::RwLockReadGuard<'a, &'b str>
    where
        'b: 'a,
    {
        guard
    }
    let lock = sync::RwLock::new("static");
    let shorter_lived = String::from("shorter");
    assert_eq!(*shorter(lock.read().unwrap(), &shorter_lived), "static");
}
