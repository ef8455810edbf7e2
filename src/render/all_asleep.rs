//! The report of a process all of whose threads sleep, and none of which can wake another.

use std::fmt::Write;

use annotate_snippets::{AnnotationKind, Group, Level as Severity, Renderer, renderer::DecorStyle};

use super::{
    WIDTH,
    held::held,
    names::Names,
    report::{excerpt, severity},
    source::Sources,
};
use crate::finding::{Finding, Level, ThreadSnapshot};

/// How many threads are shown in the source; the table has all.
const SHOWN: usize = 8;

pub(super) fn title(threads: &[ThreadSnapshot]) -> String {
    match threads {
        [only] => {
            format!("thread `{}` is all there is, it sleeps, and nothing can wake it", only.thread)
        }
        _ => format!("all {} threads sleep, and nothing can wake them", threads.len()),
    }
}

pub(super) fn report(finding: &Finding, threads: &[ThreadSnapshot], color: bool) -> String {
    let id = format!("lockdep::{}", finding.kind.name());
    let waits = || threads.iter().filter_map(|it| Some((it, &it.waiting.as_ref()?.0))).take(SHOWN);
    let mut sources = Sources::default();
    let mentions = waits().map(|(_, wanted)| (&wanted.lock, &wanted.since));
    let names = Names::new(&mut sources, waits().map(|(_, wanted)| &wanted.lock), mentions.clone());
    for (_, site) in mentions {
        sources.text(site);
    }

    let mut groups =
        vec![Group::with_title(severity(finding.level).primary_title(title(threads)).id(id))];
    let note = |text: String| {
        let text = textwrap::fill(&text, WIDTH);
        Group::with_title(Severity::NOTE.secondary_title(text))
    };
    for (thread, wanted) in waits() {
        let name = names.at(&wanted.lock, &wanted.since);
        let holder = threads.iter().find(|it| it.held.iter().any(|held| held.lock == wanted.lock));
        let holder = holder
            .map_or_else(String::new, |holder| format!(", which thread `{}` holds", holder.thread));
        let group = note(format!("thread `{}` waits for {name}{holder}", thread.thread));
        let label = format!("waits here for {name}");
        groups.push(excerpt(
            &sources,
            group,
            vec![(&wanted.since, label, AnnotationKind::Primary)],
        ));
    }
    groups.push(note(
        "each of them sleeps, with no time limit, until another thread of this process wakes it. \
         No thread is left to do so, no signal handler is installed, and no other process shares \
         what they wait for"
            .to_owned(),
    ));
    let help = match finding.level {
        Level::Abort => "the process is aborted",
        _ => "this process hangs until it is killed",
    };
    let help = format!(
        "{help}. The table below says what each thread waits for, as far as it is known; where in \
         the source, a debugger shows"
    );
    groups.push(Group::with_title(Severity::HELP.secondary_title(textwrap::fill(&help, WIDTH))));

    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.decor_style(DecorStyle::Unicode).term_width(100).render(&groups);
    let _ = write!(text, "\n\n{}", held(threads));
    text
}
