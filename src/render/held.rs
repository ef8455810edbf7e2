//! A table of the locks that threads and tasks hold and wait for.

use std::{cmp::Reverse, fmt::Write};

use rustc_hash::FxHashSet;

use super::{
    activity, age,
    lock_names::Names,
    roles,
    thread_names::{who, with_id},
    words::{event, what_it_is},
};
use crate::{
    finding::{Activity, LockUse, Role, ThreadSnapshot, Until},
    source::Sources,
};

/// How many threads without a lock are listed; more would bury the others.
const MAX_THREADS: usize = 32;
/// How many tasks are listed.
const MAX_TASKS: usize = 64;

/// See [`crate::held`].
pub(crate) fn held(threads: &[ThreadSnapshot]) -> String {
    let has_locks = |thread: &ThreadSnapshot| mentioned(thread).next().is_some();
    let (with, without): (Vec<_>, Vec<_>) = threads.iter().partition(|it| has_locks(it));
    let (listed, left_out) = listed(with);
    let table = Table::new(&listed);
    let mut text = String::new();
    if listed.is_empty() {
        text += "no thread holds or waits for a lock\n";
    }
    for thread in listed {
        table.write(&mut text, thread);
        if thread.waiting.is_empty()
            && let Some(does) = does(thread, threads)
        {
            let _ = writeln!(text, "    is         {does}");
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} more tasks that hold a lock or wait for one");
    }
    for thread in without.iter().take(MAX_THREADS) {
        let id = thread.os.as_ref().map_or(0, |os| os.id);
        let _ = writeln!(text, "{}", with_id(&thread.thread, id));
        if let Some(does) = does(thread, threads) {
            let _ = writeln!(text, "    is         {does}");
        }
    }
    if without.len() > MAX_THREADS {
        let _ = writeln!(text, "and {} more threads without a lock", without.len() - MAX_THREADS);
    }
    text
}

/// Returns all threads, and the tasks to list: if there are many, those that explain the waits of
/// others. Also returns how many tasks are left out.
fn listed(mut all: Vec<&ThreadSnapshot>) -> (Vec<&ThreadSnapshot>, usize) {
    let tasks = all.iter().filter(|it| it.thread.is_task()).count();
    let left_out = tasks.saturating_sub(MAX_TASKS);
    if left_out > 0 {
        let wanted: FxHashSet<_> =
            all.iter().flat_map(|it| &it.waiting).map(|(wanted, _)| wanted.lock.id).collect();
        all.sort_by_key(|it| {
            let is_wanted =
                it.held.iter().chain(&it.granted).any(|it| wanted.contains(&it.lock.id));
            let waits = !it.waiting.is_empty();
            (it.thread.is_task(), Reverse((is_wanted, waits)), it.thread.number())
        });
        all.truncate(all.len() - left_out);
        all.sort_by_key(|it| (it.thread.is_task(), it.thread.number()));
    }
    (all, left_out)
}

/// Data common to all entries of a table.
struct Table {
    names: Names,
    /// The width of the column of locks.
    width: usize,
}

impl Table {
    fn new(threads: &[&ThreadSnapshot]) -> Self {
        let locks = || threads.iter().copied().flat_map(mentioned);
        let mentions = locks().map(|held| (&held.lock, &held.since));
        let names = Names::new(&mut Sources::default(), locks().map(|it| &it.lock), mentions);
        let mut table = Self { names, width: 0 };
        let lined_up = threads.iter().copied().flat_map(lined_up);
        let width = lined_up.map(|held| table.lock(held).chars().count()).max();
        table.width = width.unwrap_or(0);
        table
    }

    fn lock(&self, held: &LockUse) -> String {
        let name = self.names.at(&held.lock, &held.since);
        match held.lock.kind.role {
            Role::Event => name,
            Role::Pool => format!("{name} (permit)"),
            _ => format!("{name} ({})", held.mode),
        }
    }

    /// Returns where a thread has acquired a lock or waits for it, and for how long.
    fn since(held: &LockUse) -> String {
        let age = held.age.and_then(age).map_or_else(String::new, |age| format!(", for {age}"));
        format!("{}{age}", held.since)
    }

    /// Writes a thread or task, with a line for each of its locks.
    fn write(&self, text: &mut String, thread: &ThreadSnapshot) {
        let width = self.width;
        let has_ended = if thread.has_ended { " has ended" } else { "" };
        let spawned = thread.thread.spawn_site().filter(|_| thread.thread.is_task());
        let spawned = spawned.map_or_else(String::new, |site| format!(", spawned at {site}"));
        let _ = writeln!(text, "{}{spawned}{has_ended}", who(&thread.thread));
        for held in &thread.held {
            let (lock, since) = (self.lock(held), Self::since(held));
            let holds = if held.lock.kind.is_event() { "owes " } else { "holds" };
            let unless =
                if held.may_be_elsewhere { ", unless its guard was sent elsewhere" } else { "" };
            let _ = writeln!(text, "    {holds}      {lock:<width$}  since {since}{unless}");
        }
        for granted in &thread.granted {
            let (lock, at) = (self.lock(granted), Self::since(granted));
            let _ = writeln!(text, "    granted    {lock:<width$}  at {at}, and not polled since");
        }
        for (wanted, until) in &thread.waiting {
            let (what, at) = (self.awaited(wanted, *until), Self::since(wanted));
            let at_most = match until {
                Until::TimedOut | Until::HappenedInTime(_) => ", with a timeout",
                Until::Acquired | Until::Notified | Until::Happened(_) => "",
            };
            let _ = writeln!(text, "    waits {what}  at {at}{at_most}");
        }
    }

    fn awaited(&self, wanted: &LockUse, until: Until) -> String {
        let (width, name) = (self.width, || self.names.at(&wanted.lock, &wanted.since));
        match until {
            Until::Acquired if wanted.lock.kind.role == Role::Exit => {
                format!("for  {}", roles::awaited(Role::Exit, &name()))
            }
            Until::Acquired | Until::TimedOut => format!("for  {:<width$}", self.lock(wanted)),
            Until::Notified => format!("to be notified, then for {}", self.lock(wanted)),
            Until::Happened(kind) | Until::HappenedInTime(kind) => {
                format!("for  {}, {}", event(kind, &name()), what_it_is(&wanted.lock))
            }
        }
    }
}

/// Describes the activity of a thread, according to the system.
fn does(thread: &ThreadSnapshot, threads: &[ThreadSnapshot]) -> Option<String> {
    let os = thread.os.as_ref()?;
    match os.activity {
        Activity::Unknown => None,
        Activity::Joins(joined) => {
            let is_it = |it: &&ThreadSnapshot| it.os.as_ref().is_some_and(|os| os.id == joined);
            let who = threads.iter().find(is_it).map(|it| with_id(&it.thread, joined));
            let who = who.unwrap_or_else(|| format!("thread {joined}"));
            Some(format!("joining {who}, until it ends"))
        }
        _ => activity::words(&os.activity),
    }
}

/// Returns the locks of an entry.
fn mentioned(thread: &ThreadSnapshot) -> impl Iterator<Item = &LockUse> + Clone {
    let wanted = thread.waiting.iter().map(|(wanted, _)| wanted);
    thread.held.iter().chain(&thread.granted).chain(wanted)
}

/// Returns those that are aligned in a column. Other waits have longer descriptions.
fn lined_up(thread: &ThreadSnapshot) -> impl Iterator<Item = &LockUse> {
    let wanted = thread.waiting.iter().filter(|(_, until)| until.event().is_none());
    thread.held.iter().chain(&thread.granted).chain(wanted.map(|(wanted, _)| wanted))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::finding::{LockInfo, LockKind, LockOf, Mode, Site, ThreadInfo};

    static KIND: LockKind = LockKind { wrapper: "Mutex", of: LockOf::Nothing, role: Role::Lock };

    fn lock(id: u64) -> LockUse {
        let site = Site::from(Location::caller());
        let lock = LockInfo {
            id,
            kind: &KIND,
            created_at: None,
            seen_at: site.clone(),
            name: Some(format!("lock {id}").into()),
            class: None,
            resource: None,
        };
        LockUse { lock, mode: Mode::Exclusive, since: site, age: None, may_be_elsewhere: false }
    }

    /// Returns a task that holds the lock with the same number.
    fn task(number: u64, wanted: Option<u64>) -> ThreadSnapshot {
        let spawned_at = Some(Site::from(Location::caller()));
        let wanted = wanted.map(|id| (lock(id), Until::Acquired));
        ThreadSnapshot {
            thread: ThreadInfo { number, spawned_at, is_task: true, ..ThreadInfo::default() },
            has_ended: false,
            held: vec![lock(number)],
            waiting: wanted.into_iter().collect(),
            granted: Vec::new(),
            os: None,
        }
    }

    #[test]
    fn tasks_that_others_wait_for_are_listed_first() {
        let all: Vec<_> = (0..1000).map(|it| task(it, (it >= 998).then(|| it - 700))).collect();
        let text = held(&all);
        let is_listed = |number: u64| text.contains(&format!("\ntask {number}, spawned at"));
        assert!([298, 299, 998, 999].into_iter().all(is_listed), "{text}");
        assert_eq!(text.matches("    holds ").count(), MAX_TASKS);
        assert!(
            text.ends_with("\nand 936 more tasks that hold a lock or wait for one\n"),
            "{text}"
        );
        // Sorted by their numbers.
        let (before, after) = text.split_once("\ntask 299,").unwrap();
        assert!(before.contains("\ntask 1,") && after.contains("\ntask 998,"), "{text}");
    }
}
