//! The lock order as a drawing: one arrow per ordered pair of locks, with its findings.

use std::collections::BTreeMap;

use lockdep::record::{MergedEdge, MergedGraph, MergedOrder, Place};

use crate::report::{Judged, Report, Verdict};

/// The arrows of a drawing.
#[derive(Debug)]
pub(super) struct Arrows<'a> {
    /// By the indices of their two locks.
    pub(super) drawn: BTreeMap<(usize, usize), Arrow<'a>>,
    /// The number of further ones.
    pub(super) left_out: usize,
}

/// An arrow between two locks of the graph.
#[derive(Debug, Default)]
pub(super) struct Arrow<'a> {
    /// One per pair of modes. Empty if only a finding has this arrow: a thread acquired a lock
    /// twice, or waited.
    pub(super) orders: Vec<&'a MergedOrder>,
    /// The indices of its findings in the report, worst first.
    pub(super) findings: Vec<usize>,
    /// The verdict of the worst of them.
    pub(super) verdict: Option<Verdict>,
}

/// Returns the arrows. If there are more than `most`, leaves out some that have no findings, and then
/// some with the least ones.
pub(super) fn arrows(report: &Report, most: usize) -> Arrows<'_> {
    let mut arrows = BTreeMap::<_, Arrow<'_>>::new();
    for order in &report.graph.edges {
        arrows.entry((order.held, order.wanted)).or_default().orders.push(order);
    }
    for (number, Judged { verdict, finding, .. }) in report.findings.iter().enumerate() {
        for (held, wanted) in finding.cycle.iter().filter_map(|edge| ends(&report.graph, edge)) {
            let arrow = arrows.entry((held, wanted)).or_default();
            if arrow.findings.last() != Some(&number) {
                arrow.findings.push(number);
            }
            arrow.verdict = Some(arrow.verdict.map_or(*verdict, |known| known.min(*verdict)));
        }
    }
    let all = arrows.len();
    Arrows { drawn: worst(arrows, most), left_out: all.saturating_sub(most) }
}

fn worst(
    mut arrows: BTreeMap<(usize, usize), Arrow<'_>>,
    most: usize,
) -> BTreeMap<(usize, usize), Arrow<'_>> {
    if arrows.len() > most {
        let mut ranks: Vec<_> = arrows
            .iter()
            .map(|(&ends, arrow)| (arrow.verdict.is_none(), arrow.verdict, ends))
            .collect();
        ranks.sort_unstable();
        for (.., ends) in ranks.drain(most..) {
            arrows.remove(&ends);
        }
    }
    arrows
}

/// Returns the indices of an edge's locks in the graph.
pub(crate) fn ends(graph: &MergedGraph, edge: &MergedEdge) -> Option<(usize, usize)> {
    let place = |class: &str, name: &String| {
        graph.locks.iter().position(|lock| match &lock.class {
            Some(known) => known == class,
            None => lock.type_name == class && lock.names.contains(name),
        })
    };
    let by_name =
        || Some((place(&edge.held_class, &edge.held)?, place(&edge.wanted_class, &edge.wanted)?));
    by_name().or_else(|| by_places(graph, edge))
}

/// As [`ends`], for a lock without a class that a helper acquires: the finding calls it what the callers pass, and the
/// graph what the helper does.
fn by_places(graph: &MergedGraph, edge: &MergedEdge) -> Option<(usize, usize)> {
    let is_of = |lock: usize, class: &str| {
        let lock = &graph.locks[lock];
        lock.class.as_ref().unwrap_or(&lock.type_name) == class
    };
    let is_it = |order: &&MergedOrder| {
        let is_here =
            |place: &Place| place.held_at == edge.held_at && place.acquired_at == edge.acquired_at;
        order.places.iter().any(is_here)
            && is_of(order.held, &edge.held_class)
            && is_of(order.wanted, &edge.wanted_class)
    };
    graph.edges.iter().find(is_it).map(|order| (order.held, order.wanted))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write};

    use lockdep::{
        __private::render::{max_arrows, not_drawn},
        record::Merge,
    };

    use super::*;
    use crate::{
        report::{
            Counts,
            formats::{Format, Output, html::MAX_ARROWS},
            levels::Levels,
        },
        rustc::sources::Sources,
    };

    #[test]
    fn arrows_of_the_worst_findings_are_drawn_first() {
        let verdicts =
            [((0, 1), None), ((0, 2), Some(Verdict::Warned)), ((1, 2), Some(Verdict::Denied))];
        let drawn = |most| {
            let arrow = |verdict| Arrow { verdict, ..Arrow::default() };
            let arrows = verdicts.map(|(ends, verdict)| (ends, arrow(verdict)));
            worst(arrows.into(), most).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), [(1, 2)]);
        assert_eq!(drawn(2), [(0, 2), (1, 2)]);
        assert_eq!(drawn(3), [(0, 1), (0, 2), (1, 2)]);
    }

    /// Locks of that many classes, in every order, and a finding for each pair.
    fn dense(locks: usize) -> Report {
        let mut record = format!(
            "{{\"header\":{{\"schema\":1,\"lockdep\":\"0.1.0\",\"id\":\"{:032x}\",\"process\":1,\
             \"program\":\"dense\",\"started\":1}}}}\n",
            7
        );
        let lock = |at: usize| {
            format!(
                "{{\"id\":{at},\"name\":\"lock {at}\",\"type\":\"Mutex\",\"class\":\"class {at}\"}}"
            )
        };
        let edge = |held: usize, wanted: usize| {
            format!(
                "{{\"held\":{held},\"held_mode\":\"exclusive\",\"held_at\":\"src/a.rs:{held}:1\",\
                 \"wanted\":{wanted},\"wanted_mode\":\"exclusive\",\
                 \"acquired_at\":\"src/a.rs:{wanted}:1\",\"thread\":\"main\"}}"
            )
        };
        for at in 0..locks {
            let _ = writeln!(record, "{{\"lock\":{}}}", lock(at));
        }
        for held in 0..locks {
            for wanted in (0..locks).filter(|&wanted| wanted != held) {
                let _ = writeln!(record, "{{\"edge\":{}}}", edge(held, wanted));
            }
            for wanted in held + 1..locks {
                let _ = writeln!(
                    record,
                    "{{\"finding\":{{\"kind\":\"inversion\",\"level\":\"deny\",\"count\":1,\
                     \"title\":\"`{held}` and `{wanted}`\",\"locks\":[{},{}],\"cycle\":[{},{}],\
                     \"report\":\"error[lockdep::inversion]: both orders\"}}}}",
                    lock(held),
                    lock(wanted),
                    edge(held, wanted),
                    edge(wanted, held),
                );
            }
        }
        let mut merge = Merge::default();
        assert_eq!(merge.add(record.as_bytes()).unwrap(), []);
        let counts = Counts { processes: 1, ..Counts::default() };
        let levels = Levels::new(Vec::new());
        let (notes, sources) = (BTreeSet::new(), Sources::default());
        Report::new(counts, merge.bugs(), merge.graph(), &levels, notes, sources)
    }

    /// A page and a drawing of a dense order are no larger than one can open, and say what they lack.
    #[test]
    fn pages_and_drawings_are_bounded() {
        let report = dense(80);
        let pairs = 80 * 79 / 2;
        assert_eq!(report.findings.len(), pairs);
        let [dot, page] = [Format::Dot, Format::Html].map(|format| format.text(&report).unwrap());
        assert_eq!(dot.matches(" -> ").count(), max_arrows(80));
        for (text, most) in [(&dot, max_arrows(80)), (&page, MAX_ARROWS)] {
            let left_out = not_drawn(2 * pairs - most, 0);
            assert!(text.contains(&left_out), "{left_out}");
            assert!(text.len() < 8_000_000, "{} bytes", text.len());
        }
        assert_eq!(page.matches("<article class=\"finding").count(), 500);
        assert!(page.contains(&format!("{} more findings are in the other formats", pairs - 500)));
        assert_eq!(dot.matches("[label = \"lock ").count(), 80);
        // A small one lacks nothing.
        let small = Format::Html.text(&dense(4)).unwrap();
        assert!(!small.contains("not drawn") && !small.contains("other formats"));
    }
}
