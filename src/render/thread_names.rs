//! The names of threads and tasks in a report.

use crate::finding::ThreadInfo;

/// Returns a thread or task as part of a sentence: `` thread `worker` ``, `task 7`.
pub(super) fn who(actor: &ThreadInfo) -> String {
    format!("{} {}", what(actor), alone(actor))
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
    if first.is_task() == second.is_task() {
        format!("{} {} and {}", what_all(actors), alone(first), alone(second))
    } else {
        format!("{} and {}", who(first), who(second))
    }
}

/// Returns a cycle of them, ending with the first one again. If all are threads, the caller has
/// said so and only names are given.
pub(super) fn circle<'a>(
    actors: impl Iterator<Item = &'a ThreadInfo> + Clone,
    are_more: bool,
) -> String {
    let are_threads = actors.clone().all(|actor| !actor.is_task());
    let name = |actor| if are_threads { alone(actor) } else { who(actor) };
    let rest = are_more.then(|| "…".to_owned());
    let back = actors.clone().next().map(name);
    actors.map(name).chain(rest).chain(back).collect::<Vec<_>>().join(" → ")
}

/// Returns where tasks and threads without names were spawned, one line per place: `tasks 7 and 8
/// were spawned at src/main.rs:4:5`. Returns `None` if there are none whose spawn is known.
pub(super) fn spawned<'a>(actors: impl IntoIterator<Item = &'a ThreadInfo>) -> Option<String> {
    let mut by_site: Vec<(_, Vec<&ThreadInfo>)> = Vec::new();
    for actor in actors {
        let Some(site) = actor.spawn_site() else { continue };
        match by_site.iter_mut().find(|(known, _)| *known == (site, what(actor))) {
            Some((_, same)) if same.contains(&actor) => {}
            Some((_, same)) => same.push(actor),
            None => by_site.push(((site, what(actor)), vec![actor])),
        }
    }
    let line = |((site, what), mut same): ((_, _), Vec<&ThreadInfo>)| {
        same.sort_by_key(|actor| actor.number());
        let mut names: Vec<_> = same.into_iter().map(alone).collect();
        let last = names.pop().unwrap_or_default();
        match &names[..] {
            [] => format!("{what} {last} was spawned at {site}"),
            others => format!("{what}s {} and {last} were spawned at {site}", others.join(", ")),
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
    use std::panic::Location;

    use super::*;

    fn thread(name: &str) -> ThreadInfo {
        ThreadInfo { name: Some(name.into()), ..ThreadInfo::default() }
    }

    #[track_caller]
    fn task(number: u64) -> ThreadInfo {
        let spawned_at = Some(Location::caller().into());
        ThreadInfo { number, spawned_at, is_task: true, ..ThreadInfo::default() }
    }

    #[test]
    fn threads_have_names_and_tasks_numbers() {
        let nameless = ThreadInfo { number: 4, ..ThreadInfo::default() };
        let named = ThreadInfo { name: Some("reader".into()), ..task(7) };
        let all = [thread("a"), nameless, task(7), named];
        assert_eq!(
            all.map(|it| who(&it)),
            ["thread `a`", "thread `#4`", "task 7", "task `reader`"]
        );
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
        let nameless = ThreadInfo { is_task: false, ..first.clone() };
        let line = format!("thread `#7` was spawned at {}", site(&nameless));
        assert_eq!(spawned([&nameless]).unwrap(), line);
        let named = ThreadInfo { name: Some("a".into()), ..nameless };
        assert_eq!(spawned([&named]), None);
    }
}
