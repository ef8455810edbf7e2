//! The peers, the measurements, and the goals.

/// A library of locks: a package in `locks/`.
pub(crate) struct Peer {
    pub(crate) package: &'static str,
    /// The name in tables.
    pub(crate) name: &'static str,
    /// The package with the locks that it wraps or replaces.
    pub(crate) raw: &'static str,
    /// What it records, which decides where it is measured.
    knows: Knows,
}

/// What a peer records about locks. Each level includes the previous ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Knows {
    /// No lock order.
    Nothing,
    /// The lock order.
    Order,
    /// The lock order with backtraces.
    Backtraces,
}

const fn peer(package: &'static str, name: &'static str, raw: &'static str, knows: Knows) -> Peer {
    Peer { package, name, raw, knows }
}

const STD: &str = "raw-std";
const PARKING_LOT: &str = "raw-parking-lot-0-12";
const PARKING_LOT_0_13: &str = "raw-parking-lot-0-13";

/// All peers. Raw locks and ours come first.
pub(crate) const PEERS: [Peer; 11] = [
    peer(STD, "std", STD, Knows::Nothing),
    peer("lockdep-std", "lockdep: std", STD, Knows::Backtraces),
    peer(PARKING_LOT, "parking_lot 0.12", PARKING_LOT, Knows::Nothing),
    peer("lockdep-parking-lot-0-12", "lockdep: 0.12", PARKING_LOT, Knows::Backtraces),
    peer(PARKING_LOT_0_13, "parking_lot 0.13", PARKING_LOT_0_13, Knows::Nothing),
    peer("lockdep-parking-lot-0-13", "lockdep: 0.13", PARKING_LOT_0_13, Knows::Backtraces),
    peer("tracing-mutex-parking-lot", "tracing-mutex: 0.12", PARKING_LOT, Knows::Backtraces),
    peer("parking-lot-detection", "0.13, detection", PARKING_LOT_0_13, Knows::Nothing),
    peer("deloxide-waits", "deloxide: 0.12", PARKING_LOT, Knows::Nothing),
    peer("deloxide-order", "deloxide, order", PARKING_LOT, Knows::Order),
    peer("no-deadlocks", "no_deadlocks", STD, Knows::Nothing),
];

impl Peer {
    pub(crate) fn is_raw(&self) -> bool {
        self.package == self.raw
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.package.starts_with("lockdep")
    }

    /// Returns `true` if the peer is measured at this row. Raw locks are measured everywhere.
    pub(crate) fn is_measured_at(&self, row: &Row) -> bool {
        self.is_raw() || self.knows >= row.needs
    }
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) figure: Figure,
    /// What a peer must record for this to measure more than its locks.
    needs: Knows,
    pub(crate) aims: &'static [Aim],
}

/// The statistic of the measurements with these names (see the harness's `main`).
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    /// The median of the time of one thread, relative to the raw lock, and its instructions.
    OneThread(&'static str),
    /// The median, relative to the raw lock.
    AgainstRaw(&'static str),
    /// The median.
    Median(Unit, &'static str),
    /// The fastest round, because other programs only slow down measurements that need all cores.
    Fastest(&'static str),
    /// The throughput of two threads relative to one: the fastest round of each.
    Scaling([&'static str; 2]),
}

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    Times,
}

/// A goal, for each of our flavours.
pub(crate) enum Aim {
    /// At most this many times the raw lock.
    Ratio(f64),
    /// At most this many instructions.
    Instructions(u64),
    /// At most this much, in the unit of the figure.
    AtMost(f64),
    /// At least this much.
    AtLeast(f64),
}

use Aim::{AtLeast, AtMost, Instructions, Ratio};
use Figure::{AgainstRaw, Fastest, Median, OneThread, Scaling};
use Unit::{Bytes, Nanoseconds, Times};

const fn row(title: &'static str, figure: Figure, aims: &'static [Aim]) -> Row {
    Row { title, figure, needs: Knows::Nothing, aims }
}

const fn of_order(title: &'static str, figure: Figure, aims: &'static [Aim]) -> Row {
    Row { title, figure, needs: Knows::Order, aims }
}

/// This measurement runs with backtraces of new edges. All others run without, except for our
/// flavours, where backtraces are the default.
pub(crate) const WITH_BACKTRACES: &str = "new_edges_traced";
/// This measurement runs without backtraces, also for our flavours.
pub(crate) const WITHOUT_BACKTRACES: &str = "new_edges";

/// All rows.
pub(crate) const ROWS: [Row; 20] = [
    row("one lock, nothing held", OneThread("one"), &[Ratio(1.08), Instructions(70)]),
    row("A then B, known", OneThread("pair"), &[Ratio(1.12), Instructions(170)]),
    row("depth 8, known", OneThread("depth_8"), &[Ratio(1.15), Instructions(720)]),
    row("read", OneThread("read"), &[Ratio(1.10)]),
    row("read A, read B", OneThread("read_pair"), &[Ratio(1.12)]),
    row(
        "two threads, own pairs: scaling",
        Scaling(["own_pairs_1", "own_pairs_2"]),
        &[AtLeast(1.9)],
    ),
    row("two threads on one lock", AgainstRaw("contended"), &[Ratio(1.25)]),
    row("one pair of 40,000 known", AgainstRaw("walk"), &[AtMost(90.0)]),
    row("the same, two threads: scaling", Scaling(["walk_1", "walk_2"]), &[AtLeast(1.8)]),
    of_order("new edge at 10,000 locks", Median(Nanoseconds, WITHOUT_BACKTRACES), &[AtMost(130.0)]),
    Row {
        title: "the same, with backtraces",
        figure: Median(Nanoseconds, WITH_BACKTRACES),
        needs: Knows::Backtraces,
        aims: &[AtMost(200.0)],
    },
    of_order(
        "chain of 10,000, tail first, an edge",
        Median(Nanoseconds, "chain"),
        &[AtMost(2_000.0)],
    ),
    of_order("the same against 1,000", Median(Times, "chain_growth"), &[AtMost(1.25)]),
    row("create, lock, drop", OneThread("create"), &[Ratio(1.8)]),
    row("create, lock, drop, all in another lock", OneThread("create_nested"), &[Ratio(4.5)]),
    row("memory per live lock, with its edge", Median(Bytes, "memory"), &[AtMost(110.0)]),
    row("size of Mutex<u64>", Median(Bytes, "size"), &[AtMost(32.0)]),
    row("8 threads serve requests", Fastest("requests"), &[Ratio(1.10)]),
    row("the same, time of all cores", AgainstRaw("requests_cpu"), &[Ratio(1.10)]),
    row("first use: start of main to first lock", Median(Nanoseconds, "first"), &[AtMost(40e3)]),
];

impl Figure {
    /// Returns the measurements on which the figure is based.
    pub(crate) fn measurements(&self) -> &[&'static str] {
        match self {
            OneThread(measurement)
            | AgainstRaw(measurement)
            | Median(_, measurement)
            | Fastest(measurement) => std::slice::from_ref(measurement),
            Scaling(measurements) => measurements,
        }
    }
}
