//! The lock order as JSON, for the script of the page.

use std::collections::{BTreeMap, BTreeSet};

use lockdep::record::MergedEdge;
use serde::Serialize;

use super::finding::capitalized;
use crate::{
    report::{
        Judged, Report, Verdict,
        formats::{
            drawn::{Arrow, Arrows, ends},
            lock::Lock,
            steps::places,
        },
    },
    rustc::sources::{Place, Sources},
};

/// How many pairs of places of an arrow are shown with their source lines.
const WITH_LINES: usize = 2;

#[derive(Serialize)]
struct Data<'a> {
    locks: Vec<Lock<'a>>,
    arrows: Vec<DrawnArrow<'a>>,
    findings: Vec<Finding<'a>>,
    /// The source lines of the places shown: `src/a.rs:3`.
    lines: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct DrawnArrow<'a> {
    held: usize,
    wanted: usize,
    verdict: Option<Verdict>,
    findings: &'a [usize],
    orders: Vec<Order<'a>>,
}

/// An arrow in one pair of modes.
#[derive(Serialize)]
struct Order<'a> {
    modes: [&'a str; 2],
    processes: String,
    tests: &'a [String],
    threads: &'a [String],
    /// Where the first lock was acquired, and where the second.
    places: Vec<[&'a str; 2]>,
}

#[derive(Serialize)]
struct Finding<'a> {
    title: &'a str,
    kind: &'a str,
    verdict: Verdict,
    cycle: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    ends: Option<(usize, usize)>,
    /// Their names in the report.
    locks: [&'a str; 2],
    /// `Thread worker`, or `Task 7, spawned at src/main.rs:4:5`.
    who: String,
    modes: [&'a str; 2],
    places: [&'a str; 2],
}

/// Returns JSON that is safe to embed in the page.
pub(super) fn data<'a>(report: &'a Report, arrows: &Arrows<'_>) -> String {
    let graph = &report.graph;
    let arrows = &arrows.drawn;
    let locks = (0..graph.locks.len()).map(|number| Lock::new(report, number));
    let findings = report.findings.iter().map(|Judged { verdict, finding, .. }| {
        let step = |(index, edge): (usize, &'a MergedEdge)| Step {
            ends: ends(graph, edge),
            locks: [&edge.held, &edge.wanted],
            who: who(edge),
            modes: [edge.held_mode.name(), edge.wanted_mode.name()],
            places: places(finding, index),
        };
        Finding {
            title: &finding.title,
            kind: finding.kind.name(),
            verdict: *verdict,
            cycle: finding.cycle.iter().enumerate().map(step).collect(),
        }
    });
    let data = Data {
        lines: lines(report, arrows.values()),
        locks: locks.collect(),
        arrows: arrows.iter().map(|(ends, arrow)| drawn(*ends, arrow)).collect(),
        findings: findings.collect(),
    };
    let text = serde_json::to_string(&data).expect("strings and numbers can be written");
    // No string may close the script element or open a comment.
    text.replace('<', "\\u003c")
}

fn who(edge: &MergedEdge) -> String {
    let who = match &edge.spawned_at {
        None => format!("thread {}", edge.thread),
        Some(site) if edge.is_task() => format!("{}, spawned at {site}", edge.thread),
        Some(_) => edge.who(),
    };
    capitalized(&who)
}

fn drawn<'a>((held, wanted): (usize, usize), arrow: &'a Arrow<'_>) -> DrawnArrow<'a> {
    let orders = arrow.orders.iter().map(|order| Order {
        modes: [order.held_mode.name(), order.wanted_mode.name()],
        processes: if order.are_more {
            format!("{} or more", order.processes)
        } else {
            order.processes.to_string()
        },
        tests: &order.tests,
        threads: &order.threads,
        places: order.places.iter().map(|it| [&*it.held_at, &*it.acquired_at]).collect(),
    });
    DrawnArrow {
        held,
        wanted,
        verdict: arrow.verdict,
        findings: &arrow.findings,
        orders: orders.collect(),
    }
}

fn lines<'a>(
    report: &'a Report,
    arrows: impl Iterator<Item = &'a Arrow<'a>>,
) -> BTreeMap<String, String> {
    let made = report.graph.locks.iter().filter_map(|lock| lock.created_at.as_deref());
    let shown = |arrow: &'a Arrow<'a>| {
        let places = arrow.orders.iter().flat_map(|order| order.places.iter().take(WITH_LINES));
        places.flat_map(|place| [&*place.held_at, &*place.acquired_at])
    };
    let found = report.findings.iter().flat_map(|Judged { finding, .. }| {
        (0..finding.cycle.len()).flat_map(|index| places(finding, index))
    });
    let all: BTreeSet<_> = made.chain(arrows.flat_map(shown)).chain(found).collect();
    all.into_iter().filter_map(|place| line(&report.sources, place)).collect()
}

fn line(sources: &Sources, place: &str) -> Option<(String, String)> {
    let place = Place::parse(place)?;
    Some((format!("{}:{}", place.file, place.line), sources.line(place)?.trim().to_owned()))
}
