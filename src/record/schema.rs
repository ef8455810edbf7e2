//! The lines of a record, as data. `docs/record-format.md` describes them.
//!
//! Strings are borrowed from the line if they contain no escapes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The version of this schema. Incremented whenever an existing reader would misunderstand a
/// record.
///
/// ```
/// # use lockdep::record::{Header, SCHEMA};
/// fn can_be_read(header: &Header) -> bool {
///     header.schema <= SCHEMA
/// }
/// ```
pub const SCHEMA: u32 = 1;

/// One line: `{"edge": {"held": 1, ...}}`.
///
/// ```
/// # use lockdep::record::Line;
/// let line = r#"{"lock": {"id": 1, "name": "accounts", "type": "Mutex<i64>"}}"#;
/// assert!(matches!(serde_json::from_str(line)?, Line::Lock(lock) if lock.name == "accounts"));
/// # serde_json::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Line<'a> {
    /// The first line.
    #[serde(borrow)]
    Header(Header<'a>),
    /// A lock. Precedes all lines that mention it; may be repeated.
    #[serde(borrow)]
    Lock(Lock<'a>),
    /// A new edge of the lock order.
    #[serde(borrow)]
    Edge(Edge<'a>),
    /// A new finding.
    #[serde(borrow)]
    Finding(Finding<'a>),
}

/// The process that wrote the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header<'a> {
    /// The [`SCHEMA`] of the writer.
    pub schema: u32,
    /// The version of lockdep.
    #[serde(borrow)]
    pub lockdep: Cow<'a, str>,
    /// Identifies this record: 32 hexadecimal digits.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The process id.
    pub process: u32,
    /// The file name of the program, without the hash that cargo adds for tests.
    #[serde(borrow)]
    pub program: Cow<'a, str>,
    /// The test that the process runs, according to cargo-nextest.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Cow<'a, str>>,
    /// When the record was created, in milliseconds since 1970.
    pub started: u64,
    /// The file of the program: two processes with the same one can do the same. The name of a test's
    /// file, with the hash that cargo adds to it, or the path of another program.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<Cow<'a, str>>,
    /// The service that the program is part of, according to `LOCKDEP_SERVICE` or else
    /// `OTEL_SERVICE_NAME`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Cow<'a, str>>,
    /// The machine or container that it runs on, if the service is known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Cow<'a, str>>,
    /// The entries of `lockdep.toml`, which apply to findings of several processes as well.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow<'a>>,
}

/// An `[[allow]]` entry of a `lockdep.toml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Allow<'a> {
    /// [`FindingKind::name`](crate::FindingKind::name), if it is about one kind.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'a, str>>,
    /// Names of locks, all of which a finding must have.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Cow<'a, str>>,
    /// Places that a finding must have, `file:line` or `file`, by the end of the path.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<Cow<'a, str>>,
    /// Why such findings are silenced.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

/// A lock of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lock<'a> {
    /// Its id in this process: [`LockInfo::id`](crate::LockInfo::id).
    pub id: u64,
    /// Its name in reports.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its type, without paths.
    #[serde(borrow, rename = "type")]
    pub type_name: Cow<'a, str>,
    /// Where it was created, if that is known and outside the standard library: `file:line:column`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Cow<'a, str>>,
    /// Identifies it across processes: its type and creation site, if the locks that are created
    /// there are one kind of lock; or the class that the program [gave it](crate::class).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Cow<'a, str>>,
    /// `true` if it is a `static`, so that each process has one lock of this class.
    #[serde(default, rename = "static", skip_serializing_if = "std::ops::Not::not")]
    pub is_static: bool,
    /// The system and key of a [`Resource`](crate::external::Resource), `redis order:42`: it is this lock
    /// in every process.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// For how many milliseconds it is held at most, if it has a
    /// [lease](crate::external::Resource::lease).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// A place where a resource of this class was acquired whose guard was released by another thread or task: it
    /// is not known who holds those that are acquired there.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub released_elsewhere: Option<Cow<'a, str>>,
}

/// An acquisition, completed or about to happen, by a thread or task that held another lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Edge<'a> {
    /// The [`Lock::id`] of the held lock.
    pub held: u64,
    /// Its mode: `exclusive`, `shared`, `recursive shared`, `upgradable` or `upgrade`.
    #[serde(borrow)]
    pub held_mode: Cow<'a, str>,
    /// Where it was acquired.
    #[serde(borrow)]
    pub held_at: Cow<'a, str>,
    /// The [`Lock::id`] of the acquired lock.
    pub wanted: u64,
    /// Its mode.
    #[serde(borrow)]
    pub wanted_mode: Cow<'a, str>,
    /// Where it was acquired.
    #[serde(borrow)]
    pub acquired_at: Cow<'a, str>,
    /// The thread's name; for a thread without one, `thread spawned at src/main.rs:12` if that is
    /// known, or else `<unnamed> (25340)`, as in the message of its panic; or `task 7`. The test
    /// harness names threads after tests.
    #[serde(borrow)]
    pub thread: Cow<'a, str>,
    /// Where the task was spawned, or the thread, if it has no name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub spawned_at: Option<Cow<'a, str>>,
    /// `true` if the lock was not held yet: a future of the task had requested it at `held_at`, was
    /// granted it, and has not been polled since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_granted: bool,
    /// `true` if the guard may have left the task that acquired it: see
    /// [`Edge::may_have_left`](crate::Edge::may_have_left).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_have_left: bool,
    /// The other locks that the thread held exclusively.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<u64>,
    /// `true` if further locks may keep this order apart from others: the thread held some for
    /// reading, or its other locks are not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_have_more_gates: bool,
    /// Why the program [allows](crate::allow_pair) all orders of these two locks, if it does.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Cow<'a, str>>,
}

/// A finding, with the locks that it mentions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding<'a> {
    /// [`FindingKind::name`](crate::FindingKind::name).
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// [`WaitKind::name`](crate::WaitKind::name), if it is `wait_while_holding`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Cow<'a, str>>,
    /// [`Level::name`](crate::Level::name).
    #[serde(borrow)]
    pub level: Cow<'a, str>,
    /// How often it had happened.
    pub count: u64,
    /// `true` if it is in a scope of [`testing`](crate::testing), where a test inspects it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_scope: bool,
    /// Why it is silenced, if it is: [`Finding::silenced`](crate::Finding::silenced).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Cow<'a, str>>,
    /// The title: the report's first line, without severity and kind.
    #[serde(borrow, default)]
    pub title: Cow<'a, str>,
    /// The help text, in one line.
    #[serde(borrow, default)]
    pub help: Cow<'a, str>,
    /// The locks of the cycle.
    #[serde(borrow)]
    pub locks: Vec<Lock<'a>>,
    /// See [`Finding::cycle`](crate::Finding::cycle).
    #[serde(borrow)]
    pub cycle: Vec<Edge<'a>>,
    /// How the report shows the edges of the cycle, in their order. It shows the first eight. If all
    /// threads of the process sleep, so that there is no cycle: the threads that wait for a lock. Empty
    /// in records of earlier versions.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<Shown<'a>>,
    /// The other notes of the report, in their order.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note<'a>>,
    /// The report, without colours.
    #[serde(borrow)]
    pub report: Cow<'a, str>,
}

/// An edge of a finding as its report shows it. Many locks are acquired in helpers, whose line is the same for
/// each of them: a report shows the call that distinguishes them.
///
/// ```
/// # use lockdep::record::Finding;
/// fn places<'a>(finding: &'a Finding<'_>) -> Vec<(&'a str, &'a str)> {
///     let ends = finding.shown.iter().flat_map(|it| it.held.iter().chain([&it.wanted]));
///     ends.map(|end| (&*end.at, &*end.label)).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shown<'a> {
    /// The sentence that introduces it; empty for the first one, which the title introduces.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub note: Cow<'a, str>,
    /// The acquisition of the held lock. `None` for a thread of a process whose threads all sleep.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Acquisition<'a>>,
    /// The acquisition of the other one.
    #[serde(borrow)]
    pub wanted: Acquisition<'a>,
    /// The call that is shown with them: of a function that acquires both locks, or the one that
    /// leads to the second acquisition, if that is in another function.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Label<'a>>,
}

/// An acquisition as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Acquisition<'a> {
    /// The place where it is shown: `file:line:column`, where an unknown column is 0.
    #[serde(borrow)]
    pub at: Cow<'a, str>,
    /// What the report says there; empty if it does not show this place.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub label: Cow<'a, str>,
    /// The program's part of the call stack, innermost first; empty if none was captured.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Call<'a>>,
}

/// A function of the program on a call stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Call<'a> {
    /// Its path.
    #[serde(borrow)]
    pub function: Cow<'a, str>,
    /// Where it called the next one, if that is known: as [`Acquisition::at`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Cow<'a, str>>,
}

/// A place in the source, and what a report says there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Label<'a> {
    /// The place, as [`Acquisition::at`].
    #[serde(borrow)]
    pub at: Cow<'a, str>,
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// A note of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Note<'a> {
    /// Its text, in one or more lines.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// The place that it is about, if there is one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label<'a>>,
}

/// The lock order: [`OrderGraph::to_json`](crate::OrderGraph::to_json).
///
/// ```
/// # use lockdep::{record::Graph, sync::Mutex};
/// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
/// # drop((accounts.lock(), ledger.lock()));
/// let text = lockdep::order_graph().to_json();
/// let graph: Graph = serde_json::from_str(&text)?;
/// for edge in &graph.edges {
///     println!("{} before {}, by {}", edge.held, edge.wanted, edge.thread);
/// }
/// # serde_json::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Graph<'a> {
    /// The nodes.
    #[serde(borrow)]
    pub locks: Vec<Lock<'a>>,
    /// The edges.
    #[serde(borrow)]
    pub edges: Vec<Edge<'a>>,
}

/// Copies of borrowed data, for a merge.
#[cfg(feature = "records")]
mod owned {
    use std::borrow::Cow;

    use super::{Acquisition, Call, Label, Note, Shown};

    fn text(text: &str) -> Cow<'static, str> {
        text.to_owned().into()
    }

    impl Shown<'_> {
        pub(crate) fn to_static(&self) -> Shown<'static> {
            Shown {
                note: text(&self.note),
                held: self.held.as_ref().map(Acquisition::to_static),
                wanted: self.wanted.to_static(),
                call: self.call.as_ref().map(Label::to_static),
            }
        }
    }

    impl Acquisition<'_> {
        fn to_static(&self) -> Acquisition<'static> {
            let stack = self.stack.iter().map(Call::to_static).collect();
            Acquisition { at: text(&self.at), label: text(&self.label), stack }
        }
    }

    impl Call<'_> {
        fn to_static(&self) -> Call<'static> {
            Call { function: text(&self.function), at: self.at.as_deref().map(text) }
        }
    }

    impl Label<'_> {
        fn to_static(&self) -> Label<'static> {
            Label { at: text(&self.at), text: text(&self.text) }
        }
    }

    impl Note<'_> {
        pub(crate) fn to_static(&self) -> Note<'static> {
            Note { text: text(&self.text), label: self.label.as_ref().map(Label::to_static) }
        }
    }
}
