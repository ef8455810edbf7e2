//! Merging records is commutative, associative and idempotent, and has the right results.
#![cfg(feature = "records")]

use lockdep::{
    FindingKind, Level, Mode,
    record::{Merge, MergedBug, MergedFinding, SCHEMA},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};

/// The contents of one process's record: edges between classes of locks, and findings about pairs
/// of them.
#[derive(Clone, Debug)]
struct Process {
    edges: Vec<SeenEdge>,
    findings: Vec<(u8, u8)>,
}

#[derive(Clone, Debug)]
struct SeenEdge {
    held: u8,
    wanted: u8,
    is_shared: bool,
    line: u8,
    gates: Vec<u8>,
}

const CLASSES: u8 = 4;

fn process() -> impl Strategy<Value = Process> {
    let edge = (0..CLASSES, 0..CLASSES, any::<bool>(), 0..3_u8, vec(0..CLASSES, 0..2)).prop_map(
        |(held, wanted, is_shared, line, gates)| SeenEdge { held, wanted, is_shared, line, gates },
    );
    (vec(edge, 0..6), vec((0..CLASSES, 0..CLASSES), 0..2))
        .prop_map(|(edges, findings)| Process { edges, findings })
}

/// A line of a record: an object with one key, its type.
fn line(of_type: &str, content: &Value) -> String {
    json!({ of_type: content }).to_string() + "\n"
}

fn lock(class: u8) -> Value {
    json!({
        "id": class,
        "name": format!("lock {class}"),
        "type": "Mutex<()>",
        "created_at": format!("src/lib.rs:{class}:1"),
        "class": format!("Mutex<()> made at src/lib.rs:{class}:1"),
    })
}

fn edge(it: &SeenEdge, thread: usize) -> Value {
    let mode = if it.is_shared { "shared" } else { "exclusive" };
    json!({
        "held": it.held,
        "held_mode": mode,
        "held_at": format!("src/a.rs:{}:1", it.line),
        "wanted": it.wanted,
        "wanted_mode": mode,
        "acquired_at": format!("src/a.rs:{}:9", it.line),
        "thread": format!("test {thread}"),
        "gates": it.gates,
    })
}

fn exclusive(held: u8, wanted: u8) -> SeenEdge {
    SeenEdge { held, wanted, is_shared: false, line: 1, gates: vec![] }
}

/// Returns the record of a process.
fn record(number: usize, process: &Process) -> String {
    // Ids are not in the order of the numbers.
    let id = (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let header = json!({
        "schema": SCHEMA,
        "lockdep": "0.1.0",
        "id": format!("{id:032x}"),
        "process": 7,
        "program": "program",
        "test": format!("test {number}"),
        "started": 0,
    });
    let mut text = line("header", &header);
    // Each process numbers the classes differently.
    let classes = (0..CLASSES).map(|at| (usize::from(at) + number) % usize::from(CLASSES));
    let locks = classes.map(|class| lock(u8::try_from(class).unwrap()));
    locks.for_each(|lock| text += &line("lock", &lock));
    for it in &process.edges {
        text += &line("edge", &edge(it, number));
    }
    for &(a, b) in &process.findings {
        let cycle = [(a, b), (b, a)].map(|(a, b)| edge(&exclusive(a, b), number));
        let finding = json!({
            "kind": "inversion",
            "level": "deny",
            "count": 1,
            "title": format!("the title of {number}"),
            "help": format!("the help of {number}"),
            "locks": [lock(a), lock(b)],
            "cycle": cycle,
            "report": format!("the report of {number}\n"),
        });
        text += &line("finding", &finding);
    }
    text
}

fn merged<'a>(records: impl IntoIterator<Item = &'a String>) -> Merge {
    let mut merge = Merge::default();
    for record in records {
        assert_eq!(merge.add(record.as_bytes()).unwrap(), []);
    }
    merge
}

fn records(processes: &[Process]) -> Vec<String> {
    processes.iter().enumerate().map(|(number, it)| record(number, it)).collect()
}

/// Returns the records with what concerns statics: two of the classes are, the processes are of two
/// programs or of none that is known, and some orders are allowed.
fn records_with_statics(processes: &[Process]) -> Vec<String> {
    let with_statics = |(number, text): (usize, String)| {
        let mut text = text;
        for class in 0..2 {
            let class = format!("\"class\":\"Mutex<()> made at src/lib.rs:{class}:1\"");
            text = text.replace(&class, &format!("{class},\"static\":true"));
        }
        let site = "\"acquired_at\":\"src/a.rs:2:9\"";
        text = text.replace(site, &format!("{site},\"allowed\":\"for reason {number}\""));
        let program = "\"program\":\"program\"";
        let executable = match number % 3 {
            0 => program.to_owned(),
            which => format!("{program},\"executable\":\"program-{which}\""),
        };
        let allow = json!([{ "locks": ["lock 0", "lock 3"], "reason": format!("entry {number}") }]);
        text.replace(program, &format!("{executable},\"allow\":{allow}"))
    };
    records(processes).into_iter().enumerate().map(with_statics).collect()
}

fn across_runs(merge: &Merge) -> Vec<MergedFinding> {
    merge.findings().into_iter().filter(|finding| finding.across_runs).collect()
}

/// Returns the pairs of classes, smaller first, that two processes order differently, ignoring
/// modes and gates.
fn naive(processes: &[Process]) -> Vec<(u8, u8)> {
    let has = |process: &Process, held, wanted| {
        let edges = process.edges.iter().map(|edge| (edge.held, edge.wanted));
        let found = process.findings.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
        (
            edges.clone().any(|edge| edge == (held, wanted)),
            found.clone().any(|edge| edge == (held, wanted)),
        )
    };
    let pairs = (0..CLASSES).flat_map(|a| (a + 1..CLASSES).map(move |b| (a, b)));
    pairs
        .filter(|&(a, b)| {
            let one_way = processes.iter().any(|process| has(process, a, b).0);
            let other_way = processes.iter().any(|process| has(process, b, a).0);
            let judged = processes.iter().any(|process| {
                has(process, a, b).0 && has(process, b, a).0 || has(process, a, b).1
            });
            one_way && other_way && !judged
        })
        .collect()
}

proptest! {
    /// So a process need not write such an edge.
    #[test]
    fn an_edge_between_other_locks_made_alike_changes_nothing(
        processes in vec(process(), 1..4),
        repeated in vec(any::<Index>(), 0..8),
    ) {
        const OTHERS: u64 = 100;
        let records = records(&processes);
        let longer = records.iter().enumerate().map(|(number, text)| {
            let mut text = text.clone();
            for class in 0..CLASSES {
                let mut lock = lock(class);
                lock["id"] = (OTHERS + u64::from(class)).into();
                text += &line("lock", &lock);
            }
            let edges = &processes[number].edges;
            for index in repeated.iter().filter(|_| !edges.is_empty()) {
                let mut edge = edge(index.get(edges), number);
                let of_other = |lock: &Value| (lock.as_u64().unwrap() + OTHERS).into();
                edge["held"] = of_other(&edge["held"]);
                edge["wanted"] = of_other(&edge["wanted"]);
                edge["gates"] = edge["gates"].as_array().unwrap().iter().map(of_other).collect();
                text += &line("edge", &edge);
            }
            text
        });
        prop_assert_eq!(merged(&longer.collect::<Vec<_>>()), merged(&records));
    }

    #[test]
    fn order_and_repetition_change_nothing(
        processes in vec(process(), 1..6),
        order in vec(any::<Index>(), 0..12),
    ) {
        let records = records_with_statics(&processes);
        let all = merged(&records);
        let shuffled: Vec<_> = order.iter().map(|at| at.get(&records)).collect();
        let again = merged(shuffled.into_iter().chain(records.iter().rev()));
        prop_assert_eq!(&all, &again);
        prop_assert_eq!(all.findings(), again.findings());
        prop_assert_eq!(all.graph(), again.graph());
        prop_assert_eq!(all.records(), processes.len());
    }

    #[test]
    fn merges_can_be_merged(
        processes in vec(process(), 1..7),
        groups in vec(0..3_usize, 12),
        overlap in vec(any::<bool>(), 12),
    ) {
        let records = records_with_statics(&processes);
        let in_group = |group: usize| {
            let is_in = |at: usize| groups_of(group, &groups, &overlap, at);
            merged(records.iter().enumerate().filter(|&(at, _)| is_in(at)).map(|(_, it)| it))
        };
        let [a, b, c] = [0, 1, 2].map(in_group);
        let join = |x: &Merge, y: &Merge| { let mut z = x.clone(); z.merge(y); z };
        prop_assert_eq!(join(&a, &b), join(&b, &a));
        prop_assert_eq!(join(&join(&a, &b), &c), join(&a, &join(&b, &c)));
        prop_assert_eq!(&join(&a, &a), &a);
        let all = merged(&records);
        prop_assert_eq!(&join(&join(&a, &b), &c), &all);
        prop_assert_eq!(join(&join(&a, &b), &c).findings(), all.findings());
        prop_assert_eq!(join(&join(&a, &b), &c).graph(), all.graph());
    }

    #[test]
    fn orders_across_runs_are_those_that_no_process_saw(processes in vec(process(), 0..6)) {
        let mut processes = processes;
        for edge in processes.iter_mut().flat_map(|process| &mut process.edges) {
            (edge.is_shared, edge.gates) = (false, vec![]);
        }
        let expected: Vec<_> = naive(&processes)
            .into_iter()
            .map(|(a, b)| [a, b].map(|class| format!("Mutex<()> made at src/lib.rs:{class}:1")))
            .collect();
        let found = across_runs(&merged(&records(&processes)));
        let found: Vec<_> =
            found.iter().map(|it| [it.cycle[0].held_class.clone(), it.cycle[0].wanted_class.clone()]).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Returns `true` if a record is in a group: its own, and possibly the next one.
fn groups_of(group: usize, groups: &[usize], overlap: &[bool], at: usize) -> bool {
    groups[at] == group || overlap[at] && (groups[at] + 1) % 3 == group
}

#[test]
fn what_many_processes_found_is_one_finding() {
    // Each process starts the cycle at another edge.
    let processes: Vec<_> = (0..40)
        .map(|number| Process {
            edges: vec![],
            findings: vec![if number % 2 == 0 { (0, 1) } else { (1, 0) }],
        })
        .collect();
    let findings = merged(&records(&processes)).findings();
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].processes, findings[0].tests.len()), (40, 16));
    assert!(findings[0].to_string().contains("\nfound by 40 processes: `test 0`, "));
    // The report is that of the record with the smallest id, in any order.
    let records = records(&processes);
    for order in [records.iter().collect::<Vec<_>>(), records.iter().rev().collect()] {
        assert_eq!(merged(order).findings()[0].report, "the report of 0\n");
    }
}

/// What the report shows is kept with it. Earlier versions have not recorded it.
#[test]
fn what_a_report_shows_is_kept_with_it() {
    let old = record(0, &Process { edges: vec![], findings: vec![(0, 1)] });
    let (lines, finding) = old.trim_end().rsplit_once('\n').unwrap();
    let mut finding: Value = serde_json::from_str(finding).unwrap();
    finding["finding"]["notes"] = json!([{ "text": "a \"note\"" }]);
    let call = json!({ "function": "f", "at": "a.rs:1:0" });
    finding["finding"]["shown"] =
        json!([{ "wanted": { "at": "a.rs:1:2", "label": "here", "stack": [call] } }]);
    let new = format!("{lines}\n{finding}\n");

    let [without] = &merged([&old]).findings()[..] else { panic!("there is one") };
    assert!(without.shown.is_empty() && without.notes.is_empty());
    let of_both = [merged([&old, &new]), merged([&new, &old])];
    assert!(of_both[0] == of_both[1]);
    let [with] = &merged([&new]).findings()[..] else { panic!("there is one") };
    assert_eq!(serde_json::to_value(&with.shown).unwrap(), finding["finding"]["shown"]);
    assert_eq!(with.notes[0].text, "a \"note\"");
}

/// All locks are acquired in one helper and made by one line. The stacks tell the bugs apart.
#[test]
fn bugs_are_told_apart_by_what_their_reports_show() {
    let found = |number: usize, line: Option<u8>| {
        let text = record(number, &Process { edges: vec![], findings: vec![(0, 1)] });
        let (lines, finding) = text.trim_end().rsplit_once('\n').unwrap();
        let mut finding: Value = serde_json::from_str(finding).unwrap();
        let end = |line: u8, column: u8| {
            let call = json!({ "function": "f", "at": "a.rs:1:0" });
            json!({ "at": format!("a.rs:{line}:{column}"), "label": "here", "stack": [call] })
        };
        if let Some(line) = line {
            let edge = json!({ "held": end(line, 1), "wanted": end(line, 2) });
            finding["finding"]["shown"] = json!([edge]);
        }
        format!("{lines}\n{finding}\n")
    };
    // One has no stacks: it may be any of them.
    let records = [Some(7), Some(8), None, Some(7)];
    let records: Vec<_> =
        records.into_iter().enumerate().map(|(number, line)| found(number, line)).collect();
    let merge = merged(&records);
    assert!(merge == merged(records.iter().rev()));
    let processes: Vec<_> = merge.bugs().iter().map(|bug| bug.processes).collect();
    assert_eq!(processes, [3, 1]);
    let merge = merged([&found(0, None), &found(1, None)]);
    assert_eq!((merge.findings().len(), merge.bugs().len()), (1, 1));
}

/// A process that records a finding twice counts once, whatever else it recorded before.
#[test]
fn what_one_process_found_twice_is_one_finding() {
    let once = record(0, &Process { edges: vec![], findings: vec![(0, 1)] });
    let (before, finding) = once.trim_end().rsplit_once('\n').unwrap();
    let other = finding.replace("the report of 0", "another report");
    assert_ne!(finding, other);
    for [first, then] in [[finding, &other], [&other, finding]] {
        let findings = merged(&[format!("{before}\n{first}\n{then}\n")]).findings();
        let [found] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((found.processes, &*found.report), (1, "another report\n"));
    }
}

/// Two processes found a cycle, and one of them found it while it was less dangerous.
#[test]
fn a_cycle_that_got_worse_is_one_bug() {
    let found = |number: usize, kind: &str, silenced: bool| {
        let text = record(number, &Process { edges: vec![], findings: vec![(0, 1)] });
        let silenced = if silenced { r#","silenced":"known""# } else { "" };
        text.replace(r#""kind":"inversion""#, &format!(r#""kind":"{kind}"{silenced}"#))
    };
    let first = found(0, "single_thread_inversion", false);
    let (before, _) = first.trim_end().rsplit_once('\n').unwrap();
    let records = [
        first.clone(),
        found(0, "inversion", false).replacen(&format!("{before}\n"), "", 1),
        found(1, "inversion", false),
        found(2, "guarded_inversion", true),
        found(3, "declared_order", false),
    ];
    let records = [records[..2].concat(), records[2..].concat()];
    let merge = merged(&records);
    assert_eq!(merge.findings().len(), 4);
    let bugs = merge.bugs();
    let kinds = |bug: &MergedBug| bug.findings.iter().map(|it| it.kind.name()).collect::<Vec<_>>();
    let bugs: Vec<_> =
        bugs.iter().map(|bug| (kinds(bug), bug.processes, bug.tests.len())).collect();
    let expected = [
        (vec!["inversion", "single_thread_inversion"], 2, 2),
        (vec!["declared_order"], 1, 1),
        (vec!["guarded_inversion"], 1, 1),
    ];
    assert_eq!(bugs, expected);
}

/// What one process has silenced is not silenced if another has found it, too.
#[test]
fn a_finding_is_silenced_if_all_have_silenced_it() {
    for silenced_by in [0, 1] {
        let process = Process { edges: vec![], findings: vec![(0, 1)] };
        let mut records = records(&[process.clone(), process]);
        let text = &mut records[silenced_by];
        *text = text.replace(r#""kind":"#, r#""silenced":"known","kind":"#);
        for order in [records.iter().collect::<Vec<_>>(), records.iter().rev().collect()] {
            let findings = merged(order).findings();
            let [finding] = &*findings else { panic!("{findings:?}") };
            assert_eq!((finding.processes, &finding.silenced), (2, &None));
        }
    }
}

#[test]
fn merges_that_say_different_things_are_not_equal() {
    let merge = |edges| merged(&[record(0, &Process { edges, findings: vec![] })]);
    assert!(merge(vec![exclusive(0, 1)]) == merge(vec![exclusive(0, 1)]));
    assert!(merge(vec![exclusive(0, 1)]) != merge(vec![]));

    // One merge knows that a process has checked both orders.
    let both = merge(vec![exclusive(0, 1), exclusive(1, 0)]);
    let mut one_by_one = merge(vec![exclusive(0, 1)]);
    one_by_one.merge(&merge(vec![exclusive(1, 0)]));
    assert!(both != one_by_one);

    let record = record(0, &Process { edges: vec![], findings: vec![] });
    let of_locks = |first: usize, last: usize| {
        let lines =
            record.lines().enumerate().filter(|&(at, _)| at == 0 || (first..=last).contains(&at));
        merged(&[lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")])
    };
    assert!(of_locks(1, 2) == of_locks(1, 2));
    assert!(of_locks(1, 2) != of_locks(2, 3));
    assert!(of_locks(1, 2) != of_locks(1, 3) && of_locks(1, 3) != of_locks(1, 2));
}

#[test]
fn the_tests_that_found_it_are_named_and_more_are_hinted_at() {
    let process = Process { edges: vec![], findings: vec![(0, 1)] };
    let text = |records: &[String]| merged(records).findings()[0].to_string();
    let of_tests = |count: usize| text(&records(&vec![process.clone(); count]));
    assert!(of_tests(1).ends_with("\nfound by 1 process: `test 0`\n"));
    assert!(of_tests(2).ends_with("\nfound by 2 processes: `test 0`, `test 1`\n"));
    assert!(!of_tests(16).contains('…') && of_tests(17).ends_with("`, …\n"));
    let of_one_test = [0, 1].map(|number| record(number, &process).replace("test 1", "test 0"));
    assert!(text(&of_one_test).ends_with("\nfound by 2 processes: `test 0`\n"));
}

/// Two processes have opposite orders, a third one has both in some modes. If these wait for each
/// other, the third one has checked them itself.
#[test]
fn who_has_seen_both_orders_has_judged_them() {
    const MODES: [&str; 5] = ["exclusive", "shared", "recursive shared", "upgradable", "upgrade"];
    let waits = |wanted: &str, held: &str| {
        let either = [wanted, held];
        either.contains(&"exclusive")
            || either == ["upgradable", "upgradable"]
            || either == ["upgrade", "shared"]
    };
    let process = |edges| Process { edges, findings: vec![] };
    let others = [exclusive(0, 1), exclusive(1, 0)].map(|edge| process(vec![edge]));
    let others = records(&others);
    let third = record(2, &process(vec![]));
    let pairs = || MODES.into_iter().flat_map(|held| MODES.map(|wanted| [held, wanted]));
    for [held, wanted] in pairs() {
        for [other_held, other_wanted] in pairs() {
            let edge = |it: SeenEdge, held: &str, wanted: &str| {
                let mut edge = edge(&it, 2);
                edge["held_mode"] = held.into();
                edge["wanted_mode"] = wanted.into();
                line("edge", &edge)
            };
            let record = third.clone()
                + &edge(exclusive(0, 1), held, wanted)
                + &edge(exclusive(1, 0), other_held, other_wanted);
            let is_judged = waits(wanted, other_held) && waits(other_wanted, held);
            let found = across_runs(&merged(others.iter().chain([&record])));
            assert_eq!(found.is_empty(), is_judged, "{held} {wanted} {other_held} {other_wanted}");
        }
    }
}

/// The data of a class does not depend on the order of its locks.
#[test]
fn of_a_class_the_smallest_is_kept() {
    let of_one_lock = |number: usize, lock: &Value| {
        let header = record(number, &Process { edges: vec![], findings: vec![] });
        let header = header.lines().next().unwrap().to_owned();
        merged(&[format!("{header}\n{}", line("lock", lock))])
    };
    let class = Some("T called b");
    let lock = |name: &str, type_name: &str, created_at: Option<&str>, class: Option<&str>| json!({ "id": 1, "name": name, "type": type_name, "created_at": created_at, "class": class });
    // The first one has no class, and its type and name make the same text as the class.
    let locks = [
        lock("b", "T", None, None),
        lock("a", "V", Some("a.rs:2:1"), class),
        lock("c", "S", Some("a.rs:1:1"), class),
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut merge = Merge::default();
        let mut text = String::new();
        for at in order {
            merge.merge(&of_one_lock(at, &locks[at]));
            text += &line("lock", &locks[at]);
        }
        let header = record(0, &Process { edges: vec![], findings: vec![] });
        let in_one = merged(&[format!("{}\n{text}", header.lines().next().unwrap())]);
        for graph in [merge.graph(), in_one.graph()] {
            let [known] = &graph.locks[..] else { panic!("{graph:?}") };
            assert_eq!(known.names, ["a", "b", "c"]);
            assert_eq!((&*known.type_name, known.created_at.as_deref()), ("S", Some("a.rs:1:1")));
            assert_eq!(known.class.as_deref(), Some("T called b"));
        }
    }
}

#[test]
fn two_orders_in_two_processes() {
    let process = |edge| Process { edges: vec![edge], findings: vec![] };
    let run = |edges: [SeenEdge; 2]| across_runs(&merged(&records(&edges.map(process))));
    let found = run([exclusive(0, 1), exclusive(1, 0)]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].processes), (FindingKind::ClassInversion, 2));
    assert_eq!(found[0].tests, ["test 0", "test 1"]);
    let text = found[0].to_string();
    assert!(
        text.starts_with(
            "warning[lockdep::class_inversion]: `lock 0` and `lock 1` are acquired in both orders, \
             in different processes\n\
             note: thread `test 0` of `test 0` acquired `lock 1` at src/a.rs:1:9,\n      \
             with `lock 0` held since src/a.rs:1:1\n"
        ),
        "{text}"
    );

    // Readers do not wait for readers, and a common gate keeps them apart.
    let shared = |held, wanted| SeenEdge { is_shared: true, ..exclusive(held, wanted) };
    assert_eq!(run([shared(0, 1), shared(1, 0)]), []);
    assert_eq!(run([shared(0, 1), exclusive(1, 0)]).len(), 1);
    let gated = |held, wanted, gate| SeenEdge { gates: vec![gate], ..exclusive(held, wanted) };
    assert_eq!(run([gated(0, 1, 2), gated(1, 0, 2)]), []);
    assert_eq!(run([gated(0, 1, 2), gated(1, 0, 3)]).len(), 1);
}

/// A lock that is no class may be the same one in both, so it keeps them apart.
#[test]
fn a_gate_needs_no_class() {
    let lock = |id: u32, name: &str, type_name: &str, created_at: Option<&str>| json!({ "id": id, "name": name, "type": type_name, "created_at": created_at });
    let run = |gates: [&Value; 2]| {
        let records = [0, 1].map(|number| {
            let (held, wanted) = if number == 0 { (0, 1) } else { (1, 0) };
            let mut edge = edge(&exclusive(held, wanted), number);
            edge["gates"] = json!([99]);
            record(number, &Process { edges: vec![], findings: vec![] })
                + &line("lock", gates[number])
                + &line("edge", &edge)
        });
        across_runs(&merged(&records)).len()
    };
    let derived = lock(99, "self.gate", "Mutex<u8>", Some("src/a.rs:9:9"));
    let renamed = lock(99, "gate", "Mutex<u8>", Some("src/a.rs:9:9"));
    let elsewhere = lock(99, "self.gate", "Mutex<u8>", Some("src/a.rs:8:9"));
    let nowhere = lock(99, "self.gate", "Mutex<u8>", None);
    let other = lock(99, "other", "Mutex<u8>", None);
    assert_eq!(run([&derived, &derived]), 0);
    assert_eq!(run([&derived, &renamed]), 0);
    assert_eq!(run([&nowhere, &nowhere]), 0);
    assert_eq!(run([&derived, &elsewhere]), 1);
    assert_eq!(run([&nowhere, &other]), 1);
}

/// A reader that wants to write waits for another one, which does not wait for it.
#[test]
fn both_of_two_processes_have_to_wait() {
    let run = |wanted_modes: [&str; 2]| {
        let records = [0, 1].map(|number| {
            let (held, wanted) = if number == 0 { (0, 1) } else { (1, 0) };
            let shared = SeenEdge { is_shared: true, ..exclusive(held, wanted) };
            let mut edge = edge(&shared, number);
            edge["wanted_mode"] = wanted_modes[number].into();
            record(number, &Process { edges: vec![], findings: vec![] }) + &line("edge", &edge)
        });
        across_runs(&merged(&records)).len()
    };
    assert_eq!(run(["shared", "exclusive"]), 0);
    assert_eq!(run(["exclusive", "shared"]), 0);
    assert_eq!(run(["exclusive", "exclusive"]), 1);
}

#[test]
fn of_two_orders_in_several_modes_one_is_told() {
    for (a, b) in (0..CLASSES).flat_map(|a| (a + 1..CLASSES).map(move |b| (a, b))) {
        let processes = [(a, b), (b, a)].map(|(held, wanted)| {
            let shared = SeenEdge { is_shared: true, ..exclusive(held, wanted) };
            Process { edges: vec![exclusive(held, wanted), shared], findings: vec![] }
        });
        let found = across_runs(&merged(&records(&processes)));
        let [found] = &found[..] else { panic!("{found:?}") };
        assert!(found.cycle.iter().all(|edge| edge.held_mode == Mode::Exclusive), "{found:?}");
    }
}

/// Every edge of every process, by the indices of its locks in the graph, with the number of
/// processes.
#[test]
fn the_graph_has_what_all_processes_did() {
    let process = |edges| Process { edges, findings: vec![] };
    let processes: Vec<_> = (0..20)
        .map(|line| process(vec![SeenEdge { line, ..exclusive(0, 1) }, exclusive(1, 1)]))
        .chain([process(vec![SeenEdge { is_shared: true, ..exclusive(2, 0) }])])
        .collect();
    let merge = merged(&records(&processes));
    assert_eq!(merge.edges(), 2, "those between two classes");
    let graph = merge.graph();
    assert_eq!(graph.locks.len(), usize::from(CLASSES));
    assert_eq!(graph.locks[1].names, ["lock 1"]);
    assert_eq!(graph.locks[1].created_at.as_deref(), Some("src/lib.rs:1:1"));
    assert_eq!(graph.locks[1].class.as_deref(), Some("Mutex<()> made at src/lib.rs:1:1"));
    let edges: Vec<_> =
        graph.edges.iter().map(|it| (it.held, it.wanted, it.held_mode, it.processes)).collect();
    assert_eq!(
        edges,
        [(0, 1, Mode::Exclusive, 20), (1, 1, Mode::Exclusive, 20), (2, 0, Mode::Shared, 1)]
    );
    let edge = &graph.edges[0];
    assert_eq!((edge.places.len(), edge.threads.len(), edge.tests.len()), (16, 16, 16));
    assert_eq!(edge.places[0].held_at, "src/a.rs:0:1");
    assert_eq!(edge.places[0].acquired_at, "src/a.rs:0:9");
    assert!(!edge.are_more);

    let many = vec![process(vec![exclusive(0, 1)]); 120];
    let edge = &merged(&records(&many)).graph().edges[0];
    assert_eq!((edge.processes, edge.are_more), (100, true));
}

#[test]
fn locks_without_a_class_are_in_the_graph_alone() {
    let text = |id: u8, edges: &str| {
        let header = record(usize::from(id), &Process { edges: vec![], findings: vec![] });
        let header = header.lines().next().unwrap().to_owned();
        let lock = |id: u8| {
            let mut lock = lock(id);
            lock["created_at"] = Value::Null;
            lock["class"] = Value::Null;
            line("lock", &lock)
        };
        format!("{header}\n{}{}{edges}", lock(0), lock(1))
    };
    let order = |a, b| line("edge", &edge(&exclusive(a, b), 1));
    // Nor if the other lock has a class.
    let with_class = line("lock", &lock(2));
    let mixed = merged(&[text(0, &(with_class + &order(2, 0) + &order(0, 2)))]);
    assert_eq!((mixed.edges(), mixed.graph().edges.len()), (0, 2));
    let merge = merged(&[text(0, &order(0, 1)), text(1, &order(1, 0))]);
    assert_eq!((merge.edges(), merge.findings().len()), (0, 0));
    let graph = merge.graph();
    assert_eq!((graph.locks.len(), graph.edges.len()), (2, 2));
    assert_eq!(
        (&*graph.locks[0].names, &graph.locks[0].class),
        (&["lock 0".to_owned()][..], &None)
    );
}

/// One process of a program with two statics, or with other locks.
struct Run {
    executable: Option<&'static str>,
    test: Option<&'static str>,
    thread: &'static str,
    spawned_at: Option<&'static str>,
    edge: [u8; 2],
    gates: Vec<u8>,
    may_have_more_gates: bool,
    are_static: bool,
    allowed: Option<&'static str>,
    allow: Value,
}

/// A process in which a test takes the first lock before the second.
fn run_of_test(test: &'static str, edge: [u8; 2]) -> Run {
    Run {
        executable: Some("it-0123456789abcdef"),
        test: Some(test),
        thread: test,
        spawned_at: None,
        edge,
        gates: vec![],
        may_have_more_gates: false,
        are_static: true,
        allowed: None,
        allow: json!([]),
    }
}

impl Run {
    fn record(&self, number: u32) -> String {
        let header = json!({
            "schema": SCHEMA, "lockdep": "0.1.0", "id": format!("{:032x}", number + 1),
            "process": 7, "program": "it", "test": self.test, "started": 0,
            "executable": self.executable, "allow": self.allow,
        });
        let mut text = line("header", &header);
        for class in 0..CLASSES {
            let mut lock = lock(class);
            lock["static"] = self.are_static.into();
            text += &line("lock", &lock);
        }
        let [held, wanted] = self.edge;
        let seen = SeenEdge { gates: self.gates.clone(), ..exclusive(held, wanted) };
        let mut edge = edge(&seen, 0);
        edge["thread"] = self.thread.into();
        edge["spawned_at"] = self.spawned_at.into();
        edge["allowed"] = self.allowed.into();
        edge["may_have_more_gates"] = self.may_have_more_gates.into();
        text + &line("edge", &edge)
    }
}

/// Returns what two processes have found together.
fn found_by(runs: [&Run; 2]) -> Vec<MergedFinding> {
    let records = runs.map(|run| run.record(u32::from(run.edge[0])));
    let mut reversed = records.clone();
    reversed.reverse();
    let found = across_runs(&merged(&records));
    assert_eq!(found, across_runs(&merged(&reversed)));
    found
}

/// Of threads without names the graph has no ids, which mean nothing in another process.
#[test]
fn threads_without_names_are_one_in_the_graph() {
    let run = |thread| Run { thread, ..run_of_test("there", [0, 1]) };
    let records = [run("<unnamed> (7)").record(0), run("<unnamed> (8) #4").record(1)];
    assert_eq!(merged(&records).graph().edges[0].threads, ["<unnamed>"]);
}

/// nextest runs each test in its own process. `cargo test` would run both in one.
#[test]
fn two_orders_of_statics_in_two_processes_of_a_test() {
    let there = run_of_test("there", [0, 1]);
    let back = run_of_test("back", [1, 0]);
    let [finding] = &found_by([&there, &back])[..] else { panic!("one") };
    assert_eq!((finding.kind, finding.level), (FindingKind::Inversion, Level::Deny));
    assert_eq!(finding.tests, ["back", "there"]);
    let report = finding.to_string();
    assert!(report.starts_with("error[lockdep::inversion]: `lock 0` and `lock 1` are acquired in both orders, in different processes\n"), "{report}");
    assert!(report.contains("help: each of them is a `static`, so these are the same two locks"));
    let entry = "[[allow]]\n      kind = \"inversion\"\n      sites = [\"src/a.rs:1\"]\n      \
                 reason = \"say why it cannot hang\"\n";
    assert!(report.contains(entry), "{report}");

    // One test that takes both, in two processes.
    let again = Run { test: Some("there"), thread: "there", ..run_of_test("", [1, 0]) };
    assert_eq!(found_by([&there, &again])[0].kind, FindingKind::SingleThreadInversion);

    // The ids of threads without names mean nothing in another process.
    let unnamed = |run| Run { thread: "<unnamed> (7)", ..run };
    let two = [unnamed(run_of_test("there", [0, 1])), unnamed(run_of_test("there", [1, 0]))];
    assert_eq!(found_by([&two[0], &two[1]])[0].kind, FindingKind::Inversion);
    let spawned = |run| Run {
        thread: "thread spawned at src/a.rs:3",
        spawned_at: Some("src/a.rs:3:5"),
        ..run
    };
    let [one, other] =
        [spawned(run_of_test("there", [0, 1])), spawned(run_of_test("back", [1, 0]))];
    let [finding] = &found_by([&one, &other])[..] else { panic!("one") };
    assert_eq!(finding.kind, FindingKind::Inversion);
    let report = finding.to_string();
    assert!(
        report.contains("\nnote: a thread of `there` spawned at src/a.rs:3:5 acquired `lock 1` at"),
        "{report}"
    );
    assert_eq!(finding.cycle[0].who(), "the thread spawned at src/a.rs:3");
    assert!(!finding.cycle[0].is_task());

    // A gate keeps them apart.
    let gated = |run| Run { gates: vec![2], ..run };
    let [gated_there, gated_back] =
        [gated(run_of_test("there", [0, 1])), gated(run_of_test("back", [1, 0]))];
    assert!(found_by([&gated_there, &gated_back]).is_empty());
    assert_eq!(found_by([&gated_there, &back])[0].kind, FindingKind::Inversion);
}

/// Nothing is certain: whether these are the same two locks, or whether one process can do both.
#[test]
fn two_orders_that_may_never_meet() {
    let there = run_of_test("there", [0, 1]);
    let back = || run_of_test("back", [1, 0]);
    let main = |edge| Run {
        executable: Some("/bin/tool"),
        test: None,
        thread: "main",
        ..run_of_test("", edge)
    };
    for (one, other, of_statics) in [
        // No statics.
        (run_of_test("there", [0, 1]), Run { are_static: false, ..back() }, false),
        // Two programs, or unknown ones.
        (
            run_of_test("there", [0, 1]),
            Run { executable: Some("it-fedcba9876543210"), ..back() },
            true,
        ),
        (run_of_test("there", [0, 1]), Run { executable: None, ..back() }, true),
        // A lock that one of them reads, and the other may write.
        (run_of_test("there", [0, 1]), Run { may_have_more_gates: true, ..back() }, true),
        // Two calls of a program with one thread.
        (main([0, 1]), main([1, 0]), true),
    ] {
        let [finding] = &found_by([&one, &other])[..] else { panic!("one") };
        assert_eq!((finding.kind, finding.level), (FindingKind::ClassInversion, Level::Warn));
        assert_eq!(finding.help.contains("is a `static`"), of_statics, "{finding}");
    }
    // Another thread of the program, which may meet the first one.
    let worker = Run { thread: "worker", ..main([1, 0]) };
    assert_eq!(found_by([&main([0, 1]), &worker])[0].kind, FindingKind::Inversion);

    // Another program does not hide it, whichever of its records comes first.
    let elsewhere =
        Run { executable: Some("it-00000000000000ff"), ..run_of_test("elsewhere", [0, 1]) };
    for number in [0, 9] {
        let records = [elsewhere.record(number), there.record(5), back().record(6)];
        let [finding] = &across_runs(&merged(&records))[..] else { panic!("one") };
        assert_eq!(
            (finding.kind, &*finding.tests),
            (FindingKind::Inversion, &["back".to_owned(), "there".to_owned()][..])
        );
    }

    // Nor does it take a gate away that this program always has.
    let gated = |run| Run { gates: vec![2], ..run };
    let runs = [
        gated(run_of_test("there", [0, 1])),
        gated(back()),
        Run { executable: Some("it-00000000000000ff"), ..run_of_test("elsewhere", [0, 1]) },
    ];
    let records = [0, 1, 2].map(|at: u8| runs[usize::from(at)].record(u32::from(at)));
    let [finding] = &across_runs(&merged(&records))[..] else { panic!("one") };
    assert_eq!(finding.kind, FindingKind::ClassInversion);

    // A class of which one process has two locks.
    let mut second = lock(0);
    second["id"] = 100.into();
    second["static"] = true.into();
    let records = [there.record(0) + &line("lock", &second), back().record(1)];
    assert_eq!(across_runs(&merged(&records))[0].kind, FindingKind::ClassInversion);
}

#[test]
fn what_silences_two_orders_in_two_processes() {
    let there = run_of_test("there", [0, 1]);
    let back = || run_of_test("back", [1, 0]);
    let allowed = Run { allowed: Some("one at a time"), ..back() };
    assert_eq!(found_by([&there, &allowed])[0].silenced.as_deref(), Some("one at a time"));
    for (entry, fits) in [
        (json!({ "locks": ["lock 0", "lock 1"] }), true),
        (json!({ "locks": ["lock 0", "lock 2"] }), false),
        (json!({ "kind": "inversion", "sites": ["src/a.rs:1", "a.rs"] }), true),
        (json!({ "kind": "class_inversion", "sites": ["src/a.rs:1"] }), false),
        (json!({ "sites": ["src/a.rs:9"] }), false),
        (json!({ "sites": ["b.rs"] }), false),
    ] {
        let mut entry = entry;
        entry["reason"] = "known".into();
        let with_entry = Run { allow: json!([entry]), ..back() };
        let silenced = found_by([&there, &with_entry])[0].silenced.clone();
        assert_eq!(silenced.is_some(), fits, "{entry}");
    }
}

/// Returns the record of a process that has nested two locks of class 0 in a helper, called at a line.
fn nesting_in_a_helper(number: usize, called_at: u32) -> String {
    let other =
        json!({ "id": 100, "name": "other", "type": "Mutex<()>", "class": lock(0)["class"] });
    let mut cycle = edge(&exclusive(0, 0), number);
    cycle["wanted"] = 100.into();
    let at =
        |column: u32| json!({ "at": format!("src/b.rs:{called_at}:{column}"), "label": "here" });
    let finding = json!({
        "kind": "same_class_nesting",
        "level": "allow",
        "count": 1,
        "locks": [lock(0), other],
        "cycle": [cycle],
        "shown": [{ "held": at(1), "wanted": at(2) }],
        "report": format!("the report of {number}\n"),
    });
    record(number, &Process { edges: vec![], findings: vec![] }) + &line("finding", &finding)
}

/// A class is the same in every process. What nests two of its locks is known by where it is shown, until two of them are
/// seen in both orders.
#[test]
fn nestings_of_one_class() {
    let called_at = [3, 3, 4];
    let mut records: Vec<_> =
        called_at.iter().enumerate().map(|(at, &line)| nesting_in_a_helper(at, line)).collect();
    let bugs = merged(&records).bugs();
    let processes: Vec<_> = bugs.iter().map(|bug| bug.processes).collect();
    assert_eq!(processes, [2, 1]);
    let of_another = Process { edges: vec![], findings: vec![(1, 1)] };
    records.push(record(3, &of_another));
    assert_eq!(merged(&records).bugs().len(), 3);
    records.push(record(4, &Process { edges: vec![], findings: vec![(0, 0)] }));
    let bugs = merged(&records).bugs();
    let kinds = |bug: &MergedBug| bug.findings.iter().map(|it| it.kind).collect::<Vec<_>>();
    let nesting = FindingKind::SameClassNesting;
    let kinds: Vec<_> = bugs.iter().map(kinds).collect();
    let expected = vec![FindingKind::Inversion, nesting, nesting];
    assert!(kinds.len() == 2 && kinds.contains(&expected), "{kinds:?}");
    let processes: Vec<_> = bugs.iter().map(|bug| bug.processes).collect();
    assert!(processes.contains(&4), "{processes:?}");
}

/// A pipe that is never written to, and a device without an end.
#[test]
#[cfg(target_os = "linux")]
fn what_is_no_file_is_not_read() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-files");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let [pipe, device] = ["pipe", "zero"].map(|name| folder.join(name).with_extension("jsonl"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
    std::fs::write(
        folder.join("one.jsonl"),
        record(0, &Process { edges: vec![], findings: vec![] }),
    )
    .unwrap();
    let mut merge = Merge::default();
    let mut problems = merge.read_folder(&folder).unwrap();
    problems.sort_by(|a, b| a.file.cmp(&b.file));
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [pipe, device].map(|path| format!("{}: it is no regular file", path.display()));
    assert_eq!((merge.records(), &problems[..]), (1, &expected[..]));
}
