//! One finding, drawn the way rustc draws an error.

use std::fmt::Write;

use annotate_snippets::{
    AnnotationKind, Group, Level as Severity, Origin, Renderer, Snippet, renderer::DecorStyle,
};

use super::{
    backtrace::backtrace,
    names::Names,
    source::{self, Sources},
};
use crate::finding::{Edge, Finding, FindingKind, Level, LockInfo, Mode, Site, Stack};

/// How wide the text of a help is.
const WIDTH: usize = 88;

/// See [`Finding::render`].
pub(super) fn report(finding: &Finding, color: bool) -> String {
    let mut sources = Sources::default();
    let names = Names::new(
        &mut sources,
        finding.cycle.iter().flat_map(|edge| [&edge.held, &edge.wanted]),
        finding
            .cycle
            .iter()
            .flat_map(|edge| [(&edge.held, &edge.held_at), (&edge.wanted, &edge.acquired_at)]),
    );
    for edge in &*finding.cycle {
        // What the excerpts borrow below has to be read by then.
        sources.text(&edge.held_at);
        sources.text(&edge.acquired_at);
    }
    if let Some(writer) = &finding.writer {
        sources.text(&writer.site);
    }
    let story = Story { finding, names: &names, sources: &sources };
    let mut groups = story.groups();
    groups.push(story.lock_notes());
    groups.push(Group::with_title(
        Severity::HELP.secondary_title(textwrap::fill(&story.help(), WIDTH)),
    ));

    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.decor_style(DecorStyle::Unicode).term_width(100).render(&groups);
    text.push('\n');
    for (heading, stack) in story.stacks() {
        let frames = backtrace(stack);
        if !frames.is_empty() {
            let _ = write!(text, "\n{heading}:\n{frames}");
        }
    }
    text
}

/// A finding with all that is needed to tell it.
struct Story<'a> {
    finding: &'a Finding,
    names: &'a Names,
    sources: &'a Sources,
}

impl<'a> Story<'a> {
    fn edges(&self) -> &'a [Edge] {
        &self.finding.cycle
    }

    fn title(&self) -> String {
        let edge = &self.edges()[0];
        let (held, wanted, thread) =
            (self.names.of(&edge.held), self.names.of(&edge.wanted), &edge.thread);
        match self.finding.kind {
            FindingKind::Inversion if self.edges().len() == 2 => {
                format!("{held} and {wanted} are acquired in both orders")
            }
            FindingKind::Inversion => {
                let order: Vec<_> = self.edges().iter().map(|e| self.names.of(&e.held)).collect();
                format!(
                    "{} locks are acquired in a circle: {} → {held}",
                    order.len(),
                    order.join(" → "),
                )
            }
            FindingKind::SelfDeadlock if edge.held.kind.is_initializer() => {
                format!("the initializer of {held} asks for {held} itself")
            }
            FindingKind::SelfDeadlock => {
                format!("thread `{thread}` acquires {held}, which it holds already")
            }
            FindingKind::RecursiveRead => {
                format!("thread `{thread}` reads {held} again while it holds a read guard of it")
            }
            FindingKind::WaitWhileHolding => {
                let held: Vec<_> = self.edges().iter().map(|e| self.names.of(&e.held)).collect();
                format!(
                    "thread `{thread}` waits on a condition variable of {wanted} while it holds {}",
                    held.join(", "),
                )
            }
        }
    }

    /// The finding itself, and a note for every further edge.
    fn groups(&self) -> Vec<Group<'a>> {
        let severity = match self.finding.level {
            Level::Deny => Severity::ERROR,
            Level::Warn => Severity::WARNING,
            Level::Allow => Severity::NOTE,
        };
        let id = format!("lockdep::{}", self.finding.kind.name());
        let title = severity.primary_title(self.title()).id(id);
        let mut groups = vec![self.excerpts(
            Group::with_title(title),
            &self.edges()[0],
            self.finding.writer.is_none(),
        )];
        for (index, edge) in self.edges().iter().enumerate().skip(1) {
            let title = Severity::NOTE.secondary_title(self.further(index, edge));
            groups.push(self.excerpts(Group::with_title(title), edge, false));
        }
        if let Some(writer) = &self.finding.writer {
            let name = self.names.of(&writer.lock);
            let title = Severity::NOTE.secondary_title(format!(
                "thread `{}` writes {name}: while a writer waits, its readers wait for each other",
                writer.thread
            ));
            let written = format!("{name} written here");
            let place = vec![(&writer.site, written, AnnotationKind::Primary)];
            groups.push(self.excerpt(Group::with_title(title), place));
        }
        groups
    }

    fn further(&self, index: usize, edge: &Edge) -> String {
        let thread = &edge.thread;
        let (held, wanted) = (self.names.of(&edge.held), self.names.of(&edge.wanted));
        let same = edge.thread == self.edges()[0].thread;
        match (self.finding.kind, self.edges().len()) {
            (FindingKind::Inversion, 2) if same => {
                format!("the same thread, `{thread}`, took them the other way round before")
            }
            (FindingKind::Inversion, 2) => {
                format!("thread `{thread}` took them the other way round")
            }
            (FindingKind::Inversion, n) => {
                format!("{} of {n}: thread `{thread}` held {held} and acquired {wanted}", index + 1)
            }
            _ => format!("it holds {held} as well"),
        }
    }

    /// Both ends of an edge in the source: one excerpt if they are in one file.
    /// `now` if this edge is the acquisition that the program is at.
    fn excerpts(&self, group: Group<'a>, edge: &Edge, now: bool) -> Group<'a> {
        let held = self.names.at(&edge.held, &edge.held_at);
        let wanted = self.names.at(&edge.wanted, &edge.acquired_at);
        let thread = &edge.thread;
        let held_mode = describe(edge.held_mode);
        let (since, acquires) = if now {
            let acquires = match self.finding.kind {
                FindingKind::Inversion => format!("and acquires {wanted} here"),
                FindingKind::WaitWhileHolding => format!("waits here, giving {wanted} back"),
                _ if edge.held.kind.is_initializer() => format!("asks for {wanted} here"),
                _ => format!("acquires {wanted} again here"),
            };
            let since = if edge.held.kind.is_initializer() {
                format!("thread `{thread}` has been running the initializer of {held} since here")
            } else {
                format!("thread `{thread}` has held {held}{held_mode} since here")
            };
            (since, acquires)
        } else {
            (format!("{held} held{held_mode} since here"), format!("{wanted} acquired here"))
        };
        let since = (&edge.held_at, since, AnnotationKind::Context);
        let acquires = (&edge.acquired_at, acquires, AnnotationKind::Primary);
        if edge.held_at.file() == edge.acquired_at.file() {
            self.excerpt(group, vec![acquires, since])
        } else {
            let group = self.excerpt(group, vec![acquires]);
            self.excerpt(group, vec![since])
        }
    }

    /// Places in one file.
    fn excerpt(&self, group: Group<'a>, places: Vec<(&Site, String, AnnotationKind)>) -> Group<'a> {
        let path = places[0].0.file();
        if let Some(text) = self.sources.known(path) {
            let spans: Option<Vec<_>> =
                places.iter().map(|(site, ..)| source::offset(text, site)).collect();
            if let Some(offsets) = spans {
                let mut snippet = Snippet::source(text).path(path.to_owned());
                for (offset, (_, label, kind)) in offsets.into_iter().zip(places) {
                    let end = offset + source::identifier(text, offset);
                    snippet = snippet.annotation(kind.span(offset..end).label(label));
                }
                return group.element(snippet);
            }
        }
        // The source is gone or has changed: the places must do.
        places.into_iter().rev().fold(group, |group, (site, label, _)| {
            let origin = Origin::path(path.to_owned())
                .line(site.line() as usize)
                .char_column(site.column() as usize);
            group.element(origin).element(Severity::NOTE.no_name().message(label))
        })
    }

    /// What the locks are, and where they were made.
    fn lock_notes(&self) -> Group<'a> {
        let mut seen: Vec<&LockInfo> = Vec::new();
        for lock in self.edges().iter().flat_map(|edge| [&edge.held, &edge.wanted]) {
            if !seen.contains(&lock) {
                seen.push(lock);
            }
        }
        let lines: Vec<_> = seen
            .into_iter()
            .map(|lock| {
                let name = self.names.of(lock);
                let made = if source::is_of_the_toolchain(lock.created_at.file()) {
                    String::new()
                } else {
                    format!(" made at {}", lock.created_at)
                };
                format!("{name} is a `{}`{made}", lock.type_name())
            })
            .collect();
        Group::with_title(Severity::NOTE.secondary_title(lines.join("\n")))
    }

    fn help(&self) -> String {
        let edge = &self.edges()[0];
        let (held, wanted) = (self.names.of(&edge.held), self.names.of(&edge.wanted));
        let (held_line, line) = (edge.held_at.line(), edge.acquired_at.line());
        match self.finding.kind {
            FindingKind::Inversion if self.edges().len() == 2 => format!(
                "if both run at once, each waits for the other: acquire {wanted} before {held} \
                 everywhere, or release {held} before line {line}"
            ),
            FindingKind::Inversion => format!(
                "if they run at once, each waits for the next: decide on one order of these locks \
                 and acquire \
                 them in it everywhere, or release {held} before line {line}"
            ),
            FindingKind::SelfDeadlock if edge.held.kind.is_initializer() => format!(
                "it would wait for itself for ever: what line {line} needs must not come from \
                 {held}"
            ),
            FindingKind::SelfDeadlock => format!(
                "it would wait for itself for ever: drop the guard of line {held_line} first, or \
                 pass it on. A guard made in a `match`, `if let` or `for` header lives to the end \
                 of that block"
            ),
            FindingKind::RecursiveRead => format!(
                "if a writer queues between the two, the second read waits behind it and it waits \
                 for the first: pass the guard of line {held_line} on, or drop it before line \
                 {line}"
            ),
            FindingKind::WaitWhileHolding => format!(
                "the wait gives back {wanted} alone: whoever needs {held} to get to the \
                 notification waits for ever. Release {held} before line {line}"
            ),
        }
    }

    /// The call stacks that there are, each with its heading.
    fn stacks(&self) -> Vec<(String, &'a Stack)> {
        let mut stacks = Vec::new();
        for edge in self.edges() {
            let thread = &edge.thread;
            let wanted = self.names.at(&edge.wanted, &edge.acquired_at);
            let held = self.names.at(&edge.held, &edge.held_at);
            let did = match self.finding.kind {
                FindingKind::WaitWhileHolding => "waiting with",
                _ => "acquiring",
            };
            stacks.push((
                format!("stack of thread `{thread}`, {did} {wanted} with {held} held"),
                &edge.backtrace,
            ));
            stacks.push((
                format!("stack of thread `{thread}`, acquiring {held} before that"),
                &edge.held_backtrace,
            ));
        }
        stacks
    }
}

/// ` for reading`, where that matters.
fn describe(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "",
        Mode::Shared | Mode::RecursiveShared => " for reading",
    }
}
