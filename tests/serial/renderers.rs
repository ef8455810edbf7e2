//! Machine-readable output reads back as the data it was made of, whatever the locks are called.
#![cfg(all(feature = "records", any(debug_assertions, feature = "enforce")))]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use lockdep::{
    FindingKind, Level, record,
    sync::{Mutex, RwLock},
    testing,
};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use crate::alone;

/// A name with everything that a format may trip over.
fn odd_name() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(
        "\"'`\\<>&;{}|#% \n\r\t\0\u{1b}\u{7f}\u{85}\u{301}\u{200d}\u{202e}\u{2028}\u{feff}é鎖🔒"
            .chars()
            .collect::<Vec<_>>(),
    );
    let part = prop_oneof![
        4 => odd.prop_map(String::from),
        2 => "[a-zA-Z0-9]",
        1 => any::<char>().prop_map(String::from),
        1 => Just("&lt;".to_owned()),
        1 => Just("</script><!--".to_owned()),
        1 => Just("\\N\\n".to_owned()),
    ];
    vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Returns what Graphviz draws: the lines of each box and of each arrow, without the empty ones.
/// `None` if it is not installed.
fn drawn(dot: &str) -> Option<[Vec<Vec<String>>; 2]> {
    let child = Command::new("dot")
        .arg("-Tjson")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.inspect_err(|_| eprintln!("skipped: there is no `dot`")).ok()?;
    child.stdin.take().unwrap().write_all(dot.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{dot}");
    let picture: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lines = |part: &Value| {
        let steps = part["_ldraw_"].as_array().cloned().unwrap_or_default();
        let text = |step: &Value| Some(step["text"].as_str()?.to_owned());
        steps.iter().filter_map(text).collect()
    };
    Some(["objects", "edges"].map(|parts| {
        picture[parts].as_array().map_or_else(Vec::new, |parts| parts.iter().map(lines).collect())
    }))
}

/// Returns a name as `to_dot` shows it: control characters appear as their numbers, as they have no
/// glyph.
fn shown(name: &str) -> Vec<String> {
    let lines = name.split('\n').map(|line| {
        let shown = |c: char| {
            if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
        };
        line.chars().map(shown).collect::<String>()
    });
    lines.filter(|line| !line.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_graph_reads_back(names in vec(odd_name(), 2..5)) {
        let _alone = alone();
        // Locks of one name are distinguished by their numbers.
        let names: Vec<_> = names.iter().enumerate().map(|(at, it)| format!("{it}{at}")).collect();
        let locks: Vec<_> = names.iter().map(|_| Mutex::new(())).collect();
        for (lock, name) in locks.iter().zip(&names) {
            lockdep::name(lock, name);
        }
        let _held: Vec<_> = locks.iter().map(Mutex::lock).collect();
        let graph = lockdep::order_graph();

        let text = graph.to_json();
        let mut read: record::Graph<'_> = serde_json::from_str(&text).unwrap();
        read.locks.sort_by_key(|lock| lock.id);
        prop_assert!(read.locks.iter().map(|lock| &*lock.name).eq(&names), "{}", text);
        prop_assert_eq!(read.edges.len(), names.len() * (names.len() - 1) / 2);

        if let Some([boxes, arrows]) = drawn(&graph.to_dot()) {
            prop_assert_eq!(boxes.len(), names.len());
            for name in &names {
                let lines = shown(name);
                prop_assert!(boxes.iter().any(|it| it.starts_with(&lines)), "{boxes:?} {lines:?}");
            }
            prop_assert_eq!(arrows.len(), read.edges.len());
        }
    }

    #[test]
    fn a_finding_reads_back(name in odd_name()) {
        let _alone = alone();
        lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
        let lock = RwLock::new(());
        lockdep::name(&lock, &name);
        let findings = testing::collect(|| drop((lock.read(), lock.read())));
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        prop_assert!(finding.render(true).len() > finding.to_string().len());

        let text = finding.to_json();
        let read: record::Finding<'_> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read.locks[0].name, &name);
        prop_assert_eq!(&read.report, &finding.to_string());
        prop_assert_eq!((&*read.kind, &*read.level), ("recursive_read", "allow"));
    }
}

/// Graphviz would take minutes for all edges of many locks that were held at once.
#[test]
fn a_drawing_is_bounded() {
    let _alone = alone();
    let draw = |count: usize| {
        let locks: Vec<_> = (0..count).map(|_| Mutex::new(())).collect();
        let _held: Vec<_> = locks.iter().map(Mutex::lock).collect();
        let text = lockdep::order_graph().to_dot();
        (text.matches(" -> ").count(), text.matches("shape = box").count(), text)
    };
    let (arrows, boxes, text) = draw(30);
    assert_eq!((arrows, boxes), (30 * 29 / 2, 30));
    assert!(!text.contains("not drawn"), "{text}");
    lockdep::reset();
    let (arrows, boxes, text) = draw(60);
    assert_eq!((arrows, boxes), (620, 36));
    let label = "1150 more arrows and 24 more locks are not drawn";
    assert!(text.starts_with(&format!("digraph {{\n    label = \"{label}\"\n")), "{text}");
    assert!(drawn(&text).is_none_or(|[boxes, arrows]| (boxes.len(), arrows.len()) == (36, 620)));
}

/// Neither the thread nor its handle has a name.
#[test]
fn a_thread_without_a_name_is_drawn_by_its_spawn() {
    let _alone = alone();
    lockdep::set_level(FindingKind::WaitWhileHolding, Level::Allow);
    let (held, taken) = (Mutex::new(()), Mutex::new(()));
    let _held = held.lock();
    let line = line!() + 1;
    lockdep::thread::scope(|scope| scope.spawn(|| drop(taken.lock())).join().unwrap());
    let graph = lockdep::order_graph();
    let place = format!("thread spawned at tests/serial/renderers.rs:{line}");
    let text = graph.to_dot();
    assert!(text.contains(&format!("label = \"{place}\\n")), "{text}");
    let text = graph.to_json();
    let json: record::Graph<'_> = serde_json::from_str(&text).unwrap();
    assert!(json.locks.iter().any(|lock| *lock.name == *place), "{json:?}");
}

/// Longer than the initial capacity of a text.
#[test]
fn a_long_finding_reads_back() {
    let _alone = alone();
    lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
    let lock = RwLock::new(());
    let name = "a long name ".repeat(2_000);
    lockdep::name(&lock, &name);
    let findings = testing::collect(|| drop((lock.read(), lock.read())));
    let text = findings[0].to_json();
    let read: record::Finding<'_> = serde_json::from_str(&text).unwrap();
    assert_eq!(read.locks[0].name, name);
}
