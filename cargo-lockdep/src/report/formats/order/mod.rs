//! A proposed order as text, and the other formats of `cargo lockdep order`.

mod json;

use std::{fmt::Write, path::Path};

use clap::ValueEnum;

use super::{
    Output, html,
    human::{count, summary},
};
use crate::{
    Result,
    report::{
        Report, Verdict,
        order::{
            Acquisition, Against, ProposedOrder,
            declarations::{Declarations, one_line},
        },
    },
    rustc::sources::{Place, Sources},
};

/// The number of pairs of locks against the order that are shown.
pub(super) const MAX_AGAINST: usize = 50;
/// The number of places of each of them.
pub(super) const MAX_PLACES: usize = 4;
/// The number of names of threads and tests of each.
const MAX_NAMES: usize = 3;
/// Columns are aligned up to this width.
const MAX_WIDTH: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Format {
    /// Text for the terminal
    #[value(alias = "text")]
    Human,
    /// The order and all that contradicts it, for programs
    Json,
    /// The page of a report, which has the order as a section
    Html,
}

impl Output for Format {
    const HUMAN: Self = Self::Human;

    fn text(self, report: &Report) -> Result<String> {
        match self {
            Self::Human => Ok(text(report)),
            Self::Json => json::text(report),
            Self::Html => Ok(html::text(report)),
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Human => "order.txt",
            Self::Json => "order.json",
            Self::Html => "order.html",
        }
    }

    fn of_file(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "txt" => Self::Human,
            "json" => Self::Json,
            "html" | "htm" => Self::Html,
            _ => return None,
        })
    }
}

fn text(report: &Report) -> String {
    let order = ProposedOrder::new(report);
    let parts = [table(&order), against(&order, &report.sources), alike(&order), lines(&order)];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let text: String = parts.map(|part| part + "\n").collect();
    text + &summary(report)
}

/// Renders the order, one lock a line.
fn table(order: &ProposedOrder<'_>) -> String {
    let mut text = headline(order) + "\n";
    let cells = |place: usize| {
        let lock = order.lock(place);
        let made =
            lock.created_at.as_deref().map_or_else(String::new, |made| format!("made at {made}"));
        [order.name(place), &lock.type_name, &made].map(one_line)
    };
    let rows: Vec<_> = (0..order.locks.len()).map(cells).collect();
    let widths = [0, 1, 2].map(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0).min(MAX_WIDTH)
    });
    let of_number = rows.len().to_string().len();
    let mut group = None;
    for (place, (row, lock)) in rows.iter().zip(&order.locks).enumerate() {
        if group.replace(lock.group) != Some(lock.group) {
            text.push('\n');
        }
        let _ = write!(text, "  {:of_number$}", place + 1);
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "  {cell:width$}");
        }
        let _ = write!(text, "  {}", mark(order, place).unwrap_or_default());
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let legend = legend(order);
    if !legend.is_empty() {
        let _ = write!(text, "\n{}", wrapped(&legend.join(" ")));
    }
    text
}

/// Says how good the order is.
pub(super) fn headline(order: &ProposedOrder<'_>) -> String {
    let (locks, all) = (order.locks.len() as u64, order.nestings);
    if locks == 0 {
        return "No lock was acquired while a lock of another kind was held: there is nothing to order.".to_owned();
    }
    let locks = count(locks, "lock", "locks");
    match all - order.following {
        0 => format!("All {all} nestings of {locks} follow this order:"),
        _ => format!("{} of {all} nestings of {locks} follow this order:", order.following),
    }
}

/// Says what the marks mean that the table has, and what else a reader must know of the order.
pub(super) fn legend(order: &ProposedOrder<'_>) -> Vec<&'static str> {
    let is_any =
        |mark: fn(&crate::report::order::OrderedLock) -> bool| order.locks.iter().any(mark);
    let notes = [
        (
            order.groups() > 1,
            "Locks of different groups were never nested, so no order between groups is proposed.",
        ),
        (
            is_any(|lock| lock.is_outermost),
            "outermost: never acquired while another lock was held.",
        ),
        (is_any(|lock| lock.is_leaf), "leaf: never held while another lock was acquired."),
        (
            !order.is_exact,
            "The order is an approximation, because more than 16 locks are acquired in circles: another one may have \
             fewer nestings against it.",
        ),
    ];
    notes.into_iter().filter(|(is_true, _)| *is_true).map(|(_, note)| note).collect()
}

/// Returns what the order shows of a lock.
pub(super) fn mark(order: &ProposedOrder<'_>, place: usize) -> Option<&'static str> {
    let lock = order.locks[place];
    match (lock.is_outermost, lock.is_leaf) {
        (true, _) => Some("outermost"),
        (_, true) => Some("leaf"),
        _ => None,
    }
}

/// Renders the acquisitions that contradict the order.
fn against(order: &ProposedOrder<'_>, sources: &Sources) -> String {
    let shown = order.against.iter().take(MAX_AGAINST);
    let mut parts: Vec<_> = shown.map(|&pair| contradiction(order, pair, sources)).collect();
    if let Some(more @ 1..) = order.against.len().checked_sub(MAX_AGAINST) {
        let more = count(more as u64, "more pair of locks is", "more pairs of locks are");
        parts.push(format!("{more} against the order: see `--format json`\n"));
    }
    parts.join("\n")
}

fn contradiction(order: &ProposedOrder<'_>, pair: Against, sources: &Sources) -> String {
    let mut text = format!("against the order: {}\n", one_line(&sentence(order, pair)));
    let acquisitions = order.acquisitions(pair.held, pair.wanted);
    for acquisition in acquisitions.iter().take(MAX_PLACES) {
        text += &places(acquisition, sources);
        if let Some((who, test)) = &acquisition.who {
            let _ = writeln!(text, "    by {} of `{}`", one_line(who), one_line(test));
        }
    }
    if let Some(more @ 1..) = acquisitions.len().checked_sub(MAX_PLACES) {
        let _ = writeln!(text, "    and at {}", count(more as u64, "more place", "more places"));
    }
    if acquisitions.iter().any(|it| it.who.is_none()) {
        text += &observers(order, pair);
    }
    text += &indented(&verdict(order, pair));
    text += &indented(&format!("help: {}", advice(order, pair)));
    if let Some(first) = order.acquisitions(pair.wanted, pair.held).first() {
        text += "  for comparison, in the order:\n";
        text += &places(first, sources);
    }
    text
}

/// Says which lock is acquired too late.
pub(super) fn sentence(order: &ProposedOrder<'_>, Against { held, wanted, .. }: Against) -> String {
    format!(
        "`{}` ({}) is acquired while `{}` ({}) is held",
        order.name(wanted),
        wanted + 1,
        order.name(held),
        held + 1
    )
}

/// Says what a report makes of an acquisition against the order.
pub(super) fn verdict(order: &ProposedOrder<'_>, against: Against) -> String {
    let kinds: Vec<_> = order.kinds(against).iter().map(|kind| format!("`{kind}`")).collect();
    let verdict = match against.verdict {
        None => return "in no finding: no deadlock is predicted with it".to_owned(),
        Some(Verdict::Denied) => "denied",
        Some(Verdict::Warned) => "warned of",
        Some(Verdict::Allowed) => "allowed",
        Some(Verdict::Silenced) => "silenced",
        Some(Verdict::Expected) => "expected by a test",
    };
    format!("{verdict}: {}", kinds.join(", "))
}

/// Says how to change an acquisition that is against the order.
pub(super) fn advice(order: &ProposedOrder<'_>, Against { held, wanted, .. }: Against) -> String {
    let (held, wanted) = (order.name(held), order.name(wanted));
    format!("acquire `{wanted}` before `{held}` there, or release `{held}` first")
}

/// Renders two places, with their lines if the source is here.
fn places(it: &Acquisition<'_>, sources: &Sources) -> String {
    let places = [it.held_at, it.acquired_at];
    let width = places.map(|place| place.chars().count()).into_iter().max().unwrap_or(0);
    let mut text = String::new();
    for (place, what) in places.into_iter().zip(["holds since ", "acquires at "]) {
        let line = Place::parse(place).and_then(|place| sources.line(place)).unwrap_or_default();
        let line = one_line(&format!("    {what}{place:width$}  {}", line.trim()));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// Renders the threads and tests of a pair of locks, if these are not known for each place.
fn observers(order: &ProposedOrder<'_>, pair: Against) -> String {
    let [threads, tests] = order.observers(pair).map(|names| {
        let more = if names.len() > MAX_NAMES { ", …" } else { "" };
        let names = names.iter().take(MAX_NAMES).map(|name| format!("`{name}`"));
        names.collect::<Vec<_>>().join(", ") + more
    });
    one_line(&format!("    by {threads} of {tests}")) + "\n"
}

/// Names locks that an order of kinds of locks cannot order.
fn alike(order: &ProposedOrder<'_>) -> String {
    let note = |name| wrapped(&one_line(&format!("Two locks `{name}` were nested. {ALIKE}")));
    order.names_alike().map(note).collect()
}

pub(super) const ALIKE: &str = "An order of kinds of locks does not say which of them comes first: `lockdep::order_by_key` does.";

/// Renders the lines that declare the order.
fn lines(order: &ProposedOrder<'_>) -> String {
    let declarations = Declarations::new(order);
    if declarations.is_empty() {
        return String::new();
    }
    let mut text = wrapped(DECLARE);
    for (comment, lines) in comments(&declarations) {
        let _ = writeln!(text, "\n    // {comment}");
        for line in lines.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

pub(super) const DECLARE: &str = "To declare the order, in a program that imports its locks from `lockdep`, paste these \
     lines. From then on, an acquisition against it is a `declared_order`, the first time it happens:";

/// Returns the parts of the declarations with any lines, each with a comment.
pub(super) fn comments(declarations: &Declarations) -> impl Iterator<Item = (&'static str, &str)> {
    [
        ("For each lock, once it is made:", &*declarations.classes),
        ("At the start of the program and of its tests:", &*declarations.orders),
        ("Or, for several services, in the `lockdep.toml` of each:", &*declarations.file),
    ]
    .into_iter()
    .filter(|(_, lines)| !lines.is_empty())
}

/// Breaks a paragraph into lines.
fn wrapped(text: &str) -> String {
    textwrap::fill(text, 96) + "\n"
}

/// Breaks a sentence about a contradiction into lines.
fn indented(text: &str) -> String {
    let options = textwrap::Options::new(96).initial_indent("  ").subsequent_indent("  ");
    textwrap::fill(&one_line(text), options) + "\n"
}
