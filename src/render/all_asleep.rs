//! The report of a process in which all threads sleep and no thread can wake another.

use std::fmt::Write;

use super::{
    WIDTH,
    draw::draw,
    held::held,
    lock_names::Names,
    section::{Label, Section},
    thread_names::who,
};
use crate::{
    finding::{Finding, Level, LockUse, ThreadSnapshot},
    source::Sources,
};

/// How many threads are shown in the source; the table lists all.
const MAX_THREADS: usize = 8;

pub(super) fn title(threads: &[ThreadSnapshot]) -> String {
    match threads {
        [only] => {
            format!("{} is the only thread, it sleeps, and nothing can wake it", who(&only.thread))
        }
        _ => format!("all {} threads sleep, and nothing can wake them", threads.len()),
    }
}

pub(super) fn help(level: Level) -> String {
    let outcome = match level {
        Level::Abort => "the process is aborted",
        _ => "this process hangs until it is killed",
    };
    format!(
        "{outcome}. The table in the report says what each thread waits for, as far as it is known; \
         where in the source, a debugger shows"
    )
}

/// Why nothing can wake the threads.
pub(super) const NOTE: &str = "each of them sleeps, with no time limit, until another thread of this process wakes it. \
     No such thread is left, it handles no signal, and no other process shares \
     what they wait for";

/// Returns the threads that are shown in the source, with what they wait for.
fn waits(threads: &[ThreadSnapshot]) -> impl Iterator<Item = (&ThreadSnapshot, &LockUse)> + Clone {
    threads.iter().filter_map(|it| Some((it, &it.waiting.first()?.0))).take(MAX_THREADS)
}

/// Returns a label for the place where each thread waits. Reads the sources.
pub(super) fn labels<'a>(threads: &'a [ThreadSnapshot], sources: &mut Sources) -> Vec<Label<'a>> {
    let mentions = waits(threads).map(|(_, wanted)| (&wanted.lock, &wanted.since));
    let locks = waits(threads).map(|(_, wanted)| &wanted.lock);
    let names = Names::new(sources, locks, mentions.clone());
    for (_, site) in mentions {
        sources.text(site);
    }
    let label = |(thread, wanted): (&ThreadSnapshot, &'a LockUse)| {
        let name = names.at(&wanted.lock, &wanted.since);
        let holder = threads.iter().find(|it| it.held.iter().any(|held| held.lock == wanted.lock));
        let holder = holder
            .map_or_else(String::new, |holder| format!(", which {} holds", who(&holder.thread)));
        let text = format!("{} waits here for {name}{holder}", who(&thread.thread));
        Label::primary(&wanted.since, text)
    };
    waits(threads).map(label).collect()
}

pub(super) fn report(finding: &Finding, threads: &[ThreadSnapshot], color: bool) -> String {
    let mut sources = Sources::default();
    let labels = labels(threads, &mut sources);
    let has_places = !labels.is_empty();
    let title = Section::title(finding.level, finding.kind.name(), title(threads));
    let title = labels.into_iter().fold(title, |title, label| title.with(vec![label]));
    let note = Section::note(textwrap::fill(NOTE, WIDTH));
    let help = Section::help(textwrap::fill(&help(finding.level), WIDTH));

    let mut text = if has_places {
        draw(&[title, note, help], &sources, color)
    } else {
        // Drawn separately, so that no line is drawn from the title to the notes.
        let [title, notes] = [&[title][..], &[note, help]].map(|it| draw(it, &sources, color));
        format!("{title}\n{notes}")
    };
    let _ = write!(text, "\n\n{}", held(threads));
    text
}
