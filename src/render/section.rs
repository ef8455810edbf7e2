//! A report as data: sections, each a title with labelled places in the source below it. How they look is up to
//! [`draw`](super::draw).

use crate::finding::{Level, Site};

/// What a section's title begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
    Note,
    Help,
}

impl Severity {
    /// How a finding of this level begins.
    pub(super) fn of(level: Level) -> Self {
        match level {
            Level::Deny | Level::Abort => Self::Error,
            Level::Warn => Self::Warning,
            Level::Allow => Self::Note,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Help => "help",
        }
    }
}

/// A title, and the places below it.
pub(super) struct Section<'a> {
    pub(super) severity: Severity,
    /// The kind of finding, in the title of a report.
    pub(super) id: Option<String>,
    pub(super) title: String,
    /// Labels in one file are together.
    pub(super) excerpts: Vec<Vec<Label<'a>>>,
}

/// A place in the source, and what happened there.
pub(super) struct Label<'a> {
    pub(super) site: &'a Site,
    pub(super) text: String,
    /// The place that the section is about. Others came before it.
    pub(super) is_primary: bool,
}

impl<'a> Section<'a> {
    /// The title of a report.
    pub(super) fn title(level: Level, kind: &str, title: String) -> Self {
        let id = Some(format!("lockdep::{kind}"));
        Self { severity: Severity::of(level), id, title, excerpts: Vec::new() }
    }

    pub(super) fn note(title: String) -> Self {
        Self { severity: Severity::Note, id: None, title, excerpts: Vec::new() }
    }

    pub(super) fn help(title: String) -> Self {
        Self { severity: Severity::Help, id: None, title, excerpts: Vec::new() }
    }

    /// Adds places in one file.
    pub(super) fn with(mut self, labels: Vec<Label<'a>>) -> Self {
        self.excerpts.push(labels);
        self
    }
}

impl<'a> Label<'a> {
    pub(super) fn primary(site: &'a Site, text: String) -> Self {
        Self { site, text, is_primary: true }
    }

    pub(super) fn context(site: &'a Site, text: String) -> Self {
        Self { site, text, is_primary: false }
    }
}
