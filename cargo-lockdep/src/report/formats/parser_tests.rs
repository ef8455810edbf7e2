//! Property tests: each format is read back from records whose names contain special characters.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
    sync::LazyLock,
};

use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};
use lockdep::record::{Merge, SCHEMA};
use proptest::{collection::vec, prelude::*};
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use serde_json::{Value, json};

use super::{Format, Output, human, order};
use crate::{
    report::{
        Counts, Report,
        levels::Levels,
        order::{ProposedOrder, declarations::Declarations},
    },
    rustc::sources::Sources,
};

fn odd() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(
        "\"'`\\<>&;:{}|#% \n\r\t\0\u{1b}\u{7f}\u{85}\u{301}\u{200d}\u{202e}\u{2028}\u{feff}\u{ffff}é鎖🔒"
            .chars()
            .collect::<Vec<_>>(),
    );
    let part = prop_oneof![
        4 => odd.prop_map(String::from),
        2 => "[a-zA-Z0-9]",
        1 => any::<char>().prop_map(String::from),
        1 => Just("&lt;".to_owned()),
        1 => Just("</script><!--".to_owned()),
        1 => Just("]]>".to_owned()),
        1 => Just("\\N\\n".to_owned()),
        1 => Just("\u{1b}[31m".to_owned()),
    ];
    vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn place() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (odd(), 0..9_u32, 0..9_u32).prop_map(|(file, line, column)| format!("{file}:{line}:{column}")),
        1 => odd(),
    ]
}

const LOCKS: usize = 3;

/// The texts of one record: the names of its locks, places and findings.
#[derive(Clone, Debug)]
struct Texts {
    /// Name, type, and where it was created.
    locks: Vec<(String, String, String)>,
    has_class: bool,
    places: Vec<String>,
    threads: Vec<String>,
    program: String,
    title: String,
    help: String,
    /// The record says what the report shows.
    has_shown: bool,
}

prop_compose! {
    fn texts()(
        locks in vec((odd(), odd(), place()), LOCKS),
        has_class in any::<bool>(),
        places in vec(place(), 2 * LOCKS),
        threads in vec(odd(), LOCKS),
        program in odd(),
        title in odd(),
        help in odd(),
        has_shown in any::<bool>(),
    ) -> Texts {
        Texts { locks, has_class, places, threads, program, title, help, has_shown }
    }
}

impl Texts {
    /// Applies a function to each text.
    fn map(&self, change: impl Fn(&str) -> String) -> Self {
        let all = |texts: &[String]| texts.iter().map(|it| change(it)).collect();
        Self {
            locks: self.locks.iter().map(|(a, b, c)| (change(a), change(b), change(c))).collect(),
            has_class: self.has_class,
            places: all(&self.places),
            threads: all(&self.threads),
            program: change(&self.program),
            title: change(&self.title),
            help: change(&self.help),
            has_shown: self.has_shown,
        }
    }

    /// Returns a merged record of a cycle of locks and its finding.
    fn merged(&self) -> Merge {
        let lock = |at: usize| {
            let (name, type_name, made) = &self.locks[at];
            let class = self.has_class.then(|| format!("{type_name}{at} made at {made}"));
            // The number keeps equal names apart.
            json!({
                "id": at, "name": format!("{name}{at}"), "type": type_name, "created_at": made, "class": class,
            })
        };
        let edge = |at: usize| {
            json!({
                "held": at, "held_mode": "exclusive", "held_at": self.places[2 * at],
                "wanted": (at + 1) % LOCKS, "wanted_mode": "exclusive", "acquired_at": self.places[2 * at + 1],
                "thread": self.threads[at], "is_granted": at == 1,
                "spawned_at": (at == 0).then(|| &self.places[0]),
            })
        };
        let header = json!({
            "schema": SCHEMA, "lockdep": "0.1.0", "id": "1", "process": 1, "program": self.program, "started": 0,
        });
        let acquisition = |at: usize| {
            let call = json!({ "function": self.threads[0], "at": self.places[1] });
            json!({ "at": self.places[at], "label": self.title, "stack": [call, { "function": self.program }] })
        };
        let shown = |at: usize| {
            let label = json!({ "at": self.places[at], "text": self.help });
            let note = if at == 0 { "" } else { &self.title };
            json!({
                "note": note, "held": acquisition(2 * at), "wanted": acquisition(2 * at + 1), "call": label,
            })
        };
        let shown: Vec<_> = (0..LOCKS).filter(|_| self.has_shown).map(shown).collect();
        let label = json!({ "at": self.places[2], "text": self.program });
        let finding = json!({
            "kind": "inversion", "level": "deny", "count": 1, "title": self.title, "help": self.help,
            "shown": shown, "notes": [{ "text": self.help }, { "text": self.title, "label": label }],
            "locks": (0..LOCKS).map(lock).collect::<Vec<_>>(),
            "cycle": (0..LOCKS).map(edge).collect::<Vec<_>>(),
            "report": format!("error[lockdep::inversion]: {}\nhelp: {}\n", self.title, self.help),
        });
        let mut lines = vec![json!({ "header": header })];
        lines.extend((0..LOCKS).map(|at| json!({ "lock": lock(at) })));
        lines.extend((0..LOCKS).map(|at| json!({ "edge": edge(at) })));
        lines.push(json!({ "finding": finding }));
        let lines = lines.iter().map(|line| format!("{line}\n"));
        let mut merge = Merge::default();
        assert_eq!(merge.add(lines.collect::<String>().as_bytes()).unwrap(), []);
        merge
    }

    fn report(&self) -> Report {
        let merge = self.merged();
        Report::new(
            Counts { processes: 1, locks: 3, edges: 3 },
            merge.bugs(),
            merge.graph(),
            &Levels::new(Vec::new()),
            BTreeSet::new(),
            Sources::default(),
        )
    }

    fn text(&self, format: Format) -> String {
        format.text(&self.report()).unwrap()
    }
}

/// Lays the graph out with Graphviz. Returns `None` if it is not installed.
fn picture(dot: &str) -> Option<Value> {
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
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Returns the non-empty lines of text that Graphviz draws in a box or at an arrow.
fn drawn_lines(part: &Value) -> Vec<&str> {
    part["_ldraw_"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| step["text"].as_str())
        .collect()
}

/// Returns the lines of a text as they are drawn: control characters are escaped.
fn shown(text: &str) -> Vec<String> {
    let shown = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
    };
    let lines = text.split('\n').map(|line| line.chars().map(shown).collect::<String>());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Returns the tokens of Rust code, without spaces and comments. The lexer must know all of them.
fn tokens(code: &str) -> Vec<(TokenKind, &str)> {
    let mut start = 0;
    let tokens = tokenize(code, FrontmatterAllowed::No).map(|token| {
        let text = &code[start..start + token.len as usize];
        start += text.len();
        (token.kind, text)
    });
    let is_code = |(kind, _): &(TokenKind, &str)| {
        !matches!(kind, TokenKind::Whitespace | TokenKind::LineComment { .. })
    };
    let tokens: Vec<_> = tokens.filter(is_code).collect();
    for (kind, text) in &tokens {
        let is_known = match kind {
            TokenKind::Literal { kind, .. } => {
                matches!(
                    kind,
                    LiteralKind::Str { terminated: true }
                        | LiteralKind::Int { .. }
                        | LiteralKind::Float { .. }
                )
            }
            TokenKind::Ident => true,
            _ => "()[]&,;:.".contains(text),
        };
        assert!(is_known, "{kind:?} {text:?}: {code}");
    }
    tokens
}

fn statements(tokens: &[(TokenKind, &str)]) -> usize {
    tokens.iter().filter(|(_, text)| *text == ";").count()
}

fn strings(tokens: Vec<(TokenKind, &str)>) -> Vec<&str> {
    let is_string = |(kind, _): &(TokenKind, &str)| {
        matches!(kind, TokenKind::Literal { kind: LiteralKind::Str { .. }, .. })
    };
    tokens.into_iter().filter(is_string).map(|(_, text)| text).collect()
}

/// Splits a page into the rest and its script's data.
fn without_data(page: &str) -> [String; 2] {
    let (before, rest) = page.split_once("type=\"application/json\">").unwrap();
    let (data, after) = rest.split_once("</script>").unwrap();
    [before.to_owned() + after, data.to_owned()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_reads_back(texts in texts()) {
        let document: Value = serde_json::from_str(&texts.text(Format::Json)).unwrap();
        let report = texts.report();
        let locks = document["graph"]["locks"].as_array().unwrap();
        prop_assert_eq!(locks.len(), LOCKS);
        for (read, lock) in locks.iter().zip(&report.graph.locks) {
            prop_assert_eq!(&read["names"], &json!(lock.names));
            prop_assert_eq!(&read["type"], &*lock.type_name);
        }
        let (read, finding) = (&document["findings"][0], &report.findings[0].finding);
        prop_assert_eq!(&read["report"], &*finding.report);
        for (read, edge) in read["cycle"].as_array().unwrap().iter().zip(&finding.cycle) {
            prop_assert_eq!(&read["thread"], &*edge.thread);
            prop_assert!(read["held_lock"].is_number() && read["wanted_lock"].is_number());
        }
    }

    #[test]
    fn sarif_follows_its_schema(texts in texts()) {
        static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
            let text = include_str!("../../../tests/reports/sarif-2.1.0.schema.json");
            // The published schema has a superfluous bracket.
            let text = text.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}?$");
            jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
        });
        let document: Value = serde_json::from_str(&texts.text(Format::Sarif)).unwrap();
        let errors: Vec<_> = SCHEMA.iter_errors(&document).map(|it| it.to_string()).collect();
        prop_assert_eq!(errors, [""; 0]);
        let message = document["runs"][0]["results"][0]["message"]["text"].as_str().unwrap();
        prop_assert!(message.starts_with(&*texts.report().findings[0].finding.title), "{}", message);
    }

    #[test]
    fn diagnostics_read_back(texts in texts()) {
        let text = texts.text(Format::Rustc);
        prop_assert_eq!(text.lines().count(), 1, "{}", text);
        let read: Diagnostic = serde_json::from_str(&text).unwrap();
        let report = texts.report();
        let finding = &report.findings[0].finding;
        prop_assert_eq!(&read.message, &finding.title);
        let help = read.children.last().filter(|it| it.level == DiagnosticLevel::Help);
        prop_assert_eq!(help.map_or("", |help| &*help.message), &*finding.help);
        for part in std::iter::once(&read).chain(&read.children) {
            prop_assert!(part.spans.first().is_none_or(|first| first.is_primary), "{:?}", part);
        }
    }

    #[test]
    fn no_name_ends_a_workflow_command(texts in texts()) {
        let text = texts.text(Format::Github);
        prop_assert_eq!(text.matches(['\n', '\r']).count(), 1, "{}", text);
        let (properties, message) = text[2..].split_once("::").unwrap();
        prop_assert!(properties.starts_with("error ") && !properties.contains(':'), "{}", text);
        let mut names = properties["error ".len()..].split(',').map(|it| it.split_once('=').unwrap().0);
        prop_assert!(names.clone().all(|it| ["file", "line", "col", "title"].contains(&it)), "{}", text);
        prop_assert_eq!(names.next_back(), Some("title"));
        prop_assert!(!message.replace("%25", "").replace("%0A", "").replace("%0D", "").contains('%'));
    }

    #[test]
    fn code_quality_reads_back(texts in texts()) {
        let issues: Value = serde_json::from_str(&texts.text(Format::Gitlab)).unwrap();
        let issue = &issues[0];
        prop_assert_eq!(&issue["description"], &texts.report().findings[0].finding.title);
        prop_assert!(issue["location"]["lines"]["begin"].as_u64() > Some(0), "{}", issue);
        prop_assert!(issue["location"]["path"].is_string() && issue["fingerprint"].is_string());
    }

    #[test]
    fn junit_reads_back(texts in texts()) {
        let text = texts.text(Format::Junit);
        let is_xml = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        prop_assert!(text.chars().all(is_xml), "{:?}", text);
        let read = quick_junit::Report::deserialize_from_str(&text).unwrap();
        prop_assert_eq!((read.tests, read.failures), (1, 1));
        let case = &read.test_suites[0].test_cases[0];
        prop_assert_eq!(case.classname.as_deref(), Some("lockdep::inversion"));
        prop_assert!(read.test_suites[0].name.as_str() == "lockdep");
    }

    #[test]
    fn graphviz_draws_what_it_is_told(texts in texts()) {
        let report = texts.report();
        if let Some(picture) = picture(&texts.text(Format::Dot)) {
            let boxes = picture["objects"].as_array().unwrap();
            prop_assert_eq!(boxes.len(), LOCKS);
            for (lock, one) in boxes.iter().enumerate() {
                let mut lines = drawn_lines(one).into_iter();
                for expected in shown(report.name(lock)) {
                    prop_assert_eq!(lines.next(), Some(&*expected));
                }
            }
            prop_assert_eq!(picture["edges"].as_array().unwrap().len(), LOCKS);
        }
    }

    /// No text changes the elements of the page or the structure of its data.
    #[test]
    fn names_cannot_inject_html(texts in texts()) {
        let page = texts.text(Format::Html);
        let harmless = texts.map(|text| text.replace(['<', '>', '"'], "x")).text(Format::Html);
        let ([page, data], [harmless, _]) = (without_data(&page), without_data(&harmless));
        for character in ['<', '>', '"'] {
            let count = |page: &str| page.matches(character).count();
            prop_assert_eq!(count(&page), count(&harmless), "{}", character);
        }
        prop_assert!(!data.contains('<'), "{}", data);
        let data: Value = serde_json::from_str(&data).unwrap();
        let report = texts.report();
        for (lock, read) in data["locks"].as_array().unwrap().iter().enumerate() {
            prop_assert_eq!(&read["name"], report.name(lock));
        }
    }

    /// The lines that declare an order are Rust, with a name for each lock that no other has.
    #[test]
    fn orders_are_declared_in_rust(texts in texts()) {
        let report = texts.report();
        let order = ProposedOrder::new(&report);
        let Declarations { classes, orders, .. } = Declarations::new(&order);
        let [classes, orders] = [tokens(&classes), tokens(&orders)].map(|tokens| (statements(&tokens), strings(tokens)));
        let locks: BTreeSet<_> = orders.1.iter().collect();
        prop_assert_eq!((locks.len(), orders.0), (order.locks.len(), order.groups()));
        prop_assert_eq!(classes.0, order.locks.len());
        prop_assert_eq!(classes.1, orders.1);
        let text = order::Format::Human.text(&report).unwrap();
        prop_assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{:?}", text);
    }

    #[test]
    fn the_terminal_counts_it(texts in texts()) {
        let text = human::text(&texts.report());
        prop_assert!(text.contains("1 denied"), "{}", text);
    }
}
