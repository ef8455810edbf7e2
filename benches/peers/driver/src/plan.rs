//! Who is measured, at what, and what we want to reach.

/// A library of locks: a package in `locks/`.
pub(crate) struct Peer {
    pub(crate) package: &'static str,
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// The package with the locks that it wraps, or replaces.
    pub(crate) raw: &'static str,
    /// What it can be measured at.
    knows: Knows,
}

/// What a peer keeps of the locks. The later ones keep what the earlier ones do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Knows {
    /// No order.
    Nothing,
    /// An order of locks.
    Order,
    /// The same, with backtraces.
    Backtraces,
}

const fn peer(package: &'static str, name: &'static str, raw: &'static str, knows: Knows) -> Peer {
    Peer { package, name, raw, knows }
}

const STD: &str = "raw-std";
const PARKING_LOT: &str = "raw-parking-lot-0-12";
const PARKING_LOT_0_13: &str = "raw-parking-lot-0-13";

/// All of them. Raw locks and ours come first.
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

    /// Whether it makes sense to measure this. Raw locks are measured at everything.
    pub(crate) fn is_measured_at(&self, row: &Row) -> bool {
        self.is_raw() || self.knows >= row.needs
    }
}

/// A line of the table.
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) figure: Figure,
    /// What a peer has to keep, for this to be more than its locks.
    needs: Knows,
    pub(crate) aims: &'static [Aim],
}

/// What is shown of the measurements of these names (see the harness's `main`).
#[derive(Clone, Copy)]
pub(crate) enum Figure {
    /// The median of what one thread needs, against the raw lock, and the instructions of it.
    OneThread(&'static str),
    /// The median, against the raw lock.
    AgainstRaw(&'static str),
    /// The median.
    Median(Unit, &'static str),
    /// The fastest round, as others on the machine only ever slow down what needs all cores.
    Fastest(&'static str),
    /// How many times as much two threads do as one: the fastest round of each.
    Scaling([&'static str; 2]),
}

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    Times,
}

/// What we want to reach, on each of our flavours.
pub(crate) enum Aim {
    /// At most so many times as much as the raw lock.
    Ratio(f64),
    /// At most so many instructions.
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

/// The environment of this measurement has backtraces of new edges; that of the others does not,
/// but for ours, where that is the default.
pub(crate) const WITH_BACKTRACES: &str = "new_edges_traced";
/// And this one has none, not even ours.
pub(crate) const WITHOUT_BACKTRACES: &str = "new_edges";

/// All of them.
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
    /// The measurements that it is made of.
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
