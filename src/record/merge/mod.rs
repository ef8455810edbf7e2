//! Merges many records.
//!
//! All data is a set under union, a smallest element, or a set under intersection: a join
//! semilattice. So neither the order in which records are added nor repetition makes a difference.
//! A record that adds nothing new costs only its id, and an entry in each finding that it has;
//! classes and edges are stored once, however many records have them.

mod across;
mod adding;
mod allowed;
mod bugs;
mod classes;
mod graph;
mod merged;
mod resources;
mod seen;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader},
    num::NonZero,
    panic::resume_unwind,
    path::Path,
    thread,
};

use rustc_hash::{FxHashMap, FxHashSet};

use self::{
    across::{Across, across_runs, across_services},
    adding::Adding,
    allowed::Allowed,
    classes::{ClassId, Classes},
    resources::{Circle, Evidence, Resources},
    seen::{MAX_PROCESSES, Seen},
};
pub use self::{
    bugs::MergedBug,
    graph::{MergedGraph, MergedLock, MergedOrder, Place},
    merged::{MergedEdge, MergedFinding},
};
use super::{
    MAX_NAMED,
    read::{Problem, RecordId, read_numbered},
    smallest::Smallest,
};
use crate::finding::Mode;

/// Records, merged.
///
/// Merging is commutative, associative and idempotent: a record is identified by its
/// [id](super::Header::id), and adding it twice is the same as adding it once.
///
/// ```
/// let mut merge = lockdep::record::Merge::default();
/// for problem in merge.read_folder("docs/records")? {
///     eprintln!("{problem}");
/// }
/// for finding in merge.findings() {
///     println!("{finding}");
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Merge {
    records: BTreeSet<RecordId>,
    classes: Classes,
    findings: BTreeMap<Key, Observations>,
    edges: FxHashMap<ClassEdge, Seen>,
    /// Pairs of classes, smaller number first, of which one process has seen both orders: that
    /// process has checked them itself.
    judged: FxHashSet<(ClassId, ClassId)>,
    resources: Resources,
    /// The entries of `lockdep.toml` of all processes.
    allow: BTreeSet<Allowed>,
}

/// Identifies a finding across processes: the names of its kind and wait, whether a test looks at
/// it, and the edges of its cycle by class and place, starting with the smallest.
type Key = (&'static str, Option<&'static str>, bool, Box<[KeyEdge]>, Option<Box<[ShownAt]>>);
/// Held class and place, wanted class and place.
type KeyEdge = [Box<str>; 4];

/// Where a report shows an edge: the acquisition of the held lock, and that of the wanted one.
type ShownAt = [Box<str>; 2];

/// The records with a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Observations {
    records: BTreeSet<RecordId>,
    tests: Smallest<Box<str>, MAX_NAMED>,
    /// From the record with the smallest id, of those that have not silenced it, if there are any.
    witness: (RecordId, MergedFinding),
}

/// An edge between classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ClassEdge {
    held: ClassId,
    wanted: ClassId,
    held_mode: Mode,
    wanted_mode: Mode,
}

impl Merge {
    /// Adds a record. Lines that cannot be read are skipped, and returned as problems.
    ///
    /// # Errors
    ///
    /// Returns an error if the input cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::record::Merge;
    /// let record = std::fs::read("docs/records/pay.jsonl")?;
    /// let mut merge = Merge::default();
    /// assert!(merge.add(&record[..])?.is_empty());
    /// merge.add(&record[..])?; // the same one: nothing new
    /// assert_eq!((merge.records(), merge.edges()), (1, 1));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add(&mut self, record: impl BufRead) -> io::Result<Vec<Problem>> {
        let mut adding = Adding::default();
        let unread = read_numbered(record, |number, id, line| {
            adding.line(self, number, id, &line);
        });
        // What was read before an error is kept.
        let mut problems = adding.end(self);
        problems.extend(unread?);
        problems.sort_by_key(|problem| problem.line);
        Ok(problems)
    }

    /// Adds the record in a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn read_file(&mut self, path: impl AsRef<Path>) -> io::Result<Vec<Problem>> {
        let path = path.as_ref();
        let problems = self.add(BufReader::with_capacity(1 << 16, File::open(path)?))?;
        let of_file = |problem| Problem { file: Some(path.to_owned()), ..problem };
        Ok(problems.into_iter().map(of_file).collect())
    }

    /// Adds the records in all files of a folder whose names end in `.jsonl`, on as many threads as
    /// the machine can run at once. The order does not matter. What is no regular file is a problem, and not
    /// read: a pipe or a device may have no end.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder or one of the files cannot be read.
    pub fn read_folder(&mut self, folder: impl AsRef<Path>) -> io::Result<Vec<Problem>> {
        let (mut paths, mut problems) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            // A link that leads nowhere is an error, as is a file that cannot be read.
            if path.metadata().is_ok_and(|it| !it.is_file()) {
                let reason = "it is no regular file".to_owned();
                problems.push(Problem { file: Some(path), line: 0, reason });
            } else {
                paths.push(path);
            }
        }
        paths.sort_unstable();
        for of_file in self.read_each(&paths, |merge, path| merge.read_file(path)) {
            problems.extend(of_file?);
        }
        Ok(problems)
    }

    /// Calls `read` for each item, on as many threads as the machine can run at once, with the merge that it adds
    /// records to. Returns what the calls return, in the order of the items. The order of the calls does not matter.
    ///
    /// ```
    /// # use lockdep::record::Merge;
    /// let mut merge = Merge::default();
    /// let files = ["docs/records/pay.jsonl", "docs/records/audit.jsonl"];
    /// for problems in merge.read_each(&files, |merge, file| merge.read_file(file)) {
    ///     assert!(problems?.is_empty());
    /// }
    /// assert_eq!(merge.records(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn read_each<T: Sync, R: Send>(
        &mut self,
        items: &[T],
        read: impl Fn(&mut Self, &T) -> R + Sync,
    ) -> Vec<R> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let read_share = |share: &[T]| {
            let mut merge = Self::default();
            let results: Vec<_> = share.iter().map(|item| read(&mut merge, item)).collect();
            (merge, results)
        };
        let shares = thread::scope(|scope| {
            let shares = items.chunks(items.len().div_ceil(threads).max(1));
            let readers: Vec<_> =
                shares.map(|share| scope.spawn(move || read_share(share))).collect();
            let shares = readers.into_iter().map(thread::ScopedJoinHandle::join);
            shares.collect::<Result<Vec<_>, _>>()
        });
        let mut results = Vec::with_capacity(items.len());
        for (merge, of_share) in shares.unwrap_or_else(|panic| resume_unwind(panic)) {
            self.merge(&merge);
            results.extend(of_share);
        }
        results
    }

    /// Adds another merge.
    pub fn merge(&mut self, other: &Self) {
        self.records.extend(&other.records);
        self.allow.extend(other.allow.iter().cloned());
        let classes = self.classes.merge(&other.classes);
        let class = |of_other: ClassId| classes[of_other as usize];
        for (key, theirs) in &other.findings {
            match self.findings.get_mut(key) {
                Some(ours) => ours.merge(theirs),
                None => _ = self.findings.insert(key.clone(), theirs.clone()),
            }
        }
        for (edge, theirs) in &other.edges {
            let edge = ClassEdge { held: class(edge.held), wanted: class(edge.wanted), ..*edge };
            let mut theirs = theirs.clone();
            theirs.renumber_gates(class);
            self.see(edge, theirs);
        }
        self.resources.merge(&other.resources);
        self.judged.extend(other.judged.iter().map(|&(a, b)| pair(class(a), class(b))));
    }

    /// Returns the number of records added.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Returns the number of edges between locks of different classes.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.edges.keys().filter(|edge| self.is_between_classes(edge)).count()
    }

    /// Returns the lock order of all processes that have written a record.
    ///
    /// ```
    /// # use lockdep::record::Merge;
    /// # let mut merge = Merge::default();
    /// # merge.read_folder("docs/records")?;
    /// let graph = merge.graph();
    /// for order in &graph.edges {
    ///     let [held, wanted] = [order.held, order.wanted].map(|it| &graph.locks[it].names);
    ///     println!("{held:?} before {wanted:?}, in {} processes", order.processes);
    /// }
    /// # assert_eq!(graph.edges.len(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn graph(&self) -> MergedGraph {
        MergedGraph::new(&self.classes, &self.edges)
    }

    /// Returns all findings: those of the processes, and opposite orders of two classes that were
    /// seen in two processes but never both in one. If both are `static`s, and the processes are of
    /// one program, that is an [`Inversion`](crate::FindingKind::Inversion).
    ///
    /// ```
    /// # use lockdep::record::Merge;
    /// let mut merge = Merge::default();
    /// merge.read_file("docs/records/pay.jsonl")?; // `accounts`, then `ledger`
    /// merge.read_file("docs/records/audit.jsonl")?; // `ledger`, then `accounts`
    /// let findings = merge.findings();
    /// assert!(findings.len() == 1 && findings[0].across_runs);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn findings(&self) -> Vec<MergedFinding> {
        let of_processes = self.findings.values().map(Observations::finding);
        of_processes.chain(self.across_runs()).collect()
    }

    fn across_runs(&self) -> Vec<MergedFinding> {
        let mut found = BTreeMap::<_, (Across, Vec<MergedEdge>, Option<String>)>::new();
        let is_open = |edge: &ClassEdge| {
            edge.held < edge.wanted
                && self.is_between_classes(edge)
                && ![edge.held, edge.wanted].iter().all(|&it| self.classes.is_of_resources(it))
                && !self.judged.contains(&(edge.held, edge.wanted))
        };
        for (edge, seen) in self.edges.iter().filter(|(edge, _)| is_open(edge)) {
            for (opposite, also_seen) in self.opposites(*edge) {
                if seen.closes_across_runs(also_seen) && edge.may_wait(opposite) {
                    let are_static =
                        [edge.held, edge.wanted].iter().all(|&it| self.classes.is_static(it));
                    let in_one = seen.in_one_program(also_seen).filter(|_| are_static);
                    let across = match (are_static, &in_one) {
                        (true, Some(_)) => Across::OneProgram,
                        (true, None) => Across::Statics,
                        (false, _) => Across::Classes,
                    };
                    let witnesses = || [seen.witness().clone(), also_seen.witness().clone()];
                    let mut cycle = in_one.unwrap_or_else(witnesses).to_vec();
                    cycle.sort_unstable_by(|a, b| a.held_class.cmp(&b.held_class));
                    let classes = [&cycle[0], &cycle[1]].map(|edge| edge.held_class.clone());
                    let allowed = seen.allowed(also_seen).map(str::to_owned);
                    let new = (across, cycle, allowed);
                    // If the same two classes have several modes, keep the smallest.
                    match found.get_mut(&classes) {
                        Some(known) if *known <= new => {}
                        _ => _ = found.insert(classes, new),
                    }
                }
            }
        }
        let of_pairs = found
            .into_values()
            .map(|(across, cycle, allowed)| (across_runs(across, cycle), allowed));
        let is_judged = |Circle { legs, evidence }: &Circle<'_>| match &legs[..] {
            [there, _] if *evidence == Evidence::Classes => {
                self.is_judged(&there.from.name, &there.to.name)
            }
            _ => false,
        };
        let of_services = self.resources.circles().into_iter().filter(|it| !is_judged(it));
        let of_services = of_services.map(|circle| {
            let allowed = circle.legs.iter().filter_map(|leg| leg.allowed.as_deref()).min();
            (across_services(&circle), allowed.map(str::to_owned))
        });
        of_pairs
            .chain(of_services)
            .map(|(mut finding, allowed)| {
                let by_entry = self.allow.iter().find(|entry| entry.fits(&finding));
                finding.silenced = allowed.or(by_entry.map(|entry| entry.reason.clone()));
                finding
            })
            .collect()
    }

    /// Returns `true` if one process has seen both orders of two classes.
    fn is_judged(&self, one: &str, other: &str) -> bool {
        let classes = [one, other].map(|class| self.classes.known(class));
        matches!(classes, [Some(a), Some(b)] if self.judged.contains(&pair(a, b)))
    }

    /// Returns `true` for an edge between two classes. Within one class, records do not say which
    /// lock is which.
    fn is_between_classes(&self, edge: &ClassEdge) -> bool {
        edge.held != edge.wanted
            && self.classes.is_class(edge.held)
            && self.classes.is_class(edge.wanted)
    }

    fn opposites(&self, edge: ClassEdge) -> impl Iterator<Item = (ClassEdge, &Seen)> {
        all_modes().filter_map(move |(held_mode, wanted_mode)| {
            let opposite =
                ClassEdge { held: edge.wanted, wanted: edge.held, held_mode, wanted_mode };
            Some((opposite, self.edges.get(&opposite)?))
        })
    }

    fn see(&mut self, edge: ClassEdge, seen: Seen) {
        match self.edges.get_mut(&edge) {
            Some(known) => known.merge(seen),
            None => _ = self.edges.insert(edge, seen),
        }
    }
}

impl ClassEdge {
    /// Returns `true` if threads that run this edge and its opposite wait for each other. Readers
    /// that wait for readers, behind a writer, do not count, because records do not say who writes.
    fn may_wait(self, opposite: Self) -> bool {
        self.wanted_mode.waits_for(opposite.held_mode, false)
            && opposite.wanted_mode.waits_for(self.held_mode, false)
    }
}

/// Returns all pairs of a held and a wanted mode.
fn all_modes() -> impl Iterator<Item = (Mode, Mode)> {
    Mode::ALL.into_iter().flat_map(|held| Mode::ALL.map(|wanted| (held, wanted)))
}

fn pair(a: ClassId, b: ClassId) -> (ClassId, ClassId) {
    (a.min(b), a.max(b))
}

impl Observations {
    fn merge(&mut self, other: &Self) {
        self.records.extend(&other.records);
        self.tests.merge(&other.tests);
        // What one process has silenced counts if another has not.
        let order = |(id, finding): &(RecordId, MergedFinding)| (finding.silenced.is_some(), *id);
        let [ours, theirs] = [&self.witness, &other.witness];
        match order(theirs).cmp(&order(ours)) {
            Ordering::Less => self.witness = other.witness.clone(),
            Ordering::Equal if rank(&theirs.1) < rank(&ours.1) => {
                self.witness = other.witness.clone();
            }
            Ordering::Equal | Ordering::Greater => {}
        }
    }

    fn finding(&self) -> MergedFinding {
        MergedFinding {
            processes: self.records.len(),
            tests: self.tests.texts(),
            ..self.witness.1.clone()
        }
    }
}

/// Returns what decides between two findings of one record.
fn rank(finding: &MergedFinding) -> impl Ord {
    let MergedFinding { cycle, level, report, shown, notes, title, help, silenced, .. } = finding;
    (cycle, *level, report, shown, notes, title, help, silenced)
}

impl PartialEq for Merge {
    /// Compares the contents, regardless of how they were merged.
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
            && self.classes == other.classes
            && self.findings == other.findings
            && self.resources == other.resources
            && self.edges_by_name() == other.edges_by_name()
            && self.judged_by_name() == other.judged_by_name()
            && self.allow == other.allow
    }
}

impl Merge {
    fn edges_by_name(&self) -> BTreeMap<(&str, &str, Mode, Mode), impl PartialEq> {
        let name = |class: ClassId| self.classes.text(class);
        let named = |(edge, seen): (&ClassEdge, &Seen)| {
            let key = (name(edge.held), name(edge.wanted), edge.held_mode, edge.wanted_mode);
            (key, seen.by_name(&self.classes))
        };
        self.edges.iter().map(named).collect()
    }

    fn judged_by_name(&self) -> BTreeSet<[&str; 2]> {
        let name = |class: ClassId| self.classes.text(class);
        let named = |&(a, b): &(ClassId, ClassId)| {
            let mut named = [name(a), name(b)];
            named.sort_unstable();
            named
        };
        self.judged.iter().map(named).collect()
    }
}
