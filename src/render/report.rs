//! Draws a finding the way rustc draws an error.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level as Severity, Renderer, renderer::DecorStyle};

use super::{
    WIDTH, all_asleep,
    backtrace::backtrace,
    excerpt::{excerpt, severity},
    held::held,
    names::Names,
    who::what_all,
    words::Words,
};
use crate::{
    finding::{Detail, Edge, Finding, Level, LockInfo, Role},
    source::Sources,
};

/// The maximum number of edges of a cycle that are shown.
const MAX_EDGES: usize = 8;

/// See [`Finding::render`].
pub(super) fn report(finding: &Finding, color: bool) -> String {
    if let Detail::AllAsleep(threads) = &finding.detail {
        return all_asleep::report(finding, threads, color);
    }
    let shown = shown(finding);
    let mut sources = Sources::default();
    let names = names(finding, &mut sources);
    // The excerpts borrow the sources, so all must be read before.
    let places = shown.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
    let writer = match &finding.detail {
        Detail::Writer(writer) => Some(&writer.site),
        _ => None,
    };
    for site in places.chain(writer) {
        sources.text(site);
    }
    let words = Words { finding, shown, names: &names };

    let groups = groups(&words, &sources);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.decor_style(DecorStyle::Unicode).term_width(100).render(&groups);
    text.push('\n');
    if let Detail::Threads(threads) = &finding.detail
        && threads.iter().any(|thread| thread.held.len() > 1)
    {
        let what = what_all(threads.iter().map(|it| &it.thread));
        let _ = write!(text, "\nall that these {what} hold:\n{}", held(threads));
    }
    for edge in shown {
        let [held_heading, heading] = words.stacks(edge);
        for (heading, stack) in [(held_heading, &edge.held_backtrace), (heading, &edge.backtrace)] {
            let frames = backtrace(stack, &edge.thread);
            if !frames.is_empty() {
                let _ = write!(text, "\n{heading}:\n{frames}");
            }
        }
    }
    text
}

/// Returns the title of a finding, without severity and kind, and its help text. One line each.
pub(crate) fn title_and_help(finding: &Finding) -> [String; 2] {
    if let Detail::AllAsleep(threads) = &finding.detail {
        return [all_asleep::title(threads), all_asleep::help(finding.level)];
    }
    let names = names(finding, &mut Sources::default());
    let words = Words { finding, shown: shown(finding), names: &names };
    [words.title(), words.help()]
}

/// Returns the finding in one line, without colours: severity, kind, title and place.
pub(crate) fn headline(finding: &Finding) -> String {
    let severity = match finding.level {
        Level::Deny | Level::Abort => "error",
        Level::Warn => "warning",
        Level::Allow => "note",
    };
    let place = match &shown(finding) {
        [first, ..] => format!(", at {}", first.acquired_at),
        [] => String::new(),
    };
    let [title, _] = title_and_help(finding);
    format!("{severity}[lockdep::{}]: {title}{place}", finding.kind)
}

/// Returns the edges that are shown.
fn shown(finding: &Finding) -> &[Edge] {
    &finding.cycle[..finding.cycle.len().min(MAX_EDGES)]
}

/// Returns the names of a finding's locks, each once, in alphabetical order.
pub(crate) fn lock_names(finding: &Finding) -> Vec<String> {
    let names = names(finding, &mut Sources::default());
    let locks = shown(finding).iter().flat_map(|edge| [&edge.held, &edge.wanted]);
    let mut names: Vec<_> = locks.map(|lock| names.bare(lock)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the names of a finding's locks.
fn names(finding: &Finding, sources: &mut Sources) -> Names {
    let gates: &[LockInfo] = match &finding.detail {
        Detail::Gates(gates) => gates,
        _ => &[],
    };
    let locks = |edge: &'_ Edge| [edge.held.clone(), edge.wanted.clone()];
    let locks: Vec<_> =
        shown(finding).iter().flat_map(locks).chain(gates.iter().cloned()).collect();
    let mentions = shown(finding)
        .iter()
        .flat_map(|edge| [(&edge.held, &edge.held_at), (&edge.wanted, &edge.acquired_at)]);
    let mut names = Names::new(sources, &locks, mentions);
    for edge in shown(finding).iter().filter(|edge| edge.held.kind.role == Role::Exit) {
        names.suggest(&edge.held, edge.thread.to_string());
    }
    names
}

/// Returns the finding itself, a note for each further edge, and the help.
fn groups<'a>(words: &Words<'a>, sources: &'a Sources) -> Vec<Group<'a>> {
    let id = format!("lockdep::{}", words.finding.kind.name());
    let title = severity(words.finding.level).primary_title(words.title()).id(id);
    let first = &words.shown[0];
    let labels = match words.finding.detail {
        Detail::Writer(_) => words.before(0, first),
        _ => words.now(),
    };
    let mut groups = vec![edge(sources, Group::with_title(title), first, labels)];

    let note = |text: String| Group::with_title(Severity::NOTE.secondary_title(text));
    for (index, further) in words.shown.iter().enumerate().skip(1) {
        groups.push(edge(
            sources,
            note(words.further(index)),
            further,
            words.before(index, further),
        ));
    }
    groups.extend(words.not_shown().map(note));
    if let Detail::Writer(writer) = &words.finding.detail {
        let [title, label] = words.writer(writer);
        let place = vec![(&writer.site, label, AnnotationKind::Primary)];
        groups.push(excerpt(sources, note(title), place));
    }
    groups.push(note(words.locks()));
    groups.extend(words.spawned().map(note));
    groups.extend(words.doubt().map(note));
    groups.extend(words.hint().map(|hint| note(hint.to_owned())));
    groups.extend(words.silenced().map(note));
    let help = textwrap::fill(&words.help(), WIDTH);
    groups.push(Group::with_title(Severity::HELP.secondary_title(help)));
    groups
}

/// Adds both ends of an edge: in one excerpt if they are in one file. An end without a label is not
/// shown.
fn edge<'a>(
    sources: &'a Sources,
    group: Group<'a>,
    edge: &Edge,
    [since, now]: [String; 2],
) -> Group<'a> {
    let acquired = (&edge.acquired_at, now, AnnotationKind::Primary);
    if since.is_empty() {
        return excerpt(sources, group, vec![acquired]);
    }
    let held = (&edge.held_at, since, AnnotationKind::Context);
    if edge.held_at.file() == edge.acquired_at.file() {
        excerpt(sources, group, vec![acquired, held])
    } else {
        let group = excerpt(sources, group, vec![acquired]);
        excerpt(sources, group, vec![held])
    }
}
