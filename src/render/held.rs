//! Who holds what, and who waits for it, as a table.

use std::fmt::Write;

use super::{WIDTH, age, names::Names, source::Sources};
use crate::finding::{Cause, HeldLock, LockInfo, LongWait, ThreadInfo, ThreadSnapshot, Until};

/// See [`crate::held`].
pub(crate) fn held(threads: &[ThreadSnapshot]) -> String {
    if threads.is_empty() {
        return "no thread holds or waits for a lock\n".to_owned();
    }
    let mut sources = Sources::default();
    let locks = threads.iter().flat_map(mentioned);
    let mentions = locks.clone().map(|held| (&held.lock, &held.since));
    let names = Names::new(&mut sources, locks.clone().map(|held| &held.lock), mentions);

    let line = |held: &HeldLock| {
        let mode =
            if held.lock.kind.is_event() { String::new() } else { format!(" ({})", held.mode) };
        let age = held.age.and_then(age).map_or_else(String::new, |age| format!(", for {age}"));
        let at = format!("{}{age}", held.since);
        (names.at(&held.lock, &held.since) + &mode, at)
    };
    let width = locks.map(|held| line(held).0.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for thread in threads {
        let has_ended = if thread.has_ended { " has ended" } else { "" };
        let _ = writeln!(text, "thread `{}`{has_ended}", thread.thread);
        for held in &thread.held {
            let (lock, since) = line(held);
            let does = if held.lock.kind.is_event() { "owes " } else { "holds" };
            let _ = writeln!(text, "    {does}      {lock:<width$}  since {since}");
        }
        if let Some((wanted, until)) = &thread.waiting {
            let (lock, at) = line(wanted);
            let _ = match until {
                Until::Acquired => writeln!(text, "    waits for  {lock:<width$}  at {at}"),
                Until::TimedOut => {
                    writeln!(text, "    waits for  {lock:<width$}  at {at}, for some time at most")
                }
                Until::Notified => {
                    writeln!(text, "    waits to be notified, then for {lock}  at {at}")
                }
            };
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
        Cause::Notification(holder) => {
            format!("thread `{holder}` holds what is waited for, and waits to be notified")
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
