//! Adds records to a merge, line by line.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use rustc_hash::FxHashMap;

use super::{
    ClassEdge, ClassId, KeyEdge, Merge, MergedEdge, MergedFinding, Observations, RecordId, Seen,
    Smallest, all_modes, allowed::Allowed, pair, resources::Paths, seen::By,
};
use crate::{
    finding::{FindingKind, Mode, UnknownName, WaitKind},
    record::{
        Problem,
        schema::{Edge, Finding, Header, Line, Lock, Note, Shown},
    },
};

/// The records of one input.
#[derive(Default)]
pub(super) struct Adding {
    /// The record of the lines so far.
    current: Option<Record>,
    /// Those whose lines say which record they are of, because those of several processes alternate.
    marked: BTreeMap<RecordId, Record>,
    problems: Vec<Problem>,
}

/// The record that is being added, with its locks.
struct Record {
    id: RecordId,
    test: String,
    /// See [`Header::service`], and [`Header::host`].
    service: Option<String>,
    host: Option<String>,
    /// See [`Header::executable`].
    executable: Option<Box<str>>,
    locks: FxHashMap<u64, Known>,
    /// The first lock of each class that is said to have one only.
    statics: FxHashMap<ClassId, u64>,
    /// Its edges between classes, with a bit for each pair of modes.
    edges: FxHashMap<(ClassId, ClassId), u64>,
    /// Its edges by lock.
    paths: Paths,
}

/// A lock of the record that is being added.
struct Known {
    name: Box<str>,
    /// If it has no class, one of this type and name.
    class: ClassId,
    /// What it is where it keeps others apart.
    gate: ClassId,
}

impl Adding {
    /// Adds a line. `id` is the record that it is of, if it says so.
    pub(super) fn line(
        &mut self,
        merge: &mut Merge,
        number: usize,
        id: Option<RecordId>,
        line: &Line<'_>,
    ) {
        if let Err(reason) = self.try_line(merge, id, line) {
            self.problems.push(Problem { file: None, line: number, reason });
        }
    }

    fn try_line(
        &mut self,
        merge: &mut Merge,
        id: Option<RecordId>,
        line: &Line<'_>,
    ) -> Result<(), String> {
        if let Line::Header(header) = line {
            let own = RecordId::from_str_radix(&header.id, 16);
            let own = own.map_err(|_| "the id is no hexadecimal number")?;
            let new = Record::new(merge, own, header);
            let last = match id {
                Some(id) => self.marked.insert(id, new),
                None => self.current.replace(new),
            };
            if let Some(last) = last {
                last.end(merge);
            }
            return Ok(());
        }
        let record = match id {
            Some(id) => self.marked.get_mut(&id),
            None => self.current.as_mut(),
        };
        record.ok_or("no header stands before this")?.line(merge, line)
    }

    /// Adds what only whole records say. Returns the lines that could not be added.
    pub(super) fn end(self, merge: &mut Merge) -> Vec<Problem> {
        for record in self.current.iter().chain(self.marked.values()) {
            record.end(merge);
        }
        self.problems
    }
}

impl Record {
    fn line(&mut self, merge: &mut Merge, line: &Line<'_>) -> Result<(), String> {
        match line {
            Line::Header(_) => {}
            Line::Lock(lock) => self.lock(merge, lock),
            Line::Edge(edge) => self.edge(merge, edge)?,
            Line::Finding(finding) => {
                self.finding(merge, finding).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn new(merge: &mut Merge, id: RecordId, header: &Header<'_>) -> Self {
        merge.records.insert(id);
        merge.allow.extend(header.allow.iter().map(Allowed::from));
        let test = header.test.as_ref().unwrap_or(&header.program);
        Self {
            id,
            test: test.to_string(),
            service: header.service.as_deref().map(str::to_owned),
            host: header.host.as_deref().map(str::to_owned),
            executable: header.executable.as_deref().map(Into::into),
            locks: FxHashMap::default(),
            statics: FxHashMap::default(),
            edges: FxHashMap::default(),
            paths: Paths::default(),
        }
    }

    fn lock(&mut self, merge: &mut Merge, lock: &Lock<'_>) {
        let class = merge.classes.see(lock);
        let gate = merge.classes.gate(lock, class);
        if lock.is_static && *self.statics.entry(class).or_insert(lock.id) != lock.id {
            merge.classes.has_several(class);
        }
        self.locks.insert(lock.id, Known { name: lock.name.as_ref().into(), class, gate });
        self.paths.lock(lock);
        if let (Some(class), Some(place)) = (&lock.class, &lock.released_elsewhere) {
            merge.resources.released_elsewhere(class, place);
        }
    }

    fn edge(&mut self, merge: &mut Merge, edge: &Edge<'_>) -> Result<(), String> {
        let lock =
            |id| self.locks.get(&id).ok_or_else(|| format!("no line before describes lock {id}"));
        let (held, wanted) = (lock(edge.held)?, lock(edge.wanted)?);
        let [held_mode, wanted_mode] = modes(edge).map_err(|error| error.to_string())?;
        self.paths.edge(edge, [held_mode, wanted_mode]);
        let of_classes =
            ClassEdge { held: held.class, wanted: wanted.class, held_mode, wanted_mode };
        let gates = edge.gates.iter().filter_map(|gate| Some(self.locks.get(gate)?.gate));
        let mut gates: Vec<_> = gates.collect();
        gates.sort_unstable();
        gates.dedup();
        // Most edges are already known from other records and need no new strings.
        let known = merge.edges.get_mut(&of_classes);
        let by = By { record: self.id, executable: self.executable.as_deref(), test: &self.test };
        let is_known = known.is_some_and(|known| known.see_again(by, edge, &gates));
        if !is_known {
            let text = |known: &Known| {
                (known.name.to_string(), merge.classes.text(known.class).to_owned())
            };
            let merged = self.merged(edge, [held_mode, wanted_mode], [held, wanted].map(text));
            merge.see(of_classes, Seen::new(by, edge, merged, gates));
        }
        self.note(merge, of_classes);
        Ok(())
    }

    /// Records an edge, and whether this record also has an opposite one.
    fn note(&mut self, merge: &mut Merge, edge: ClassEdge) {
        let ClassEdge { held, wanted, held_mode, wanted_mode } = edge;
        let modes = self.edges.entry((held, wanted)).or_default();
        let known = *modes;
        *modes |= bit(held_mode, wanted_mode);
        if *modes == known {
            return;
        }
        let opposite = self.edges.get(&(wanted, held)).copied().unwrap_or_default();
        let is_judged = all_modes().any(|(held_mode, wanted_mode)| {
            let is_there = opposite & bit(held_mode, wanted_mode) != 0;
            is_there
                && edge.may_wait(ClassEdge { held: wanted, wanted: held, held_mode, wanted_mode })
        });
        if is_judged {
            merge.judged.insert(pair(held, wanted));
        }
    }

    /// Adds what only the whole record says.
    fn end(&self, merge: &mut Merge) {
        let Merge { classes, resources, .. } = merge;
        let text = |id: u64| {
            let text = |it: &Known| (it.name.to_string(), classes.text(it.class).to_owned());
            self.locks.get(&id).map(text).unwrap_or_default()
        };
        self.paths.add_legs(self.id, self.executable.as_deref(), resources, |edge, modes| {
            self.merged(edge, modes, [edge.held, edge.wanted].map(text))
        });
    }

    /// Returns an edge, with the names and classes of its locks.
    fn merged(
        &self,
        edge: &Edge<'_>,
        [held_mode, wanted_mode]: [Mode; 2],
        [(held, held_class), (wanted, wanted_class)]: [(String, String); 2],
    ) -> MergedEdge {
        MergedEdge {
            test: self.test.clone(),
            service: self.service.clone(),
            host: self.host.clone(),
            thread: edge.thread.to_string(),
            spawned_at: edge.spawned_at.as_deref().map(str::to_owned),
            held,
            held_class,
            held_mode,
            held_at: edge.held_at.to_string(),
            is_granted: edge.is_granted,
            may_have_left: edge.may_have_left,
            wanted,
            wanted_class,
            wanted_mode,
            acquired_at: edge.acquired_at.to_string(),
        }
    }

    fn finding(&self, merge: &mut Merge, finding: &Finding<'_>) -> Result<(), UnknownName> {
        let label = |id: u64| {
            let lock = finding.locks.iter().find(|lock| lock.id == id);
            lock.map_or_else(Default::default, |lock| (lock.name.to_string(), class(lock)))
        };
        let merged = |edge: &Edge<'_>| {
            Ok(self.merged(edge, modes(edge)?, [edge.held, edge.wanted].map(label)))
        };
        let kind: FindingKind = finding.kind.parse()?;
        let level = finding.level.parse()?;
        let wait = finding.wait.as_deref().map(WaitKind::from_str).transpose()?;
        let cycle = finding.cycle.iter().map(merged).collect::<Result<Vec<_>, _>>()?;
        if let [first, second] = &*cycle
            && first.held_class != second.held_class
        {
            // A forked process may have checked edges that are only in its parent's record.
            let [a, b] = [first, second].map(|edge| merge.classes.number(&edge.held_class));
            merge.judged.insert(pair(a, b));
        }
        let tests = Smallest::of(self.test.as_str().into());
        let merged = MergedFinding {
            kind,
            wait,
            level,
            across_runs: false,
            in_scope: finding.in_scope,
            processes: 1,
            tests: Vec::new(),
            silenced: finding.silenced.as_deref().map(str::to_owned),
            title: title(finding).to_owned(),
            help: finding.help.to_string(),
            cycle,
            shown: finding.shown.iter().map(Shown::to_static).collect(),
            notes: finding.notes.iter().map(Note::to_static).collect(),
            report: finding.report.to_string(),
        };
        let shown_at = merged.shown_at().map(|edges| {
            let mut edges: Vec<_> = edges.map(|ends| ends.map(Box::from)).collect();
            edges.sort_unstable();
            edges.into()
        });
        let wait_name = wait.map(WaitKind::name);
        let key = (kind.name(), wait_name, finding.in_scope, key(&merged), shown_at);
        let records = BTreeSet::from([self.id]);
        let observations = Observations { records, tests, witness: (self.id, merged) };
        match merge.findings.get_mut(&key) {
            Some(known) => known.merge(&observations),
            None => _ = merge.findings.insert(key, observations),
        }
        Ok(())
    }
}

/// Returns the title, or the first line of the report in records without titles.
fn title<'a>(finding: &'a Finding<'_>) -> &'a str {
    match &*finding.title {
        "" => finding.report.lines().next().unwrap_or_default(),
        title => title,
    }
}

/// Returns the modes in which an edge's locks were held and acquired.
fn modes(edge: &Edge<'_>) -> Result<[Mode; 2], UnknownName> {
    Ok([edge.held_mode.parse()?, edge.wanted_mode.parse()?])
}

/// Returns a bit for each pair of modes.
fn bit(held: Mode, wanted: Mode) -> u64 {
    1 << (Mode::ALL.len() * held as usize + wanted as usize)
}

/// Returns the class, or only the type if it has none.
fn class(lock: &Lock<'_>) -> String {
    lock.class.as_ref().unwrap_or(&lock.type_name).to_string()
}

/// Returns the edges of a cycle, starting with the smallest one: each process starts with another.
fn key(finding: &MergedFinding) -> Box<[KeyEdge]> {
    let edges: Vec<KeyEdge> = finding.places().map(|edge| edge.map(Into::into)).collect();
    let rotated = |by: usize| {
        let mut edges = edges.clone();
        edges.rotate_left(by);
        edges
    };
    (0..edges.len()).map(rotated).min().unwrap_or_default().into()
}
