//! Writes sections as plain text, in a build without the feature `excerpts`: a line for each place.

use std::fmt::Write;

use super::section::Section;
use crate::source::Sources;

/// Returns the text of these sections. There are no colours.
pub(super) fn draw(sections: &[Section<'_>], _sources: &Sources, _color: bool) -> String {
    let mut text = String::new();
    for Section { severity, id, title, excerpts } in sections {
        let id = id.as_ref().map_or_else(String::new, |id| format!("[{id}]"));
        let title = title.replace('\n', "\n      ");
        let _ = writeln!(text, "{}{id}: {title}", severity.name());
        // In the order of events, so the primary label comes last.
        let mut labels: Vec<_> = excerpts.iter().flatten().collect();
        labels.sort_by_key(|label| label.is_primary);
        for label in labels {
            let _ = writeln!(text, "  {}: {}", label.site, label.text);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Returns `false`: there are no colours.
pub(crate) fn stderr_wants_color() -> bool {
    false
}
