//! Draws a finding the way rustc draws an error.

use std::fmt::Write;

use super::{
    WIDTH, all_asleep, allow,
    backtrace::{Call, write_calls},
    climb::{Way, climb},
    draw::draw,
    held::held,
    parts::ShownEdge,
    section::{Section, Severity},
    story::{MAX_EDGES, Story},
    thread_names::what_all,
};
use crate::{
    finding::{Detail, Edge, Finding, ShownAt, Site},
    source::Sources,
};

/// See [`Finding::render`].
pub(super) fn report(finding: &Finding, color: bool) -> String {
    if let Detail::AllAsleep(threads) = &finding.detail {
        return all_asleep::report(finding, threads, color);
    }
    let mut sources = Sources::default();
    let story = Story::new(finding, &mut sources);
    story.report(&mut sources, color)
}

/// Returns the finding in one line, without colours: severity, kind, title and place.
pub(crate) fn headline(finding: &Finding) -> String {
    let severity = Severity::of(finding.level).name();
    if let Detail::AllAsleep(threads) = &finding.detail {
        return format!("{severity}[lockdep::{}]: {}", finding.kind, all_asleep::title(threads));
    }
    let story = Story::new(finding, &mut Sources::default());
    let place = &story.first().acquired_at;
    format!("{severity}[lockdep::{}]: {}, at {place}", finding.kind, story.title())
}

/// Returns the places at which the acquisitions of a finding are shown.
pub(crate) fn shown_sites(finding: &Finding) -> Vec<Site> {
    let Story { shown, .. } = Story::new(finding, &mut Sources::default());
    shown.into_iter().flat_map(|edge| [edge.held_at, edge.acquired_at]).collect()
}

/// Returns the places at which each edge of a finding is shown. `None` if a stack is missing, so that another
/// finding of the same bug may be shown at other places. Looks up symbols.
pub(crate) fn shown_edges(finding: &Finding) -> Option<Vec<ShownAt>> {
    let has_stacks = |edge: &Edge| !edge.backtrace.is_empty() && !edge.held_backtrace.is_empty();
    if finding.cycle.is_empty() || !finding.cycle.iter().all(has_stacks) {
        return None;
    }
    let mut shown = finding.cycle[..finding.cycle.len().min(MAX_EDGES)].to_vec();
    climb(finding, &mut shown, &mut Sources::default());
    Some(shown.into_iter().map(|edge| [edge.held_at, edge.acquired_at]).collect())
}

/// Returns the names of a finding's locks, each once, in alphabetical order: as the report calls them,
/// and by their source expressions.
pub(crate) fn lock_names(finding: &Finding) -> [Vec<String>; 2] {
    let Story { names, shown, .. } = Story::new(finding, &mut Sources::default());
    let locks = || shown.iter().flat_map(|edge| [&edge.held, &edge.wanted]);
    let called = locks().map(|lock| names.bare(lock)).collect();
    let written = locks().map(|lock| names.expression(lock)).collect();
    [called, written].map(|mut names: Vec<_>| {
        names.sort_unstable();
        names.dedup();
        names
    })
}

impl Story<'_> {
    /// Returns the report, with ANSI colours if `color`. `sources` are those from which the story was made.
    pub(super) fn report(&self, sources: &mut Sources, color: bool) -> String {
        // The excerpts borrow the sources, so all must be read before.
        let places = self.shown.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
        let writer = match &self.finding.detail {
            Detail::Writer(writer) => Some(&writer.site),
            _ => None,
        };
        let calls = self.ways.iter().flat_map(|way| [way.called_at(), way.reached_from()]);
        for site in places.chain(writer).chain(calls.flatten()) {
            sources.text(site);
        }

        let mut text = draw(&sections(self), sources, color);
        text.push('\n');
        if let Detail::Threads(threads) = &self.finding.detail
            && threads.iter().any(|thread| thread.held.len() > 1)
        {
            let what = what_all(threads.iter().map(|it| &it.thread));
            let _ = write!(text, "\nall that these {what} hold:\n{}", held(threads));
        }
        if let Some(pool) = self.exhausted() {
            let (name, threads) = (self.names.of(&pool.pool), held(&pool.threads));
            let _ = write!(
                text,
                "\nwho holds the permits of {name}, and for what each waits:\n{threads}"
            );
        }
        for (edge, way) in self.shown.iter().zip(&self.ways) {
            write_stacks(&mut text, way, self.stacks(edge));
        }
        if let Some(note) = allow::note(self.finding, &self.shown) {
            let _ = write!(text, "\n{}\n", draw(&[Section::note(note)], sources, color));
        }
        text
    }
}

/// Writes the stacks of both acquisitions of an edge. The calls that led to both are written once. If
/// the held lock was acquired in the function that made the others, the excerpt says it all.
fn write_stacks(text: &mut String, way: &Way, [to_held, to_wanted]: [String; 2]) {
    let root = way.root();
    let [held, wanted] = way.calls();
    let in_both = held.iter().rev().zip(wanted.iter().rev()).take_while(|(a, b)| a == b).count();
    let (apart, both) = held.split_at(held.len() - in_both);
    let is_plain = apart.len() <= 1 && !wanted.is_empty();
    let mut write = |heading: &str, calls: &[Call]| {
        if !calls.is_empty() {
            let _ = writeln!(text, "\n{heading}:");
            write_calls(text, calls, 0, &root);
        }
    };
    if is_plain || wanted.is_empty() {
        write(&to_held, if is_plain { &[] } else { held });
        write(&to_wanted, wanted);
        return;
    }
    let wanted = &wanted[..wanted.len() - in_both];
    write(&to_held, apart);
    write(&to_wanted, wanted);
    if !both.is_empty() {
        let _ = writeln!(text, "both called from:");
        write_calls(text, both, apart.len().max(wanted.len()), &root);
    }
}

/// Returns the finding itself, a note for each further edge, the other notes, and the help.
fn sections<'a>(story: &'a Story<'_>) -> Vec<Section<'a>> {
    let finding = story.finding;
    let title = || Section::title(finding.level, finding.kind.name(), story.title());
    let mut sections: Vec<_> = story
        .edges()
        .into_iter()
        .map(|edge| {
            with_excerpts(edge.introduction.clone().map_or_else(title, Section::note), edge)
        })
        .collect();
    sections.extend(story.notes());
    sections.push(Section::help(textwrap::fill(&story.help(), WIDTH)));
    sections
}

/// Adds both ends of an edge, and the call that belongs to it: in one excerpt what is in one file. An
/// end without a label is not shown.
fn with_excerpts<'a>(section: Section<'a>, edge: ShownEdge<'a>) -> Section<'a> {
    let ShownEdge { held, wanted, call, .. } = edge;
    let mut excerpts = vec![vec![wanted]];
    let held = Some(held).filter(|label| !label.text.is_empty());
    for label in held.into_iter().chain(call) {
        let file = label.site.file();
        match excerpts.iter_mut().find(|excerpt| excerpt[0].site.file() == file) {
            Some(excerpt) => excerpt.push(label),
            None => excerpts.push(vec![label]),
        }
    }
    excerpts.into_iter().fold(section, Section::with)
}
