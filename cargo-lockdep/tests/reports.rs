//! `cargo lockdep report` on the two records of a small project, in all formats, and on files that
//! are not records.

mod support;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};
use quick_junit::TestCaseStatus;
use serde_json::{Value, json as value};
use snapbox::{Data, assert_data_eq, file};
use support::{Ended, Project};

/// Runs `cargo lockdep report` on the records of the project.
fn report(project: &Project, options: &str) -> Ended {
    project.run(&format!("report records {options}"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Removes the path of the test's folder, which differs from run to run.
fn without_folder(project: &Project, text: &str) -> String {
    text.replace(project.0.canonicalize().unwrap().to_str().unwrap(), "/folder")
}

#[test]
fn each_format_matches_its_golden_file() {
    let project = Project::new("formats");
    for (format, expected) in [
        ("human", file!["reports/expected/report.txt"]),
        ("json", file!["reports/expected/report.json": Text]),
        ("sarif", file!["reports/expected/report.sarif": Text]),
        ("junit", file!["reports/expected/report.junit.xml": Text]),
        ("dot", file!["reports/expected/report.dot": Text]),
    ] {
        let ended = report(&project, &format!("--format {format}")).has_status(100);
        let mut text = without_folder(&project, &ended.stdout);
        if format == "sarif" {
            let mut document = json(&text);
            // The rules are the explanations.
            document["runs"][0]["tool"]["driver"]["rules"].take();
            text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        }
        assert_data_eq!(Data::text(text), expected.raw());
        let summary = "lockdep: 5 locks, 8 edges, 2 processes: 2 denied (1 `inversion`, 1 `recursive_read`)\n";
        match format {
            "human" => assert_eq!(ended.stderr, ""),
            _ => assert_eq!(ended.stderr, summary),
        }
    }
}

/// Records of a server whose tasks acquire locks, with an inversion between a task and a thread,
/// and a futurelock.
#[test]
fn each_format_distinguishes_tasks_from_threads() {
    let project = Project::new("tasks");
    let text = |format: &str| {
        let ended = project.run(&format!("report tasks --format {format}")).has_status(100);
        assert!(!ended.stdout.contains("thread `task"), "{}", ended.stdout);
        ended.stdout
    };
    let human = text("human");
    assert!(human.contains("note: task 2 took them the other way round\n"), "{human}");
    assert!(human.contains("note: task 2 was spawned at src/server.rs:63:5\n"), "{human}");

    let document = json(&text("json"));
    let findings = document["findings"].as_array().unwrap();
    let of_kind = |kind: &str| findings.iter().find(|it| it["kind"] == kind).unwrap();
    let [thread, task] = [0, 1].map(|at| &of_kind("inversion")["cycle"][at]);
    assert_eq!((&thread["thread"], &thread["spawned_at"]), (&"reporter".into(), &Value::Null));
    assert_eq!(task["thread"], "task 2");
    assert_eq!(task["spawned_at"], "src/server.rs:63:5");
    let futurelock = &of_kind("futurelock")["cycle"][0];
    assert_eq!((&futurelock["is_granted"], &task["is_granted"]), (&true.into(), &Value::Null));
    // The graph merges two processes, whose task numbers differ.
    let mut threads: Vec<_> = document["graph"]["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["threads"][0].as_str().unwrap())
        .collect();
    threads.sort_unstable();
    assert_eq!(threads, ["reporter", "task spawned at src/server.rs:63:5"]);

    let sarif = text("sarif");
    for message in [
        "task 5 was spawned here",
        "task 5 requested `self.cache` here and was granted it",
        "task 5 waited for `self.cache` here",
        "task 2 had held `self.sessions` since here",
        "thread `reporter` acquired `self.sessions` here",
    ] {
        assert!(sarif.contains(&format!("\"text\": \"{message}\"")), "{message}: {sarif}");
    }
    let junit = text("junit");
    let name =
        "name=\"a task waits for `self.cache`, which another of its own futures was granted at";
    assert!(junit.contains(name), "{junit}");
    let html = text("html");
    for part in [
        "<h3>Task 5, spawned at <code>src/server.rs:69:17</code></h3>",
        "<h3>Thread <code>reporter</code></h3>",
        "task 5 requested <code>self.cache</code> here and was granted it",
        "task 5 waited for <code>self.cache</code> here",
        r#""who":"Task 2, spawned at src/server.rs:63:5""#,
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn several_reports_go_to_a_folder() {
    let project = Project::new("several");
    let ended = report(&project, "--format html,json,sarif,junit,dot,human --output out/");
    assert_eq!(ended.has_status(100).stdout, "");
    let mut names: Vec<_> = fs::read_dir(project.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected =
        ["dot", "html", "json", "junit.xml", "sarif", "txt"].map(|it| format!("report.{it}"));
    assert_eq!(names, expected);
    let ended = report(&project, "--format html,json").has_status(101);
    assert_eq!(ended.stderr, "error: several formats require `--output FOLDER`\n");
    let ended = report(&project, "--output records/shard-1/bank-1.jsonl/x.json").has_status(101);
    assert!(ended.stderr.starts_with("error: cannot "), "{}", ended.stderr);
}

#[test]
fn a_level_changes_the_verdict() {
    let project = Project::new("levels");
    let warned = report(&project, "--level warn --format junit").has_status(0);
    assert!(warned.stderr.contains("2 warned"), "{}", warned.stderr);
    let suite = quick_junit::Report::deserialize_from_str(&warned.stdout).unwrap();
    assert_eq!((suite.tests, suite.failures), (3, 0));
    let allowed = report(&project, "--level allow --format sarif").has_status(0);
    assert_eq!(json(&allowed.stdout)["runs"][0]["results"], Value::Array(vec![]));
    let allowed = report(&project, "--level allow --format json").has_status(0);
    assert_eq!(json(&allowed.stdout)["findings"][0]["verdict"], "allowed");
}

/// The guard may have moved to another task.
#[test]
fn uncertain_findings_are_warnings() {
    let project = Project::new("doubtful");
    for file in fs::read_dir(project.path("tasks")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (granted, doubtful) =
            (r#""is_granted":true"#, r#""is_granted":true,"may_have_left":true"#);
        fs::write(path, text.replace(granted, doubtful)).unwrap();
    }
    let document = json(&project.run("report tasks --format json").has_status(100).stdout);
    let findings = document["findings"].as_array().unwrap();
    let verdict = |kind: &str| &findings.iter().find(|it| it["kind"] == kind).unwrap()["verdict"];
    assert_eq!([verdict("inversion"), verdict("futurelock")], ["denied", "warned"]);
}

#[test]
fn sarif_follows_its_schema() {
    // The published schema has a superfluous bracket in a pattern, which only some regex engines
    // accept.
    let schema = include_str!("reports/sarif-2.1.0.schema.json");
    let schema = json(&schema.replace("-[a-zA-Z]{2}]?$", "-[a-zA-Z]{2}?$"));
    let schema = jsonschema::validator_for(&schema).unwrap();
    let project = Project::new("sarif");
    fs::write(project.path("records/odd.jsonl"), odd_record()).unwrap();
    for options in ["", "--level warn", "--level allow"] {
        let text = report(&project, &format!("--format sarif {options}")).stdout;
        let errors: Vec<_> =
            schema.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0]);
    }
}

/// Returns a record whose names and places need escapes in each format.
fn odd_record() -> String {
    let header = r#"{"header":{"schema":1,"lockdep":"9","id":"ff","process":1,"program":"<x>","started":1}}"#;
    let lock = r#"{"id":1,"name":"</script><b>\u0000\uffff","type":"Mutex<\"&>"}"#;
    let edge = r#"{"held":1,"held_mode":"exclusive","held_at":"nowhere","wanted":1,"wanted_mode":"exclusive","acquired_at":"\u0000:0:0","thread":""}"#;
    let finding = |locks: &str, cycle: &str| {
        format!(
            r#"{{"finding":{{"kind":"inversion","level":"deny","count":1,"locks":[{locks}],"cycle":[{cycle}],"report":"\uffff"}}}}"#
        )
    };
    format!("{header}\n{{\"lock\":{lock}}}\n{}\n{}\n", finding(lock, edge), finding("", ""))
}

#[test]
fn odd_names_are_reported_in_every_format() {
    let project = Project::new("odd");
    fs::create_dir(project.path("odd")).unwrap();
    fs::write(project.path("odd/odd.jsonl"), odd_record()).unwrap();
    for format in ["human", "json", "sarif", "junit", "dot", "html", "github", "gitlab"] {
        let ended = project.run(&format!("report odd --format {format}")).has_status(100);
        assert!(!ended.stdout.contains("</script><b>") || format != "html", "{}", ended.stdout);
        if format == "junit" {
            assert!(!ended.stdout.contains('\u{ffff}'), "it is no XML with that");
            assert_eq!(
                quick_junit::Report::deserialize_from_str(&ended.stdout).unwrap().failures,
                2
            );
        }
    }
}

/// The report of a long cycle shows eight edges. The page and code hosts have all.
#[test]
fn no_edge_is_left_out() {
    let project = Project::new("long-cycle");
    fs::create_dir(project.path("long")).unwrap();
    let lock = |id: u64| value!({ "id": id, "name": format!("fork {id}"), "type": "Mutex<()>" });
    let edge = |held: u64| {
        value!({
            "held": held, "held_mode": "exclusive", "held_at": format!("src/a.rs:{}:5", 2 * held + 1),
            "wanted": (held + 1) % 10, "wanted_mode": "exclusive", "acquired_at": format!("src/a.rs:{}:5", 2 * held + 2),
            "thread": format!("philosopher {held}"),
        })
    };
    let shown = |held: u64| {
        value!({
            "note": if held == 0 { "" } else { "another thread" },
            "held": { "at": format!("src/a.rs:{}:5", 2 * held + 1), "label": "held here" },
            "wanted": { "at": format!("src/a.rs:{}:5", 2 * held + 2), "label": "acquired here" },
        })
    };
    let all = |part: &dyn Fn(u64) -> Value, count| (0..count).map(part).collect::<Vec<_>>();
    let header = value!({ "schema": 1, "lockdep": "9", "id": "ff", "process": 1, "program": "x", "started": 1 });
    let finding = value!({
        "kind": "inversion", "level": "deny", "count": 1, "title": "10 locks are acquired in a cycle",
        "locks": all(&lock, 10), "cycle": all(&edge, 10), "shown": all(&shown, 8),
        "notes": [{ "text": "and 2 more: see `Finding::cycle`" }, { "text": "each of them is a `Mutex<()>`" }],
        "report": "error[lockdep::inversion]: 10 locks\n",
    });
    let record = format!("{}\n{}\n", value!({ "header": header }), value!({ "finding": finding }));
    fs::write(project.path("long/long.jsonl"), record).unwrap();
    for format in ["html", "github"] {
        let text = project.run(&format!("report long --format {format}")).has_status(100).stdout;
        assert!(text.contains("philosopher 9") && !text.contains("2 more"), "{text}");
    }
}

/// A finding that is silenced is neither lost nor denied, and its reason stands with it.
#[test]
fn silenced_findings_are_shown_with_their_reason() {
    let project = Project::new("silenced");
    fs::create_dir(project.path("silenced")).unwrap();
    let reason = "\"kind\":\"inversion\",\"silenced\":\"only at startup\"";
    let record = odd_record().replace("\"kind\":\"inversion\"", reason);
    fs::write(project.path("silenced/one.jsonl"), record).unwrap();
    let text = |format: &str| {
        project.run(&format!("report silenced --format {format}")).has_status(0).stdout
    };
    let sarif = json(&text("sarif"));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        let expected = value!([{ "kind": "external", "justification": "only at startup" }]);
        assert_eq!((&result["suppressions"], &result["level"]), (&expected, &value!("note")));
    }
    let html = text("html");
    assert!(html.contains("<h1>nothing denied</h1>") && html.contains("Silenced: only at startup"));
    assert!(!html.contains("No lock order was seen"), "{html}");
    assert!(text("human").contains(": 2 silenced\n"));
}

/// A later version may have kinds that this one does not know: they are reported, and the rest is
/// read.
#[test]
fn a_finding_of_an_unknown_kind_is_a_problem_of_its_line() {
    let project = Project::new("unknown-kind");
    fs::create_dir(project.path("later")).unwrap();
    let record = odd_record().replacen("\"inversion\"", "\"of_tomorrow\"", 1);
    fs::write(project.path("later/later.jsonl"), record).unwrap();
    let ended = project.run("report later").has_status(100);
    let problem =
        "later/later.jsonl:3: unknown kind of finding `of_tomorrow`, expected `inversion`, ";
    assert!(ended.stderr.contains(problem), "{}", ended.stderr);
    assert!(ended.stdout.contains("1 denied"), "{}", ended.stdout);
}

#[test]
fn a_fingerprint_does_not_move_with_its_lines() {
    let project = Project::new("fingerprint");
    let fingerprints = || {
        let document = json(&report(&project, "--format sarif").stdout);
        let results = document["runs"][0]["results"].as_array().unwrap().clone();
        let both: Vec<_> =
            results.iter().map(|it| it["partialFingerprints"]["lockdep/v1"].to_string()).collect();
        let line = &results[0]["locations"][0]["physicalLocation"]["region"]["startLine"];
        (both, line.as_u64().unwrap())
    };
    let (before, line) = fingerprints();
    assert_ne!(before[0], before[1]);
    for shard in ["shard-1/bank-1.jsonl", "shard-2/bank-2.jsonl"] {
        let path = project.path("records").join(shard);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("bank.rs:3", "bank.rs:13")).unwrap();
    }
    assert_eq!(fingerprints(), (before, line + 100));
}

#[test]
fn junit_has_a_test_for_each_finding() {
    let project = Project::new("junit");
    let text = report(&project, "--format junit").stdout;
    let suite = quick_junit::Report::deserialize_from_str(&text).unwrap();
    assert_eq!((suite.tests, suite.failures), (2, 2));
    let case = &suite.test_suites[0].test_cases[0];
    assert_eq!(case.classname.as_ref().unwrap().as_str(), "lockdep::inversion");
    let TestCaseStatus::NonSuccess { description, .. } = &case.status else { panic!("{text}") };
    assert!(description.as_ref().unwrap().contains(r#"format!("<{amount}> & \"done\"")"#));
}

#[test]
fn graphviz_reads_the_graph() {
    let project = Project::new("dot");
    let text = report(&project, "--format dot").stdout;
    let dot =
        Command::new("dot").arg("-Tplain").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut dot) = dot else {
        eprintln!("skipped: there is no `dot`");
        return;
    };
    dot.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = dot.wait_with_output().unwrap();
    let plain = String::from_utf8(output.stdout).unwrap();
    assert_eq!(plain.lines().filter(|line| line.starts_with("node ")).count(), 5);
    // Eight orders, and the lock that is read twice.
    assert_eq!(plain.lines().filter(|line| line.starts_with("edge ")).count(), 9);
}

/// Containers write their records into one log.
#[test]
fn records_are_read_from_logs_and_from_standard_input() {
    let project = Project::new("logs");
    let marked = |record: &str| {
        let text = fs::read_to_string(project.path(record)).unwrap();
        let header = json(text.lines().next().unwrap());
        let id = header["header"]["id"].as_str().unwrap().to_owned();
        text.lines().map(|line| format!("web-1 | lockdep:{id} {line}\n")).collect::<Vec<_>>()
    };
    let [one, other] = ["records/shard-1/bank-1.jsonl", "records/shard-2/bank-2.jsonl"].map(marked);
    let mut log = "web-1 | listening on port 80\n".to_owned();
    for at in 0..one.len().max(other.len()) {
        log.extend(
            [&one, &other].into_iter().filter_map(|lines| lines.get(at).map(String::as_str)),
        );
    }
    fs::write(project.path("shop.log"), &log).unwrap();
    let expected = report(&project, "--format dot").has_status(100).stdout;
    let of_file = project.run("report shop.log --format dot").has_status(100);
    assert_eq!(of_file.stdout, expected);
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(log.as_bytes()).unwrap();
    fs::write(project.path("shop.log.gz"), compressed.finish().unwrap()).unwrap();
    for input in ["shop.log", "shop.log.gz"] {
        let of_input = Command::new(env!("CARGO_BIN_EXE_cargo-lockdep"))
            .args(["report", "-", "--format", "dot"])
            .stdin(fs::File::open(project.path(input)).unwrap())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(of_input.stdout).unwrap(), expected, "{input}");
    }
    // A file without any.
    fs::write(project.path("other.log"), "listening\n").unwrap();
    let other = project.run("report other.log").has_status(101);
    assert!(other.stderr.contains("other.log:1: "), "{}", other.stderr);
}

#[test]
fn each_unreadable_file_is_reported_once_and_the_others_are_merged() {
    let project = Project::new("broken");
    let records = project.path("records");

    let nowhere = project.run("report nowhere").has_status(101);
    assert!(nowhere.stderr.starts_with("error: cannot read nowhere: "), "{}", nowhere.stderr);
    fs::create_dir(project.path("empty")).unwrap();
    let empty = project.run("report empty").has_status(101);
    assert_eq!(empty.stderr, "error: there is no record in empty: no file ends in `.jsonl`\n");
    let both = project.run("report records empty").has_status(101);
    assert_eq!((both.stdout, both.stderr), (String::new(), empty.stderr));
    let behind = project.run("report records -- --format json").has_status(101);
    assert!(behind.stderr.starts_with("error: cannot read --format: "), "{}", behind.stderr);

    // The counts of a program that acquired no lock.
    fs::write(project.path("empty/7.counts"), "0 0\n").unwrap();
    let nothing = |why: &str| {
        let idle = project.run("report empty").has_status(4);
        let summary =
            format!("\nlockdep: 0 locks, 0 edges, 1 process: nothing was checked: {why}\n");
        assert_eq!(idle.stdout, summary);
    };
    nothing("no process has acquired a checked lock");
    // An empty record.
    let text = fs::read_to_string(records.join("shard-1/bank-1.jsonl")).unwrap();
    fs::write(project.path("empty/a.jsonl"), text.lines().next().unwrap().to_owned() + "\n")
        .unwrap();
    nothing("no process has acquired a lock while it held another");
    fs::write(project.path("empty/a.jsonl"), "").unwrap();
    nothing("no process has acquired a checked lock");

    // A process whose last line is cut, or that could not write a line more.
    let path = records.join("shard-1/bank-1.jsonl");
    let text = fs::read(&path).unwrap();
    for cut in [&text[..text.len() - 10], &[&*text, b"\0"].concat()] {
        fs::write(&path, cut).unwrap();
        let cut = report(&project, "").has_status(100);
        assert!(cut.stderr.contains("bank-1.jsonl:"), "{}", cut.stderr);
        assert!(cut.stderr.contains(": incomplete: the process was killed "), "{}", cut.stderr);
    }
    fs::write(&path, text).unwrap();

    // A file that is not a record, with many lines.
    let noise: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    fs::write(records.join("noise.jsonl"), noise).unwrap();
    let broken = report(&project, "").has_status(100);
    assert_eq!(broken.stderr.lines().count(), 1, "{}", broken.stderr);
    assert!(broken.stderr.contains("noise.jsonl:1: "), "{}", broken.stderr);
    assert!(broken.stdout.contains("2 denied"), "{}", broken.stdout);
    // With unreadable records, the status is not that of success.
    report(&project, "--level allow").has_status(101);

    // An unreadable file.
    fs::remove_file(records.join("noise.jsonl")).unwrap();
    fs::create_dir(records.join("folder.jsonl")).unwrap();
    let broken = report(&project, "").has_status(100);
    assert!(broken.stdout.contains("2 denied"), "{}", broken.stdout);

    let future = "{\"header\":{\"schema\":2,\"lockdep\":\"9\",\"id\":\"1\",\"process\":1,\
                  \"program\":\"x\",\"started\":1}}\n{\"unheard\":{}}\n";
    fs::write(records.join("future.jsonl"), future).unwrap();
    let broken = report(&project, "").has_status(100);
    assert!(broken.stderr.contains("schemas up to 1"), "{}", broken.stderr);
}

#[test]
fn sources_that_are_not_here_are_not_missed() {
    let project = Project::new("elsewhere");
    fs::remove_dir_all(project.path("src")).unwrap();
    let page = report(&project, "--format html").has_status(100).stdout;
    let label = "thread <code>settle</code> acquired <code>self.accounts</code> here";
    assert!(page.contains(&format!("line 33, column 46: {label}")), "{page}");
    let sarif = json(&report(&project, "--format sarif").stdout);
    let location = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "src/bank.rs");
}

#[test]
fn a_finding_is_shown_in_the_repository_if_a_part_of_it_is_there() {
    let project = Project::new("dependency");
    for shard in ["shard-1/bank-1.jsonl", "shard-2/bank-2.jsonl"] {
        let path = project.path("records").join(shard);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("src/bank.rs:33:46", "/other/src/lib.rs:3:4")).unwrap();
    }
    let sarif = json(&report(&project, "--format sarif").stdout);
    let result = &sarif["runs"][0]["results"][0];
    let region = |location: &Value| location["physicalLocation"].clone();
    assert_eq!(region(&result["locations"][0])["region"]["startLine"], 27);
    let other = region(&result["relatedLocations"][1]);
    assert_eq!(other["artifactLocation"], serde_json::json!({ "uri": "file:///other/src/lib.rs" }));
}

#[test]
fn kinds_are_explained() {
    let project = Project::new("explain");
    let list = project.run("explain").has_status(0).stdout;
    let explanations = Path::new(env!("CARGO_MANIFEST_DIR")).join("explain");
    let kinds = fs::read_dir(&explanations).unwrap().count();
    assert_eq!(list.lines().filter(|line| line.starts_with("  ")).count(), kinds);
    let one = project.run("explain lockdep::recursive_read").has_status(0).stdout;
    assert_eq!(one, fs::read_to_string(explanations.join("recursive_read.md")).unwrap());
    let unknown = project.run("explain inversoin").stderr;
    assert!(unknown.contains("a similar value exists: 'inversion'"), "{unknown}");
}

/// What two tests of one program have done in two processes counts as if they had run in one.
#[test]
fn two_orders_of_statics_are_denied() {
    let project = Project::new("statics");
    let write = |name: &str, executable: &str, id: u8, [held, wanted]: [u8; 2]| {
        let lock = |id: u8| {
            let site = format!("src/lib.rs:{id}:25");
            let class = format!("Mutex<u8> made at {site}");
            value!({ "lock": { "id": id, "name": format!("LOCK_{id}"), "type": "Mutex<u8>",
                "created_at": site, "class": class, "static": true } })
        };
        let lines = [
            value!({ "header": { "schema": 1, "lockdep": "0.1.0", "id": format!("{id:032x}"),
                "process": 1, "program": "it", "executable": executable, "started": 1 } }),
            lock(held),
            lock(wanted),
            value!({ "edge": { "held": held, "held_mode": "exclusive", "held_at": "src/lib.rs:9:1",
                "wanted": wanted, "wanted_mode": "exclusive", "acquired_at": "src/lib.rs:10:1",
                "thread": name } }),
        ];
        let text = lines.map(|line| line.to_string()).join("\n") + "\n";
        fs::write(project.0.join(format!("statics/{name}.jsonl")), text).unwrap();
    };
    fs::create_dir_all(project.0.join("statics")).unwrap();
    write("there", "it-0123456789abcdef", 1, [1, 2]);
    write("back", "it-0123456789abcdef", 2, [2, 1]);
    let ended = project.run("report statics").has_status(100);
    assert!(
        ended.stdout.contains("error[lockdep::inversion]: `LOCK_1` and `LOCK_2`"),
        "{}",
        ended.stdout
    );
    write("back", "it-fedcba9876543210", 2, [2, 1]);
    let ended = project.run("report statics").has_status(0);
    assert!(ended.stdout.contains("warning[lockdep::class_inversion]"), "{}", ended.stdout);
}
