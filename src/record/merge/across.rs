//! Findings of several processes, none of which has seen all of it.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use super::{
    merged::{MergedEdge, MergedFinding},
    resources::{Circle, Evidence, Leg},
};
use crate::{
    duration,
    finding::{FindingKind, Level, with_article},
};

/// What is known of two opposite edges that were seen by different processes, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Across {
    /// They are between two `static`s, and the processes are of one program.
    OneProgram,
    /// They are between two `static`s, in programs of which none is known to take both orders.
    Statics,
    /// They are between locks of two classes.
    Classes,
}

/// Returns the inversion of two opposite edges that were seen by different processes.
pub(super) fn across_runs(across: Across, cycle: Vec<MergedEdge>) -> MergedFinding {
    let [first, second] = [&cycle[0], &cycle[1]];
    let title = format!(
        "`{}` and `{}` are acquired in both orders, in different processes",
        first.held, first.wanted
    );
    let is_one_thread = first.is_of_same_thread(second);
    let (kind, help) = match across {
        Across::OneProgram => (
            if is_one_thread { FindingKind::SingleThreadInversion } else { FindingKind::Inversion },
            "each of them is a `static`, so these are the same two locks in every process of the \
             program. If two threads of one process take both orders at once, each waits for the \
             other: acquire them in one order everywhere",
        ),
        Across::Statics => (
            FindingKind::ClassInversion,
            "no process has seen both. Each of them is a `static`, so if one program can take both \
             orders, on two threads, each may wait for the other: acquire them in one order \
             everywhere",
        ),
        Across::Classes => (
            FindingKind::ClassInversion,
            "no process has seen both, so these may be different locks of the same two kinds. If \
             they can be the same two, each may wait for the other: acquire them in one order \
             everywhere",
        ),
    };
    finding(kind, title, help.to_owned(), cycle)
}

/// Returns the inversion of several services.
pub(super) fn across_services(Circle { legs, evidence }: &Circle<'_>) -> MergedFinding {
    let are_classes = *evidence == Evidence::Classes;
    let cycle: Vec<_> = legs.iter().flat_map(|leg| leg.edges().iter().cloned()).collect();
    // A key may be long, or have line breaks; the lock's name does not.
    let name = |leg: &&Leg| match leg.edges() {
        [first, ..] if !are_classes => first.held.clone(),
        _ => leg.from.name.to_string(),
    };
    let names: Vec<_> = legs.iter().map(name).collect();
    let lease = |name: &str| {
        let nodes = legs.iter().flat_map(|leg| [&leg.from, &leg.to]);
        nodes.filter(|node| &*node.name == name).filter_map(|node| node.lease).max()
    };
    let leases = legs.iter().zip(&names).map(|(leg, name)| Some((lease(&leg.from.name)?, name)));
    let leased = leases.flatten().min();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let services: BTreeSet<_> = cycle.iter().map(|edge| &**edge.service()).collect();
    let by = match services.len() {
        1 => "in different processes".to_owned(),
        _ => format!("by {}", listed(services)),
    };
    let what = if are_classes { "resources like " } else { "" };
    let title = match &*names {
        [_, _] => format!("{what}{} are acquired in both orders, {by}", listed(names)),
        [first, ..] => format!(
            "{} resources are acquired in a cycle, {by}: `{}` → `{first}`",
            names.len(),
            names.join("` → `")
        ),
        [] => String::new(),
    };
    let (kind, help) = match leased {
        _ if are_classes => (
            FindingKind::ClassInversion,
            "no process has seen all of it, so these may be different resources of the same kinds. If they can be \
             the same, each may wait for the next: acquire them in one order everywhere"
                .to_owned(),
        ),
        Some((lease, leased)) => (
            FindingKind::LeasedInversion,
            format!(
                "a resource is the same lock in every process. If these run at once, each waits for the next until \
                 the lease of `{leased}` runs out, after {}, or a time limit ends the wait: acquire them in one order \
                 everywhere",
                duration::Display(Duration::from_millis(lease))
            ),
        ),
        None if *evidence == Evidence::ThroughOwn => (
            FindingKind::OrderedInversion,
            "a resource is the same lock in every process, but records do not say whether threads of one process can \
             be at these places at once. If they can, and the services run at once, each waits for the next: acquire \
             them in one order everywhere"
                .to_owned(),
        ),
        None => (
            FindingKind::Inversion,
            "a resource is the same lock in every process. If these run at once, each waits for the next: acquire \
             them in one order everywhere"
                .to_owned(),
        ),
    };
    finding(kind, title, help, cycle)
}

/// Returns a finding without a process that has seen all of it.
fn finding(
    kind: FindingKind,
    title: String,
    help: String,
    cycle: Vec<MergedEdge>,
) -> MergedFinding {
    let severity = if kind.default_level() == Level::Deny { "error" } else { "warning" };
    let mut report = format!("{severity}[lockdep::{kind}]: {title}\n");
    for edge in &cycle {
        let _ = writeln!(
            report,
            "note: {} acquired `{}` at {},\n      with `{}` held since {}",
            edge.who_of_process(),
            edge.wanted,
            edge.acquired_at,
            edge.held,
            edge.held_at
        );
    }
    for edge in &cycle {
        if let Some(site) = edge.spawned_at.as_ref().filter(|_| edge.is_task()) {
            let _ = writeln!(report, "note: {} was spawned at {site}", edge.who_of_process());
        }
    }
    let mut locks = Vec::new();
    for lock in cycle.iter().flat_map(MergedEdge::locks) {
        if !locks.contains(&lock) {
            locks.push(lock);
        }
    }
    for (name, class) in locks {
        if let Some((of_type, place)) = class.split_once(" made at ") {
            let _ = writeln!(report, "note: `{name}` is {} made at {place}", with_article(of_type));
        }
    }
    let wrapped = textwrap::Options::new(90).initial_indent("help: ").subsequent_indent("      ");
    report += &textwrap::fill(&help, wrapped);
    report += "\n";
    if kind.default_level() == Level::Deny {
        report += &entry_that_silences(kind, &cycle);
    }
    let tests: BTreeSet<_> = cycle.iter().map(|edge| edge.service().clone()).collect();
    let processes: BTreeSet<_> = cycle.iter().map(|edge| (edge.service(), &edge.host)).collect();
    MergedFinding {
        kind,
        wait: None,
        level: kind.default_level(),
        across_runs: true,
        in_scope: false,
        processes: processes.len().max(2),
        tests: tests.into_iter().collect(),
        silenced: None,
        title,
        help,
        cycle,
        shown: Vec::new(),
        notes: Vec::new(),
        report,
    }
}

/// Returns names as part of a sentence.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// Returns the note with the entry of a `lockdep.toml` that silences a finding.
fn entry_that_silences(kind: FindingKind, cycle: &[MergedEdge]) -> String {
    let sites = cycle.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
    let lines = sites.map(|site| site.rsplit_once(':').map_or(&**site, |(line, _column)| line));
    let lines: BTreeSet<_> = lines.map(|line| format!("{:?}", line.replace('\\', "/"))).collect();
    let lines: Vec<_> = lines.into_iter().collect();
    format!(
        "\nnote: if this cannot hang, an entry in `lockdep.toml` silences it:\n      \
         [[allow]]\n      \
         kind = \"{kind}\"\n      \
         sites = [{}]\n      \
         reason = \"say why it cannot hang\"\n",
        lines.join(", ")
    )
}
