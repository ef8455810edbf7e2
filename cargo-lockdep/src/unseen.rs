//! Whose locks nobody has seen, and why.

use std::{collections::BTreeSet, fmt::Write};

use crate::notes::{Fate, Note};

/// Crates that bring locks of their own, which nothing here replaces.
pub(crate) const OTHER_LOCKS: [&str; 3] = ["async_lock", "spin", "tokio"];

/// Those who make locks of these crates' parts.
const PARTS: [&str; 2] = ["lock_api", "parking_lot_core"];

/// As lines for people; nothing, if all has been seen.
pub(crate) fn text(notes: &BTreeSet<Note>) -> String {
    let mut text = String::new();
    let (mut no_std, mut own_locks, mut unchosen, mut no_streams) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for note in notes {
        let Note { package, crate_name, fate, .. } = note;
        match fate {
            Fate::FellBack(error) => {
                let _ = writeln!(
                    text,
                    "lockdep: unseen: {package} (`{crate_name}`) has the real locks, as it does \
                     not compile with checked ones: {error}"
                );
            }
            Fate::NoStd => _ = no_std.insert(&**package),
            Fate::Unchosen => _ = unchosen.insert(&**package),
            Fate::Checked | Fate::CheckedParts | Fate::Replaced => {}
        }
        if note.lacks_streams {
            no_streams.insert(&**package);
        }
        if has_own_locks(note) {
            own_locks.insert(&**package);
        }
    }
    for (packages, what) in [
        (no_std, "are without std"),
        (own_locks, "may have locks of their own"),
        (unchosen, "were not chosen"),
        (no_streams, "have std's own stdin, stdout and stderr"),
    ] {
        if !packages.is_empty() {
            let packages = packages.into_iter().collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "lockdep: unseen: these {what}: {packages}");
        }
    }
    text
}

/// Why not all locks of a crate were seen, if so.
pub(crate) fn why(note: &Note) -> Option<String> {
    match &note.fate {
        Fate::FellBack(error) => {
            Some(format!("has the real locks, as it does not compile with checked ones: {error}"))
        }
        Fate::NoStd => Some("is without std".to_owned()),
        Fate::Unchosen => Some("was not chosen".to_owned()),
        Fate::Checked | Fate::CheckedParts | Fate::Replaced if has_own_locks(note) => {
            Some("may have locks of its own".to_owned())
        }
        Fate::Checked | Fate::CheckedParts | Fate::Replaced => {
            note.lacks_streams.then(|| "has std's own stdin, stdout and stderr".to_owned())
        }
    }
}

/// Whether it may make locks that are not checked.
fn has_own_locks(note: &Note) -> bool {
    if matches!(note.fate, Fate::FellBack(_) | Fate::Replaced | Fate::CheckedParts) {
        return false;
    }
    OTHER_LOCKS.contains(&&*note.crate_name)
        || note.needs.iter().any(|unit| {
            let (crate_name, _) = unit.rsplit_once('-').unwrap_or((unit, ""));
            PARTS.contains(&crate_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(package: &str, fate: Fate, needs: &[&str]) -> Note {
        Note {
            package: package.to_owned(),
            crate_name: package.split(' ').next().unwrap().to_owned(),
            fate,
            lacks_streams: package.starts_with("printer"),
            needs: needs.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_unseen_is_named_with_its_reason() {
        let notes = BTreeSet::from([
            note("a 1.0.0", Fate::Checked, &["parking_lot-1"]),
            note("b 2.0.0", Fate::FellBack("src/lib.rs:1:2: no".to_owned()), &[]),
            note("c 3.0.0", Fate::NoStd, &[]),
            note("d 4.0.0", Fate::Unchosen, &[]),
            note("checked_dashmap 6.0.0", Fate::CheckedParts, &["lock_api-1"]),
            note("dashmap 6.0.0", Fate::Checked, &["parking_lot_core-1", "libc-1"]),
            note("parking_lot 0.12.5", Fate::Replaced, &["lock_api-1", "parking_lot_core-1"]),
            note("tokio 1.0.0", Fate::Checked, &[]),
            note("printer 1.0.0", Fate::Checked, &[]),
        ]);
        assert_eq!(
            text(&notes),
            "lockdep: unseen: b 2.0.0 (`b`) has the real locks, as it does not compile with \
             checked ones: src/lib.rs:1:2: no\n\
             lockdep: unseen: these are without std: c 3.0.0\n\
             lockdep: unseen: these may have locks of their own: dashmap 6.0.0, tokio 1.0.0\n\
             lockdep: unseen: these were not chosen: d 4.0.0\n\
             lockdep: unseen: these have std's own stdin, stdout and stderr: printer 1.0.0\n"
        );
    }
}
