//! The crates whose locks were not checked, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::outcomes::{Note, Outcome, UnknownTasks};

/// Crates that define their own locks and have no replacement.
pub(crate) const OTHER_LOCKS: [&str; 2] = ["async_lock", "spin"];

/// Crates on which others build locks.
const PARTS: [&str; 2] = ["lock_api", "parking_lot_core"];

/// Returns lines for the terminal; empty if all locks were checked.
pub(crate) fn text(notes: &BTreeSet<Note>) -> String {
    let mut text = String::new();
    let (mut no_std, mut own_locks, mut unchosen, mut no_streams) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut for_others = BTreeMap::new();
    for note in notes {
        let Note { package, crate_name, outcome, unknown_tasks, .. } = note;
        match outcome {
            Outcome::FellBack(error) => {
                let _ = writeln!(
                    text,
                    "lockdep: unchecked: {package} (`{crate_name}`) has the real locks, because it does \
                     not compile with checked ones: {error}"
                );
            }
            Outcome::FellBackFor(other) => {
                for_others.entry(&**other).or_insert_with(BTreeSet::new).insert(&**package);
            }
            Outcome::Unrecorded(error) => {
                let _ = writeln!(
                    text,
                    "lockdep: unchecked: {package} is the program's own, and its findings were not recorded, \
                     because {error}; `cargo test` reports them, and so does its feature `records`"
                );
            }
            Outcome::NoStd => _ = no_std.insert(&**package),
            Outcome::Unchosen => _ = unchosen.insert(&**package),
            Outcome::Checked | Outcome::CheckedParts | Outcome::Replaced | Outcome::Records => {}
        }
        if let Some(unknown) = unknown_tasks {
            let why = of_tasks(unknown);
            let _ = writeln!(text, "lockdep: unchecked: the tasks of {package}, because it {why}");
        }
        if note.lacks_streams {
            no_streams.insert(&**package);
        }
        if has_own_locks(note) {
            own_locks.insert(&**package);
        }
    }
    for (other, packages) in for_others {
        let packages = packages.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "lockdep: unchecked: these have the real locks, because {other} depends on them: {packages}"
        );
    }
    for (packages, what) in [
        (no_std, "have no std"),
        (own_locks, "may define their own locks"),
        (unchosen, "were not selected"),
        (no_streams, "use std's own stdin, stdout and stderr"),
    ] {
        if !packages.is_empty() {
            let packages = packages.into_iter().collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "lockdep: unchecked: these {what}: {packages}");
        }
    }
    text
}

/// Returns why some locks of a crate were not checked, or `None` if all were.
pub(crate) fn why(note: &Note) -> Option<String> {
    match &note.outcome {
        Outcome::FellBack(error) => Some(format!(
            "has the real locks, because it does not compile with checked ones: {error}"
        )),
        Outcome::FellBackFor(other) => {
            Some(format!("has the real locks, because {other} depends on it"))
        }
        Outcome::Unrecorded(error) => Some(format!(
            "is the program's own, and its findings were not recorded, because {error}"
        )),
        Outcome::NoStd => Some("has no std".to_owned()),
        Outcome::Unchosen => Some("was not selected".to_owned()),
        Outcome::Checked | Outcome::CheckedParts | Outcome::Replaced | Outcome::Records
            if has_own_locks(note) =>
        {
            Some("may define its own locks".to_owned())
        }
        Outcome::Checked | Outcome::CheckedParts | Outcome::Replaced | Outcome::Records => {
            match &note.unknown_tasks {
                Some(unknown) => {
                    Some(format!("has unknown tasks, because it {}", of_tasks(unknown)))
                }
                None => {
                    note.lacks_streams.then(|| "uses std's own stdin, stdout and stderr".to_owned())
                }
            }
        }
    }
}

/// Returns why a crate's tasks are unknown, and the consequence.
fn of_tasks(unknown: &UnknownTasks) -> String {
    let why = match unknown {
        UnknownTasks::OwnTracing => "has its own `tracing`".to_owned(),
        UnknownTasks::Incompatible(error) => {
            format!("does not compile with our `tracing` ({error})")
        }
        UnknownTasks::Elsewhere => {
            return "did not poll all of them itself: its locks are not checked in those that another \
                    executor polls"
                .to_owned();
        }
    };
    format!("{why}: its locks are checked where threads block, but not in tasks")
}

/// Returns `true` if the crate may define locks that are not checked.
fn has_own_locks(note: &Note) -> bool {
    if matches!(
        note.outcome,
        Outcome::FellBack(_)
            | Outcome::FellBackFor(_)
            | Outcome::Replaced
            | Outcome::CheckedParts
            | Outcome::Records
            | Outcome::Unrecorded(_)
    ) {
        return false;
    }
    note.brings_locks
        || note.needs.iter().any(|unit| {
            let (crate_name, _) = unit.rsplit_once('-').unwrap_or((unit, ""));
            PARTS.contains(&crate_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(package: &str, outcome: Outcome, needs: &[&str]) -> Note {
        Note {
            package: package.to_owned(),
            crate_name: package.split(' ').next().unwrap().to_owned(),
            outcome,
            brings_locks: package.starts_with("spin"),
            lacks_streams: package.starts_with("printer"),
            has_tasks: package.starts_with("tokio"),
            unknown_tasks: package.starts_with("tokio").then_some(UnknownTasks::OwnTracing),
            needs: needs.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_unseen_is_named_with_its_reason() {
        let notes = BTreeSet::from([
            note("a 1.0.0", Outcome::Checked, &["parking_lot-1"]),
            note("b 2.0.0", Outcome::FellBack("src/lib.rs:1:2: no".to_owned()), &[]),
            note("bb 2.0.0", Outcome::FellBackFor("b 2.0.0".to_owned()), &[]),
            note("c 3.0.0", Outcome::NoStd, &[]),
            note("lockdep 0.0.1", Outcome::Unrecorded("it is too old".to_owned()), &[]),
            note("d 4.0.0", Outcome::Unchosen, &[]),
            note("checked_dashmap 6.0.0", Outcome::CheckedParts, &["lock_api-1"]),
            note("dashmap 6.0.0", Outcome::Checked, &["parking_lot_core-1", "libc-1"]),
            note("parking_lot 0.12.5", Outcome::Replaced, &["lock_api-1", "parking_lot_core-1"]),
            note("spin 1.0.0", Outcome::Checked, &[]),
            note("tokio 1.0.0", Outcome::Replaced, &[]),
            note("printer 1.0.0", Outcome::Checked, &[]),
        ]);
        assert_eq!(
            text(&notes),
            "lockdep: unchecked: b 2.0.0 (`b`) has the real locks, because it does not compile with \
             checked ones: src/lib.rs:1:2: no\n\
             lockdep: unchecked: lockdep 0.0.1 is the program's own, and its findings were not recorded, because \
             it is too old; `cargo test` reports them, and so does its feature `records`\n\
             lockdep: unchecked: the tasks of tokio 1.0.0, because it has its own `tracing`: its locks are checked \
             where threads block, but not in tasks\n\
             lockdep: unchecked: these have the real locks, because b 2.0.0 depends on them: bb 2.0.0\n\
             lockdep: unchecked: these have no std: c 3.0.0\n\
             lockdep: unchecked: these may define their own locks: dashmap 6.0.0, spin 1.0.0\n\
             lockdep: unchecked: these were not selected: d 4.0.0\n\
             lockdep: unchecked: these use std's own stdin, stdout and stderr: printer 1.0.0\n"
        );
    }
}
