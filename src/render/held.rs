//! Who holds what, and who waits for it, as a table.

use std::fmt::Write;

use super::{names::Names, source::Sources};
use crate::finding::{HeldLock, ThreadSnapshot, Waiting};

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
        let mode = held.mode;
        (format!("{} ({mode})", names.at(&held.lock, &held.since)), held.since.to_string())
    };
    let width = locks.map(|held| line(held).0.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for thread in threads {
        let _ = writeln!(text, "thread `{}`", thread.thread);
        for held in &thread.held {
            let (lock, since) = line(held);
            let _ = writeln!(text, "    holds      {lock:<width$}  since {since}");
        }
        match &thread.waiting {
            Some(Waiting::Lock(wanted)) => {
                let (lock, at) = line(wanted);
                let _ = writeln!(text, "    waits for  {lock:<width$}  at {at}");
            }
            Some(Waiting::Notification(mutex)) => {
                let (lock, at) = line(mutex);
                let _ = writeln!(text, "    waits to be notified, then for {lock}  at {at}");
            }
            None => {}
        }
    }
    text
}

fn mentioned(thread: &ThreadSnapshot) -> impl Iterator<Item = &HeldLock> + Clone {
    let waiting = thread.waiting.as_ref().map(|waiting| match waiting {
        Waiting::Lock(lock) | Waiting::Notification(lock) => lock,
    });
    thread.held.iter().chain(waiting)
}
