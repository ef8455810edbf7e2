//! The entries of `lockdep.toml` that matched no finding in any process.
//!
//! At its end, each process writes one line for each entry: whether it was used, its place and its reason, separated by
//! tabs. A process that is killed writes none, but its silenced findings are in its record, with their reasons.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use super::Judged;

/// The extension of the files with these lines.
const EXTENSION: &str = "allow";

/// Returns the places of the unused entries, in order.
pub(super) fn entries(folders: &BTreeSet<PathBuf>, findings: &[Judged]) -> Vec<String> {
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let files = files.map(|file| file.path());
    let files =
        files.filter(|path| path.extension().is_some_and(|it| it == EXTENSION) && path.is_file());
    let texts: Vec<_> = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
    let reasons = findings.iter().filter_map(|judged| judged.finding.silenced.as_deref());
    unused(&texts, &reasons.map(|reason| reason.replace('\n', " ")).collect())
}

fn unused(texts: &[String], reasons: &BTreeSet<String>) -> Vec<String> {
    let mut is_used = BTreeMap::<_, bool>::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let mut parts = line.splitn(3, '\t');
        if let (Some(used), Some(place), Some(reason)) = (parts.next(), parts.next(), parts.next())
        {
            *is_used.entry(in_order(place)).or_default() |=
                used == "used" || reasons.contains(reason);
        }
    }
    let unused = is_used.into_iter().filter(|(_, is_used)| !is_used);
    unused.map(|((file, line), _)| format!("{file}:{line}")).collect()
}

/// Splits `lockdep.toml:12` for sorting.
fn in_order(place: &str) -> (&str, u32) {
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    (file, line.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_unused_if_no_process_has_used_it() {
        let texts = [
            "unused\ta.toml:1\tone\nunused\ta.toml:12\ttwo\nunused\ta.toml:5\tthree\tor so\n",
            "used\ta.toml:1\tone\nunused\ta.toml:5\tthree\tor so\nunused\tb.toml:1\tone\n",
        ];
        let texts = texts.map(str::to_owned);
        assert_eq!(unused(&texts, &BTreeSet::new()), ["a.toml:5", "a.toml:12", "b.toml:1"]);
        // What a killed process had silenced.
        let reasons = BTreeSet::from(["three\tor so".to_owned(), "one".to_owned()]);
        assert_eq!(unused(&texts, &reasons), ["a.toml:12"]);
        assert!(unused(&[], &reasons).is_empty());
    }
}
