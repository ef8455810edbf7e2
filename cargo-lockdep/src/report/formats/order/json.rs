//! A proposed order as JSON. `docs/reports.md` describes the schema.

use serde::Serialize;

use crate::{
    Result, cannot,
    report::{
        Report, Verdict,
        formats::{json::Tool, lock::Lock},
        order::{Acquisition, Against, ProposedOrder, declarations::Declarations},
    },
};

/// Incremented whenever an existing reader would misunderstand a document.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: Tool,
    /// No order is contradicted by fewer nestings.
    is_exact: bool,
    nestings: usize,
    following: usize,
    order: Vec<OrderedLock<'a>>,
    against: Vec<Contradiction<'a>>,
    /// Names of locks of which two were nested.
    alike: Vec<&'a str>,
    declarations: Lines,
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing_checked: Option<&'a str>,
}

#[derive(Serialize)]
struct OrderedLock<'a> {
    #[serde(flatten)]
    lock: Lock<'a>,
    group: usize,
    is_outermost: bool,
    is_leaf: bool,
}

#[derive(Serialize)]
struct Contradiction<'a> {
    /// Indices in the order.
    held: usize,
    wanted: usize,
    verdict: Option<Verdict>,
    kinds: Vec<&'static str>,
    threads: Vec<&'a str>,
    tests: Vec<&'a str>,
    places: Vec<Places<'a>>,
    /// Where the same locks are acquired in the proposed order.
    following: Vec<Places<'a>>,
}

#[derive(Serialize)]
struct Places<'a> {
    held_at: &'a str,
    acquired_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test: Option<&'a str>,
}

#[derive(Serialize)]
struct Lines {
    classes: Vec<String>,
    orders: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
}

pub(super) fn text(report: &Report) -> Result<String> {
    let order = ProposedOrder::new(report);
    let lock = |place: usize| {
        let ordered = order.locks[place];
        OrderedLock {
            lock: Lock::new(report, ordered.lock),
            group: ordered.group,
            is_outermost: ordered.is_outermost,
            is_leaf: ordered.is_leaf,
        }
    };
    let declarations = Declarations::new(&order);
    let document = Document {
        schema: SCHEMA,
        tool: Tool::this(),
        is_exact: order.is_exact,
        nestings: order.nestings,
        following: order.following,
        order: (0..order.locks.len()).map(lock).collect(),
        against: order.against.iter().map(|&it| contradiction(&order, it)).collect(),
        alike: order.names_alike().collect(),
        declarations: Lines {
            classes: declarations.classes.lines().map(str::to_owned).collect(),
            orders: declarations.orders,
            file: declarations.file,
        },
        nothing_checked: report.nothing.as_deref(),
    };
    let text = serde_json::to_string_pretty(&document).map_err(cannot("write JSON"))?;
    Ok(text + "\n")
}

fn contradiction<'a>(order: &'a ProposedOrder<'_>, against: Against) -> Contradiction<'a> {
    let Against { held, wanted, verdict } = against;
    let [threads, tests] = order.observers(against);
    let places = |acquisitions: Vec<_>| acquisitions.into_iter().map(places).collect();
    Contradiction {
        held,
        wanted,
        verdict,
        kinds: order.kinds(against).into_iter().map(lockdep::FindingKind::name).collect(),
        threads,
        tests,
        places: places(order.acquisitions(held, wanted)),
        following: places(order.acquisitions(wanted, held)),
    }
}

fn places(Acquisition { held_at, acquired_at, who, .. }: Acquisition<'_>) -> Places<'_> {
    let (who, test) = who.unzip();
    Places { held_at, acquired_at, who, test }
}
