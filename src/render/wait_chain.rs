//! Explains in sentences why a thread or task waits.

use std::time::Duration;

use super::{
    WIDTH, activity, age,
    held::held,
    lock_names::Names,
    roles,
    thread_names::{circle, what_all, who},
};
use crate::{
    duration,
    finding::{Activity, ChainEnd, FutexWait, OsThread, Role, ThreadSnapshot, WaitChain, WaitLink},
    source::Sources,
};

/// Returns the watchdog's report: the thread, why it waits, and the table of all threads. The first
/// report names the environment variable that sets the limit.
pub(crate) fn long_wait(
    chain: &WaitChain,
    more_than: Duration,
    is_first: bool,
    threads: &[ThreadSnapshot],
) -> String {
    let WaitLink { waiter, wanted, .. } = &chain.links[0];
    let name = names(&chain.links).at(&wanted.lock, &wanted.since);
    let more_than = duration::Display(more_than);
    let help = "help: `LOCKDEP_WATCHDOG` sets how long a wait may last before it is reported; `off` disables this\n";
    format!(
        "warning[lockdep::watchdog]: {} waits for {name} at {}, for more than {more_than}\n{}{}{}",
        who(waiter),
        wanted.since,
        note(&why(chain)),
        if is_first { help } else { "" },
        held(threads)
    )
}

/// Returns the report printed when a signal ends the process: what its threads wait for, and why.
#[cfg_attr(not(unix), allow(dead_code, reason = "there are no signals"))]
pub(crate) fn answer(signal: &str, chains: &[WaitChain], threads: &[ThreadSnapshot]) -> String {
    let mut known: Vec<&WaitLink> = Vec::new();
    let mut notes = String::new();
    let mut longest_first: Vec<_> = chains.iter().collect();
    longest_first.sort_by_key(|chain| std::cmp::Reverse(chain.links.len()));
    for chain in longest_first {
        // A shorter chain that is part of a longer one adds nothing, nor do further tasks that wait
        // for the same lock.
        let WaitLink { waiter, wanted, .. } = &chain.links[0];
        let is_known = |link: &&WaitLink| {
            link.waiter == *waiter || waiter.is_task() && link.wanted.lock == wanted.lock
        };
        if !known.iter().any(is_known) {
            known.extend(&chain.links);
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

/// Describes a chain of waits, from its first thread to its end.
fn why(WaitChain { links, end }: &WaitChain) -> String {
    let names = names(links);
    let link = |WaitLink { waiter, wanted, holder, is_granted, joined }: &WaitLink| {
        let role = wanted.lock.kind.role;
        let name = names.at(&wanted.lock, &wanted.since);
        let awaited = roles::awaited(role, &name);
        let waiter = who(waiter);
        let waits = match wanted.age.and_then(age) {
            Some(age) => format!("{waiter} has waited {age} for {awaited}"),
            None => format!("{waiter} waits for {awaited}"),
        };
        let Some((holder, since)) = holder else {
            return match role {
                Role::Exit => format!("{waits}, which has acquired no lock so far"),
                _ => format!("{waits}, which no thread is known to hold"),
            };
        };
        if *is_granted {
            let holder = who(holder);
            return format!(
                "{waits}, which a future of {holder} requested at {since}: it was granted, and that \
                 future has not been polled since"
            );
        }
        let joins = joined.as_ref().map_or_else(String::new, |joined| {
            format!("; {} waits for {} to end", who(holder), who(joined))
        });
        format!("{waits}, {}{joins}", roles::held_by(role, &name, holder, since))
    };
    let mut sentences: Vec<_> = links.iter().map(link).collect();
    let last = links.last().and_then(|link| link.holder.as_ref()).map(|(holder, _)| holder);
    let last = last.map_or_else(String::new, who);
    sentences.extend(match end {
        ChainEnd::Deadlock(members) => Some(format!(
            "this is a deadlock, each of these {} waits for the next: {}",
            what_all(members),
            circle(members.iter(), false)
        )),
        ChainEnd::Holder(os) => {
            let does = os.as_ref().and_then(does);
            let does = does.unwrap_or_else(|| "busy, asleep, or waits for something else".into());
            Some(format!("{last} waits for no checked lock, it is {does}"))
        }
        ChainEnd::Joined(os) => {
            let does = os.as_ref().and_then(does);
            let joined = links.last().and_then(|link| link.joined.as_ref());
            joined.zip(does).map(|(joined, does)| format!("{} is {does}", who(joined)))
        }
        ChainEnd::Sent => Some("its guard may have been sent elsewhere since".to_owned()),
        ChainEnd::AtRest => Some(format!(
            "{last} waits for something other than a lock: a timer, a message, another task"
        )),
        ChainEnd::Event(kind, since) => Some(match since.and_then(age) {
            Some(age) => format!("{last} has waited {age} for {}", kind.event()),
            None => format!("{last} waits for {}", kind.event()),
        }),
        ChainEnd::Ended => Some(format!("{last} has ended without releasing it")),
        ChainEnd::Nobody => None,
    });
    if needs_another(end) {
        let locks: Vec<_> =
            links.iter().map(|it| names.at(&it.wanted.lock, &it.wanted.since)).collect();
        sentences.push(format!(
            "there is no circle of locks, but if the thread that has to wake it needs {} first, all of \
             them wait for ever",
            locks.join(" or ")
        ));
    }
    sentences.join("; ")
}

/// Returns what a thread does, and for how long it has not run.
fn does(os: &OsThread) -> Option<String> {
    let does = activity::words(&os.activity)?;
    Some(match os.idle.and_then(age) {
        Some(idle) => format!("{does}, for {idle} or longer"),
        None => does,
    })
}

/// Returns `true` if the chain ends at a thread that only another one can wake, outside of the locks
/// that are checked: by a message, or by the release of an unchecked lock.
fn needs_another(end: &ChainEnd) -> bool {
    match end {
        ChainEnd::Event(..) => true,
        ChainEnd::Holder(os) | ChainEnd::Joined(os) => os.as_ref().is_some_and(|os| {
            matches!(os.activity, Activity::Futex(FutexWait { is_timed: false, .. }))
        }),
        ChainEnd::Deadlock(_)
        | ChainEnd::Sent
        | ChainEnd::AtRest
        | ChainEnd::Ended
        | ChainEnd::Nobody => false,
    }
}
