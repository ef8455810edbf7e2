//! Which auto traits the types and the futures implement, compared with tokio's own.

use std::{
    cell::Cell,
    fmt::{Debug, Display},
    marker::{PhantomData, PhantomPinned},
    panic::{RefUnwindSafe, UnwindSafe},
    rc::Rc,
    sync::Arc,
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

/// Returns the traits of one type, for tokio's version and the checked one.
macro_rules! compare {
    ($($type:ident[$($parameters:tt)*])*) => {$(
        let traits = [
            ("Send", compare!(Send, $type[$($parameters)*])),
            ("Sync", compare!(Sync, $type[$($parameters)*])),
            ("UnwindSafe", compare!(UnwindSafe, $type[$($parameters)*])),
            ("RefUnwindSafe", compare!(RefUnwindSafe, $type[$($parameters)*])),
            ("Unpin", compare!(Unpin, $type[$($parameters)*])),
            ("Debug", compare!(Debug, $type[$($parameters)*])),
            ("Display", compare!(Display, $type[$($parameters)*])),
            ("Default", compare!(Default, $type[$($parameters)*])),
            ("Clone", compare!(Clone, $type[$($parameters)*])),
            ("Eq", compare!(Eq, $type[$($parameters)*])),
        ];
        for (name, [theirs, ours]) in traits {
            assert_eq!(theirs, ours, "{name} of {}", stringify!($type<$($parameters)*>));
        }
    )*};
    ($bound:path, $type:ident[$($parameters:tt)*]) => {
        [
            has!(tokio::sync::$type<$($parameters)*>: $bound),
            has!(lockdep::tokio::sync::$type<$($parameters)*>: $bound),
        ]
    };
}

/// `Send`, not `Sync`, not `RefUnwindSafe`.
type Local = Cell<u8>;
/// Nothing but `Unpin`.
type Stuck = Rc<Cell<u8>>;
/// `Sync`, not `Send`.
type Tied = std::sync::MutexGuard<'static, u8>;
/// Not `Unpin`.
type Pinned = PhantomPinned;
/// Not even `Debug`.
struct Silent;

#[test]
fn locks() {
    compare! {
        Mutex[u8] Mutex[Local] Mutex[Stuck] Mutex[Tied] Mutex[Pinned] Mutex[Silent] Mutex[str]
        RwLock[u8] RwLock[Local] RwLock[Stuck] RwLock[Tied] RwLock[Pinned] RwLock[Silent] RwLock[str]
        OnceCell[u8] OnceCell[Local] OnceCell[Stuck] OnceCell[Tied] OnceCell[Pinned] OnceCell[Silent]
        Semaphore[]
    }
}

#[test]
fn guards() {
    compare! {
        MutexGuard['static, u8] MutexGuard['static, Local] MutexGuard['static, Stuck]
        MutexGuard['static, Tied] MutexGuard['static, Pinned] MutexGuard['static, Silent]
        MappedMutexGuard['static, u8] MappedMutexGuard['static, Local]
        MappedMutexGuard['static, Stuck] MappedMutexGuard['static, Tied]
        MappedMutexGuard['static, Pinned] MappedMutexGuard['static, Silent]
        OwnedMutexGuard[u8] OwnedMutexGuard[Local] OwnedMutexGuard[Stuck] OwnedMutexGuard[Tied]
        OwnedMutexGuard[Pinned] OwnedMutexGuard[Silent]
        OwnedMappedMutexGuard[u8] OwnedMappedMutexGuard[u8, Local] OwnedMappedMutexGuard[Local, u8]
        OwnedMappedMutexGuard[u8, Stuck] OwnedMappedMutexGuard[Tied, u8]
        OwnedMappedMutexGuard[Pinned, u8] OwnedMappedMutexGuard[u8, Pinned]
        RwLockReadGuard['static, u8] RwLockReadGuard['static, Local] RwLockReadGuard['static, Stuck]
        RwLockReadGuard['static, Tied] RwLockReadGuard['static, Pinned]
        OwnedRwLockReadGuard[u8] OwnedRwLockReadGuard[u8, Local] OwnedRwLockReadGuard[Local, u8]
        OwnedRwLockReadGuard[u8, Stuck] OwnedRwLockReadGuard[Tied, u8] OwnedRwLockReadGuard[u8, Tied]
        OwnedRwLockReadGuard[Pinned, u8] OwnedRwLockReadGuard[u8, Pinned]
        RwLockWriteGuard['static, u8] RwLockWriteGuard['static, Local] RwLockWriteGuard['static, Tied]
        RwLockWriteGuard['static, Pinned]
        OwnedRwLockWriteGuard[u8] OwnedRwLockWriteGuard[Local] OwnedRwLockWriteGuard[Tied]
        OwnedRwLockWriteGuard[Pinned]
        RwLockMappedWriteGuard['static, u8] RwLockMappedWriteGuard['static, Local]
        RwLockMappedWriteGuard['static, Tied] RwLockMappedWriteGuard['static, Pinned]
        OwnedRwLockMappedWriteGuard[u8] OwnedRwLockMappedWriteGuard[u8, Local]
        OwnedRwLockMappedWriteGuard[Tied, u8] OwnedRwLockMappedWriteGuard[Pinned, u8]
        SemaphorePermit['static] OwnedSemaphorePermit[]
    }
}

/// Returns the traits of the future that a method returns, as digits.
macro_rules! auto {
    ($future:expr) => {{
        #![allow(dead_code, reason = "what is chosen depends on the future")]
        fn probe<F>(_: impl FnOnce() -> F) -> PhantomData<F> {
            PhantomData
        }
        // Of two methods with one name, the one that needs no further reference is called.
        struct Wrap<F>(PhantomData<F>);
        trait No {
            fn send(&self) -> u8 {
                0
            }
            fn sync(&self) -> u8 {
                0
            }
            fn unpin(&self) -> u8 {
                0
            }
            fn unwind_safe(&self) -> u8 {
                0
            }
        }
        impl<F> No for &Wrap<F> {}
        trait IsSend {
            fn send(&self) -> u8 {
                1
            }
        }
        impl<F: Send> IsSend for Wrap<F> {}
        trait IsSync {
            fn sync(&self) -> u8 {
                1
            }
        }
        impl<F: Sync> IsSync for Wrap<F> {}
        trait IsUnpin {
            fn unpin(&self) -> u8 {
                1
            }
        }
        impl<F: Unpin> IsUnpin for Wrap<F> {}
        trait IsUnwindSafe {
            fn unwind_safe(&self) -> u8 {
                1
            }
        }
        impl<F: UnwindSafe> IsUnwindSafe for Wrap<F> {}
        let it = &Wrap(probe(|| $future));
        [it.send(), it.sync(), it.unpin(), it.unwind_safe()]
    }};
}

/// Returns the traits of one method's futures, for tokio's type and the checked one.
macro_rules! compare_futures {
    ($($lock:ident: $type:ty => $future:expr;)*) => {$(
        let theirs = { use tokio::sync::*; let $lock: fn() -> $type = || unreachable!(); auto!($future) };
        let ours = { use lockdep::tokio::sync::*; let $lock: fn() -> $type = || unreachable!(); auto!($future) };
        assert_eq!(theirs, ours, "{}", stringify!($lock: $type => $future));
    )*};
}

#[test]
fn futures() {
    compare_futures! {
        lock: &'static Mutex<u8> => lock().lock();
        lock: &'static Mutex<Local> => lock().lock();
        lock: &'static Mutex<Stuck> => lock().lock();
        lock: &'static Mutex<Tied> => lock().lock();
        lock: Arc<Mutex<u8>> => lock().lock_owned();
        lock: Arc<Mutex<Local>> => lock().lock_owned();
        lock: Arc<Mutex<Tied>> => lock().lock_owned();
        lock: &'static RwLock<u8> => lock().read();
        lock: &'static RwLock<Local> => lock().read();
        lock: &'static RwLock<Tied> => lock().read();
        lock: Arc<RwLock<u8>> => lock().read_owned();
        lock: Arc<RwLock<Local>> => lock().read_owned();
        lock: &'static RwLock<u8> => lock().write();
        lock: &'static RwLock<Local> => lock().write();
        lock: &'static RwLock<Tied> => lock().write();
        lock: Arc<RwLock<u8>> => lock().write_owned();
        lock: Arc<RwLock<Tied>> => lock().write_owned();
        lock: &'static Semaphore => lock().acquire();
        lock: &'static Semaphore => lock().acquire_many(2);
        lock: Arc<Semaphore> => lock().acquire_owned();
        lock: Arc<Semaphore> => lock().acquire_many_owned(2);
        cell: &'static OnceCell<u8> => cell().get_or_init(async || 1);
        cell: &'static OnceCell<Local> => cell().get_or_init(async || Cell::new(1));
        cell: &'static OnceCell<Tied> => cell().get_or_init(async || unreachable!());
        cell: &'static OnceCell<u8> => cell().get_or_try_init(async || Err::<u8, Stuck>(Stuck::default()));
        cell: &'static OnceCell<u8> => cell().get_or_init(std::future::pending);
    }
}
