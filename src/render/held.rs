//! Who holds what, and who waits for it, as a table.

use std::fmt::Write;

use super::{
    WIDTH, age,
    names::Names,
    source::Sources,
    words::{event, what_it_is},
};
use crate::finding::{
    Cause, HeldLock, LockInfo, LongWait, Role, ThreadInfo, ThreadSnapshot, Until, WaitKind,
};

/// See [`crate::held`].
pub(crate) fn held(threads: &[ThreadSnapshot]) -> String {
    if threads.is_empty() {
        return "no thread holds or waits for a lock\n".to_owned();
    }
    let mut sources = Sources::default();
    let locks = threads.iter().flat_map(mentioned);
    let mentions = locks.clone().map(|held| (&held.lock, &held.since));
    let names = Names::new(&mut sources, locks.clone().map(|held| &held.lock), mentions);

    let at = |held: &HeldLock| {
        let age = held.age.and_then(age).map_or_else(String::new, |age| format!(", for {age}"));
        format!("{}{age}", held.since)
    };
    let lock = |held: &HeldLock| {
        let name = names.at(&held.lock, &held.since);
        if held.lock.kind.is_event() { name } else { format!("{name} ({})", held.mode) }
    };
    let widths = locks_alone(threads).map(|held| lock(held).chars().count());
    let width = widths.max().unwrap_or(0);
    let mut text = String::new();
    for thread in threads {
        let has_ended = if thread.has_ended { " has ended" } else { "" };
        let _ = writeln!(text, "thread `{}`{has_ended}", thread.thread);
        for held in &thread.held {
            let holds = if held.lock.kind.is_event() { "owes " } else { "holds" };
            let _ = writeln!(text, "    {holds}      {:<width$}  since {}", lock(held), at(held));
        }
        if let Some((wanted, until)) = &thread.waiting {
            let (lock, at) = (lock(wanted), at(wanted));
            let what = match until {
                Until::Acquired if wanted.lock.kind.role == Role::Exit => {
                    let name = names.at(&wanted.lock, &wanted.since);
                    format!("for  the end of thread {name}")
                }
                Until::Acquired | Until::TimedOut => format!("for  {lock:<width$}"),
                Until::Notified => format!("to be notified, then for {lock}"),
                Until::Happened(kind) | Until::HappenedInTime(kind) => {
                    let name = names.at(&wanted.lock, &wanted.since);
                    format!("for  {}, {}", event(*kind, &name), what_it_is(&wanted.lock))
                }
            };
            let at_most = match until {
                Until::TimedOut | Until::HappenedInTime(_) => ", for some time at most",
                Until::Acquired | Until::Notified | Until::Happened(_) => "",
            };
            let _ = writeln!(text, "    waits {what}  at {at}{at_most}");
        }
    }
    text
}

/// What the watchdog has to say: who waits, why, and the whole table.
pub(crate) fn long_wait(wait: &LongWait, threads: &[ThreadSnapshot]) -> String {
    let LongWait { thread, wanted, more_than, cause } = wait;
    let mut sources = Sources::default();
    let (lock, site) = (&wanted.lock, &wanted.since);
    let name = Names::new(&mut sources, [lock], [(lock, site)]).at(lock, site);
    let more_than = humantime::format_duration(*more_than);
    let why = match cause {
        Cause::Deadlock(threads) => {
            let circle = threads.iter().chain(threads.first()).map(ThreadInfo::to_string);
            let circle = circle.collect::<Vec<_>>().join("` → `");
            format!("a deadlock, each of these threads waits for the next: `{circle}`")
        }
        Cause::Holder(holder) => format!(
            "no deadlock: thread `{holder}` {} what is waited for, and itself waits for no lock. \
             It is busy, asleep, or waits for something else",
            if lock.kind.is_event() && holds(threads, holder, lock) { "owes" } else { "holds" }
        ),
        Cause::Event(holder, WaitKind::Condvar) => {
            format!("thread `{holder}` holds what is waited for, and waits to be notified")
        }
        Cause::Event(holder, kind) => {
            format!("thread `{holder}` holds what is waited for, and waits for {}", kind.event())
        }
        Cause::Ended(holder) => {
            format!("thread `{holder}` has ended without releasing what is waited for")
        }
        Cause::Nobody => "no thread is known to hold what is waited for".to_owned(),
    };
    let note = textwrap::fill(&why, textwrap::Options::new(WIDTH).subsequent_indent("      "));
    format!(
        "warning[lockdep::watchdog]: thread `{thread}` waits for {name} at {site}, \
         for more than {more_than}\n\
         note: {note}\n{}",
        held(threads)
    )
}

/// Returns `true` if the thread holds the lock.
fn holds(threads: &[ThreadSnapshot], thread: &ThreadInfo, lock: &LockInfo) -> bool {
    let mut held = threads.iter().filter(|it| it.thread == *thread).flat_map(|it| &it.held);
    held.any(|held| held.lock == *lock)
}

fn mentioned(thread: &ThreadSnapshot) -> impl Iterator<Item = &HeldLock> + Clone {
    let wanted = thread.waiting.as_ref().map(|(wanted, _)| wanted);
    thread.held.iter().chain(wanted)
}

/// What is lined up: the locks that are held, and those that are waited for without more words.
fn locks_alone(threads: &[ThreadSnapshot]) -> impl Iterator<Item = &HeldLock> {
    threads.iter().flat_map(|thread| {
        let wanted = thread.waiting.as_ref().filter(|(_, until)| until.event().is_none());
        thread.held.iter().chain(wanted.map(|(wanted, _)| wanted))
    })
}
