//! Merging the records of services that share resources: a resource is the same lock in each of them.
#![cfg(feature = "records")]

use std::collections::BTreeSet;

use lockdep::{
    FindingKind, Level,
    record::{Merge, MergedEdge, MergedFinding, SCHEMA},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

/// A process of a service. A lock whose name has a space is a resource, `system key`; the others are its own.
#[derive(Clone, Debug, Default)]
struct Process {
    service: &'static str,
    /// The program's file; the service's name if it is empty.
    executable: &'static str,
    edges: Vec<Order>,
    /// The resources with a lease, and its seconds.
    leases: Vec<(&'static str, u64)>,
    /// The resources whose guards are released by other threads than they were acquired by.
    change_hands: Vec<&'static str>,
}

/// A thread holds a lock and acquires another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Order {
    held: &'static str,
    wanted: &'static str,
    thread: &'static str,
    is_shared: bool,
    gates: Vec<&'static str>,
    may_have_more_gates: bool,
    allowed: Option<&'static str>,
}

fn order(held: &'static str, wanted: &'static str, thread: &'static str) -> Order {
    let (is_shared, may_have_more_gates) = (false, false);
    Order { held, wanted, thread, is_shared, gates: vec![], may_have_more_gates, allowed: None }
}

/// A process with one order for each pair of locks, each taken by another thread.
fn process(service: &'static str, orders: &[[&'static str; 2]]) -> Process {
    const THREADS: [&str; 4] = ["one", "two", "three", "four"];
    let edges =
        orders.iter().zip(THREADS).map(|([held, wanted], thread)| order(held, wanted, thread));
    Process { service, edges: edges.collect(), ..Process::default() }
}

fn is_resource(lock: &str) -> bool {
    lock.contains(' ')
}

/// Returns `redis order:{}` for `redis order:42`.
fn class_of(lock: &str) -> String {
    if is_resource(lock) {
        lock.trim_end_matches(|it: char| it.is_ascii_digit()).to_owned() + "{}"
    } else {
        format!("Mutex<()> made at src/{lock}.rs:1:1")
    }
}

impl Process {
    /// Returns the record, of a process with this number.
    fn record(&self, number: usize) -> String {
        let id = (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let executable = if self.executable.is_empty() { self.service } else { self.executable };
        let line = |of_type: &str, content: &Value| json!({ of_type: content }).to_string() + "\n";
        let mut text = line(
            "header",
            &json!({
                "schema": SCHEMA, "lockdep": "0.1.0", "id": format!("{id:032x}"), "process": 7,
                "program": "server", "started": 0, "executable": format!("/bin/{executable}"),
                "service": self.service, "host": format!("host-{number}"),
            }),
        );
        let mentioned =
            |it: &Order| it.gates.iter().copied().chain([it.held, it.wanted]).collect::<Vec<_>>();
        let locks: BTreeSet<_> = self.edges.iter().flat_map(mentioned).collect();
        let id_of = |lock: &str| 1 + locks.iter().position(|it| *it == lock).unwrap();
        for &lock in &locks {
            let mut described = json!({
                "id": id_of(lock), "name": lock, "type": "Mutex<()>", "class": class_of(lock),
            });
            if is_resource(lock) {
                described["type"] = "Resource".into();
                described["key"] = lock.into();
            }
            if let Some((_, seconds)) = self.leases.iter().find(|(leased, _)| *leased == lock) {
                described["lease"] = (seconds * 1000).into();
            }
            text += &line("lock", &described);
            if self.change_hands.contains(&lock) {
                described["released_elsewhere"] = format!("src/{}.rs:0:1", self.service).into();
                text += &line("lock", &described);
            }
        }
        for (at, it) in self.edges.iter().enumerate() {
            let mode = if it.is_shared { "shared" } else { "exclusive" };
            let mut edge = json!({
                "held": id_of(it.held), "held_mode": mode, "held_at": format!("src/{}.rs:{at}:1", self.service),
                "wanted": id_of(it.wanted), "wanted_mode": mode,
                "acquired_at": format!("src/{}.rs:{at}:9", self.service), "thread": it.thread,
                "gates": it.gates.iter().map(|gate| id_of(gate)).collect::<Vec<_>>(),
                "may_have_more_gates": it.may_have_more_gates,
            });
            if let Some(reason) = it.allowed {
                edge["allowed"] = reason.into();
            }
            text += &line("edge", &edge);
        }
        text
    }
}

fn merged(processes: &[Process]) -> Merge {
    let mut merge = Merge::default();
    for (number, process) in processes.iter().enumerate() {
        assert_eq!(merge.add(process.record(number).as_bytes()).unwrap(), []);
    }
    merge
}

fn found(processes: &[Process]) -> Vec<MergedFinding> {
    let found = merged(processes).findings();
    // The order of records makes no difference.
    let mut other = Merge::default();
    for (number, process) in processes.iter().enumerate().rev() {
        let mut one = Merge::default();
        one.add(process.record(number).as_bytes()).unwrap();
        other.merge(&one);
    }
    assert_eq!(found, other.findings());
    found
}

fn kinds(processes: &[Process]) -> Vec<FindingKind> {
    found(processes).iter().map(|finding| finding.kind).collect()
}

#[test]
fn two_services_take_the_same_resources_in_both_orders() {
    let orders = process("orders", &[["redis order:42", "shop.accounts 7"]]);
    let billing = process("billing", &[["shop.accounts 7", "redis order:42"]]);
    let [finding] = &found(&[orders, billing])[..] else { panic!("one") };
    assert_eq!((finding.kind, finding.level), (FindingKind::Inversion, Level::Deny));
    assert!(finding.across_runs);
    assert_eq!(finding.tests, ["billing", "orders"]);
    assert_eq!(
        finding.report,
        "error[lockdep::inversion]: `redis order:42` and `shop.accounts 7` are acquired in both orders, by `billing` \
         and `orders`\n\
         note: thread `one` of `orders` on `host-0` acquired `shop.accounts 7` at src/orders.rs:0:9,\n      \
         with `redis order:42` held since src/orders.rs:0:1\n\
         note: thread `one` of `billing` on `host-1` acquired `redis order:42` at src/billing.rs:0:9,\n      \
         with `shop.accounts 7` held since src/billing.rs:0:1\n\
         help: a resource is the same lock in every process. If these run at once, each waits for\n      \
         the next: acquire them in one order everywhere\n\
         \n\
         note: if this cannot hang, an entry in `lockdep.toml` silences it:\n      \
         [[allow]]\n      \
         kind = \"inversion\"\n      \
         sites = [\"src/billing.rs:0\", \"src/orders.rs:0\"]\n      \
         reason = \"say why it cannot hang\"\n"
    );
}

const O1: &str = "redis order:1";
const O2: &str = "redis order:2";
const A1: &str = "pg account:1";
const A2: &str = "pg account:2";
const B1: &str = "pg bill:1";

fn there() -> Process {
    process("orders", &[[O1, A1]])
}

fn back() -> Process {
    process("billing", &[[A1, O1]])
}

/// Checks which kinds of findings several processes make together.
fn check(table: &[(&str, Vec<Process>, &[FindingKind])]) {
    for (what, processes, expected) in table {
        assert_eq!(kinds(processes), *expected, "{what}");
    }
}

#[test]
fn what_makes_a_cycle() {
    use FindingKind::{ClassInversion, Inversion, LeasedInversion, OrderedInversion};
    check(&[
        ("one order", vec![there(), process("billing", &[[O1, A1]])], &[]),
        (
            "other keys of the same classes",
            vec![there(), process("billing", &[[A2, O2]])],
            &[ClassInversion],
        ),
        (
            "one of the keys is another one",
            vec![there(), process("billing", &[[A1, O2]])],
            &[ClassInversion],
        ),
        (
            "two processes of one service",
            vec![there(), process("orders", &[[A1, O1]])],
            &[Inversion],
        ),
        (
            "two keys of one class",
            vec![process("a", &[[O1, O2]]), process("b", &[[O2, O1]])],
            &[Inversion],
        ),
        ("two other keys of one class", vec![process("a", &[[O1, O2]])], &[]),
        (
            "three services",
            vec![process("a", &[[O1, A1]]), process("b", &[[A1, B1]]), process("c", &[[B1, O1]])],
            &[Inversion],
        ),
        (
            "three services, with other keys",
            vec![process("a", &[[O1, A1]]), process("b", &[[A2, B1]]), process("c", &[[B1, O1]])],
            &[ClassInversion],
        ),
        (
            "through a lock of one process",
            vec![process("a", &[[O1, "state"], ["state", A1]]), back()],
            &[OrderedInversion],
        ),
        (
            "through a lock of one process, and without it in another",
            vec![process("a", &[[O1, "state"], ["state", A1]]), process("c", &[[O1, A1]]), back()],
            &[Inversion],
        ),
        (
            "through locks of two processes, which are not the same",
            vec![process("a", &[[O1, "state"]]), process("a", &[["state", A1]]), back()],
            &[],
        ),
        (
            "one process has seen it all, and knows more",
            vec![process("a", &[[O1, A1], [A1, O1]])],
            &[],
        ),
        (
            "one process has seen it all, and others a part",
            vec![process("a", &[[O1, A1], [A1, O1]]), there(), back()],
            &[],
        ),
        (
            "a lease ends the wait",
            vec![Process { leases: vec![(O1, 30)], ..there() }, back()],
            &[LeasedInversion],
        ),
        (
            "a guard that others release",
            vec![Process { change_hands: vec![O1], ..there() }, back()],
            &[],
        ),
        (
            "a guard of another class that others release",
            vec![Process { change_hands: vec![A1], ..there() }, back()],
            &[Inversion],
        ),
        (
            "one bug, though it was seen with many keys",
            vec![process("a", &[[O1, A1], [O2, A2]]), process("b", &[[A1, O1], [A2, O2]])],
            &[Inversion],
        ),
        (
            "two bugs, with a resource in common",
            vec![process("a", &[[O1, A1], [O1, B1]]), process("b", &[[A1, O1], [B1, O1]])],
            &[Inversion, Inversion],
        ),
    ]);
}

#[test]
fn what_keeps_services_apart() {
    use FindingKind::{ClassInversion, Inversion};
    let with = |mut process: Process, change: &dyn Fn(&mut Order)| {
        process.edges.iter_mut().for_each(change);
        process
    };
    check(&[
        (
            "a resource around both",
            vec![
                with(there(), &|it| it.gates = vec!["redis tenant:1"]),
                with(back(), &|it| it.gates = vec!["redis tenant:1"]),
            ],
            &[],
        ),
        (
            "different resources around both",
            vec![
                with(there(), &|it| it.gates = vec!["redis tenant:1"]),
                with(back(), &|it| it.gates = vec!["redis tenant:2"]),
            ],
            &[Inversion],
        ),
        (
            "a lock of each process around both",
            vec![
                with(there(), &|it| it.gates = vec!["state"]),
                with(back(), &|it| it.gates = vec!["state"]),
            ],
            &[Inversion],
        ),
        (
            "the same, of one program, which may run once at a time",
            vec![
                with(there(), &|it| it.gates = vec!["state"]),
                with(Process { executable: "orders", ..back() }, &|it| it.gates = vec!["state"]),
            ],
            &[],
        ),
        (
            "perhaps another lock around one",
            vec![with(there(), &|it| it.may_have_more_gates = true), back()],
            &[ClassInversion],
        ),
        (
            "perhaps one resource around both, held by one for reading",
            vec![
                with(there(), &|it| it.gates = vec!["redis tenant:1"]),
                with(back(), &|it| it.may_have_more_gates = true),
            ],
            &[],
        ),
        (
            "readers",
            vec![with(there(), &|it| it.is_shared = true), with(back(), &|it| it.is_shared = true)],
            &[],
        ),
        (
            "a reader and a writer",
            vec![with(there(), &|it| it.is_shared = true), back()],
            &[Inversion],
        ),
    ]);
}

/// A thread that is known by its name only may be the one that waits.
#[test]
fn a_thread_is_in_one_place() {
    let one_thread = Process {
        service: "a",
        edges: vec![
            order("redis order:1", "state", "worker"),
            order("state", "pg account:1", "worker"),
        ],
        ..Process::default()
    };
    let back = process("b", &[["pg account:1", "redis order:1"]]);
    assert_eq!(kinds(&[one_thread, back]), []);
}

#[test]
fn the_words_for_a_cycle_of_three() {
    let processes = [
        process("orders", &[["redis order:1", "state"], ["state", "pg account:1"]]),
        process("billing", &[["pg account:1", "pg bill:1"]]),
        Process {
            leases: vec![("redis order:1", 30)],
            ..process("mail", &[["pg bill:1", "redis order:1"]])
        },
    ];
    let [finding] = &found(&processes)[..] else { panic!("one") };
    assert_eq!(
        finding.title,
        "3 resources are acquired in a cycle, by `billing`, `mail` and `orders`: `pg account:1` → `pg bill:1` → \
         `redis order:1` → `pg account:1`"
    );
    let text = finding.report.replace("\n      ", " ");
    for words in [
        "warning[lockdep::leased_inversion]",
        "thread `two` of `orders` on `host-0` acquired `pg account:1` at src/orders.rs:1:9, with `state` held",
        "note: `state` is a `Mutex<()>` made at src/state.rs:1:1\n",
        "until the lease of `redis order:1` runs out, after 30s,",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(finding.cycle.len(), 4);
}

#[test]
fn what_silences_it() {
    let there = process("orders", &[["redis order:1", "pg account:1"]]);
    let mut back = process("billing", &[["pg account:1", "redis order:1"]]);
    back.edges[0].allowed = Some("at night");
    assert_eq!(found(&[there, back])[0].silenced.as_deref(), Some("at night"));
}

const LOCKS: [&str; 7] = ["r a:1", "r a:2", "r b:1", "r c:1", "r c:2", "m", "n"];
const NAMES: [&str; 5] = ["v", "w", "x", "y", "z"];

fn any_process() -> impl Strategy<Value = Process> {
    let lock = || (0..LOCKS.len()).prop_map(|at| LOCKS[at]);
    let thread = (0..NAMES.len()).prop_map(|at| NAMES[at]);
    let edge = (lock(), lock(), thread, vec(lock(), 0..2), any::<bool>()).prop_filter_map(
        "two locks",
        |(held, wanted, thread, gates, is_shared)| {
            let is_other = |gate: &&str| *gate != held && *gate != wanted;
            let gates = gates.into_iter().filter(is_other).collect();
            (held != wanted).then(|| Order { is_shared, gates, ..order(held, wanted, thread) })
        },
    );
    let service = (0..NAMES.len()).prop_map(|at| NAMES[at]);
    (service, vec(edge, 0..7)).prop_map(|(service, edges)| Process {
        service,
        edges,
        ..Process::default()
    })
}

/// An edge, and the number of its process.
type Seen<'a> = (usize, &'a Order);

/// Returns `true` if two threads can be at these edges at once.
fn at_once((process, one): Seen<'_>, (other_process, other): Seen<'_>) -> bool {
    let exclusive = |it: &Order| {
        let held = (!it.is_shared).then_some(it.held);
        held.into_iter().chain(it.gates.clone()).collect::<BTreeSet<_>>()
    };
    let common = exclusive(one).intersection(&exclusive(other)).any(|it| {
        // Locks of two processes are two.
        is_resource(it) || process == other_process
    });
    !common
}

/// Returns `true` if a thread at one edge can wait for one at the next.
fn leads_to((process, one): Seen<'_>, (other_process, next): Seen<'_>) -> bool {
    let is_same = one.wanted == next.held && (is_resource(one.wanted) || process == other_process);
    is_same && !(one.is_shared && next.is_shared)
}

/// Returns `true` if there is a cycle of threads that wait for each other: of several processes, or of any.
fn naive<'a>(all: &[Seen<'a>], path: &mut Vec<Seen<'a>>, is_of_several: bool) -> bool {
    if let (Some(&first), Some(&last)) = (path.first(), path.last()) {
        let are_several = path.iter().any(|(process, _)| *process != first.0);
        if path.len() > 1 && leads_to(last, first) && (are_several || !is_of_several) {
            return true;
        }
        if path.len() == LOCKS.len() {
            return false;
        }
        for &next in all {
            let is_new = path.iter().all(|&(process, it)| {
                let is_other = it.held != next.1.held || !is_resource(it.held) && process != next.0;
                is_other && at_once((process, it), next)
            });
            // From the last resource on, these are threads of one process.
            let start = path.iter().rposition(|(_, it)| is_resource(it.held)).unwrap_or(0);
            let is_free = is_resource(next.1.held)
                || path[start..].iter().all(|(_, it)| it.thread != next.1.thread);
            if is_new && is_free && leads_to(last, next) {
                path.push(next);
                if naive(all, path, is_of_several) {
                    return true;
                }
                path.pop();
            }
        }
        return false;
    }
    all.iter().any(|&first| {
        is_resource(first.1.held) && {
            path.push(first);
            naive(all, path, is_of_several) || {
                path.clear();
                false
            }
        }
    })
}

/// Returns the edge of the processes that one of a finding was made from.
fn origin<'a>(processes: &'a [Process], edge: &MergedEdge) -> Seen<'a> {
    let number = edge.host.as_ref().unwrap().trim_start_matches("host-").parse::<usize>().unwrap();
    let at = edge.held_at.split(':').nth(1).unwrap().parse::<usize>().unwrap();
    (number, &processes[number].edges[at])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Each is a cycle of threads that can all be where they are at once.
    #[test]
    fn what_is_certain_can_happen(processes in vec(any_process(), 0..6)) {
        let is_cycle = |it: &&MergedFinding| {
            it.across_runs && matches!(it.kind, FindingKind::Inversion | FindingKind::OrderedInversion)
        };
        for finding in found(&processes).iter().filter(is_cycle) {
            let cycle: Vec<_> = finding.cycle.iter().map(|edge| origin(&processes, edge)).collect();
            // Two orders of own statics may be an inversion across runs as well.
            for (at, &one) in cycle.iter().enumerate() {
                prop_assert!(leads_to(one, cycle[(at + 1) % cycle.len()]), "{}", finding);
                for &other in &cycle[at + 1..] {
                    prop_assert!(at_once(one, other), "{}", finding);
                }
            }
        }
    }

    /// Where each order was seen once, and no lock keeps threads apart, nothing is missed.
    #[test]
    fn what_can_happen_is_found(processes in vec(any_process(), 0..5)) {
        let mut processes = processes;
        let mut seen = BTreeSet::new();
        for (process, program) in processes.iter_mut().zip(NAMES) {
            // A lock of a program keeps its processes apart: it may run once at a time.
            process.executable = program;
            for edge in &mut process.edges {
                (edge.gates, edge.is_shared) = (vec![], false);
            }
            process.edges.retain(|it| seen.insert((it.held, it.wanted)));
        }
        let all: Vec<_> = processes.iter().enumerate().flat_map(|(at, it)| it.edges.iter().map(move |it| (at, it))).collect();
        let is_cycle = |it: &MergedFinding| {
            matches!(it.kind, FindingKind::Inversion | FindingKind::OrderedInversion)
        };
        let found = found(&processes).iter().any(is_cycle);
        // What one process has seen as a whole, it has judged.
        let whole = |&(process, _): &Seen<'_>| {
            let of_process: Vec<_> = all.iter().copied().filter(|it| it.0 == process).collect();
            naive(&of_process, &mut Vec::new(), false)
        };
        let can_happen = naive(&all, &mut Vec::new(), true);
        prop_assert!(!found || can_happen);
        prop_assert!(found || !can_happen || all.iter().any(whole));
    }

    #[test]
    fn merges_can_be_merged(processes in vec(any_process(), 0..6), split in 0..6_usize) {
        let records: Vec<_> = processes.iter().enumerate().map(|(at, it)| it.record(at)).collect();
        let of = |records: &[String]| {
            let mut merge = Merge::default();
            for record in records {
                merge.add(record.as_bytes()).unwrap();
            }
            merge
        };
        let (left, right) = records.split_at(split.min(records.len()));
        let [mut joined, mut reversed] = [of(left), of(right)];
        let right = reversed.clone();
        reversed.merge(&joined);
        joined.merge(&right);
        prop_assert_eq!(&joined, &of(&records));
        prop_assert_eq!(&joined, &reversed);
        joined.merge(&right);
        prop_assert_eq!(joined.findings(), of(&records).findings());
    }
}
