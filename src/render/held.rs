//! Who holds what, and who waits for it, as a table; and why, as sentences.

use std::{fmt::Write, time::Duration};

use super::{
    WIDTH, activity, age,
    names::Names,
    roles,
    source::Sources,
    words::{event, what_it_is},
};
use crate::finding::{
    Activity, ChainEnd, HeldLock, Role, ThreadInfo, ThreadSnapshot, Until, WaitChain, WaitLink,
};

/// How many threads without a lock are listed; more would bury the others.
const LISTED: usize = 32;

/// See [`crate::held`].
pub(crate) fn held(threads: &[ThreadSnapshot]) -> String {
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
    if locks.clone().next().is_none() {
        text += "no thread holds or waits for a lock\n";
    }
    let has_locks = |thread: &&ThreadSnapshot| mentioned(thread).next().is_some();
    for thread in threads.iter().filter(has_locks) {
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
        } else if let Some(does) = does(thread, threads) {
            let _ = writeln!(text, "    is         {does}");
        }
    }
    let others: Vec<_> = threads.iter().filter(|thread| !has_locks(thread)).collect();
    for thread in others.iter().take(LISTED) {
        let id = thread.os.as_ref().map_or(0, |os| os.id);
        let _ = writeln!(text, "thread `{}` ({id})", thread.thread);
        if let Some(does) = does(thread, threads) {
            let _ = writeln!(text, "    is         {does}");
        }
    }
    if others.len() > LISTED {
        let _ = writeln!(text, "and {} more threads without a lock", others.len() - LISTED);
    }
    text
}

/// What the system says that a thread does.
fn does(thread: &ThreadSnapshot, threads: &[ThreadSnapshot]) -> Option<String> {
    let os = thread.os.as_ref()?;
    match os.activity {
        Activity::Unknown => None,
        Activity::Joins(joined) => {
            let is_it = |it: &&ThreadSnapshot| it.os.as_ref().is_some_and(|os| os.id == joined);
            let name = threads.iter().find(is_it).map(|it| format!("`{}` ", it.thread));
            let name = name.unwrap_or_default();
            Some(format!("joining thread {name}({joined}), until it ends"))
        }
        _ => activity::words(&os.activity),
    }
}

/// The watchdog's report: who waits, why, and the whole table. The first one names the variable that sets
/// the limit.
pub(crate) fn long_wait(
    chain: &WaitChain,
    more_than: Duration,
    is_first: bool,
    threads: &[ThreadSnapshot],
) -> String {
    let WaitLink { waiter, wanted, .. } = &chain.links[0];
    let name = names(&chain.links).at(&wanted.lock, &wanted.since);
    let more_than = humantime::format_duration(more_than);
    let help =
        "help: `LOCKDEP_WATCHDOG` says how long a wait may last before it is reported, or `off`\n";
    format!(
        "warning[lockdep::watchdog]: thread `{waiter}` waits for {name} at {}, \
         for more than {more_than}\n{}{}{}",
        wanted.since,
        note(&why(chain)),
        if is_first { help } else { "" },
        held(threads)
    )
}

/// What is said when a signal ends the process: what its threads wait for, and why.
#[cfg_attr(not(unix), allow(dead_code, reason = "there are no signals"))]
pub(crate) fn answer(signal: &str, chains: &[WaitChain], threads: &[ThreadSnapshot]) -> String {
    let mut told = Vec::new();
    let mut notes = String::new();
    let mut longest_first: Vec<_> = chains.iter().collect();
    longest_first.sort_by_key(|chain| std::cmp::Reverse(chain.links.len()));
    for chain in longest_first {
        // A shorter chain that a longer one contains adds nothing.
        let is_told = |waiter: &ThreadInfo| told.contains(waiter);
        if !is_told(&chain.links[0].waiter) {
            told.extend(chain.links.iter().map(|link| link.waiter.clone()));
            notes += &note(&why(chain));
        }
    }
    format!("lockdep: {signal} ends this process. What its threads did:\n{}{notes}", held(threads))
}

fn note(text: &str) -> String {
    let indented = textwrap::Options::new(WIDTH).subsequent_indent("      ");
    format!("note: {}\n", textwrap::fill(text, indented))
}

fn names(links: &[WaitLink]) -> Names {
    let wanted = || links.iter().map(|link| (&link.wanted.lock, &link.wanted.since));
    Names::new(&mut Sources::default(), wanted().map(|(lock, _)| lock), wanted())
}

/// A chain of waits in words, from its first thread to its end.
fn why(WaitChain { links, end }: &WaitChain) -> String {
    let names = names(links);
    let link = |WaitLink { waiter, wanted, holder, joined }: &WaitLink| {
        let role = wanted.lock.kind.role;
        let name = names.at(&wanted.lock, &wanted.since);
        let awaited = roles::awaited(role, &name);
        let waits = match wanted.age.and_then(age) {
            Some(age) => format!("thread `{waiter}` has waited {age} for {awaited}"),
            None => format!("thread `{waiter}` waits for {awaited}"),
        };
        let Some((holder, since)) = holder else {
            return match role {
                Role::Exit => format!("{waits}, which has taken no lock so far"),
                _ => format!("{waits}, which no thread is known to hold"),
            };
        };
        let joins = joined.as_ref().map_or_else(String::new, |joined| {
            format!("; thread `{holder}` waits for thread `{joined}` to end")
        });
        format!("{waits}, {}{joins}", roles::held_by(role, &name, holder, since))
    };
    let mut sentences: Vec<_> = links.iter().map(link).collect();
    let last = links.last().and_then(|link| link.holder.as_ref()).map(|(holder, _)| holder);
    let last = last.map_or_else(String::new, |holder| format!("thread `{holder}`"));
    sentences.extend(match end {
        ChainEnd::Deadlock(threads) => {
            let circle = threads.iter().chain(threads.first()).map(ThreadInfo::to_string);
            let circle = circle.collect::<Vec<_>>().join("` → `");
            Some(format!(
                "this is a deadlock, each of these threads waits for the next: `{circle}`"
            ))
        }
        ChainEnd::Holder(os) => {
            let does = os.as_ref().and_then(|os| activity::words(&os.activity));
            let does = does.unwrap_or_else(|| "busy, asleep, or waits for something else".into());
            Some(format!("{last} waits for no lock, it is {does}"))
        }
        ChainEnd::Joined(os) => {
            let does = os.as_ref().and_then(|os| activity::words(&os.activity));
            let joined = links.last().and_then(|link| link.joined.as_ref());
            joined.zip(does).map(|(joined, does)| format!("thread `{joined}` is {does}"))
        }
        ChainEnd::Event(kind) => Some(format!("{last} waits for {}", kind.event())),
        ChainEnd::Ended => Some(format!("{last} has ended without releasing it")),
        ChainEnd::Nobody => None,
    });
    sentences.join("; ")
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
