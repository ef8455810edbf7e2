//! Parts of reports: excerpts of the source, and the severity.

use annotate_snippets::{AnnotationKind, Group, Level as Severity, Origin, Snippet};

use crate::{
    finding::{Level, Site},
    source::{self, Sources},
};

/// Returns the severity that a level is shown with.
pub(super) fn severity(level: Level) -> Severity<'static> {
    match level {
        Level::Deny | Level::Abort => Severity::ERROR,
        Level::Warn => Severity::WARNING,
        Level::Allow => Severity::NOTE,
    }
}

/// Adds places in one file, each with its label.
pub(super) fn excerpt<'a>(
    sources: &'a Sources,
    group: Group<'a>,
    places: Vec<(&Site, String, AnnotationKind)>,
) -> Group<'a> {
    let path = places[0].0.file();
    if let Some(text) = sources.known(path)
        && let Some(offsets) =
            places.iter().map(|(site, ..)| source::offset(text, site)).collect::<Option<Vec<_>>>()
    {
        let snippet = Snippet::source(text).path(path.to_owned());
        let annotations = offsets.into_iter().zip(places).map(|(offset, (_, label, kind))| {
            let end = offset + source::identifier(text, offset);
            kind.span(offset..end).label(label)
        });
        return group.element(snippet.annotations(annotations));
    }
    // The source is missing or has changed: only name the places.
    places.into_iter().rev().fold(group, |group, (site, label, _)| {
        let origin = Origin::path(path.to_owned())
            .line(site.line() as usize)
            .char_column(site.column() as usize);
        group.element(origin).element(Severity::NOTE.no_name().message(label))
    })
}
