//! `cargo lockdep explain`: what each kind of finding means, with an example.
//!
//! The texts are the files in `explain`. A test runs each example and checks the kind of its finding.

use std::{fmt::Write, sync::LazyLock};

use clap::{ValueEnum, builder::PossibleValue};
use lockdep::FindingKind;

#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    pub(crate) kind: FindingKind,
    /// Markdown: a title, a paragraph that sums it up, an example, and how to fix it.
    pub(crate) text: &'static str,
}

/// The texts of the files in `explain`, by the names of their kinds.
static TEXTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/explanations.rs"));

pub(crate) static ALL: LazyLock<Vec<Explanation>> = LazyLock::new(|| {
    let explanation = |kind: FindingKind| {
        let (_, text) = TEXTS.iter().find(|(name, _)| *name == kind.name())?;
        Some(Explanation { kind, text })
    };
    FindingKind::ALL.into_iter().filter_map(explanation).collect()
});

impl Explanation {
    pub(crate) fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    /// Returns the first paragraph as one line.
    pub(crate) fn summary(&self) -> String {
        let lines = self.text.lines().skip(2).take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    }
}

/// Returns the text of one kind, or the list of all kinds.
pub(crate) fn text(explanation: Option<&Explanation>) -> String {
    if let Some(explanation) = explanation {
        return explanation.text.to_owned();
    }
    let mut text = "The kinds of finding, with their default levels:\n\n".to_owned();
    let width = ALL.iter().map(|it| it.kind.name().len()).max().unwrap_or_default();
    for it in &*ALL {
        let (name, level) = (it.kind.name(), it.kind.default_level().name());
        let _ = writeln!(text, "  {name:width$}  {level:5}  {}", it.title());
    }
    text + "\n`cargo lockdep explain KIND` explains one of them.\n"
}

/// As an argument, a kind is named as in `lockdep.toml`, or as in reports
/// (`lockdep::leaked_guard`).
impl ValueEnum for Explanation {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let name = self.kind.name();
        Some(PossibleValue::new(name).help(self.title()).alias(format!("lockdep::{name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_explanation_with_all_parts() {
        assert_eq!((ALL.len(), TEXTS.len()), (FindingKind::ALL.len(), FindingKind::ALL.len()));
        for it in &*ALL {
            let name = it.kind.name();
            assert!(it.text.starts_with("# "), "{name}");
            assert!(it.summary().len() > 80, "{name}: {}", it.summary());
            for part in ["\n## Example\n\n```rust\n", "\n## What to do\n"] {
                assert_eq!(it.text.matches(part).count(), 1, "{name}: {part}");
            }
            assert!(it.text.lines().all(|line| line.len() <= 110), "{name}");
        }
    }

    #[test]
    fn a_kind_is_named_as_reports_name_it() {
        for name in ["leaked_guard", "lockdep::leaked_guard"] {
            assert_eq!(Explanation::from_str(name, false).unwrap().kind, FindingKind::LeakedGuard);
        }
        assert!(Explanation::from_str("leaked", false).is_err());
        assert!(
            text(None).contains(
                "  leaked_guard             warn   A thread ended while it held a lock\n"
            )
        );
    }
}
