//! The entry of a `lockdep.toml` that silences a finding, at the end of its report.

use std::{
    fmt::Write,
    path::{MAIN_SEPARATOR, Path},
};

use crate::finding::{Detail, Edge, Finding, FindingKind, Site};

/// Returns the note with the entry to paste. It names the kind and all places, as the report shows
/// them, so it silences nothing else. `None` if the finding is silenced already or needs no silencing, if a place may be
/// another, and for a deadlock that has happened: to silence its report would not end it.
pub(super) fn note(finding: &Finding, shown: &[Edge]) -> Option<String> {
    let Finding { kind, cycle, .. } = finding;
    let has_happened = matches!(kind, FindingKind::Deadlock | FindingKind::Futurelock)
        && !cycle.iter().any(|edge| edge.may_have_left);
    let places = || shown.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
    let is_unsuited = has_happened
        || matches!(finding.detail, Detail::Unshared(_))
        || places().any(Site::may_be_in_a_doctest);
    if !cfg!(feature = "config") || finding.silenced.is_some() || is_unsuited {
        return None;
    }
    let mut sites: Vec<String> = Vec::new();
    for site in places() {
        let site = quoted(&format!("{}:{}", portable(site.file()), site.line()));
        if !sites.contains(&site) {
            sites.push(site);
        }
    }
    let harmless = match kind {
        FindingKind::ExpiredLease => "is harmless",
        _ => "cannot hang",
    };
    Some(format!(
        "if this {harmless}, an entry in `lockdep.toml` silences it:\n\
         [[allow]]\n\
         kind = \"{kind}\"\n\
         sites = [{}]\n\
         reason = \"say why it {harmless}\"",
        sites.join(", ")
    ))
}

/// Returns the part of a path that other machines have as well: without the folder into which cargo
/// unpacks the crates of a registry, or of git repositories.
fn portable(file: &str) -> &str {
    let parts: Vec<_> = file.split(['/', MAIN_SEPARATOR]).collect();
    let depth = |from: &[&str], below: usize| {
        let at = parts.windows(from.len()).position(|it| it == from)?;
        Some(at + from.len() + below).filter(|&depth| depth < parts.len())
    };
    let depth = depth(&["registry", "src"], 1).or_else(|| depth(&["git", "checkouts"], 0));
    match depth {
        Some(depth) if Path::new(file).is_absolute() => {
            let skipped: usize = parts[..depth].iter().map(|part| part.len() + 1).sum();
            &file[skipped..]
        }
        _ => file,
    }
}

/// Returns a string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn paths_are_without_this_machine() {
        for (file, expected) in [
            ("src/main.rs", "src/main.rs"),
            ("/home/me/bank/src/main.rs", "/home/me/bank/src/main.rs"),
            ("/home/me/.cargo/registry/src/index-1/pool-1.0.0/src/lib.rs", "pool-1.0.0/src/lib.rs"),
            ("/home/me/.cargo/git/checkouts/pool-1a/2b3c/src/lib.rs", "pool-1a/2b3c/src/lib.rs"),
            ("/registry/src", "/registry/src"),
            ("registry/src/a/b.rs", "registry/src/a/b.rs"),
        ] {
            if cfg!(unix) {
                assert_eq!(portable(file), expected);
            }
        }
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("src\\a \"b\"\u{1}é"), r#""src\\a \"b\"\u0001é""#);
    }
}
