//! One source of tests, compiled against `once_cell::sync` and `lockdep::once_cell::sync`; and what
//! only the latter finds.
#![cfg(feature = "once_cell")]

macro_rules! behaviour {
    ($($name:ident is $sync:path;)*) => {$(
        mod $name {
            use std::{
                panic::{AssertUnwindSafe, catch_unwind},
                sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}},
                thread,
            };

            use $sync::{Lazy, OnceCell};

            #[test]
            fn a_cell_is_set_once() {
                let mut cell = OnceCell::new();
                assert_eq!(cell.get(), None);
                assert_eq!(cell.get_mut(), None);
                assert_eq!(cell.set(1), Ok(()));
                assert_eq!(cell.set(2), Err(2));
                assert_eq!(cell.try_insert(3), Err((&1, 3)));
                assert_eq!(*cell.get_or_init(|| unreachable!()), 1);
                assert_eq!(*cell.wait(), 1);
                // SAFETY: it was initialized by this thread.
                #[allow(unsafe_code)]
                let value = unsafe { cell.get_unchecked() };
                assert_eq!(*value, 1);
                *cell.get_mut().unwrap() += 1;
                assert_eq!(cell.clone(), OnceCell::with_value(2));
                assert_eq!(format!("{cell:?} {:?}", OnceCell::<u8>::default()), "OnceCell(2) OnceCell(Uninit)");
                assert_eq!(cell.take(), Some(2));
                assert_eq!(cell.try_insert(4), Ok(&4));
                assert_eq!(OnceCell::from(5).into_inner(), Some(5));
            }

            #[test]
            fn a_cell_outlives_failures() {
                let cell = OnceCell::new();
                assert_eq!(cell.get_or_try_init(|| Err::<u8, _>("no")), Err("no"));
                let panics = || -> u8 { panic!("on purpose") };
                assert!(catch_unwind(AssertUnwindSafe(|| *cell.get_or_init(panics))).is_err());
                assert_eq!(cell.get_or_try_init(|| Ok::<_, ()>(1)), Ok(&1));
            }

            #[test]
            fn a_cell_initializes_once() {
                static CELL: OnceCell<u32> = OnceCell::new();
                static RUNS: AtomicU32 = AtomicU32::new(0);
                thread::scope(|scope| {
                    scope.spawn(|| assert_eq!(*CELL.wait(), 1));
                    for _ in 0..8 {
                        let run = || RUNS.fetch_add(1, Relaxed) + 1;
                        scope.spawn(move || assert_eq!(*CELL.get_or_init(run), 1));
                    }
                });
            }

            #[test]
            fn lazy() {
                static TEXT: Lazy<String> = Lazy::new(|| "lazy".to_owned());
                assert_eq!(Lazy::get(&TEXT), None);
                thread::scope(|scope| {
                    (0..4).for_each(|_| _ = scope.spawn(|| assert_eq!(TEXT.len(), 4)));
                });
                assert_eq!(Lazy::force(&TEXT), "lazy");
                let mut lazy = Lazy::new(|| 1);
                assert_eq!(Lazy::get_mut(&mut lazy), None);
                *Lazy::force_mut(&mut lazy) += 1;
                *lazy += 1;
                assert_eq!(format!("{lazy:?}"), "Lazy { cell: OnceCell(3), init: \"..\" }");
                assert_eq!(Lazy::into_value(lazy).ok(), Some(3));
                let unused: Lazy<u8> = Lazy::default();
                assert!(Lazy::into_value(unused).is_err());
            }

            #[test]
            fn a_panic_poisons_lazy() {
                let lazy: Lazy<u8> = Lazy::new(|| panic!("on purpose"));
                assert!(catch_unwind(AssertUnwindSafe(|| *lazy)).is_err());
                let again = catch_unwind(AssertUnwindSafe(|| *lazy)).unwrap_err();
                let message = again.downcast_ref::<&str>();
                assert_eq!(message, Some(&"Lazy instance has previously been poisoned"));
            }

            #[test]
            fn values_are_dropped_once() {
                let value = Arc::new(());
                drop(OnceCell::with_value(Arc::clone(&value)));
                let captured = Arc::clone(&value);
                drop(Lazy::<Arc<()>, _>::new(move || captured));
                assert_eq!(Arc::strong_count(&value), 1);
            }
        }
    )*};
}

behaviour! {
    real is once_cell::sync;
    lockdep_once_cell is lockdep::once_cell::sync;
}

#[cfg(any(debug_assertions, feature = "enforce"))]
mod found {
    use lockdep::once_cell::sync::{Lazy, OnceCell};

    use crate::support::denied;

    #[test]
    fn initializers_that_ask_for_themselves() {
        static CELL: OnceCell<u8> = OnceCell::new();
        static LAZY: Lazy<u8> = Lazy::new(|| *LAZY + 1);
        let report = denied(|| CELL.get_or_init(|| *CELL.get_or_init(|| 1))).unwrap();
        assert!(report.contains("the initializer of `CELL` uses `CELL` itself"), "{report}");
        assert!(denied(|| CELL.get_or_init(|| CELL.set(1).map_or(2, |()| 3))).is_some());
        let report = denied(|| *LAZY).unwrap();
        assert!(report.contains("`LAZY` is a `Lazy<u8>`"), "{report}");
        assert_eq!(*CELL.get_or_init(|| 4), 4);
    }

    #[test]
    fn initializers_are_held() {
        let (cell, lock) = (OnceCell::new(), lockdep::sync::Mutex::new(1));
        let fails = || cell.get_or_try_init(|| Err::<u8, _>(*lock.lock().unwrap()));
        assert_eq!(fails(), Err(1));
        let _guard = lock.lock().unwrap();
        assert!(denied(|| cell.get_or_init(|| 2)).is_some());
    }
}
