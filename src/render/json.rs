//! Findings, locks and edges in the [schema](crate::record) of records.

use std::{borrow::Cow, path::Path};

use super::{
    all_asleep, allow,
    backtrace::Call,
    climb::Way,
    lock_names::Names,
    parts::ShownEdge,
    section::{Label, Section},
    story::Story,
};
use crate::{
    finding::{Detail, Edge, Finding, LockInfo, OrderGraph, OtherHolds, Site},
    record,
    source::{Creates, Sources, creates},
};

impl Finding {
    /// Returns the finding as a JSON object: [`record::Finding`]. Feature `records`.
    ///
    /// ```
    /// # use lockdep::{FindingKind, Level, sync::RwLock};
    /// # lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
    /// # let rates = RwLock::new(());
    /// drop((rates.read(), rates.read()));
    /// for finding in lockdep::take_findings() {
    ///     let finding: serde_json::Value = serde_json::from_str(&finding.to_json())?;
    ///     assert_eq!(finding["kind"], "recursive_read");
    /// }
    /// # serde_json::Result::Ok(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        json(&finding(self, false, creates))
    }
}

impl OrderGraph {
    /// Returns the graph as a JSON object: [`record::Graph`]. Feature `records`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let names = Names::new(&mut Sources::default(), self.graph.node_weights(), []);
        json(&record::Graph {
            locks: self.graph.node_weights().map(|it| lock(it, names.bare(it), creates)).collect(),
            edges: self.graph.edge_weights().map(|it| edge(it, &OtherHolds::default())).collect(),
        })
    }
}

/// Serializes a value on one line.
pub(crate) fn json(value: &impl serde::Serialize) -> String {
    let mut text = vec![0; 4096];
    // The only possible error is a buffer that is too short.
    loop {
        if let Ok(length) = serde_json_core::to_slice(value, &mut text) {
            text.truncate(length);
            return String::from_utf8(text).expect("made of strings");
        }
        text.resize(2 * text.len(), 0);
    }
}

/// Converts a finding with its report, which takes milliseconds.
pub(crate) fn finding(
    finding: &Finding,
    in_scope: bool,
    creates: impl Fn(&Site) -> Creates,
) -> record::Finding<'static> {
    let mut sources = Sources::default();
    let story = Story::new(finding, &mut sources);
    let [title, help, report] = match &finding.detail {
        Detail::AllAsleep(threads) => [
            all_asleep::title(threads),
            all_asleep::help(finding.level),
            all_asleep::report(finding, threads, false),
        ],
        _ => [story.title(), story.help(), story.report(&mut sources, false)],
    };
    let (shown, notes) = if let Detail::AllAsleep(threads) = &finding.detail {
        let waits = all_asleep::labels(threads, &mut sources).into_iter().map(waiting);
        (waits.collect(), vec![Section::note(all_asleep::NOTE.to_owned())])
    } else {
        let silencing = allow::note(finding, &story.shown).map(Section::note);
        (shown(&story), story.notes().into_iter().chain(silencing).collect())
    };
    let locks = finding.cycle.iter().flat_map(|edge| [&edge.held, &edge.wanted]);
    let mut locks: Vec<_> = locks.map(|it| lock(it, story.names.bare(it), &creates)).collect();
    locks.sort_by_key(|lock| lock.id);
    locks.dedup_by_key(|lock| lock.id);
    record::Finding {
        kind: finding.kind.name().into(),
        wait: finding.wait().map(|wait| wait.name().into()),
        level: finding.level.name().into(),
        count: finding.count,
        in_scope,
        silenced: finding.silenced().map(|reason| reason.to_owned().into()),
        title: title.into(),
        help: help.into(),
        locks,
        cycle: finding.cycle.iter().map(|it| edge(it, &OtherHolds::default())).collect(),
        shown,
        notes: notes.into_iter().map(note).collect(),
        report: report.into(),
    }
}

/// Converts the edges that the report shows.
fn shown(story: &Story<'_>) -> Vec<record::Shown<'static>> {
    let edge = |(edge, way): (ShownEdge<'_>, &Way)| {
        let root = way.root();
        let [to_held, to_wanted] = way.calls().map(|calls| stack(calls, &root));
        record::Shown {
            note: edge.introduction.unwrap_or_default().into(),
            held: Some(acquisition(edge.held, to_held)),
            wanted: acquisition(edge.wanted, to_wanted),
            call: edge.call.map(label),
        }
    };
    story.edges().into_iter().zip(&story.ways).map(edge).collect()
}

/// Converts a thread that waits in a process whose threads all sleep.
fn waiting(wait: Label<'_>) -> record::Shown<'static> {
    let wanted = acquisition(wait, Vec::new());
    record::Shown { note: "".into(), held: None, wanted, call: None }
}

fn acquisition(
    Label { site, text, .. }: Label<'_>,
    stack: Vec<record::Call<'static>>,
) -> record::Acquisition<'static> {
    record::Acquisition { at: place(site), label: text.into(), stack }
}

fn label(Label { site, text, .. }: Label<'_>) -> record::Label<'static> {
    record::Label { at: place(site), text: text.into() }
}

fn note(section: Section<'_>) -> record::Note<'static> {
    let label = section.excerpts.into_iter().flatten().next().map(label);
    record::Note { text: section.title.into(), label }
}

/// Converts a call stack. Paths are relative to the folder `root`, as in the report.
fn stack(calls: &[Call], root: &Path) -> Vec<record::Call<'static>> {
    let call = |Call { function, site }: &Call| record::Call {
        function: function.clone().into(),
        at: site.as_ref().map(|site| place(&site.relative_to(root))),
    };
    calls.iter().map(call).collect()
}

/// Writes a place, with 0 for an unknown column.
fn place(site: &Site) -> Cow<'static, str> {
    match site.column() {
        0 => format!("{}:{}:0", site.file(), site.line()),
        _ => site.to_string(),
    }
    .into()
}

/// Converts a lock. `creates` reads the source and returns which locks are created at a place.
pub(crate) fn lock(
    lock: &LockInfo,
    name: String,
    creates: impl Fn(&Site) -> Creates,
) -> record::Lock<'static> {
    let says_something = |site: &&Site| !site.is_of_the_toolchain();
    let made = lock.created_at().filter(says_something).filter(|_| lock.class.is_none());
    let made = made.map(|site| (site, creates(site)));
    let made = made.filter(|(_, created)| *created != Creates::Various);
    let class = match lock.class {
        Some(given) => Some(given.into()),
        None => {
            made.as_ref().map(|(site, _)| format!("{} made at {site}", lock.type_name()).into())
        }
    };
    record::Lock {
        id: lock.id,
        name: name.into(),
        type_name: lock.type_name().into(),
        created_at: lock.created_at().filter(says_something).map(|site| site.to_string().into()),
        class,
        is_static: made.is_some_and(|(_, created)| created == Creates::OneLock),
        released_elsewhere: None,
        key: lock.key().map(|key| key.to_owned().into()),
        lease: lock.lease().map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Returns the name of a lock as a report about it alone would print it. Reads the source.
pub(crate) fn name(lock: &LockInfo) -> String {
    Names::new(&mut Sources::default(), [lock], []).bare(lock)
}

/// Converts an edge.
pub(crate) fn edge(edge: &Edge, gates: &OtherHolds) -> record::Edge<'static> {
    record::Edge {
        held: edge.held.id,
        held_mode: edge.held_mode.to_string().into(),
        held_at: edge.held_at.to_string().into(),
        wanted: edge.wanted.id,
        wanted_mode: edge.wanted_mode.to_string().into(),
        acquired_at: edge.acquired_at.to_string().into(),
        thread: edge.thread.to_string().into(),
        is_granted: edge.is_granted,
        may_have_left: edge.may_have_left,
        spawned_at: edge.thread.spawn_site().map(|site| site.to_string().into()),
        gates: gates.exclusive.iter().map(|gate| gate.id).collect(),
        may_have_more_gates: gates.may_be_more,
        allowed: None,
    }
}
