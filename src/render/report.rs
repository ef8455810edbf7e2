//! Draws a finding the way rustc draws an error.

use std::{collections::HashMap, fmt::Write};

use super::{
    WIDTH, all_asleep, allow,
    backtrace::{Call, calls, write_calls},
    climb::{Way, climb},
    draw::draw,
    held::held,
    lock_names::Names,
    section::{Label, Section, Severity},
    thread_names::what_all,
    words::Words,
};
use crate::{
    finding::{Detail, Edge, Finding, LockInfo, Role, Site},
    source::Sources,
};

/// The maximum number of edges of a cycle that are shown.
const MAX_EDGES: usize = 8;

/// See [`Finding::render`].
pub(super) fn report(finding: &Finding, color: bool) -> String {
    if let Detail::AllAsleep(threads) = &finding.detail {
        return all_asleep::report(finding, threads, color);
    }
    let mut sources = Sources::default();
    let story = Story::new(finding, &mut sources);
    let Story { shown, ways, .. } = &story;
    // The excerpts borrow the sources, so all must be read before.
    let places = shown.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
    let writer = match &finding.detail {
        Detail::Writer(writer) => Some(&writer.site),
        _ => None,
    };
    let calls = ways.iter().filter_map(|way| Some(&way.called_at.as_ref()?.site));
    let lines = ways.iter().filter_map(|way| way.release_before.as_ref());
    for site in places.chain(writer).chain(calls).chain(lines) {
        sources.text(site);
    }
    let words = story.words();

    let mut text = draw(&sections(&words), &sources, color);
    text.push('\n');
    if let Detail::Threads(threads) = &finding.detail
        && threads.iter().any(|thread| thread.held.len() > 1)
    {
        let what = what_all(threads.iter().map(|it| &it.thread));
        let _ = write!(text, "\nall that these {what} hold:\n{}", held(threads));
    }
    for (edge, way) in shown.iter().zip(ways) {
        write_stacks(&mut text, edge, way, words.stacks(edge));
    }
    if let Some(note) = allow::note(finding, shown) {
        let _ = write!(text, "\n{}\n", draw(&[Section::note(note)], &sources, color));
    }
    text
}

/// Returns the title of a finding, without severity and kind, and its help text. One line each.
#[cfg(feature = "write_records")]
pub(crate) fn title_and_help(finding: &Finding) -> [String; 2] {
    if let Detail::AllAsleep(threads) = &finding.detail {
        return [all_asleep::title(threads), all_asleep::help(finding.level)];
    }
    let story = Story::new(finding, &mut Sources::default());
    let words = story.words();
    [words.title(), words.help()]
}

/// Returns the finding in one line, without colours: severity, kind, title and place.
pub(crate) fn headline(finding: &Finding) -> String {
    let severity = Severity::of(finding.level).name();
    if let Detail::AllAsleep(threads) = &finding.detail {
        return format!("{severity}[lockdep::{}]: {}", finding.kind, all_asleep::title(threads));
    }
    let story = Story::new(finding, &mut Sources::default());
    let (title, place) = (story.words().title(), &story.shown[0].acquired_at);
    format!("{severity}[lockdep::{}]: {title}, at {place}", finding.kind)
}

/// What a report shows of a finding: its edges, their places, and the names of its locks.
struct Story<'a> {
    finding: &'a Finding,
    /// The edges that are shown, at the places where they are shown.
    shown: Vec<Edge>,
    ways: Vec<Way>,
    names: Names,
}

impl<'a> Story<'a> {
    fn new(finding: &'a Finding, sources: &mut Sources) -> Self {
        let mut shown = shown(finding).to_vec();
        let ways = climb(finding, &mut shown);
        let names = names(finding, (&shown, &ways), sources);
        Self { finding, shown, ways, names }
    }

    fn words(&self) -> Words<'_> {
        Words { finding: self.finding, shown: &self.shown, ways: &self.ways, names: &self.names }
    }
}

/// Writes the stacks of both acquisitions of an edge. The calls that led to both are written once. If
/// the held lock was acquired in the function that made the others, the excerpt says it all.
fn write_stacks(text: &mut String, edge: &Edge, way: &Way, [to_held, to_wanted]: [String; 2]) {
    let root = way.root.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
    let held = calls(&edge.held_backtrace, &edge.thread);
    let wanted = calls(&edge.backtrace, &edge.thread);
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
        write(&to_held, if is_plain { &[] } else { &held });
        write(&to_wanted, &wanted);
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

/// Returns the edges that are shown.
fn shown(finding: &Finding) -> &[Edge] {
    &finding.cycle[..finding.cycle.len().min(MAX_EDGES)]
}

/// Returns the places at which the acquisitions of a finding are shown.
pub(crate) fn shown_sites(finding: &Finding) -> Vec<Site> {
    let mut shown = shown(finding).to_vec();
    climb(finding, &mut shown);
    shown.into_iter().flat_map(|edge| [edge.held_at, edge.acquired_at]).collect()
}

/// Returns the names of a finding's locks, each once, in alphabetical order: as the report calls them,
/// and by their source expressions.
pub(crate) fn lock_names(finding: &Finding) -> [Vec<String>; 2] {
    let Story { names, .. } = Story::new(finding, &mut Sources::default());
    let locks = || shown(finding).iter().flat_map(|edge| [&edge.held, &edge.wanted]);
    let called = locks().map(|lock| names.bare(lock)).collect();
    let written = locks().map(|lock| names.expression(lock)).collect();
    [called, written].map(|mut names: Vec<_>| {
        names.sort_unstable();
        names.dedup();
        names
    })
}

/// Returns the names of a finding's locks, for edges that are shown at these places.
fn names(finding: &Finding, (shown_at, ways): (&[Edge], &[Way]), sources: &mut Sources) -> Names {
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
    let passed = passed(shown(finding), ways, sources);
    let mut names = Names::with(sources, &locks, mentions, &passed);
    for (edge, at) in shown(finding).iter().zip(shown_at) {
        names.show_at(&edge.held, &edge.held_at, &at.held_at);
        names.show_at(&edge.wanted, &edge.acquired_at, &at.acquired_at);
    }
    for edge in shown(finding).iter().filter(|edge| edge.held.kind.role == Role::Exit) {
        names.suggest(&edge.held, edge.thread.to_string());
    }
    names
}

/// Returns what the callers of helpers pass to them, by lock.
fn passed(edges: &[Edge], ways: &[Way], sources: &mut Sources) -> HashMap<u64, String> {
    let mut passed = HashMap::new();
    for (edge, Way { lines, .. }) in edges.iter().zip(ways) {
        let ends = [(&edge.held, &edge.held_at), (&edge.wanted, &edge.acquired_at)];
        for ((lock, site), lines) in ends.into_iter().zip(lines) {
            let Some(receiver) = sources.receiver_of(lock, site) else { continue };
            let lines: Vec<_> = lines.iter().collect();
            if lines.len() > 1
                && lines[0] == site
                && let Some(name) = sources.handed_over(receiver, &lines)
            {
                passed.entry(lock.id).or_insert(name);
            }
        }
    }
    passed
}

/// Returns the finding itself, a note for each further edge, and the help.
fn sections<'a>(words: &Words<'a>) -> Vec<Section<'a>> {
    let title = Section::title(words.finding.level, words.finding.kind.name(), words.title());
    let first = &words.shown[0];
    let labels = match words.finding.detail {
        Detail::Writer(_) => words.before(0, first),
        _ => words.now(),
    };
    let mut sections = vec![edge(title, first, words.called(0), labels)];

    for (index, further) in words.shown.iter().enumerate().skip(1) {
        let note = Section::note(words.further(index));
        sections.push(edge(note, further, words.called(index), words.before(index, further)));
    }
    sections.extend(words.not_shown().map(Section::note));
    if let Detail::Writer(writer) = &words.finding.detail {
        let [title, label] = words.writer(writer);
        sections.push(Section::note(title).with(vec![Label::primary(&writer.site, label)]));
    }
    sections.extend(words.through().map(Section::note));
    sections.push(Section::note(words.locks()));
    sections.extend(words.spawned().map(Section::note));
    sections.extend(words.doubt().map(Section::note));
    sections.extend(words.hint().map(|hint| Section::note(hint.to_owned())));
    sections.extend(words.silenced().map(Section::note));
    sections.push(Section::help(textwrap::fill(&words.help(), WIDTH)));
    sections
}

/// Adds both ends of an edge, and the call that took both locks: in one excerpt what is in one file.
/// An end without a label is not shown.
fn edge<'a>(
    section: Section<'a>,
    edge: &'a Edge,
    call: Option<Label<'a>>,
    [since, now]: [String; 2],
) -> Section<'a> {
    let mut excerpts = vec![vec![Label::primary(&edge.acquired_at, now)]];
    let held = (!since.is_empty()).then(|| Label::context(&edge.held_at, since));
    for label in held.into_iter().chain(call) {
        let file = label.site.file();
        match excerpts.iter_mut().find(|excerpt| excerpt[0].site.file() == file) {
            Some(excerpt) => excerpt.push(label),
            None => excerpts.push(vec![label]),
        }
    }
    excerpts.into_iter().fold(section, Section::with)
}
