//! Excerpts from the source around some places.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use maud::{Markup, html};

use super::{
    finding::code,
    highlight::{Highlighted, Mark},
};
use crate::rustc::sources::{Place, Sources};

/// How many lines are shown before and after a place.
const AROUND: usize = 2;
/// Two places at most this many lines apart share one excerpt.
const GAP: usize = 4;

/// A place with a label and its CSS class.
pub(super) struct Note<'a> {
    pub(super) place: Place<'a>,
    /// Parts between backticks are code.
    pub(super) text: Cow<'a, str>,
    pub(super) class: &'a str,
}

impl<'a> Note<'a> {
    /// Returns `None` if the place is unknown.
    pub(super) fn at(place: &'a str, text: String, class: &'a str) -> Option<Self> {
        Some(Self { place: Place::parse(place)?, text: text.into(), class })
    }
}

/// Renders each file with the lines of its notes, or only the places if the source is not
/// available.
pub(super) fn excerpt(notes: &[Note<'_>], sources: &Sources) -> Markup {
    let mut files: Vec<(&str, Vec<&Note<'_>>)> = Vec::new();
    for note in notes {
        match files.iter_mut().find(|(file, _)| *file == note.place.file) {
            Some((_, notes)) => notes.push(note),
            None => files.push((note.place.file, vec![note])),
        }
    }
    for (_, notes) in &mut files {
        notes.sort_by_key(|note| (note.place.line, note.place.column));
    }
    html! {
        @for (file, notes) in &files {
            figure.excerpt {
                figcaption { (file) }
                @match sources.text(file).and_then(|text| lines(&text, notes)) {
                    Some(lines) => (lines),
                    None => ul.places {
                        @for Note { place, text, .. } in notes {
                            li {
                                "line " (place.line)
                                @if place.column > 0 { ", column " (place.column) }
                                ": " (code(text))
                            }
                        }
                    },
                }
            }
        }
    }
}

/// Returns `None` if the file has changed and no longer has these lines.
fn lines(text: &str, notes: &[&Note<'_>]) -> Option<Markup> {
    let source = Highlighted::new(text);
    let mut by_line = BTreeMap::<usize, Vec<_>>::new();
    for note in notes {
        by_line.entry(note.place.line as usize).or_default().push(*note);
    }
    if by_line.keys().any(|&line| line == 0 || line > source.line_count()) {
        return None;
    }
    let around = |&line: &usize| line.saturating_sub(AROUND).max(1)..=line + AROUND;
    let mut shown: BTreeSet<usize> = by_line.keys().flat_map(around).collect();
    shown.retain(|&line| line <= source.line_count());
    let mut shown = with_small_gaps(&shown);
    // No excerpt begins or ends with an empty line.
    let all = shown.clone();
    let is_between = |line| all.contains(&(line - 1)) && all.contains(&(line + 1));
    shown.retain(|&line| {
        by_line.contains_key(&line) || !source.text(line).trim().is_empty() || is_between(line)
    });
    Some(html! {
        pre {
            @for (at, &line) in shown.iter().enumerate() {
                @if at > 0 && shown[at - 1] + 1 != line { span.skipped { "⋮" } "\n" }
                @let notes = by_line.get(&line).map_or(&[][..], Vec::as_slice);
                @let marks: Vec<_> = notes.iter()
                    .map(|note| Mark { column: note.place.column, class: note.class }).collect();
                @let class = notes.first().map_or("line", |note| note.class);
                span class={ "line " (class) } {
                    span.number { (line) }
                    // Where a long line is broken, it goes on under its beginning.
                    span.text style={ "--indent:" (source.indent(line)) } {
                        code { (source.line(line, &marks)) }
                        @for note in notes { span class={ "note " (note.class) } { (code(&note.text)) } }
                    }
                }
                "\n"
            }
        }
    })
}

/// Adds the lines between two of the set if they are few.
fn with_small_gaps(lines: &BTreeSet<usize>) -> Vec<usize> {
    let mut all: Vec<usize> = Vec::new();
    for &line in lines {
        if let Some(&last) = all.last()
            && line - last <= GAP
        {
            all.extend(last + 1..line);
        }
        all.push(line);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_gaps_are_filled() {
        assert_eq!(with_small_gaps(&BTreeSet::from([1, 2, 5, 30])), [1, 2, 3, 4, 5, 30]);
    }

    #[test]
    fn a_place_that_is_not_there_any_more_is_only_named() {
        let notes = |place| Vec::from_iter(Note::at(place, "`it` is here".to_owned(), "held"));
        let sources = Sources::of(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
        for place in ["src/main.rs:99999:1", "src/none.rs:7:1", "src/main.rs:0:1"] {
            let text = excerpt(&notes(place), &sources).into_string();
            assert!(text.contains("<ul") && text.contains(": <code>it</code> is here"), "{text}");
        }
        let text = excerpt(&notes("src/main.rs:1:1"), &sources).into_string();
        let label = r#"<span class="note held"><code>it</code> is here</span>"#;
        assert!(text.contains(label), "{text}");
        assert_eq!(excerpt(&notes("an unknown place"), &sources).into_string(), "");
    }
}
