//! Diagnostics in the form in which rustc and cargo write them, for editors: one line of JSON per finding.
//!
//! The fields are those of `rustc --error-format json`, and around them those of `cargo --message-format json`, which
//! name the package that the finding's file is in. Without a project, the lines are rustc's alone.

use std::path::Path;

use cargo_metadata::{PackageId, Target, camino::Utf8Path};
use lockdep::record::MergedFinding;
use serde::Serialize;

use super::spans::{self, Part, parts};
use crate::{
    Result, cannot,
    cmd::explain,
    report::{Judged, Report, Verdict},
    rustc::sources::{Place, Sources},
};

/// A line as cargo writes it.
#[derive(Serialize)]
struct CompilerMessage<'a> {
    reason: &'static str,
    package_id: &'a PackageId,
    manifest_path: &'a Utf8Path,
    target: &'a Target,
    message: Line<'a>,
}

/// A line as rustc writes it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "$message_type")]
    message_type: &'static str,
    #[serde(flatten)]
    diagnostic: Diagnostic<'a>,
}

#[derive(Serialize)]
struct Diagnostic<'a> {
    message: &'a str,
    code: Option<Code>,
    level: &'static str,
    spans: Vec<Span<'a>>,
    children: Vec<Diagnostic<'a>>,
    rendered: Option<String>,
}

#[derive(Serialize)]
struct Code {
    code: String,
    explanation: Option<&'static str>,
}

#[derive(Serialize)]
struct Span<'a> {
    file_name: &'a str,
    /// In the file, from 0.
    byte_start: usize,
    byte_end: usize,
    line_start: u32,
    line_end: u32,
    /// In characters, from 1. The end is the column after the last one.
    column_start: usize,
    column_end: usize,
    is_primary: bool,
    /// The source line. Empty if it is not available.
    text: Vec<SourceLine>,
    label: &'a str,
    suggested_replacement: Option<&'static str>,
    suggestion_applicability: Option<&'static str>,
    expansion: Option<&'static str>,
}

#[derive(Serialize)]
struct SourceLine {
    text: String,
    /// As the columns of the span.
    highlight_start: usize,
    highlight_end: usize,
}

/// The text of a diagnostic in its field `rendered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rendered {
    Report,
    /// The place and the title, in one line.
    Short,
}

/// Returns a line for each denied or warned finding.
pub(crate) fn text(report: &Report, rendered: Rendered) -> Result<String> {
    let mut text = String::new();
    for judged in report.told() {
        text += &line(judged, rendered, report).map_err(cannot("write a diagnostic"))?;
        text.push('\n');
    }
    Ok(text)
}

fn line(judged: &Judged, rendered: Rendered, report: &Report) -> serde_json::Result<String> {
    let parts = parts(&judged.finding);
    let message = Line {
        message_type: "diagnostic",
        diagnostic: diagnostic(judged, &parts, rendered, report),
    };
    let Some(workspace) = &report.workspace else { return serde_json::to_string(&message) };
    let place = parts.iter().flat_map(|part| &part.spans).map(|span| Path::new(span.place.file));
    let Some((package, target)) = workspace.owner(place) else {
        return serde_json::to_string(&message);
    };
    serde_json::to_string(&CompilerMessage {
        reason: "compiler-message",
        package_id: &package.id,
        manifest_path: &package.manifest_path,
        target,
        message,
    })
}

fn diagnostic<'a>(
    judged: &'a Judged,
    parts: &'a [Part<'_>],
    rendered: Rendered,
    report: &'a Report,
) -> Diagnostic<'a> {
    let finding = &judged.finding;
    let spans = |part: &'a Part<'_>| part.spans.iter().map(|it| span(it, report));
    // Each place has a note, as rust-analyzer links only the first one of a note.
    let notes = |part: &'a Part<'_>| {
        let mut spans = spans(part);
        let note = Diagnostic::note(&part.text, spans.next().into_iter().collect());
        let others =
            spans.map(|span| Diagnostic::note(span.label, vec![Span { is_primary: true, ..span }]));
        [note].into_iter().chain(others)
    };
    let (first, further) = match parts.split_first() {
        Some((first, further)) if first.text.is_empty() => (spans(first).collect(), further),
        _ => (Vec::new(), parts),
    };
    let help = (!finding.help.is_empty())
        .then(|| Diagnostic { level: "help", ..Diagnostic::note(&finding.help, Vec::new()) });
    let level = match judged.verdict {
        Verdict::Denied => "error",
        _ => "warning",
    };
    Diagnostic {
        message: &finding.title,
        code: Some(code(finding)),
        level,
        rendered: Some(match rendered {
            Rendered::Report => format!("{}\n\n", finding.to_string().trim_end()),
            Rendered::Short => short(finding, level, first.first()),
        }),
        spans: first,
        children: further.iter().flat_map(notes).chain(help).collect(),
    }
}

impl<'a> Diagnostic<'a> {
    fn note(message: &'a str, spans: Vec<Span<'a>>) -> Self {
        Self { message, code: None, level: "note", spans, children: Vec::new(), rendered: None }
    }
}

fn code(finding: &MergedFinding) -> Code {
    let explanation = explain::ALL.iter().find(|it| it.kind == finding.kind);
    Code { code: format!("lockdep::{}", finding.kind), explanation: explanation.map(|it| it.text) }
}

/// Returns the place and the title, in one line.
fn short(finding: &MergedFinding, level: &str, span: Option<&Span<'_>>) -> String {
    let place = span.map_or_else(String::new, |span| {
        format!("{}:{}:{}: ", span.file_name, span.line_start, span.column_start)
    });
    format!("{place}{level}[lockdep::{}]: {}\n", finding.kind, finding.title)
}

fn span<'a>(span: &'a spans::Span<'_>, report: &'a Report) -> Span<'a> {
    let place = span.place;
    let extent = Extent::of(place, &report.sources).unwrap_or_else(|| Extent::unknown(place));
    let root = report.workspace.as_ref().map_or(Path::new(""), |workspace| &workspace.root);
    let relative = Path::new(place.file).strip_prefix(root).ok().and_then(Path::to_str);
    Span {
        file_name: relative.unwrap_or(place.file),
        byte_start: extent.bytes[0],
        byte_end: extent.bytes[1],
        line_start: place.line,
        line_end: place.line,
        column_start: extent.columns[0],
        column_end: extent.columns[1],
        is_primary: span.is_primary,
        text: extent.text.into_iter().collect(),
        label: &span.label,
        suggested_replacement: None,
        suggestion_applicability: None,
        expansion: None,
    }
}

/// What is underlined: an identifier, or the whole line if the column is unknown.
struct Extent {
    bytes: [usize; 2],
    columns: [usize; 2],
    text: Option<SourceLine>,
}

impl Extent {
    /// Returns `None` if the source is not available, or has no such line and column any more.
    fn of(Place { file, line, column }: Place<'_>, sources: &Sources) -> Option<Self> {
        let source = sources.text(file)?;
        // The compiler sees neither a byte order mark nor carriage returns.
        let text = source.strip_prefix('\u{feff}').unwrap_or(&source);
        let skipped = source.len() - text.len();
        let mut lines = text.split_inclusive('\n');
        let before: usize =
            lines.by_ref().take((line as usize).checked_sub(1)?).map(str::len).sum();
        let line = lines.next()?.trim_end_matches(['\n', '\r']);

        let (start, length) = if let Some(before) = (column as usize).checked_sub(1) {
            let (start, one) = line.char_indices().nth(before)?;
            let is_end = |c: char| !(c.is_alphanumeric() || c == '_');
            let word = line[start..].find(is_end).unwrap_or(line.len() - start);
            (start, word.max(one.len_utf8()))
        } else {
            let code = line.trim_start();
            (line.len() - code.len(), code.trim_end().len())
        };
        let column_of = |offset: usize| line[..offset].chars().count() + 1;
        let columns = [start, start + length].map(column_of);
        let [highlight_start, highlight_end] = columns;
        Some(Self {
            bytes: [start, start + length].map(|offset| skipped + before + offset),
            columns,
            text: Some(SourceLine { text: line.to_owned(), highlight_start, highlight_end }),
        })
    }

    fn unknown(place: Place<'_>) -> Self {
        let column = place.column.max(1) as usize;
        Self { bytes: [0, 0], columns: [column, column + 1], text: None }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn extents_are_counted_as_rustc_does() {
        let folder = std::env::temp_dir().join(format!("lockdep-extents-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let text = "\u{feff}lock\r\n  /* ü→ */ read_2(a);  \r\nx.🔒";
        fs::write(folder.join("a.rs"), text).unwrap();
        let sources = Sources::of(&folder);
        let extent = |line, column| {
            let extent = Extent::of(Place { file: "a.rs", line, column }, &sources)?;
            let line = extent.text.unwrap();
            assert_eq!([line.highlight_start, line.highlight_end], extent.columns);
            let [start, end] = extent.bytes;
            Some((text[start..end].to_owned(), extent.columns, line.text))
        };
        let second = "  /* ü→ */ read_2(a);  ".to_owned();
        assert_eq!(extent(1, 1).unwrap(), ("lock".to_owned(), [1, 5], "lock".to_owned()));
        assert_eq!(extent(2, 12).unwrap(), ("read_2".to_owned(), [12, 18], second.clone()));
        assert_eq!(extent(2, 18).unwrap(), ("(".to_owned(), [18, 19], second.clone()));
        assert_eq!(extent(2, 0).unwrap(), ("/* ü→ */ read_2(a);".to_owned(), [3, 22], second));
        assert_eq!(extent(3, 3).unwrap(), ("🔒".to_owned(), [3, 4], "x.🔒".to_owned()));
        for (line, column) in [(0, 1), (1, 9), (3, 4), (4, 1)] {
            assert_eq!(extent(line, column), None, "{line}:{column}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
