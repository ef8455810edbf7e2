//! Excerpts from the source around some places.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::highlight::{Highlighted, Mark};
use crate::rustc::sources::{Place, Sources};

/// How many lines are shown before and after a place.
const AROUND: usize = 2;
/// Two places at most this many lines apart share one excerpt.
const GAP: usize = 4;

/// A place with a label and its CSS class.
pub(super) struct Note<'a> {
    pub(super) place: &'a str,
    pub(super) text: String,
    pub(super) class: &'a str,
}

/// Renders each file with the lines of its notes, or only the places if the source is not
/// available.
pub(super) fn excerpt(notes: &[Note<'_>], sources: &Sources) -> Markup {
    let mut files: Vec<(&str, Vec<(Place<'_>, &Note<'_>)>)> = Vec::new();
    for note in notes {
        let Some(place) = Place::parse(note.place) else { continue };
        match files.iter_mut().find(|(file, _)| *file == place.file) {
            Some((_, notes)) => notes.push((place, note)),
            None => files.push((place.file, vec![(place, note)])),
        }
    }
    html! {
        @for (file, notes) in &files {
            figure.excerpt {
                figcaption { (file) }
                @match sources.text(file).and_then(|text| lines(&text, notes)) {
                    Some(lines) => (lines),
                    None => ul.places {
                        @for (place, note) in notes {
                            li { "line " (place.line) ", column " (place.column) ": " (note.text) }
                        }
                    },
                }
            }
        }
    }
}

/// Returns `None` if the file has changed and no longer has these lines.
fn lines(text: &str, notes: &[(Place<'_>, &Note<'_>)]) -> Option<Markup> {
    let source = Highlighted::new(text);
    let mut by_line = BTreeMap::<usize, Vec<_>>::new();
    for (place, note) in notes {
        by_line.entry(place.line as usize).or_default().push((place.column, *note));
    }
    if by_line.keys().any(|&line| line == 0 || line > source.line_count()) {
        return None;
    }
    let around = |&line: &usize| line.saturating_sub(AROUND).max(1)..=line + AROUND;
    let mut shown: BTreeSet<usize> = by_line.keys().flat_map(around).collect();
    shown.retain(|&line| line <= source.line_count());
    let shown: Vec<_> = with_small_gaps(&shown);
    Some(html! {
        pre tabindex="0" {
            @for (at, &line) in shown.iter().enumerate() {
                @if at > 0 && shown[at - 1] + 1 != line { span.skipped { "⋮" } "\n" }
                @let notes = by_line.get(&line).map_or(&[][..], Vec::as_slice);
                @let marks: Vec<_> = notes.iter()
                    .map(|(column, note)| Mark { column: *column, class: note.class }).collect();
                @let class = notes.first().map_or("line", |(_, note)| note.class);
                span class={ "line " (class) } {
                    span.number { (line) } code { (source.line(line, &marks)) }
                    @for (_, note) in notes { span.note { (note.text) } }
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
        let note = |place| Note { place, text: "here".to_owned(), class: "held" };
        let sources = Sources::of(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
        for place in ["src/main.rs:99999:1", "src/none.rs:7:1", "src/main.rs:0:1"] {
            let text = excerpt(&[note(place)], &sources).into_string();
            assert!(text.contains("<ul") && text.contains(": here"), "{text}");
        }
        let text = excerpt(&[note("src/main.rs:1:1")], &sources).into_string();
        assert!(text.contains(r#"<span class="note">here</span>"#), "{text}");
        assert_eq!(excerpt(&[note("an unknown place")], &sources).into_string(), "");
    }
}
