//! One source of tests, compiled against `std::thread` and its mirror.

macro_rules! behaviour {
    ($name:ident, $thread:path) => {
        mod $name {
            use std::{
                panic::{AssertUnwindSafe, catch_unwind},
                sync::atomic::{AtomicUsize, Ordering::Relaxed},
            };

            use $thread::{self as thread, Builder, JoinHandle, Scope, ScopedJoinHandle};

            fn is_send_and_sync<T: Send + Sync>(_: &T) {}

            #[test]
            fn a_thread_gives_what_it_returns() {
                let handle: JoinHandle<u8> = thread::spawn(|| 5);
                is_send_and_sync(&handle);
                assert!(format!("{handle:?}").starts_with("JoinHandle"));
                assert_eq!(handle.join().unwrap(), 5);
            }

            #[test]
            fn a_panic_is_an_error() {
                let error = thread::spawn(|| std::panic::panic_any(7_u8)).join().unwrap_err();
                assert_eq!(error.downcast_ref(), Some(&7_u8));
            }

            #[test]
            fn a_builder_names_threads() {
                let builder = Builder::new().name("worker".into()).stack_size(1 << 17);
                let handle = builder.spawn(|| thread::current().name().map(str::to_owned)).unwrap();
                assert_eq!(handle.thread().name(), Some("worker"));
                assert_eq!(handle.join().unwrap().as_deref(), Some("worker"));
            }

            #[test]
            fn a_thread_is_finished_when_it_is() {
                let handle = thread::spawn(thread::park);
                assert!(!handle.is_finished());
                handle.thread().unpark();
                while !handle.is_finished() {
                    thread::yield_now();
                }
                handle.join().unwrap();
            }

            #[test]
            #[allow(unsafe_code)]
            fn spawned_unchecked() {
                let text = String::from("borrowed");
                // SAFETY: it is joined before the text is dropped.
                let handle = unsafe { Builder::new().spawn_unchecked(|| text.len()) }.unwrap();
                assert_eq!(handle.join().unwrap(), 8);
            }

            #[test]
            fn a_scope_waits_for_its_threads() {
                let count = AtomicUsize::new(0);
                let result = thread::scope(|scope| {
                    assert!(format!("{scope:?}").starts_with("Scope"));
                    is_send_and_sync(scope);
                    for _ in 0..3 {
                        scope.spawn(|| {
                            thread::sleep(std::time::Duration::from_millis(5));
                            count.fetch_add(1, Relaxed);
                            scope.spawn(|| count.fetch_add(10, Relaxed));
                        });
                    }
                    "result"
                });
                assert_eq!((result, count.into_inner()), ("result", 33));
            }

            #[test]
            fn handles_of_a_scope() {
                fn start<'scope, 'env>(
                    scope: &'scope Scope<'scope, 'env>,
                    of: &'env [u8],
                ) -> ScopedJoinHandle<'scope, usize> {
                    Builder::new().name("scoped".into()).spawn_scoped(scope, || of.len()).unwrap()
                }
                let bytes = vec![1, 2, 3];
                thread::scope(|scope| {
                    let handle = start(scope, &bytes);
                    is_send_and_sync(&handle);
                    assert_eq!(handle.thread().name(), Some("scoped"));
                    assert!(format!("{handle:?}").starts_with("ScopedJoinHandle"));
                    assert_eq!(handle.join().unwrap(), 3);
                });
            }

            #[test]
            fn a_scope_panics_for_who_was_not_joined() {
                let scope = || {
                    thread::scope(|scope| {
                        scope.spawn(|| panic!("on purpose"));
                    });
                };
                let error = catch_unwind(scope).unwrap_err();
                assert_eq!(error.downcast_ref(), Some(&"a scoped thread panicked"));
                let joined = || {
                    thread::scope(|scope| scope.spawn(|| panic!("on purpose")).join().is_err())
                };
                assert!(joined());
            }

            #[test]
            fn a_panic_leaves_a_scope_when_its_threads_have_ended() {
                let count = AtomicUsize::new(0);
                let scope = || {
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            thread::sleep(std::time::Duration::from_millis(5));
                            count.fetch_add(1, Relaxed);
                        });
                        panic!("on purpose");
                    });
                };
                let error = catch_unwind(AssertUnwindSafe(scope)).unwrap_err();
                assert_eq!(error.downcast_ref(), Some(&"on purpose"));
                assert_eq!(count.into_inner(), 1);
            }

            #[cfg(unix)]
            #[test]
            #[allow(unsafe_code)]
            fn raw_threads() {
                use std::os::unix::thread::JoinHandleExt;
                let handle = thread::spawn(|| ());
                assert_eq!(handle.as_pthread_t(), handle.as_pthread_t());
                let raw = handle.into_pthread_t();
                // SAFETY: the handle was consumed, so the thread is not joined otherwise.
                assert_eq!(unsafe { libc::pthread_join(raw, std::ptr::null_mut()) }, 0);
            }

            #[test]
            fn the_rest_is_stds() {
                thread_local!(static NUMBER: std::cell::Cell<u8> = const { std::cell::Cell::new(1) });
                let key: &'static thread::LocalKey<_> = &NUMBER;
                assert_eq!(key.get(), 1);
                assert!(thread::available_parallelism().is_ok() && !thread::panicking());
                let result: thread::Result<thread::ThreadId> = Ok(thread::current().id());
                assert!(result.is_ok());
            }
        }
    };
}

behaviour!(of_std, std::thread);
behaviour!(of_ours, lockdep::thread);
