//! Draws sections the way rustc draws an error, with excerpts of the source.

use std::io::{IsTerminal, stderr};

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle,
};

use super::section::{Label, Section, Severity};
use crate::source::{self, Sources};

/// Returns the text of these sections. The sources that they show must have been read.
pub(super) fn draw(sections: &[Section<'_>], sources: &Sources, color: bool) -> String {
    let groups: Vec<_> = sections.iter().map(|section| group(section, sources)).collect();
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Unicode).term_width(100).render(&groups)
}

fn group<'a>(section: &'a Section<'_>, sources: &'a Sources) -> Group<'a> {
    let level = match section.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
        Severity::Help => Level::HELP,
    };
    let title = match &section.id {
        Some(id) => level.primary_title(&section.title).id(id),
        None => level.secondary_title(&section.title),
    };
    let group = Group::with_title(title);
    section.excerpts.iter().fold(group, |group, labels| excerpt(sources, group, labels))
}

/// Places in one file, each with its label.
fn excerpt<'a>(sources: &'a Sources, group: Group<'a>, labels: &'a [Label<'_>]) -> Group<'a> {
    let path = labels[0].site.file();
    if let Some(text) = sources.known(path)
        && let Some(offsets) =
            labels.iter().map(|it| source::offset(text, it.site)).collect::<Option<Vec<_>>>()
    {
        let snippet = Snippet::source(text).path(path);
        let annotations = offsets.into_iter().zip(labels).map(|(offset, label)| {
            let end = offset + source::identifier(text, offset);
            let kind =
                if label.is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            kind.span(offset..end).label(&label.text)
        });
        return group.element(snippet.annotations(annotations));
    }
    // The source is gone, has changed or is a doctest's: the places must do.
    labels.iter().rev().fold(group, |group, Label { site, text, .. }| {
        let origin = if site.may_be_in_a_doctest() {
            Origin::path(site.to_string())
        } else {
            Origin::path(path).line(site.line() as usize).char_column(site.column() as usize)
        };
        group.element(origin).element(Level::NOTE.no_name().message(text))
    })
}

/// Returns `true` if reports on standard error should be coloured.
pub(crate) fn stderr_wants_color() -> bool {
    if anstyle_query::clicolor_force() {
        return true;
    }
    !anstyle_query::no_color()
        && anstyle_query::clicolor() != Some(false)
        && stderr().is_terminal()
        && anstyle_query::term_supports_ansi_color()
}
