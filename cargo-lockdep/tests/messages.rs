//! Findings at their lines, for editors and code hosts: of a program whose locks hide behind helpers, and with awkward
//! names.

mod support;

use std::fs;

use cargo_metadata::{Message, diagnostic::DiagnosticLevel};
use serde_json::Value;
use snapbox::{Data, assert_data_eq, file};
use support::Project;

/// The program of the records in `helpers`.
const MANIFEST: &str = "[package]\nname = \"stock\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
                        [lib]\npath = \"src/stock.rs\"\n\n[workspace]\n";

fn project(test: &str) -> Project {
    let project = Project::new(test);
    fs::write(project.path("Cargo.toml"), MANIFEST).unwrap();
    project
}

/// Returns what `cargo lockdep report` prints.
fn report(project: &Project, options: &str) -> String {
    let text = project.run(&format!("report helpers {options}")).has_status(100).stdout;
    // The test's folder differs from machine to machine.
    text.replace(project.0.canonicalize().unwrap().to_str().unwrap(), "/folder")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Changes the record. `change` gets its text, which is JSON.
fn edit(project: &Project, change: impl Fn(String) -> String) {
    let path = project.path("helpers/day.jsonl");
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

#[test]
fn each_format_shows_the_places_that_the_report_shows() {
    let project = project("helpers");
    for (format, expected) in [
        ("human", file!["reports/expected/helpers.txt"]),
        ("json", file!["reports/expected/helpers.json": Text]),
        ("sarif", file!["reports/expected/helpers.sarif": Text]),
        ("github", file!["reports/expected/helpers.github.txt"]),
        ("gitlab", file!["reports/expected/helpers.gitlab.json": Text]),
        ("rustc", file!["reports/expected/helpers.rustc.json": Text]),
    ] {
        let mut text = report(&project, &format!("--format {format}"));
        if matches!(format, "sarif" | "rustc") {
            let mut document = json(&text);
            // The explanations.
            for explained in ["/runs/0/tool/driver/rules", "/message/code/explanation"] {
                document.pointer_mut(explained).map(Value::take);
            }
            text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        }
        assert_data_eq!(Data::text(text), expected.raw());
    }
    let page = report(&project, "--format html");
    let (findings, _) = page.split_once("<section id=\"proposed\"").unwrap();
    for line in ["26", "27", "20", "22"] {
        let number = format!("<span class=\"number\">{line}</span>");
        assert_eq!(findings.matches(&number).count(), 1, "line {line}");
    }
}

/// The schema that SARIF's own files have. Its pattern has a superfluous bracket.
#[test]
fn sarif_with_stacks_follows_its_schema() {
    let schema = include_str!("reports/sarif-2.1.0.schema.json");
    let schema = json(&schema.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}?$"));
    let schema = jsonschema::validator_for(&schema).unwrap();
    let project = project("sarif-stacks");
    edit(&project, |text| text.replace("src/sync.rs:10:5", "an unknown place"));
    let document = json(&report(&project, "--format sarif"));
    let errors: Vec<_> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    let frames = &document["runs"][0]["results"][0]["stacks"][0]["frames"];
    assert_eq!(frames[1]["location"].get("physicalLocation"), None);
}

#[test]
fn diagnostics_are_those_of_cargo() {
    let project = project("diagnostics");
    let text = report(&project, "--format rustc");
    let [Message::CompilerMessage(message)] =
        &Message::parse_stream(text.as_bytes()).map(Result::unwrap).collect::<Vec<_>>()[..]
    else {
        panic!("{text}")
    };
    assert_eq!(message.package_id.repr, "path+file:///folder#stock@0.1.0");
    assert_eq!(message.target.name, "stock");
    let diagnostic = &message.message;
    assert_eq!(diagnostic.level, DiagnosticLevel::Error);
    let code = diagnostic.code.as_ref().unwrap();
    assert_eq!(code.code, "lockdep::inversion");
    assert!(code.explanation.as_ref().unwrap().starts_with("# Locks are acquired in both orders"));
    assert!(diagnostic.rendered.as_ref().unwrap().starts_with("error[lockdep::inversion]: "));

    // What is underlined is what the offsets and the columns say.
    let source = fs::read_to_string(project.path("src/stock.rs")).unwrap();
    let notes = diagnostic.children.iter().flat_map(|child| &child.spans);
    let spans = diagnostic.spans.iter().chain(notes);
    let spans: Vec<_> = spans.collect();
    assert_eq!(spans.len(), 4);
    for span in spans {
        assert_eq!(span.file_name, "src/stock.rs");
        assert_eq!(&source[span.byte_start as usize..span.byte_end as usize], "locked_for");
        let line = source.lines().nth(span.line_start - 1).unwrap();
        let [text] = &span.text[..] else { panic!("{span:?}") };
        assert_eq!((&*text.text, span.line_start), (line, span.line_end));
        assert_eq!(
            [text.highlight_start, text.highlight_end],
            [span.column_start, span.column_end]
        );
        let marked: String =
            line.chars().take(span.column_end - 1).skip(span.column_start - 1).collect();
        assert_eq!(marked, "locked_for");
    }
    // Each place of the other thread is linked, with its own sentence.
    let notes: Vec<_> = diagnostic.children.iter().map(|child| &*child.message).collect();
    assert_eq!(
        notes[..2],
        [
            "thread `till, \"a\": 100%` acquired them in the opposite order",
            "`Stock::items` held since here",
        ]
    );
    let last = diagnostic.children.last().unwrap();
    assert_eq!(last.level, DiagnosticLevel::Help);

    let warned = project.run("report helpers --format rustc --level warn").has_status(0).stdout;
    assert_eq!(json(&warned)["message"]["level"], "warning");
    let allowed = project.run("report helpers --format rustc --level allow").has_status(0).stdout;
    assert_eq!(allowed, "");
}

/// A place in the tests belongs to their target, and one in a dependency to the package at the root.
#[test]
fn a_diagnostic_belongs_to_the_target_of_its_file() {
    let project = project("targets");
    fs::create_dir(project.path("tests")).unwrap();
    fs::write(project.path("tests/day.rs"), "").unwrap();
    let target = |file: &str| {
        edit(&project, |text| text.replace("src/stock.rs:", &format!("{file}:")));
        let target = json(&report(&project, "--format rustc"))["target"]["name"].clone();
        edit(&project, |text| text.replace(&format!("{file}:"), "src/stock.rs:"));
        target
    };
    assert_eq!(target("src/sync.rs"), "stock");
    assert_eq!(target("tests/day.rs"), "day");
    assert_eq!(target("tests/common/mod.rs"), "day");
    assert_eq!(target("/registry/src/pool-1.0.0/src/lib.rs"), "stock");
}

/// Returns the level, the properties and the text of a workflow command, as GitHub's runner reads them.
fn command(line: &str) -> (&str, Vec<(&str, String)>, String) {
    let read = |text: &str| {
        let escapes = [("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
        escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let (head, text) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (level, properties) = head.split_once(' ').unwrap();
    let properties = properties.split(',').map(|property| property.split_once('=').unwrap());
    let properties = properties.map(|(name, value)| (name, read(value))).collect();
    (level, properties, read(text))
}

#[test]
fn annotations_of_awkward_names_read_back() {
    let project = project("awkward");
    edit(&project, |text| {
        text.replace("src/stock.rs:", "src/a b,c:%2C::d.rs:")
            .replace("till, ", "a\\r\\n::error::%0A, ")
    });
    let text = report(&project, "--format github");
    let [line] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let (level, properties, text) = command(line);
    assert_eq!(level, "error");
    let expected = [
        ("file", "src/a b,c:%2C::d.rs"),
        ("line", "27"),
        ("col", "27"),
        ("title", "lockdep::inversion"),
    ];
    assert_eq!(properties, expected.map(|(name, value)| (name, value.to_owned())));
    assert!(text.starts_with("`Audit::lines` and `Stock::items` are acquired in both orders\n"));
    assert!(text.contains("\nnote: thread `a\r\n::error::%0A, \"a\": 100%` acquired"), "{text}");

    let issues = json(&report(&project, "--format gitlab"));
    assert_eq!(issues[0]["location"]["path"], "src/a b,c:%2C::d.rs");
}

/// A finding whose lines have moved is the same one, and two that look alike are not.
#[test]
fn an_issue_is_known_by_its_fingerprint() {
    let project = project("issues");
    let fingerprint = || json(&report(&project, "--format gitlab"))[0]["fingerprint"].clone();
    let before = fingerprint();
    edit(&project, |text| {
        text.replace("stock.rs:2", "stock.rs:12").replace("sync.rs:6", "sync.rs:7")
    });
    assert_eq!(fingerprint(), before);
    edit(&project, |text| text.replace("src/sync.rs:7", "src/locks.rs:7"));
    assert_ne!(fingerprint(), before);

    let issues = json(&project.run("report records --format gitlab").has_status(100).stdout);
    let severities: Vec<_> = issues.as_array().unwrap().iter().map(|it| &it["severity"]).collect();
    assert_eq!(severities, ["critical", "critical"]);
    let warned = project.run("report records --format gitlab --level warn").has_status(0).stdout;
    assert_eq!(json(&warned)[0]["severity"], "minor");
}

/// Records of earlier versions do not say where their reports show a finding.
#[test]
fn old_records_are_shown_at_their_acquisitions() {
    let project = project("old");
    let text = project.run("report records --format rustc").has_status(100).stdout;
    let inversion =
        text.lines().map(json).find(|it| it["message"]["code"]["code"] == "lockdep::inversion");
    let message = &inversion.unwrap()["message"];
    let label =
        |span: &Value| format!("{}: {}", span["line_start"], span["label"].as_str().unwrap());
    let spans: Vec<_> = message["spans"].as_array().unwrap().iter().map(label).collect();
    assert_eq!(
        spans,
        [
            "33: thread `settle` acquired `self.accounts` here",
            "31: thread `settle` had held `self.ledger` since here",
        ]
    );
    let further = &message["children"][0];
    assert_eq!(further["message"], "thread `transfer` of `bank`");
    assert_eq!(further["spans"][0]["line_start"], 27);
    let github = project.run("report tasks --format github").has_status(100).stdout;
    let lines: Vec<_> = github.lines().map(|line| command(line).1[1].1.clone()).collect();
    assert_eq!(lines, ["41", "33"]);
}

/// In a changed source, nothing wrong is underlined.
#[test]
fn a_place_that_is_gone_is_only_named() {
    let project = project("gone");
    fs::write(project.path("src/stock.rs"), "// rewritten\n").unwrap();
    let span = json(&report(&project, "--format rustc"))["message"]["spans"][0].clone();
    assert_eq!(span["line_start"], 27);
    assert_eq!(span["text"], Value::Array(Vec::new()));
    assert_eq!((&span["byte_start"], &span["byte_end"]), (&Value::from(0), &Value::from(0)));
}
