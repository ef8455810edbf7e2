//! What rayon-core does, with the original and with the mirror.
#![cfg(feature = "rayon")]

macro_rules! behaves {
    ($name:ident: $($rayon:ident)::+) => {
        mod $name {
            use std::{
                panic::{AssertUnwindSafe, catch_unwind},
                sync::{
                    Mutex,
                    atomic::{AtomicUsize, Ordering::SeqCst},
                    mpsc,
                },
                thread,
            };

            use $($rayon)::+ as rayon;

            fn pool(threads: usize) -> rayon::ThreadPool {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
            }

            #[test]
            fn calls_return_what_their_jobs_return() {
                let pool = pool(3);
                assert_eq!(pool.install(|| 1), 1);
                assert_eq!(pool.join(|| 1, || 2), (1, 2));
                assert_eq!(pool.install(|| rayon::join(|| pool.install(|| 1), || 2)), (1, 2));
                assert_eq!(pool.broadcast(|it| (it.index(), it.num_threads())), [(0, 3), (1, 3), (2, 3)]);
                assert_eq!(rayon::join_context(|_| 1, |_| 2), (1, 2));
                assert_eq!(pool.current_num_threads(), 3);
                assert_eq!(pool.install(rayon::current_num_threads), 3);
                assert_eq!((pool.current_thread_index(), rayon::current_thread_index()), (None, None));
                assert!(pool.install(|| pool.current_thread_index()).is_some());
                assert_eq!((pool.yield_now(), rayon::yield_now(), rayon::yield_local()), (None, None, None));
                assert_eq!(pool.install(|| pool.yield_local()), Some(rayon::Yield::Idle));
            }

            #[test]
            fn scopes_wait_for_their_jobs() {
                let (pool, count) = (pool(2), AtomicUsize::new(0));
                let add = || _ = count.fetch_add(1, SeqCst);
                pool.scope(|scope| {
                    scope.spawn(|scope| {
                        add();
                        scope.spawn(|_| add());
                    });
                    scope.spawn_broadcast(|_, _| add());
                });
                pool.in_place_scope_fifo(|scope| scope.spawn_fifo(|_| add()));
                rayon::scope_fifo(|scope| scope.spawn_fifo(|_| add()));
                rayon::in_place_scope(|scope| {
                    scope.spawn(|_| add());
                    add();
                });
                assert_eq!(count.into_inner(), 8);
            }

            #[test]
            fn panics_arrive_where_jobs_are_waited_for() {
                let pool = pool(2);
                let calls: [&dyn Fn(); 5] = [
                    &|| pool.install(|| panic!("here")),
                    &|| _ = pool.join(|| (), || panic!("here")),
                    &|| pool.scope(|scope| scope.spawn(|_| panic!("here"))),
                    &|| _ = pool.broadcast(|_| panic!("here")),
                    &|| rayon::in_place_scope(|_| panic!("here")),
                ];
                for call in calls {
                    let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
                    assert_eq!(panic.downcast_ref(), Some(&"here"));
                }
                let (tell, told) = mpsc::channel();
                let tell = Mutex::new(tell);
                let handler = move |panic: Box<dyn std::any::Any + Send>| {
                    tell.lock().unwrap().send(panic.downcast_ref() == Some(&"here")).unwrap();
                };
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).panic_handler(handler);
                let pool = pool.build().unwrap();
                pool.spawn(|| panic!("here"));
                pool.spawn_fifo(|| panic!("here"));
                pool.spawn_broadcast(|_| panic!("here"));
                assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [true; 3]);
            }

            #[test]
            fn threads_are_as_they_were_ordered() {
                let events = std::sync::Arc::new(Mutex::new(Vec::new()));
                let note = |what: &'static str| {
                    let events = std::sync::Arc::clone(&events);
                    move |_| events.lock().unwrap().push(what)
                };
                let builder = rayon::ThreadPoolBuilder::new()
                    .num_threads(1)
                    .thread_name(|index| format!("worker {index}"))
                    .stack_size(1 << 20)
                    .start_handler(note("start"))
                    .exit_handler(note("exit"));
                let name = builder.build_scoped(
                    |thread| {
                        assert_eq!((thread.index(), thread.name()), (0, Some("worker 0")));
                        assert_eq!(thread.stack_size(), Some(1 << 20));
                        thread.run();
                    },
                    |pool| pool.install(|| thread::current().name().map(str::to_owned)),
                );
                assert_eq!(name.unwrap().as_deref(), Some("worker 0"));
                assert_eq!(*events.lock().unwrap(), ["start", "exit"]);

                thread::spawn(|| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                    let pool = pool.build().unwrap();
                    assert_eq!(pool.current_thread_index(), Some(0));
                    assert_eq!(rayon::join(|| 1, || 2), (1, 2));
                    let again = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
                    assert!(again.build().is_err());
                })
                .join()
                .unwrap();
                let refused = rayon::ThreadPoolBuilder::new().num_threads(1).spawn_handler(|_| {
                    Err(std::io::Error::other("no thread"))
                });
                assert_eq!(refused.build().unwrap_err().to_string(), "no thread");
                assert!(rayon::max_num_threads() > 1);
                rayon::join(|| (), || ());
                assert!(rayon::ThreadPoolBuilder::new().build_global().is_err());
            }
        }
    };
}

behaves!(original: rayon_core);
behaves!(mirror: lockdep::rayon);
