//! Which edges a record needs so that it merges as if it had all of them.
//!
//! A merge knows locks by their classes, and keeps the smallest names of threads and locks, the
//! smallest edge, and the gates that all edges have in common. So an edge that differs from a
//! written one only in the ids of its locks adds nothing, nor does one whose names are not among
//! the smallest and whose gates are no fewer. What is kept here, and so the size of the record, is
//! bounded by the number of places in the source.

use std::{borrow::Cow, cmp::Ordering, hash::Hash, sync::Arc};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{MAX_NAMED, smallest::Smallest};
use crate::finding::{Site, ThreadInfo, UNNAMED};

/// A name that the program gave to a lock.
pub(crate) type Name = Option<Arc<str>>;

/// The number of an edge's pairs of names that are kept apart. A merge keeps them apart if a lock
/// has no class.
const MAX_PAIRS: usize = 64;

/// The number of lines for edges that differ in names alone. Enough for fifty million names in
/// random order, which rarely have one that is smaller than all but 15 before it.
const MAX_LINES_ALIKE: usize = 256;

/// An edge, as a merge sees it.
#[derive(Clone, Debug)]
pub(crate) struct Folded<P> {
    /// The classes of the locks, their modes, and where they were acquired.
    pub(crate) place: P,
    pub(crate) thread: Thread,
    /// The given names of the held and of the wanted lock.
    pub(crate) names: [Name; 2],
    /// The classes of the other locks that were held exclusively, sorted. A resource is known by its key, and a
    /// lock without a class by its type and name.
    pub(crate) gates: SmallVec<[u32; 4]>,
}

/// A thread or task, as a merge names it. Numbers are left out, because they mean nothing to other
/// processes.
#[derive(Clone, Debug)]
pub(crate) enum Thread {
    Unnamed,
    Named(Arc<str>),
    /// Unnamed, but its spawn is known.
    Spawned(Site),
    Task(Site),
}

/// The edges of a record.
#[derive(Debug)]
pub(crate) struct Fold<P> {
    written: FxHashMap<(P, Names), Written>,
    /// The number of pairs of names of each place with any.
    pairs: FxHashMap<P, usize>,
    /// The number of further lines, where one with many gates counts for several.
    room: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Names {
    Pair([Name; 2]),
    /// All pairs beyond [`MAX_PAIRS`].
    Others,
}

/// What the lines of an edge say.
#[derive(Debug)]
struct Written {
    threads: Smallest<Thread, MAX_NAMED>,
    names: [Smallest<Name, MAX_NAMED>; 2],
    smallest: (Thread, [Name; 2]),
    /// The gates that all have in common.
    gates: SmallVec<[u32; 4]>,
    lines: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The record must have a line for this edge.
    Needed,
    /// A merge is the same without it.
    Redundant,
    /// It would be needed, but the record is full.
    NoRoom,
}

impl<P: Clone + Eq + Hash> Fold<P> {
    /// Creates one that allows for this number of lines.
    pub(crate) fn new(room: usize) -> Self {
        Self { written: FxHashMap::default(), pairs: FxHashMap::default(), room }
    }

    /// Returns `true` if a merge is the same without a line for this edge.
    pub(crate) fn is_redundant(&self, edge: &Folded<P>) -> bool {
        let written = self.written.get(&(edge.place.clone(), self.names(edge)));
        written.is_some_and(|written| !written.lacks(edge))
    }

    /// Adds an edge, which is written if it is needed.
    pub(crate) fn add(&mut self, edge: Folded<P>) -> Verdict {
        if self.is_redundant(&edge) {
            return Verdict::Redundant;
        }
        let cost = 1 + edge.gates.len() / 64;
        let Some(left) = self.room.checked_sub(cost) else { return Verdict::NoRoom };
        self.room = left;
        let key = (edge.place.clone(), self.names(&edge));
        if let Some(written) = self.written.get_mut(&key) {
            written.add(edge);
        } else {
            if edge.names.iter().any(Option::is_some) {
                *self.pairs.entry(edge.place.clone()).or_default() += 1;
            }
            self.written.insert(key, Written::new(edge));
        }
        Verdict::Needed
    }

    fn names(&self, edge: &Folded<P>) -> Names {
        let pair = Names::Pair(edge.names.clone());
        let is_own = edge.names == [const { None }; 2]
            || self.pairs.get(&edge.place).is_none_or(|&pairs| pairs < MAX_PAIRS)
            || self.written.contains_key(&(edge.place.clone(), pair.clone()));
        if is_own { pair } else { Names::Others }
    }
}

impl Written {
    fn new<P>(Folded { thread, names, gates, .. }: Folded<P>) -> Self {
        Self {
            threads: Smallest::of(thread.clone()),
            names: names.clone().map(Smallest::of),
            smallest: (thread, names),
            gates,
            lines: 1,
        }
    }

    /// Returns `true` if an edge says something that these do not.
    fn lacks<P>(&self, edge: &Folded<P>) -> bool {
        let Folded { thread, names, gates, .. } = edge;
        let is_small = || {
            self.threads.lacks(thread)
                || self.names.iter().zip(names).any(|(known, name)| known.lacks(name))
                || (thread, names) < (&self.smallest.0, &self.smallest.1)
        };
        !self.gates.iter().all(|gate| gates.contains(gate))
            || self.lines < MAX_LINES_ALIKE && is_small()
    }

    fn add<P>(&mut self, Folded { thread, names, gates, .. }: Folded<P>) {
        self.threads.add(|known| known.cmp(&thread), || thread.clone());
        for (known, name) in self.names.iter_mut().zip(&names) {
            known.add(|known| known.cmp(name), || name.clone());
        }
        self.gates.retain(|gate| gates.contains(gate));
        if (&thread, &names) < (&self.smallest.0, &self.smallest.1) {
            self.smallest = (thread, names);
        }
        self.lines += 1;
    }
}

impl From<ThreadInfo> for Thread {
    fn from(ThreadInfo { name, spawned_at, is_task, .. }: ThreadInfo) -> Self {
        match (spawned_at, name) {
            (Some(site), _) if is_task => Self::Task(site),
            (_, Some(name)) => Self::Named(name),
            (Some(site), None) => Self::Spawned(site),
            (None, None) => Self::Unnamed,
        }
    }
}

impl Thread {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Unnamed => UNNAMED.into(),
            Self::Named(name) => (&**name).into(),
            Self::Spawned(site) => format!("thread spawned at {site}").into(),
            Self::Task(site) => format!("task spawned at {site}").into(),
        }
    }
}

impl Ord for Thread {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(&other.text())
    }
}

impl PartialOrd for Thread {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Thread {}

#[cfg(all(test, feature = "records", not(loom)))]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::record::Merge;

    /// Locks that are created alike. The last kind has no class: a derived function creates it.
    const KINDS: u8 = 4;

    #[derive(Clone, Copy, Debug)]
    struct Lock {
        kind: u8,
        /// The number of the name that the program gave it.
        name: Option<u8>,
        is_shared: bool,
    }

    /// An acquisition of new locks, the last one while the others are held.
    #[derive(Clone, Debug)]
    struct Nesting {
        locks: Vec<Lock>,
        line: u8,
        thread: Option<u8>,
        is_task: bool,
    }

    fn lock() -> impl Strategy<Value = Lock> {
        (0..KINDS, option::weighted(0.3, 0..40_u8), any::<bool>()).prop_map(
            |(kind, name, is_shared)| {
                let name = name.map(|name| if kind == KINDS - 1 { name % 4 } else { name });
                Lock { kind, name, is_shared }
            },
        )
    }

    fn nesting() -> impl Strategy<Value = Nesting> {
        (vec(lock(), 2..6), 0..2_u8, option::weighted(0.8, 0..40_u8), any::<bool>())
            .prop_map(|(locks, line, thread, is_task)| Nesting { locks, line, thread, is_task })
    }

    impl Lock {
        fn given(self) -> Name {
            self.name.map(|name| format!("lock {name}").into())
        }

        /// The number of its class, or of its name if it has none.
        fn gate(self) -> u32 {
            let name = self.name.filter(|_| self.kind == KINDS - 1);
            u32::from(self.kind) + name.map_or(0, |name| 1 + u32::from(name))
        }

        fn line(self, id: usize) -> String {
            let name = self.given().unwrap_or_else(|| format!("self.{}", self.kind).into());
            let class = format!(r#","class":"Mutex made at src/lib.rs:{}:1""#, self.kind);
            let class = if self.kind == KINDS - 1 { "" } else { &class };
            format!("{{\"lock\":{{\"id\":{id},\"name\":\"{name}\",\"type\":\"Mutex\"{class}}}}}\n")
        }

        fn mode(self) -> &'static str {
            if self.is_shared { "shared" } else { "exclusive" }
        }
    }

    impl Nesting {
        fn thread(&self) -> Thread {
            match (self.thread, self.is_task) {
                (None, false) => Thread::Unnamed,
                (None, true) => Thread::Spawned(std::panic::Location::caller().into()),
                (Some(name), false) => Thread::Named(format!("thread {name}").into()),
                (Some(_), true) => Thread::Task(std::panic::Location::caller().into()),
            }
        }

        fn edge(&self, [held, wanted]: [usize; 2], gates: &[usize]) -> String {
            let [of_held, of_wanted] = [held, wanted].map(|id| self.locks[id % 8].mode());
            let (thread, spawned) = match self.thread() {
                Thread::Unnamed => ("<unnamed> (7)".to_owned(), String::new()),
                Thread::Named(name) => (name.to_string(), String::new()),
                Thread::Spawned(site) => (
                    format!("thread spawned at {}:{}", site.file(), site.line()),
                    format!(r#","spawned_at":"{site}""#),
                ),
                Thread::Task(site) => ("task 7".into(), format!(r#","spawned_at":"{site}""#)),
            };
            format!(
                "{{\"edge\":{{\"held\":{held},\"held_mode\":\"{of_held}\",\
                 \"held_at\":\"src/a.rs:{line}:1\",\"wanted\":{wanted},\
                 \"wanted_mode\":\"{of_wanted}\",\"acquired_at\":\"src/a.rs:{line}:9\",\
                 \"thread\":\"{thread}\"{spawned},\"gates\":{gates:?}}}}}\n",
                line = self.line,
            )
        }
    }

    /// Returns the record of a program with all its edges, and with those that are needed.
    fn records(program: &[Nesting]) -> [String; 2] {
        let header = format!(
            "{{\"header\":{{\"schema\":1,\"lockdep\":\"0.1.0\",\"id\":\"{:032x}\",\"process\":1,\
             \"program\":\"a\",\"started\":1}}}}\n",
            7
        );
        let [mut all, mut needed] = [header.clone(), header];
        let mut fold = Fold::new(usize::MAX);
        for (number, nesting) in program.iter().enumerate() {
            let ids: Vec<_> = (0..nesting.locks.len()).map(|at| 8 * number + at).collect();
            let lock = |id: usize| nesting.locks[id % 8];
            let (&wanted, held) = ids.split_last().unwrap();
            for &entry in held {
                let is_gate = |id: &&usize| **id != entry && !lock(**id).is_shared;
                let mut gates: Vec<_> = held.iter().filter(is_gate).copied().collect();
                let lines = |text: &mut String, gates: &[usize]| {
                    for &id in [entry, wanted].iter().chain(gates) {
                        *text += &lock(id).line(id);
                    }
                    *text += &nesting.edge([entry, wanted], gates);
                };
                lines(&mut all, &gates);
                gates.sort_by_key(|&id| lock(id).gate());
                gates.dedup_by_key(|id| lock(*id).gate());
                let edge = [lock(entry), lock(wanted)];
                let folded = Folded {
                    place: (edge.map(|lock| (lock.kind, lock.is_shared)), nesting.line),
                    thread: nesting.thread(),
                    names: edge.map(Lock::given),
                    gates: gates.iter().map(|&id| lock(id).gate()).collect(),
                };
                if fold.add(folded) == Verdict::Needed {
                    lines(&mut needed, &gates);
                }
            }
        }
        [all, needed]
    }

    proptest! {
        #[test]
        fn a_record_merges_as_if_it_had_all_edges(
            program in vec(nesting(), 0..80),
            other in vec(nesting(), 0..8),
        ) {
            // A second record, in which other edges may be opposite.
            let [other, _] = records(&other);
            let other = other.replacen('7', "8", 1);
            let merged = records(&program).map(|record| {
                let mut merge = Merge::default();
                for record in [&record, &other] {
                    assert_eq!(merge.add(record.as_bytes()).unwrap(), []);
                }
                merge
            });
            prop_assert_eq!(&merged[0], &merged[1]);
            prop_assert_eq!(merged[0].findings(), merged[1].findings());
            prop_assert_eq!(merged[0].graph(), merged[1].graph());
        }
    }

    fn edge(thread: String, name: Option<String>, gates: &[u32]) -> Folded<()> {
        Folded {
            place: (),
            thread: Thread::Named(thread.into()),
            names: [None, name.map(Into::into)],
            gates: gates.into(),
        }
    }

    /// Even if each name is smaller than those before it.
    #[test]
    fn names_alone_need_few_lines() {
        for (of_threads, most) in [(true, MAX_LINES_ALIKE), (false, MAX_PAIRS + MAX_LINES_ALIKE)] {
            let mut fold = Fold::new(usize::MAX);
            let names = (0..10_000).rev().map(|number| format!("{number:05}"));
            let needed = names.filter(|name| {
                let edge = if of_threads {
                    edge(name.clone(), None, &[])
                } else {
                    edge("main".into(), Some(name.clone()), &[])
                };
                fold.add(edge) == Verdict::Needed
            });
            assert_eq!(needed.count(), most);
        }
    }

    #[test]
    fn fewer_gates_are_never_too_many_lines() {
        let mut fold = Fold::new(usize::MAX);
        for number in (0..1_000).rev() {
            fold.add(edge(format!("{number:05}"), None, &[1, 2]));
        }
        let of = |gates: &[u32]| edge("main".into(), None, gates);
        assert_eq!(fold.add(of(&[2, 3])), Verdict::Needed);
        assert!(fold.is_redundant(&of(&[2])) && fold.is_redundant(&of(&[1, 2])));
        assert_eq!(fold.add(of(&[])), Verdict::Needed);
    }

    #[test]
    fn gates_take_room() {
        let mut fold = Fold::new(4);
        let of = |place, gates: u32| {
            let Folded { thread, names, .. } = edge("main".into(), None, &[]);
            Folded { place, thread, names, gates: (0..gates).collect() }
        };
        assert_eq!(fold.add(of(0, 128)), Verdict::Needed);
        assert_eq!(fold.add(of(1, 64)), Verdict::NoRoom);
        assert_eq!([fold.add(of(1, 63)), fold.add(of(2, 0))], [Verdict::Needed, Verdict::NoRoom]);
        assert!(fold.is_redundant(&of(0, 128)));
    }
}
