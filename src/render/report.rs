//! Draws a finding the way rustc draws an error.

use std::fmt::Write;

use super::{
    WIDTH, all_asleep, allow,
    backtrace::backtrace,
    draw::draw,
    held::held,
    lock_names::Names,
    section::{Label, Section, Severity},
    thread_names::what_all,
    words::Words,
};
use crate::{
    finding::{Detail, Edge, Finding, LockInfo, Role},
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

    let mut text = draw(&sections(&words), &sources, color);
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
    if let Some(note) = allow::note(finding) {
        let _ = write!(text, "\n{}\n", draw(&[Section::note(note)], &sources, color));
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
    let severity = Severity::of(finding.level).name();
    let place = match &shown(finding) {
        [first, ..] => format!(", at {}", first.acquired_at),
        [] => String::new(),
    };
    let [title, _] = title_and_help(finding);
    format!("{severity}[lockdep::{}]: {title}{place}", finding.kind)
}

/// Returns the edges that are shown.
pub(super) fn shown(finding: &Finding) -> &[Edge] {
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
fn sections<'a>(words: &Words<'a>) -> Vec<Section<'a>> {
    let title = Section::title(words.finding.level, words.finding.kind.name(), words.title());
    let first = &words.shown[0];
    let labels = match words.finding.detail {
        Detail::Writer(_) => words.before(0, first),
        _ => words.now(),
    };
    let mut sections = vec![edge(title, first, labels)];

    for (index, further) in words.shown.iter().enumerate().skip(1) {
        let note = Section::note(words.further(index));
        sections.push(edge(note, further, words.before(index, further)));
    }
    sections.extend(words.not_shown().map(Section::note));
    if let Detail::Writer(writer) = &words.finding.detail {
        let [title, label] = words.writer(writer);
        sections.push(Section::note(title).with(vec![Label::primary(&writer.site, label)]));
    }
    sections.push(Section::note(words.locks()));
    sections.extend(words.spawned().map(Section::note));
    sections.extend(words.doubt().map(Section::note));
    sections.extend(words.hint().map(|hint| Section::note(hint.to_owned())));
    sections.extend(words.silenced().map(Section::note));
    sections.push(Section::help(textwrap::fill(&words.help(), WIDTH)));
    sections
}

/// Adds both ends of an edge: in one excerpt if they are in one file. An end without a label is not
/// shown.
fn edge<'a>(section: Section<'a>, edge: &'a Edge, [since, now]: [String; 2]) -> Section<'a> {
    let acquired = Label::primary(&edge.acquired_at, now);
    if since.is_empty() {
        return section.with(vec![acquired]);
    }
    let held = Label::context(&edge.held_at, since);
    if edge.held_at.file() == edge.acquired_at.file() {
        section.with(vec![acquired, held])
    } else {
        section.with(vec![acquired]).with(vec![held])
    }
}
