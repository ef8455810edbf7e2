//! For people at a terminal: each finding's report, and a line that says what was looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    notes::{Fate, Note},
    report::{Counts, Report, Verdict},
};

/// All findings, the worst last, where people look first, and what they are found in.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    for judged in report.told().collect::<Vec<_>>().into_iter().rev() {
        let _ = writeln!(text, "\n{}", judged.finding.to_string().trim_end());
    }
    text + "\n" + &summary(report) + &unseen(&report.notes) + &hint(report)
}

/// How to hear more of the worst.
fn hint(report: &Report) -> String {
    let worst = report.told().next();
    worst.map_or_else(String::new, |judged| {
        format!("lockdep: see also `cargo lockdep explain {}`\n", judged.finding.kind)
    })
}

/// What was looked at, and how many findings there are, in one line.
pub(crate) fn summary(report: &Report) -> String {
    let Counts { processes, locks, edges } = report.counts;
    let text = format!(
        "lockdep: {}, {}, {}: ",
        count(locks, "lock", "locks"),
        count(edges, "edge", "edges"),
        count(processes, "process", "processes"),
    );
    let mut parts = Vec::new();
    for (verdict, what) in [(Verdict::Denied, "denied"), (Verdict::Warned, "warned of")] {
        let number = report.with(verdict).count();
        if number > 0 {
            parts.push(format!("{number} {what} ({})", by_kind(report, verdict)));
        }
    }
    for (verdict, what) in [
        (Verdict::Allowed, "allowed"),
        (Verdict::Silenced, "silenced"),
        (Verdict::Expected, "left to tests that look for them"),
    ] {
        let number = report.with(verdict).count();
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if parts.is_empty() {
        parts.push("nothing found".to_owned());
    }
    text + &parts.join(", ") + "\n"
}

/// ``2 `inversion`, 1 `recursive_read` ``
fn by_kind(report: &Report, verdict: Verdict) -> String {
    let mut kinds = BTreeMap::<_, usize>::new();
    for finding in report.with(verdict) {
        *kinds.entry(&finding.kind).or_default() += 1;
    }
    let kinds = kinds.into_iter().map(|(kind, count)| format!("{count} `{kind}`"));
    kinds.collect::<Vec<_>>().join(", ")
}

pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Crates that bring locks of their own, which are not std's.
const OTHER_LOCKS: [&str; 6] =
    ["parking_lot_core", "lock_api", "spin", "tokio", "crossbeam_utils", "once_cell"];

/// Whose locks nobody has seen, and why.
fn unseen(notes: &BTreeSet<Note>) -> String {
    let mut text = String::new();
    let (mut no_std, mut others) = (BTreeSet::new(), BTreeSet::new());
    for Note { package, crate_name, fate } in notes {
        match fate {
            Fate::FellBack(error) => {
                let _ = writeln!(
                    text,
                    "lockdep: unseen: {package} (`{crate_name}`) has std's own locks, as it does \
                     not compile with checked ones: {error}"
                );
            }
            Fate::NoStd => _ = no_std.insert(&**package),
            Fate::Checked => {}
        }
        if OTHER_LOCKS.contains(&&**crate_name) {
            others.insert(&**package);
        }
    }
    for (packages, what) in [(no_std, "are without std"), (others, "have locks that are not std's")]
    {
        if !packages.is_empty() {
            let packages = packages.into_iter().collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "lockdep: unseen: these {what}: {packages}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use lockdep::record::MergedGraph;

    use super::*;
    use crate::{levels::Levels, sources::Sources};

    fn note(package: &str, fate: Fate) -> Note {
        let crate_name = package.split(' ').next().unwrap().to_owned();
        Note { package: package.to_owned(), crate_name, fate }
    }

    #[test]
    fn what_is_unseen_is_named_with_its_reason() {
        let notes = BTreeSet::from([
            note("a 1.0.0", Fate::Checked),
            note("b 2.0.0", Fate::FellBack("src/lib.rs:1:2: no".to_owned())),
            note("c 3.0.0", Fate::NoStd),
            note("lock_api 0.4.0", Fate::NoStd),
            note("tokio 1.0.0", Fate::Checked),
        ]);
        assert_eq!(
            unseen(&notes),
            "lockdep: unseen: b 2.0.0 (`b`) has std's own locks, as it does not compile with \
             checked ones: src/lib.rs:1:2: no\n\
             lockdep: unseen: these are without std: c 3.0.0, lock_api 0.4.0\n\
             lockdep: unseen: these have locks that are not std's: lock_api 0.4.0, tokio 1.0.0\n"
        );
    }

    #[test]
    fn nothing_found_is_said() {
        let counts = Counts { processes: 1, locks: 2, edges: 0 };
        let report = Report::new(
            counts,
            Vec::new(),
            MergedGraph::default(),
            &Levels::new(Vec::new()),
            BTreeSet::new(),
            Sources::default(),
        );
        assert!(!report.is_denied());
        assert_eq!(text(&report), "\nlockdep: 2 locks, 0 edges, 1 process: nothing found\n");
    }
}
