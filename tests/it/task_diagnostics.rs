//! What the watchdog and signal handlers print about tasks. Each test runs in a separate process.
#![cfg(all(feature = "tokio", debug_assertions, unix))]

use std::{
    future::Future,
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use crate::support::{
    child::{end, lines_between, lines_until, start, until_told},
    is_child,
};
use lockdep::tokio::{
    self, spawn,
    sync::{Mutex, Notify},
    task::{spawn_blocking, yield_now},
};

/// In the child: runs a future as a task, with one further worker.
fn run(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(body);
}

/// In the child: waits until the table of held locks contains a text.
async fn until_table_has(text: &str) {
    while !lockdep::held().to_string().contains(text) {
        yield_now().await;
    }
}

/// Joins the lines of a text, without the numbers of tasks.
fn in_words(text: &str) -> String {
    let words = text.split_whitespace().map(|word| match word.split_once(',') {
        Some((number, "")) if number.parse::<u64>().is_ok() => "#,",
        _ if word.parse::<u64>().is_ok() => "#",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn kill(child: &Child, signal: &str) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.expect("kill is there").success());
}

/// In the child: a task holds `state` until the end, a second one waits for it with `log` held, and
/// a thread waits for the second one.
async fn thread_and_tasks_wait() {
    let (state, log) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let is_over = Arc::new(Notify::new());
    let holder = spawn({
        let (state, is_over) = (Arc::clone(&state), Arc::clone(&is_over));
        async move {
            let _state = state.lock().await;
            is_over.notified().await;
        }
    });
    until_table_has("holds      `state`").await;
    let waiter = spawn({
        let (state, log) = (Arc::clone(&state), Arc::clone(&log));
        async move {
            let _log = log.lock().await;
            queue(state).await;
        }
    });
    until_table_has("waits for  `state`").await;
    // These wait for the same lock as the second task.
    let others = [(); 5].map(|()| spawn(queue(Arc::clone(&state))));
    let thread = std::thread::Builder::new().name("blocked".into());
    let thread = thread.spawn(move || drop(log.blocking_lock())).unwrap();
    spawn_blocking(until_told).await.unwrap();
    is_over.notify_one();
    holder.await.unwrap();
    waiter.await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    thread.join().unwrap();
}

async fn queue(state: Arc<Mutex<()>>) {
    drop(state.lock().await);
}

#[test]
fn the_watchdog_follows_threads_and_tasks() {
    if is_child() {
        return run(async {
            thread_and_tasks_wait().await;
        });
    }
    let environment = [("LOCKDEP_WATCHDOG", "20ms")];
    let mut child = start(the_watchdog_follows_threads_and_tasks, &environment);
    let text = in_words(&lines_until(&mut child, "waits for  `state`"));
    // The longest wait is that of the second task or of the thread, if both began in the same
    // millisecond.
    assert!(text.contains("for more than 20ms"), "{text}");
    assert!(
        text.contains("task # waits for `state`, which task # has held since tests/it/task_diag"),
        "{text}"
    );
    let end_of_chain = "waits for something other than a lock: a timer, a message, another task";
    assert!(text.contains(&format!("; task # {end_of_chain}")), "{text}");
    end(child);
}

/// A task waits for a lock whose guard was sent to another task.
#[test]
fn the_watchdog_does_not_know_where_a_guard_was_sent() {
    if is_child() {
        return run(async {
            let (state, is_over) = (Arc::new(Mutex::new(())), Arc::new(Notify::new()));
            let holder = spawn({
                let (state, is_over) = (Arc::clone(&state), Arc::clone(&is_over));
                async move {
                    let guard = state.clone().lock_owned().await;
                    is_over.notified().await;
                    drop(guard);
                }
            });
            until_table_has("holds      `state`").await;
            let waiter = spawn(queue(state));
            spawn_blocking(until_told).await.unwrap();
            is_over.notify_one();
            holder.await.unwrap();
            waiter.await.unwrap();
        });
    }
    let environment = [("LOCKDEP_WATCHDOG", "20ms")];
    let mut child = start(the_watchdog_does_not_know_where_a_guard_was_sent, &environment);
    let text = in_words(&lines_until(&mut child, "waits for  `state`"));
    assert!(text.contains("waits for `state`, which task # has held since tests/"), "{text}");
    assert!(text.contains("; its guard may have been sent elsewhere since"), "{text}");
    end(child);
}

/// A task waits for a lock that was granted to one of its futures, which it does not poll.
#[test]
fn the_watchdog_knows_who_was_granted_a_lock() {
    if is_child() {
        return run(async {
            let state = Arc::new(Mutex::new(()));
            let [is_late, has_left, is_over] = [(); 3].map(|()| Arc::new(Notify::new()));
            let guard = state.lock().await;
            let sleeper = spawn({
                let state = Arc::clone(&state);
                let [is_late, has_left, is_over] = [&is_late, &has_left, &is_over].map(Arc::clone);
                async move {
                    let mut first = std::pin::pin!(state.lock());
                    tokio::select! {
                        _ = &mut first => {}
                        () = is_late.notified() => {
                            has_left.notify_one();
                            is_over.notified().await;
                        }
                    }
                }
            });
            until_table_has("waits for  `state`").await;
            is_late.notify_one();
            has_left.notified().await;
            let waiter = spawn(queue(Arc::clone(&state)));
            drop(guard);
            spawn_blocking(until_told).await.unwrap();
            is_over.notify_one();
            sleeper.await.unwrap();
            waiter.await.unwrap();
        });
    }
    let environment = [("LOCKDEP_WATCHDOG", "20ms")];
    let mut child = start(the_watchdog_knows_who_was_granted_a_lock, &environment);
    let text = in_words(&lines_until(&mut child, "and not polled since"));
    assert!(text.contains("waits for `state`, which a future of task # requested at"), "{text}");
    assert!(text.contains(": it was granted, and that future has not been polled since"), "{text}");
    end(child);
}

#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_signal_has_tasks_at_rest_printed() {
    if is_child() {
        return run(async {
            thread_and_tasks_wait().await;
        });
    }
    let environment = [("LOCKDEP_SIGNAL", "usr1"), ("LOCKDEP_WATCHDOG", "20ms")];
    let mut child = start(a_signal_has_tasks_at_rest_printed, &environment);
    // The watchdog prints this when the child is ready.
    lines_until(&mut child, "waits for  `log`");
    kill(&child, "-USR1");
    let table = lines_between(&mut child, "held locks, at SIGUSR1:", "waits for  `state`");
    let table = in_words(&table);
    assert!(table.contains("thread `blocked` waits for `log` (exclusive) at tests/"), "{table}");
    assert!(table.contains("task #, spawned at tests/it/task_diagnostics.rs:"), "{table}");
    assert!(table.contains(" holds `state` (exclusive) since tests/"), "{table}");
    end(child);
}

/// A thread waits for a task that waits for another task, which is idle.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_signal_that_ends_it_explains_tasks() {
    use std::io::Read;

    if is_child() {
        return run(async {
            let ready = spawn_blocking(|| {
                // Three seconds after the first lock, and up to one more until the next check.
                std::thread::sleep(Duration::from_millis(4500));
                eprintln!("ready");
            });
            thread_and_tasks_wait().await;
            ready.await.unwrap();
        });
    }
    let mut child = start(a_signal_that_ends_it_explains_tasks, &[("LOCKDEP_SIGNAL", "INT,TERM")]);
    lines_until(&mut child, "ready");
    kill(&child, "-INT");
    let mut text = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let text = in_words(&text);
    assert!(text.starts_with("lockdep: SIGINT ends this process. What its threads"), "{text}");
    // One sentence for the whole chain.
    let note = text.split_once("note: ").unwrap_or_else(|| panic!("{text}")).1;
    assert!(note.starts_with("thread `blocked` has waited "), "{text}");
    assert!(note.contains("for `log`, which task # has held since tests/"), "{text}");
    assert!(note.contains("; task # has waited "), "{text}");
    assert!(note.contains("for `state`, which task # has held since tests/"), "{text}");
    assert!(note.contains("; task # waits for something other than a lock"), "{text}");
    assert!(!note.contains("note: "), "{text}");
}
