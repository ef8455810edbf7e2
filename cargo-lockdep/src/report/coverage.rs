//! The crates whose locks were not checked, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::formats::human;
use crate::outcomes::{Note, Outcome, UnknownTasks, WhyUnknown};

/// Crates that make threads or tasks wait by themselves and have no replacement, each with what that is and why it is
/// not seen.
pub(crate) const OTHER_LOCKS: [(&str, &str, &str); 3] = [
    ("async_lock", "its own locks", "not in this version, or with these features"),
    ("event_listener", "its own events", "any thread or task may notify them"),
    ("spin", "its own locks", "they are made of atomics"),
];

/// Crates on which others build locks.
const PARTS: [&str; 2] = ["lock_api", "parking_lot_core"];

/// The number of packages that are named for one reason.
const MAX_NAMED: usize = 3;

/// Returns lines for the terminal; empty if all locks were checked. What this program has lost is said in words; of what
/// is never seen there is only the number.
pub(crate) fn text(notes: &BTreeSet<Note>) -> String {
    let mut text = String::new();
    let mut unseen = BTreeMap::<&str, Unseen>::new();
    let mut for_others = BTreeMap::new();
    let mut elsewhere = Vec::new();
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
            Outcome::NoStd
            | Outcome::Unchosen
            | Outcome::Checked
            | Outcome::CheckedParts
            | Outcome::Replaced
            | Outcome::Records => {}
        }
        match unknown_tasks {
            Some(UnknownTasks::Elsewhere) => elsewhere.push(&**package),
            Some(UnknownTasks::Of(why)) => {
                let _ = writeln!(
                    text,
                    "lockdep: unchecked: the tasks of {package}, because it {}",
                    of_tasks(why)
                );
            }
            None => {}
        }
        if let Some(what) = Unseen::of(note) {
            let known = unseen.entry(package).or_insert(what);
            *known = what.min(*known);
        }
    }
    if !elsewhere.is_empty() {
        let _ = writeln!(
            text,
            "lockdep: unchecked: locks of {} in some tasks, which an unknown executor polls",
            elsewhere.join(", ")
        );
    }
    for (other, packages) in for_others {
        let packages = packages.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "lockdep: unchecked: these have the real locks, because {other} depends on them: {packages}"
        );
    }
    text + &summary(&unseen)
}

/// What is not seen of a package, and never is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unseen {
    OwnLocks,
    Unchosen,
    Streams,
    NoStd,
}

impl Unseen {
    fn of(note: &Note) -> Option<Self> {
        match note.outcome {
            _ if has_own_locks(note) => Some(Self::OwnLocks),
            Outcome::Unchosen => Some(Self::Unchosen),
            Outcome::NoStd => Some(Self::NoStd),
            _ => note.lacks_streams.then_some(Self::Streams),
        }
    }

    /// Says it of some packages, by name if they are few.
    fn of_packages(self, packages: &[&str]) -> String {
        let is_one = packages.len() == 1;
        let names = if packages.len() <= MAX_NAMED {
            packages.join(", ")
        } else {
            packages.len().to_string()
        };
        let what = match self {
            Self::OwnLocks if is_one => "may have its own locks",
            Self::OwnLocks => "may have their own locks",
            Self::Unchosen if is_one => "was not selected",
            Self::Unchosen => "were not selected",
            Self::Streams if is_one => "uses std's own stdin, stdout and stderr",
            Self::Streams => "use std's own stdin, stdout and stderr",
            Self::NoStd if is_one => "has no std",
            Self::NoStd => "have no std",
        };
        format!("{names} {what}")
    }
}

/// Returns the line on what is never seen.
fn summary(unseen: &BTreeMap<&str, Unseen>) -> String {
    let mut by_reason = BTreeMap::<Unseen, Vec<&str>>::new();
    for (package, what) in unseen {
        by_reason.entry(*what).or_default().push(package);
    }
    if by_reason.is_empty() {
        return String::new();
    }
    let reasons: Vec<_> =
        by_reason.iter().map(|(what, packages)| what.of_packages(packages)).collect();
    let packages = human::count(unseen.len() as u64, "package", "packages");
    format!("lockdep: {packages} not checked: {}. See `cargo lockdep doctor`\n", reasons.join("; "))
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
            Some("may have its own locks".to_owned())
        }
        Outcome::Checked | Outcome::CheckedParts | Outcome::Replaced | Outcome::Records => {
            match &note.unknown_tasks {
                Some(UnknownTasks::Elsewhere) => Some(
                    "may have locks that are not checked in some tasks, which an unknown executor polls"
                        .to_owned(),
                ),
                Some(UnknownTasks::Of(why)) => {
                    Some(format!("has unknown tasks, because it {}", of_tasks(why)))
                }
                None => {
                    note.lacks_streams.then(|| "uses std's own stdin, stdout and stderr".to_owned())
                }
            }
        }
    }
}

/// Returns why a crate's tasks are unknown, and the consequence.
fn of_tasks(why: &WhyUnknown) -> String {
    let why = match why {
        WhyUnknown::OwnTracing => "has its own `tracing`".to_owned(),
        WhyUnknown::Incompatible(error) => {
            format!("does not compile with our `tracing` ({error})")
        }
    };
    format!("{why}: its locks are checked where threads block, but not in tasks")
}

/// Returns `true` if the crate may define locks that are not checked.
fn has_own_locks(note: &Note) -> bool {
    let builds_on_parts = || {
        note.needs.iter().any(|unit| {
            let (crate_name, _) = unit.rsplit_once('-').unwrap_or((unit, ""));
            PARTS.contains(&crate_name)
        })
    };
    match note.outcome {
        Outcome::Checked | Outcome::NoStd | Outcome::Unchosen => {
            note.brings_locks || builds_on_parts()
        }
        // Those that it builds are checked.
        Outcome::CheckedParts => note.brings_locks,
        Outcome::FellBack(_)
        | Outcome::FellBackFor(_)
        | Outcome::Replaced
        | Outcome::Records
        | Outcome::Unrecorded(_) => false,
    }
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
            is_awaited: package.starts_with("tokio"),
            unknown_tasks: package
                .starts_with("tokio")
                .then_some(UnknownTasks::Of(WhyUnknown::OwnTracing)),
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
            // Some of its locks are made of lock_api.
            note("spin 1.0.0", Outcome::CheckedParts, &["lock_api-1"]),
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
             lockdep: 5 packages not checked: dashmap 6.0.0, spin 1.0.0 may have their own locks; d 4.0.0 was not \
             selected; printer 1.0.0 uses std's own stdin, stdout and stderr; c 3.0.0 has no std. See `cargo lockdep \
             doctor`\n"
        );
    }

    /// A program with many dependencies gets one line for those that have no locks to check.
    #[test]
    fn many_packages_are_one_line() {
        let notes = |kind: &str, outcome: &Outcome| -> Vec<_> {
            (0..4).map(|at| note(&format!("{kind}{at} 1.0.0"), outcome.clone(), &[])).collect()
        };
        let mut all = notes("plain", &Outcome::NoStd);
        all.extend(notes("spin", &Outcome::NoStd));
        // Its tests are another crate of the package.
        all.push(Note { crate_name: "tests".to_owned(), ..all[0].clone() });
        assert_eq!(
            text(&all.into_iter().collect()),
            "lockdep: 8 packages not checked: 4 may have their own locks; 4 have no std. See `cargo lockdep doctor`\n"
        );
        assert_eq!(text(&BTreeSet::from([note("a 1.0.0", Outcome::Checked, &[])])), "");
    }
}
