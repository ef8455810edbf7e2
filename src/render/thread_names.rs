//! The names of threads and tasks in a report.

use crate::{
    finding::{Site, ThreadInfo},
    upstream,
};

/// Returns a thread or task as part of a sentence: `` thread `worker` ``, `task 7`, `the thread
/// spawned at src/main.rs:12`.
pub(super) fn who(actor: &ThreadInfo) -> String {
    if !actor.is_called_by_site() {
        format!("{} {}", what(actor), alone(actor))
    } else if actor.shares_name {
        actor.to_string()
    } else {
        format!("the {actor}")
    }
}

/// As [`who`], with the id that the operating system has for the thread.
pub(super) fn with_id(actor: &ThreadInfo, id: u64) -> String {
    let is_it = actor.os_id.is_some_and(|it| u64::from(it.get()) == id);
    match actor.name() {
        None if is_it && !actor.is_called_by_site() => who(actor),
        _ => format!("{} ({id})", who(actor)),
    }
}

/// Returns `thread` or `task`.
pub(super) fn what(actor: &ThreadInfo) -> &'static str {
    if actor.is_task() { "task" } else { "thread" }
}

/// Returns the plural for several of them: `threads`, `tasks`, `tasks and threads`.
pub(super) fn what_all<'a>(actors: impl IntoIterator<Item = &'a ThreadInfo>) -> &'static str {
    let (mut tasks, mut threads) = (false, false);
    for actor in actors {
        *if actor.is_task() { &mut tasks } else { &mut threads } = true;
    }
    match (tasks, threads) {
        (true, true) => "tasks and threads",
        (true, false) => "tasks",
        (false, _) => "threads",
    }
}

/// Returns two of them: `` threads `a` and `b` ``, `tasks 7 and 8`, `` task 7 and thread `b` ``.
pub(super) fn both(actors: [&ThreadInfo; 2]) -> String {
    let [first, second] = actors;
    let are_by_site = actors.iter().any(|it| it.is_called_by_site());
    if first.is_task() == second.is_task() && !are_by_site {
        format!("{} {} and {}", what_all(actors), alone(first), alone(second))
    } else {
        format!("{} and {}", who(first), who(second))
    }
}

/// Returns a cycle of them, ending with the first one again. If all are threads with names, the
/// caller has said that they are threads, and only names are given.
pub(super) fn circle<'a>(
    actors: impl Iterator<Item = &'a ThreadInfo> + Clone,
    are_more: bool,
) -> String {
    let have_names = actors.clone().all(|it| !it.is_task() && !it.is_called_by_site());
    let name = |actor| if have_names { alone(actor) } else { who(actor) };
    let rest = are_more.then(|| "…".to_owned());
    let back = actors.clone().next().map(name);
    actors.map(name).chain(rest).chain(back).collect::<Vec<_>>().join(" → ")
}

/// Returns where tasks were spawned, one line per place: `tasks 7 and 8 were spawned at
/// src/main.rs:4:5`. Returns `None` if there are no tasks, or if all were spawned in an executor's own code, by
/// functions that do not give their callers.
pub(super) fn spawned<'a>(actors: impl IntoIterator<Item = &'a ThreadInfo>) -> Option<String> {
    let mut by_site: Vec<(_, Vec<&ThreadInfo>)> = Vec::new();
    for task in actors.into_iter().filter(|actor| actor.is_task()) {
        let is_program = |site: &&Site| !upstream::is_of_a_dependency(site.file());
        let Some(site) = task.spawn_site().filter(is_program) else { continue };
        match by_site.iter_mut().find(|(known, _)| *known == site) {
            Some((_, same)) if same.contains(&task) => {}
            Some((_, same)) => same.push(task),
            None => by_site.push((site, vec![task])),
        }
    }
    let line = |(site, mut same): (_, Vec<&ThreadInfo>)| {
        same.sort_by_key(|task| task.number());
        let mut names: Vec<_> = same.into_iter().map(alone).collect();
        let last = names.pop().unwrap_or_default();
        match &names[..] {
            [] => format!("task {last} was spawned at {site}"),
            others => format!("tasks {} and {last} were spawned at {site}", others.join(", ")),
        }
    };
    let lines: Vec<_> = by_site.into_iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Returns only the name or number: `` `worker` ``, `7`.
fn alone(actor: &ThreadInfo) -> String {
    match actor.name() {
        None if actor.is_task() => actor.number().to_string(),
        _ => format!("`{actor}`"),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{num::NonZeroU32, panic::Location};

    use super::*;
    use crate::finding::Site;

    fn thread(name: &str) -> ThreadInfo {
        ThreadInfo { name: Some(name.into()), ..ThreadInfo::default() }
    }

    /// Returns a thread that the mirror of std spawned, or one that std did.
    fn nameless(number: u64, line: Option<u32>) -> ThreadInfo {
        let spawned_at = line.map(|line| Site::new("src/main.rs".to_owned(), line, 5));
        ThreadInfo { number, spawned_at, os_id: NonZeroU32::new(25340), ..ThreadInfo::default() }
    }

    #[track_caller]
    fn task(number: u64) -> ThreadInfo {
        let spawned_at = Some(Location::caller().into());
        ThreadInfo { number, spawned_at, is_task: true, ..ThreadInfo::default() }
    }

    #[test]
    fn threads_have_names_and_tasks_numbers() {
        let named = ThreadInfo { name: Some("reader".into()), ..task(7) };
        let all = [thread("a"), nameless(4, Some(12)), nameless(4, None), task(7), named];
        assert_eq!(
            all.each_ref().map(who),
            [
                "thread `a`",
                "the thread spawned at src/main.rs:12",
                "thread `<unnamed> (25340)`",
                "task 7",
                "task `reader`"
            ]
        );
        assert_eq!(
            all[..3].iter().map(|it| with_id(it, 25340)).collect::<Vec<_>>(),
            [
                "thread `a` (25340)",
                "the thread spawned at src/main.rs:12 (25340)",
                "thread `<unnamed> (25340)`",
            ]
        );
        let one_of_many = ThreadInfo { shares_name: true, ..nameless(4, Some(12)) };
        assert_eq!(who(&one_of_many), "thread #4 spawned at src/main.rs:12");
    }

    #[test]
    fn two_are_named_together_if_they_are_alike() {
        let all = [thread("a"), thread("b"), task(7), task(8)];
        let both = |first: usize, second: usize| both([&all[first], &all[second]]);
        assert_eq!(both(0, 1), "threads `a` and `b`");
        assert_eq!(both(2, 3), "tasks 7 and 8");
        assert_eq!(both(2, 0), "task 7 and thread `a`");
        assert_eq!(what_all(&all[1..3]), "tasks and threads");
        assert_eq!(circle(all[..2].iter(), false), "`a` → `b` → `a`");
        assert_eq!(circle(all[1..3].iter(), true), "thread `b` → task 7 → … → thread `b`");
        let spawned = [nameless(4, Some(12)), nameless(5, Some(14))];
        assert_eq!(
            super::both([&spawned[0], &all[1]]),
            "the thread spawned at src/main.rs:12 and thread `b`"
        );
        assert_eq!(
            circle(spawned.iter(), false),
            "the thread spawned at src/main.rs:12 → the thread spawned at src/main.rs:14 → \
             the thread spawned at src/main.rs:12"
        );
    }

    #[test]
    fn a_spawn_site_is_said_once() {
        let [first, second] = [7, 8].map(|number| task(number));
        let other = task(9);
        let site = |task: &ThreadInfo| task.spawned_at().unwrap().to_string();
        let all = [thread("a"), first.clone(), other.clone(), second, first.clone()];
        assert_eq!(
            spawned(&all).unwrap(),
            format!(
                "tasks 7 and 8 were spawned at {}\ntask 9 was spawned at {}",
                site(&first),
                site(&other)
            )
        );
        assert_eq!(spawned(&all[..1]), None);
        // What is called by its spawn site says it itself.
        assert_eq!(spawned([&nameless(7, Some(12))]), None);
    }
}
