//! What reports and the table of held locks say about tasks.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

use std::{future::Future, sync::Arc};

use lockdep::{
    Finding, FindingKind, Level,
    sync::Mutex as StdMutex,
    tokio::{
        self, spawn,
        sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore},
        task::yield_now,
    },
};

use crate::alone;

/// Runs a future as a task, on one thread, and returns the findings.
fn run(body: impl Future<Output = ()>) -> Vec<Finding> {
    run_allowing(None, body)
}

/// As above, but findings of one kind are not denied.
fn run_allowing(kind: Option<FindingKind>, body: impl Future<Output = ()>) -> Vec<Finding> {
    let _alone = alone();
    if let Some(kind) = kind {
        lockdep::set_level(kind, Level::Allow);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(body);
    lockdep::take_findings()
}

/// Returns the report of the only finding, which has this kind.
#[track_caller]
fn report(found: &[Finding], kind: FindingKind) -> String {
    let [finding] = found else { panic!("{found:?}") };
    let text = finding.to_string();
    println!("{text}\n");
    assert_eq!(finding.kind(), kind, "{text}");
    assert!(!text.contains("thread `task"), "{text}");
    text
}

/// Asserts that these are in the text in this order, however its lines are wrapped.
#[track_caller]
fn says(text: &str, parts: &[&str]) {
    let text = text.replace("\n      ", " ");
    let mut rest = &*text;
    for part in parts {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?} in\n{text}"));
        rest = after;
    }
}

/// Renames tasks by the order of their numbers in a text: `task 7` → `task A`.
fn lettered(text: &str) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut after_task = text.split("task ");
    after_task.next();
    for rest in after_task {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        numbers.extend(digits.parse::<u64>());
    }
    numbers.sort_unstable();
    numbers.dedup();
    let mut text = text.to_owned();
    // The largest first: one number may be a prefix of another.
    let letters: Vec<_> = numbers.iter().zip('A'..).collect();
    for (number, letter) in letters.into_iter().rev() {
        text = text.replace(&format!("task {number}"), &format!("task {letter}"));
    }
    text
}

#[test]
fn the_table_has_tasks_at_rest() {
    let found = run(async {
        let (accounts, ledger) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
        let end = Arc::new(Notify::new());
        let holder = spawn({
            let (accounts, end) = (Arc::clone(&accounts), Arc::clone(&end));
            async move {
                let _accounts = accounts.lock().await;
                end.notified().await;
            }
        });
        let waiter = spawn({
            let (accounts, ledger) = (Arc::clone(&accounts), Arc::clone(&ledger));
            async move {
                let _ledger = ledger.lock().await;
                let _accounts = accounts.lock().await;
            }
        });
        yield_now().await;
        yield_now().await;
        let table = lettered(&lockdep::held().to_string());
        println!("{table}");
        says(
            &table,
            &[
                "task A, spawned at tests/serial/task_reports.rs:",
                "\n    holds      `accounts` (exclusive)  since tests/serial/task_reports.rs:",
                "\ntask B, spawned at tests/serial/task_reports.rs:",
                "\n    holds      `ledger` (exclusive)    since tests/serial/task_reports.rs:",
                "\n    waits for  `accounts` (exclusive)  at tests/serial/task_reports.rs:",
            ],
        );
        end.notify_one();
        holder.await.unwrap();
        waiter.await.unwrap();
        assert!(lockdep::held().to_string().starts_with("no thread holds or waits for a lock\n"));
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_table_has_the_waits_of_all_futures_of_a_task() {
    let found = run(async {
        let locks = [Arc::new(Mutex::new(())), Arc::new(Mutex::new(()))];
        let [first, second] = &locks;
        let guards = (first.lock().await, second.lock().await);
        let both = spawn({
            let [first, second] = locks.clone();
            async move { drop(tokio::join!(first.lock(), second.lock())) }
        });
        yield_now().await;
        let table = lockdep::held().to_string();
        println!("{table}");
        assert_eq!(table.matches("\n    waits for  `").count(), 2, "{table}");
        drop(guards);
        // It holds both now, but has not been polled since.
        let table = lockdep::held().to_string();
        println!("{table}");
        assert_eq!(table.matches("\n    granted    `").count(), 2, "{table}");
        assert_eq!(table.matches(", and not polled since\n").count(), 2, "{table}");
        both.await.unwrap();
    });
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_table_does_not_know_where_an_owned_guard_is() {
    run(async {
        let lock = Arc::new(Mutex::new(()));
        let task = spawn(async move {
            let guard = Arc::clone(&lock).lock_owned().await;
            let table = lockdep::held().to_string();
            assert!(table.contains(", unless its guard was sent elsewhere\n"), "{table}");
            drop(guard);
        });
        task.await.unwrap();
    });
}

/// Another task is polled when the order is read.
#[test]
fn an_edge_is_of_the_task_that_made_it() {
    run(async {
        let (first, line) = (spawn(nested()), line!());
        first.await.unwrap();
        let graph = spawn(async { lockdep::order_graph() }).await.unwrap();
        assert_eq!(graph.as_petgraph().edge_count(), NESTED);
        for edge in graph.as_petgraph().edge_weights() {
            assert_eq!(edge.thread().spawned_at().unwrap().line(), line);
        }
    });
}

const NESTED: usize = 8;

/// Nests new locks in a known one, as a server with a lock per request does.
async fn nested() {
    // They stay in the order as long as they live.
    let lock = || &*Box::leak(Box::new(Mutex::new(())));
    let outer = lock();
    let _outer = outer.lock().await;
    for _ in 0..NESTED {
        drop(lock().lock().await);
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the optimizer leaves no names of functions")]
fn an_inversion_of_tasks() {
    let found = run(async {
        let (a, b) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
        let (c, d) = (a.clone(), b.clone());
        let first = async move {
            let _a = a.lock().await;
            let _b = b.lock().await;
        };
        let second = async move {
            let _d = d.lock().await;
            let _c = c.lock().await;
        };
        spawn(first).await.unwrap();
        assert!(spawn(second).await.unwrap_err().is_panic());
    });
    let text = lettered(&report(&found, FindingKind::Inversion));
    says(
        &text,
        &[
            "task B has held `b`",
            "note: task A acquired them in the opposite order",
            "note: task B was spawned at tests/serial/task_reports.rs:",
            " task A was spawned at tests/serial/task_reports.rs:",
            "help: if both run at once, each waits for the other",
            "\nstack of task B, acquiring",
            "   0: serial::task_reports::an_inversion_of_tasks ",
            "\nstack of task A, acquiring",
        ],
    );
    assert!(!text.contains("tokio::runtime"), "{text}");
    let edge = &found[0].cycle()[0];
    assert!(edge.thread().is_task() && edge.thread().name().is_none());
    assert_eq!(edge.thread().spawned_at().unwrap().file(), file!());
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "the optimizer leaves no names of functions")]
fn an_inversion_of_a_task_and_a_thread() {
    let found = run(async {
        let (a, b) = (Arc::new(Mutex::new(1)), Arc::new(StdMutex::new(2)));
        let (c, d) = (a.clone(), b.clone());
        spawn(async move {
            let _a = a.lock().await;
            let _b = b.lock().unwrap();
        })
        .await
        .unwrap();
        let thread = std::thread::Builder::new().name("teller".into());
        let other = thread.spawn(move || {
            let _d = d.lock().unwrap();
            let _c = c.blocking_lock();
        });
        assert!(other.unwrap().join().is_err());
    });
    let text = lettered(&report(&found, FindingKind::Inversion));
    says(
        &text,
        &[
            "thread `teller` has held `b`",
            "note: task A acquired them in the opposite order",
            "note: task A was spawned at",
            "\nstack of thread `teller`, acquiring",
            "\nstack of task A, acquiring",
        ],
    );
}

#[test]
fn a_lock_taken_twice() {
    let found = run(async {
        let lock = Mutex::new(());
        let twice = spawn(async move {
            let _first = lock.lock().await;
            let _second = lock.lock().await;
        });
        assert!(twice.await.unwrap_err().is_panic());
    });
    let text = lettered(&report(&found, FindingKind::SelfDeadlock));
    says(
        &text,
        &[
            "]: task A acquires `lock`, which it already holds\n",
            "task A has held `lock` since here",
            "and acquires `lock` again here",
            "note: task A was spawned at",
            "help: it would wait for itself for ever",
        ],
    );
}

#[test]
fn tasks_that_wait_for_each_other() {
    let found = run_allowing(Some(FindingKind::Inversion), async {
        let locks: Vec<_> = (0..3).map(|_| Arc::new(Mutex::new(()))).collect();
        let meet = Arc::new(Barrier::new(3));
        let mut tasks = Vec::new();
        for at in 0..3 {
            let (own, next) = (locks[at].clone(), locks[(at + 1) % 3].clone());
            let meet = Arc::clone(&meet);
            tasks.push(spawn(async move {
                let _own = own.lock().await;
                meet.wait().await;
                let _next = next.lock().await;
            }));
        }
        let mut panicked = 0;
        for task in tasks {
            panicked += usize::from(task.await.is_err());
        }
        assert_eq!(panicked, 1);
    });
    let deadlock = found.into_iter().filter(|it| it.kind() == FindingKind::Deadlock);
    let text = lettered(&report(&deadlock.collect::<Vec<_>>(), FindingKind::Deadlock));
    says(&text, &["]: 3 tasks wait for each other: task ", " → task ", " → task ", " → task "]);
    says(&text, &["which task ", "note: 2 of 3: task ", "waits for ", "note: tasks "]);
    says(&text, &["were spawned at", "help: this task panics and releases its locks"]);
}

#[test]
fn a_blocking_guard_over_an_await() {
    let found = run(async {
        let lock = Arc::new(StdMutex::new(1));
        let local = tokio::task::LocalSet::new();
        let task = async move {
            let _guard = lock.lock().unwrap();
            yield_now().await;
        };
        local.run_until(async { tokio::task::spawn_local(task).await.unwrap() }).await;
    });
    let text = lettered(&report(&found, FindingKind::HeldAcrossAwait));
    says(
        &text,
        &[
            "]: task A holds `lock` across an await\n",
            "`lock` acquired here, and held while task A waits",
            "note: `lock` is a `Mutex<i32>`",
            "help: a thread that waits for `lock` meanwhile is blocked",
            "\nstack of task A, acquiring `lock`:\n",
        ],
    );
}

/// The other future has the guard: it was polled, but is not any more.
#[test]
fn a_guard_in_a_future_that_is_not_polled() {
    let found = run(async {
        let (lock, late) = (Arc::new(Mutex::new(())), Arc::new(Notify::new()));
        let task = spawn({
            let late = Arc::clone(&late);
            async move {
                let mut holds = std::pin::pin!(async {
                    let _guard = lock.lock().await;
                    yield_now().await;
                    std::future::pending::<()>().await;
                });
                tokio::select! {
                    () = &mut holds => {}
                    () = late.notified() => drop(lock.lock().await),
                }
            }
        });
        yield_now().await;
        late.notify_one();
        assert!(task.await.unwrap_err().is_panic());
    });
    let text = lettered(&report(&found, FindingKind::Futurelock));
    says(
        &text,
        &[
            "]: task A waits for `lock`, which one of its own futures holds\n",
            "task A has held `lock` since here",
            "and waits for `lock` here",
            "help: this task panics",
            "or drop its guard before waiting for `lock` again",
        ],
    );
}

/// The future that was granted the lock and the one that waits are in different places.
#[test]
fn a_grant_that_is_not_polled() {
    let found = run(async {
        let (lock, late) = (Arc::new(Mutex::new(())), Arc::new(Notify::new()));
        let guard = lock.lock().await;
        let task = spawn({
            let (lock, late) = (Arc::clone(&lock), Arc::clone(&late));
            async move {
                let mut first = std::pin::pin!(lock.lock());
                tokio::select! {
                    _ = &mut first => {}
                    () = late.notified() => drop(lock.lock().await),
                }
            }
        });
        yield_now().await;
        late.notify_one();
        yield_now().await;
        drop(guard);
        assert!(task.await.unwrap_err().is_panic());
    });
    let text = lettered(&report(&found, FindingKind::Futurelock));
    says(
        &text,
        &[
            "]: task A waits for `lock`, which another of its own futures was granted\n",
            "requested here by a future of task A, not polled since",
            "and waits for `lock` here",
            "note: task A was spawned at",
            "help: this task panics",
            "A future that is not polled cannot release `lock`: spawn it as its own task",
            "or drop it before waiting for `lock` again",
        ],
    );
    assert!(found[0].cycle()[0].is_granted());
}

#[test]
fn a_lock_read_twice() {
    let found = run(async {
        let (lock, other) = (Arc::new(RwLock::new(1)), Arc::new(RwLock::new(2)));
        drop(other.write().await);
        let twice = spawn(async move {
            let _first = lock.read().await;
            let _second = lock.read().await;
        });
        assert!(twice.await.unwrap_err().is_panic());
    });
    let text = lettered(&report(&found, FindingKind::RecursiveRead));
    says(
        &text,
        &[
            "]: task A reads `lock` again while it holds a read guard of it\n",
            "task A has held `lock` for reading since here",
            "note: `lock` is a `tokio::RwLock<i32>` made at",
            "note: task A was spawned at",
            "help: if a writer queues between the two",
        ],
    );
}

#[test]
fn another_permit_of_a_pool() {
    let found = run(async {
        let pool = Arc::new(Semaphore::new(2));
        let task = spawn(async move {
            let _first = pool.acquire().await.unwrap();
            let _second = pool.acquire().await.unwrap();
        });
        task.await.unwrap();
    });
    let text = lettered(&report(&found, FindingKind::PoolExhaustion));
    says(
        &text,
        &[
            "warning[lockdep::pool_exhaustion]: task A holds a permit of `pool` and waits for",
            "task A has held a permit of `pool` since here",
            "and waits for another permit here",
            "note: `pool` is a `tokio::Semaphore` made at",
            "help: if as many tasks as `pool` has permits do this at once",
        ],
    );
}

#[test]
fn an_initializer_that_asks_for_its_own_cell() {
    let found = run(async {
        let cell: &'static OnceCell<u32> = Box::leak(Box::new(OnceCell::new()));
        let task = spawn(async move {
            let init = || async { *Box::pin(cell.get_or_init(|| async { 1 })).await };
            cell.get_or_init(init).await;
        });
        assert!(task.await.unwrap_err().is_panic());
    });
    let text = lettered(&report(&found, FindingKind::SelfDeadlock));
    says(
        &text,
        &[
            "]: the initializer of `cell` uses `cell` itself\n",
            "and uses `cell` here",
            "task A has been running the initializer of `cell` since here",
        ],
    );
}

/// A reader waits for a writer, which waits for the same reader.
#[test]
fn a_writer_between_two_reads() {
    let found = run_allowing(Some(FindingKind::RecursiveRead), async {
        let lock = Arc::new(RwLock::new(1));
        let reader = spawn({
            let lock = Arc::clone(&lock);
            async move {
                let _first = lock.read().await;
                yield_now().await;
                let _second = lock.read().await;
            }
        });
        let writer = spawn(async move { *lock.write().await = 2 });
        assert!(reader.await.unwrap_err().is_panic());
        writer.await.unwrap();
    });
    let deadlock = found.into_iter().filter(|it| it.kind() == FindingKind::Deadlock);
    let text = lettered(&report(&deadlock.collect::<Vec<_>>(), FindingKind::Deadlock));
    says(
        &text,
        &[
            "]: tasks ",
            " wait for each other\n",
            "task A has held `lock` for reading since here",
            "waits here for `lock` for reading, which task B waits to write",
            "waits here for `lock`, which task A holds",
            "help: this task panics and releases its locks, so that the others can continue. \
             Release `lock` before line ",
        ],
    );
}

/// A future that a thread blocks on is a part of the thread.
#[test]
fn a_future_that_a_thread_blocks_on() {
    let thread = std::thread::Builder::new().name("blocks".into()).spawn(|| {
        run(async {
            let (a, b) = (Mutex::new(1), Mutex::new(2));
            drop((a.lock().await, b.lock().await));
            spawn(yield_now()).await.unwrap();
            let outcome = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(async {
                let _b = b.lock().await;
                let _a = a.lock().await;
            }));
            assert!(outcome.await.is_err());
        })
    });
    let found = thread.unwrap().join().unwrap();
    let text = report(&found, FindingKind::SingleThreadInversion);
    says(
        &text,
        &[
            ", so far by one thread\n",
            "thread `blocks` has held `b` since here",
            "note: the same thread, `blocks`, acquired them in the opposite order before",
            "help: it takes two threads at once",
            "\nstack of thread `blocks`, acquiring `a` with `b` held:",
        ],
    );
    assert!(!text.contains("spawned") && !text.contains("tokio::runtime"), "{text}");
    assert!(!text.contains(": lockdep::"), "{text}");
}
