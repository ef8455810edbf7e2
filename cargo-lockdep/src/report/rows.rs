//! The nestings of records as rows that stand alone, without the ids that locks have in one process.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use lockdep::record::{Edge, Header, Line};
use serde::Serialize;

/// A thread or task held a lock and acquired another. `docs/fleet.md` describes the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    process: Rc<Process>,
    thread: String,
    held_key: Option<Rc<str>>,
    held_class: Option<Rc<str>>,
    held_name: Rc<str>,
    held_mode: String,
    held_at: String,
    held_lease: Option<u64>,
    /// A guard that was acquired there was released by another thread or task.
    held_may_be_elsewhere: bool,
    wanted_key: Option<Rc<str>>,
    wanted_class: Option<Rc<str>>,
    wanted_name: Rc<str>,
    wanted_mode: String,
    wanted_lease: Option<u64>,
    acquired_at: String,
    /// The resources that the thread held exclusively as well, by key and by class.
    gates: BTreeSet<Rc<str>>,
    gate_classes: BTreeSet<Rc<str>>,
    /// Its other locks, by class.
    own_gates: BTreeSet<Rc<str>>,
    may_have_more_gates: bool,
    allowed: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Process {
    record: String,
    service: String,
    host: Option<String>,
    program: String,
    test: Option<String>,
    started: u64,
}

/// The records of one input.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    current: Option<Record>,
    /// Those whose lines say which record they are of.
    marked: BTreeMap<u128, Record>,
}

/// A record, until its end: only then it is known whose guards were released by others.
#[derive(Debug)]
struct Record {
    process: Rc<Process>,
    locks: BTreeMap<u64, Lock>,
    rows: Vec<Row>,
    released_elsewhere: BTreeSet<(String, String)>,
}

#[derive(Debug)]
struct Lock {
    key: Option<Rc<str>>,
    class: Option<Rc<str>>,
    name: Rc<str>,
    lease: Option<u64>,
}

impl Rows {
    /// Adds a line. Calls `write` for the rows of a record that has ended.
    pub(crate) fn add(&mut self, id: Option<u128>, line: &Line<'_>, write: &mut impl FnMut(&Row)) {
        if let Line::Header(header) = line {
            let new = Record::new(header);
            let last = match id {
                Some(id) => self.marked.insert(id, new),
                None => self.current.replace(new),
            };
            if let Some(last) = last {
                last.end(write);
            }
            return;
        }
        let record = match id {
            Some(id) => self.marked.get_mut(&id),
            None => self.current.as_mut(),
        };
        if let Some(record) = record {
            record.add(line);
        }
    }

    pub(crate) fn end(self, write: &mut impl FnMut(&Row)) {
        for record in self.current.into_iter().chain(self.marked.into_values()) {
            record.end(write);
        }
    }
}

impl Record {
    fn new(header: &Header<'_>) -> Self {
        let text = |text: &Option<_>| text.as_deref().map(str::to_owned);
        let process = Process {
            record: header.id.to_string(),
            service: header.service.as_ref().unwrap_or(&header.program).to_string(),
            host: text(&header.host),
            program: header.program.to_string(),
            test: text(&header.test),
            started: header.started,
        };
        let (locks, rows, released_elsewhere) = Default::default();
        Self { process: process.into(), locks, rows, released_elsewhere }
    }

    fn add(&mut self, line: &Line<'_>) {
        match line {
            Line::Lock(lock) => {
                if let (Some(class), Some(place)) = (&lock.class, &lock.released_elsewhere) {
                    self.released_elsewhere.insert((class.to_string(), place.to_string()));
                }
                let text = |text: &Option<_>| text.as_deref().map(Rc::from);
                let (key, class) = (text(&lock.key), text(&lock.class));
                let known = Lock { key, class, name: Rc::from(&*lock.name), lease: lock.lease };
                self.locks.insert(lock.id, known);
            }
            Line::Edge(edge) => self.rows.extend(self.row(edge)),
            _ => {}
        }
    }

    /// Returns `None` if no line before describes one of the locks.
    fn row(&self, edge: &Edge<'_>) -> Option<Row> {
        let (held, wanted) = (self.locks.get(&edge.held)?, self.locks.get(&edge.wanted)?);
        let gates = || edge.gates.iter().filter_map(|gate| self.locks.get(gate));
        let resources = gates().filter(|gate| gate.key.is_some());
        let own_gates = gates().filter(|gate| gate.key.is_none());
        Some(Row {
            process: Rc::clone(&self.process),
            thread: edge.thread.to_string(),
            held_key: held.key.clone(),
            held_class: held.class.clone(),
            held_name: Rc::clone(&held.name),
            held_mode: edge.held_mode.to_string(),
            held_at: edge.held_at.to_string(),
            held_lease: held.lease,
            held_may_be_elsewhere: false,
            wanted_key: wanted.key.clone(),
            wanted_class: wanted.class.clone(),
            wanted_name: Rc::clone(&wanted.name),
            wanted_mode: edge.wanted_mode.to_string(),
            wanted_lease: wanted.lease,
            acquired_at: edge.acquired_at.to_string(),
            gates: gates().filter_map(|gate| gate.key.clone()).collect(),
            gate_classes: resources.filter_map(|gate| gate.class.clone()).collect(),
            own_gates: own_gates.filter_map(|gate| gate.class.clone()).collect(),
            may_have_more_gates: edge.may_have_more_gates,
            allowed: edge.allowed.as_deref().map(str::to_owned),
        })
    }

    fn end(self, write: &mut impl FnMut(&Row)) {
        for mut row in self.rows {
            let place =
                row.held_class.as_ref().map(|class| (class.to_string(), row.held_at.clone()));
            row.held_may_be_elsewhere |=
                place.is_some_and(|place| self.released_elsewhere.contains(&place));
            write(&row);
        }
    }
}

#[cfg(test)]
mod tests {
    use lockdep::record::{read, read_log};
    use serde_json::{Value, json};

    use super::*;

    const ID: &str = "000000000000000000000000000000ff";

    /// The lines of a record.
    fn record() -> Vec<String> {
        let lock = |id: u64, name: &str, class: &str| json!({ "id": id, "name": name, "type": "Resource", "class": class, "key": name });
        let mut sent = lock(1, "redis order:1", "redis order:{}");
        sent["released_elsewhere"] = "src/a.rs:1:1".into();
        let edge = json!({
            "held": 1, "held_mode": "exclusive", "held_at": "src/a.rs:1:1", "wanted": 2, "wanted_mode": "shared",
            "acquired_at": "src/a.rs:2:1", "thread": "main", "gates": [3, 4],
        });
        let mut unknown = edge.clone();
        unknown["held"] = 9.into();
        [
            json!({ "header": {
                "schema": 1, "lockdep": "0.1.0", "id": ID, "process": 7, "program": "shop", "started": 5, "service": "orders",
            }}),
            json!({ "lock": lock(1, "redis order:1", "redis order:{}") }),
            json!({ "lock": lock(2, "pg row:2", "pg row:{}") }),
            json!({ "lock": lock(3, "redis tenant:3", "redis tenant:{}") }),
            json!({ "lock": { "id": 4, "name": "state", "type": "Mutex<()>", "class": "Mutex<()> made at src/a.rs:9:9" } }),
            json!({ "edge": edge }),
            json!({ "edge": unknown }),
            json!({ "lock": sent }),
        ]
        .map(|line| line.to_string() + "\n")
        .into()
    }

    fn rows(text: &str) -> Vec<Value> {
        let (mut rows, mut written) = (Rows::default(), Vec::new());
        let mut write = |row: &Row| written.push(serde_json::to_value(row).unwrap());
        read_log(text.as_bytes(), |id, line| rows.add(id, &line, &mut write)).unwrap();
        rows.end(&mut write);
        written
    }

    #[test]
    fn a_row_stands_alone() {
        let [row] = &rows(&record().concat())[..] else { panic!("one") };
        let expected = json!({
            "record": ID, "service": "orders", "host": null, "program": "shop", "test": null, "started": 5,
            "thread": "main", "held_key": "redis order:1", "held_class": "redis order:{}",
            "held_name": "redis order:1", "held_mode": "exclusive", "held_at": "src/a.rs:1:1", "held_lease": null,
            "held_may_be_elsewhere": true, "wanted_key": "pg row:2", "wanted_class": "pg row:{}",
            "wanted_name": "pg row:2", "wanted_mode": "shared", "wanted_lease": null, "acquired_at": "src/a.rs:2:1",
            "gates": ["redis tenant:3"], "gate_classes": ["redis tenant:{}"],
            "own_gates": ["Mutex<()> made at src/a.rs:9:9"], "may_have_more_gates": false, "allowed": null,
        });
        assert_eq!(*row, expected);
    }

    /// The lines of several records, in a log or one after the other.
    #[test]
    fn records_are_told_apart() {
        let one = record();
        let other: Vec<_> =
            one.iter().map(|line| line.replace(ID, &ID.replace('f', "e"))).collect();
        let services = |text: &str| {
            let mut ids: Vec<_> = rows(text).iter().map(|row| row["record"].to_string()).collect();
            ids.sort();
            ids.join(" ")
        };
        let both = services(&(one.concat() + &other.concat()));
        assert_eq!(both.matches("ff\"").count() + both.matches("ee\"").count(), 2, "{both}");
        let marked = |line: &str, id: &str| format!("web | lockdep:{id} {line}");
        let log = one
            .iter()
            .zip(&other)
            .map(|(one, other)| marked(one, ID) + &marked(other, &ID.replace('f', "e")));
        assert_eq!(services(&log.collect::<String>()), both);
        assert_eq!(read(one.concat().as_bytes(), |_| ()).unwrap(), []);
    }
}
