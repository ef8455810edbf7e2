//! The parts of a report as data: its edges, and the notes that follow them. `report.rs` draws them; `json.rs` puts
//! them into a record.

use super::{
    WIDTH,
    section::{Label, Section},
    story::Story,
};
use crate::finding::Detail;

/// An edge as a report shows it.
pub(super) struct ShownEdge<'a> {
    /// The sentence that introduces it. `None` for the first one, which the title introduces.
    pub(super) introduction: Option<String>,
    /// Where the held lock was acquired. The text is empty if the report does not show it.
    pub(super) held: Label<'a>,
    pub(super) wanted: Label<'a>,
    /// The call that belongs to it.
    pub(super) call: Option<Label<'a>>,
}

impl Story<'_> {
    /// Returns the edges that are shown.
    pub(super) fn edges(&self) -> Vec<ShownEdge<'_>> {
        let is_seen_now = !matches!(self.finding.detail, Detail::Writer(_));
        let edge = |(index, edge)| {
            let [since, now] = match index {
                0 if is_seen_now => self.now(),
                _ => self.before(index, edge),
            };
            ShownEdge {
                introduction: (index > 0).then(|| self.further(index)),
                held: Label::context(&edge.held_at, since),
                wanted: Label::primary(&edge.acquired_at, now),
                call: self.call(index),
            }
        };
        self.shown.iter().enumerate().map(edge).collect()
    }

    /// Returns the notes that follow the edges.
    pub(super) fn notes(&self) -> Vec<Section<'_>> {
        let mut notes: Vec<_> = self.not_shown().map(Section::note).into_iter().collect();
        if let Detail::Writer(writer) = &self.finding.detail {
            let [title, label] = self.writer(writer);
            notes.push(Section::note(title).with(vec![Label::primary(&writer.site, label)]));
        }
        notes.extend(self.fork().map(|fork| Section::note(textwrap::fill(&fork, WIDTH))));
        notes.extend(self.in_job().map(|job| Section::note(textwrap::fill(&job, WIDTH))));
        notes.extend(self.through().map(Section::note));
        notes.push(Section::note(self.locks()));
        notes.extend(self.spawned().map(Section::note));
        notes.extend(self.newness().map(Section::note));
        notes.extend(self.doubt().map(Section::note));
        notes.extend(self.hint().map(|hint| Section::note(hint.to_owned())));
        notes.extend(self.silenced().map(Section::note));
        notes
    }
}
