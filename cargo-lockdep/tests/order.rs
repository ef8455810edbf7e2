//! `cargo lockdep order` on the records of a small project, and on records with awkward names and orders.

mod support;

use std::{fmt::Write, fs, sync::PoisonError};

use lockdep::{FindingKind, record::SCHEMA, sync::Mutex, testing};
use serde_json::{Value, json};
use snapbox::{Data, assert_data_eq, file};
use support::{Ended, Project};

fn order(project: &Project, options: &str) -> Ended {
    project.run(&format!("order records {options}"))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A record whose locks and edges a test chooses.
struct Record(String);

impl Record {
    fn new(id: u32) -> Self {
        let mut record = Self(String::new());
        record.line(
            "header",
            &json!({
                "schema": SCHEMA, "lockdep": "0.1.0", "id": format!("{id:x}"), "process": id, "program": "shop",
                "started": 0,
            }),
        );
        record
    }

    fn line(&mut self, of_type: &str, content: &Value) {
        writeln!(self.0, "{}", json!({ of_type: content })).unwrap();
    }

    /// Adds a lock whose class consists of its type and creation site.
    fn lock(&mut self, id: usize, name: &str, of_type: &str) -> Value {
        let made = format!("src/shop.rs:{id}:9");
        let class = format!("{of_type} made at {made}");
        let lock =
            json!({ "id": id, "name": name, "type": of_type, "created_at": made, "class": class });
        self.line("lock", &lock);
        lock
    }

    fn edge(&mut self, held: usize, wanted: usize, thread: &str) -> Value {
        self.edge_at([held, wanted], [held, wanted], thread)
    }

    fn edge_at(&mut self, [held, wanted]: [usize; 2], lines: [usize; 2], thread: &str) -> Value {
        let [held_at, acquired_at] = lines.map(|line| format!("src/shop.rs:{line}:20"));
        let edge = json!({
            "held": held, "held_mode": "exclusive", "held_at": held_at,
            "wanted": wanted, "wanted_mode": "exclusive", "acquired_at": acquired_at, "thread": thread,
        });
        self.line("edge", &edge);
        edge
    }

    /// Writes it to a new folder of the project, and returns the order as text and as data.
    fn order(&self, project: &Project, folder: &str) -> (String, Value) {
        fs::create_dir_all(project.path(folder)).unwrap();
        fs::write(project.path(folder).join("one.jsonl"), &self.0).unwrap();
        let text = project.run(&format!("order {folder}")).has_status(0).stdout;
        let document = project.run(&format!("order {folder} --format json")).has_status(0).stdout;
        (text, parsed(&document))
    }
}

fn names(document: &Value) -> Vec<&str> {
    document["order"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lock| lock["name"].as_str().unwrap())
        .collect()
}

#[test]
fn each_format_matches_its_golden_file() {
    let project = Project::new("order");
    let text = order(&project, "").has_status(0);
    assert_data_eq!(Data::text(text.stdout.as_str()), file!["reports/expected/order.txt"].raw());
    assert_eq!(text.stderr, "");
    assert_eq!(order(&project, "--format text").has_status(0).stdout, text.stdout);
    let json = order(&project, "--format json").has_status(0);
    assert_data_eq!(Data::text(json.stdout), file!["reports/expected/order.json": Text].raw());
    assert_eq!(json.stderr.lines().count(), 1, "{}", json.stderr);

    let both = order(&project, "--format json,html --output out/").has_status(0);
    assert_eq!(both.stdout, "");
    let page = fs::read_to_string(project.path("out/order.html")).unwrap();
    assert!(page.contains("Proposed order") && project.path("out/order.json").is_file());
    let report = project.run("report records --format html").has_status(100).stdout;
    assert_eq!(page, report);
}

/// The proposal has the arguments, errors and statuses of `report`, but no verdict on findings.
#[test]
fn records_are_read_as_for_a_report() {
    let project = Project::new("order-errors");
    for arguments in ["nowhere", "records nowhere", "records --level inversoin=warn"] {
        let [order, report] =
            ["order", "report"].map(|command| project.run(&format!("{command} {arguments}")));
        assert_eq!(order.status, report.status);
        assert_eq!(order.stderr.lines().next(), report.stderr.lines().next());
    }
    fs::create_dir(project.path("empty")).unwrap();
    project.run("order empty").has_status(101);
    fs::write(project.path("empty/7.counts"), "0 0\n").unwrap();
    let idle = project.run("order empty").has_status(4).stdout;
    assert!(
        idle.ends_with("nothing was checked: no process has acquired a checked lock\n"),
        "{idle}"
    );
    fs::write(project.path("empty/7.counts"), "3 0\n").unwrap();
    let flat = project.run("order empty").has_status(0).stdout;
    assert!(flat.contains("there is nothing to order"), "{flat}");
    fs::write(project.path("records/noise.jsonl"), "noise\n").unwrap();
    let broken = order(&project, "").has_status(101);
    assert!(broken.stderr.contains("noise.jsonl:1: "), "{}", broken.stderr);
    let warned = order(&project, "--level warn").has_status(101).stdout;
    assert!(warned.contains("warned of: `inversion`"), "{warned}");
}

/// The locks of `tests/reports/src/bank.rs`, with the lines that the order of its records proposes.
struct Bank {
    accounts: Mutex<Vec<i64>>,
    ledger: Mutex<Vec<String>>,
    audited: Mutex<bool>,
    euro: Mutex<i64>,
    dollar: Mutex<i64>,
}

impl Bank {
    #[rustfmt::skip]
    fn declare(&self) {
        lockdep::class(&self.audited, "audited"); // made at src/bank.rs:16:22
        lockdep::class(&self.accounts, "accounts"); // made at src/bank.rs:14:23
        lockdep::class(&self.ledger, "ledger"); // made at src/bank.rs:15:21
        lockdep::class(&self.euro, "euro"); // made at src/rates.rs:10:22
        lockdep::class(&self.dollar, "dollar"); // made at src/rates.rs:10:46
        lockdep::declare_class_order(&["audited", "accounts", "ledger", "euro", "dollar"]);
    }
}

/// The proposed lines compile, and then what contradicts the order is found, the first time it happens.
#[test]
fn the_lines_declare_the_order() {
    let project = Project::new("order-lines");
    let text = order(&project, "").stdout;
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|line| line.starts_with("lockdep::")).collect();
    assert_eq!(lines.len(), 6, "{text}");
    let this = include_str!("order.rs");
    for line in lines {
        assert!(this.lines().any(|known| known.trim() == line), "{line}");
    }

    let bank = Bank {
        accounts: Mutex::new(Vec::new()),
        ledger: Mutex::new(Vec::new()),
        audited: Mutex::new(false),
        euro: Mutex::new(1),
        dollar: Mutex::new(1),
    };
    bank.declare();
    bank.declare();
    let scope = testing::Scope::new();
    {
        let _accounts = bank.accounts.lock();
        let _ledger = bank.ledger.lock();
        let _euro = bank.euro.lock();
    }
    scope.assert_no_findings();
    testing::expect(FindingKind::DeclaredOrder, &["bank.ledger", "bank.accounts"], || {
        let _ledger = bank.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        drop(bank.accounts.lock());
    });
}

/// Services share no source, so the proposal is a line of their configuration.
#[test]
fn an_order_of_resources_is_a_line_of_toml() {
    let project = Project::new("order-services");
    let mut record = Record::new(1);
    for (id, name, class) in
        [(1, "redis order:1", "redis order:{}"), (2, "pg row \"7\"", "pg row \"{}\"")]
    {
        record.line(
            "lock",
            &json!({ "id": id, "name": name, "type": "Resource", "class": class, "key": name }),
        );
    }
    record.edge(1, 2, "main");
    let (text, document) = record.order(&project, "services");
    let line = "order = [\"redis order:{}\",\"pg row \\\"{}\\\"\"]";
    assert!(text.contains(&format!("in the `lockdep.toml` of each:\n    {line}\n")), "{text}");
    assert_eq!(document["declarations"]["file"], format!("{line}\n"));
}

#[test]
fn names_that_are_alike_or_odd_are_declared_apart() {
    let project = Project::new("order-names");
    let mut record = Record::new(1);
    record.lock(1, "self.items", "Mutex<Vec<u8>>");
    record.lock(2, "cart.items", "Mutex<Vec<u8>>");
    record.lock(3, "self.items", "RwLock<HashMap<&str, Vec<T>>>");
    record.lock(4, "the \"odd\" \\ one\n\u{1b}[31m", "Mutex<dyn Fn(&'a str) -> Box<[u8; 3]>>");
    record.lock(5, "self.0", "Mutex<()>");
    record.lock(6, "thread `net`", "JoinHandle");
    let given = json!({
        "id": 7, "name": "log", "type": "Mutex<()>", "created_at": "src/log.rs:1:1", "class": "items",
    });
    record.line("lock", &given);
    for (held, wanted) in [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)] {
        record.edge(held, wanted, "main");
    }
    let (text, document) = record.order(&project, "odd");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let expected = [
        "// For each lock, once it is made:",
        r#"lockdep::class(&self.items, "items: Mutex<Vec<u8>>"); // made at src/shop.rs:1:9"#,
        r#"lockdep::class(&cart.items, "cart.items"); // made at src/shop.rs:2:9"#,
        r#"lockdep::class(&self.items, "items: RwLock<HashMap<&str, Vec<T>>>"); // made at src/shop.rs:3:9"#,
        r#"lockdep::class(&lock, "the \"odd\" \\ one\n\u{1b}[31m"); // made at src/shop.rs:4:9"#,
        r#"lockdep::class(&self.0, "self.0"); // made at src/shop.rs:5:9"#,
        "",
        "// At the start of the program and of its tests:",
        "lockdep::declare_class_order(&[",
        r#"    "items: Mutex<Vec<u8>>","#,
        r#"    "cart.items","#,
        r#"    "items: RwLock<HashMap<&str, Vec<T>>>","#,
        r#"    "the \"odd\" \\ one\n\u{1b}[31m","#,
        r#"    "self.0","#,
        r#"    "items","#,
        "]);",
    ];
    let lines: Vec<_> =
        text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    assert!(lines.windows(expected.len()).any(|it| it == expected), "{text}");
    assert_eq!(names(&document).len(), 7);
    // In a page, text is text.
    let page = project.run("order odd --format html").has_status(0).stdout;
    assert!(
        page.contains("Mutex&lt;dyn Fn(&amp;'a str)") && !page.contains("HashMap<&str"),
        "{page}"
    );
}

/// One function of five takes two locks the other way, all through the same helpers. The places of the helpers
/// are no majority, but threads are; the report shows the lines that call the helpers.
#[test]
fn threads_decide_where_helpers_acquire_all_locks() {
    let project = Project::new("order-helpers");
    let mut record = Record::new(1);
    let locks =
        [record.lock(1, "self.stock", "Mutex<u8>"), record.lock(2, "self.cash", "Mutex<u16>")];
    for thread in ["sells", "buys", "counts", "opens"] {
        record.edge_at([2, 1], [9, 9], thread);
    }
    let cycle = [record.edge_at([1, 2], [9, 9], "closes"), record.edge_at([2, 1], [9, 9], "sells")];
    let shown = |held_line: u32, line: u32| {
        let at = |line: u32| json!({ "at": format!("src/shop.rs:{line}:30"), "label": "here" });
        json!({ "held": at(held_line), "wanted": at(line) })
    };
    record.line(
        "finding",
        &json!({
            "kind": "inversion", "level": "allow", "count": 1, "title": "both orders", "help": "", "locks": locks,
            "cycle": cycle, "shown": [shown(60, 61), shown(40, 41)], "report": "note[lockdep::inversion]: both\n",
        }),
    );
    let (text, document) = record.order(&project, "threads");
    assert_eq!(names(&document), ["self.cash", "self.stock"]);
    let against = &document["against"];
    assert_eq!(against.as_array().unwrap().len(), 1);
    assert_eq!([&against[0]["held"], &against[0]["wanted"]], [1, 0]);
    assert_eq!(
        against[0]["places"],
        json!([{
            "held_at": "src/shop.rs:60:30", "acquired_at": "src/shop.rs:61:30", "who": "thread `closes`",
            "test": "shop",
        }]),
    );
    assert_eq!(against[0]["following"][0]["held_at"], "src/shop.rs:40:30");
    assert_eq!(
        [&against[0]["verdict"], &against[0]["kinds"]],
        [&json!("denied"), &json!(["inversion"])]
    );
    for part in [
        "src/shop.rs:61:30",
        "by thread `closes` of `shop`",
        "acquire `self.cash` before `self.stock` there",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("src/shop.rs:9:"), "{text}");
    // Neither lock is a leaf or outermost.
    assert!(!text.contains("leaf") && !text.contains("outermost"), "{text}");
}

#[test]
fn groups_leaves_and_locks_made_alike_are_marked() {
    let project = Project::new("order-marks");
    let mut record = Record::new(1);
    for (id, name) in ["a", "b", "c", "d", "e", "alone"].into_iter().enumerate() {
        record.lock(id + 1, name, "Mutex<()>");
    }
    record.lock(7, "never nested", "Mutex<()>");
    for (held, wanted) in [(1, 5), (5, 3), (2, 4), (6, 6)] {
        record.edge(held, wanted, "main");
    }
    let (text, document) = record.order(&project, "marks");
    let locks: Vec<_> = document["order"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lock| {
            let is = |what: &str| lock[what].as_bool().unwrap();
            (
                lock["name"].as_str().unwrap(),
                lock["group"].as_u64().unwrap(),
                is("is_outermost"),
                is("is_leaf"),
            )
        })
        .collect();
    assert_eq!(
        locks,
        [
            ("a", 0, true, false),
            ("e", 0, false, false),
            ("c", 0, false, true),
            ("b", 1, true, false),
            ("d", 1, false, true)
        ],
    );
    assert_eq!(document["alike"], json!(["alone"]));
    assert!(text.starts_with("All 3 nestings of 5 locks follow this order:\n"), "{text}");
    assert!(text.contains("Two locks `alone` were nested."), "{text}");
    assert!(text.contains("declare_class_order(&[\"a\", \"e\", \"c\"]);\n    lockdep::declare_class_order(&[\"b\", \"d\"]);"), "{text}");
}

/// Where a helper names no lock, findings do, and then the source does.
#[test]
fn locks_behind_helpers_have_names() {
    let project = Project::new("order-behind-helpers");
    let path = project.path("helpers/day.jsonl");
    let record = fs::read_to_string(&path).unwrap();
    let ordered = |change: &dyn Fn(&str) -> String| {
        let anonymous = |line: &str| {
            if line.starts_with(r#"{"lock""#) {
                line.replace("Stock::items", "lock").replace("Audit::lines", "lock") + "\n"
            } else {
                line.to_owned() + "\n"
            }
        };
        fs::write(&path, change(&record.lines().map(anonymous).collect::<String>())).unwrap();
        project.run("order helpers").has_status(0).stdout
    };
    let text = ordered(&|it| it.to_owned());
    for part in [
        "1  Stock::items  Mutex<Vec<u32>> ",
        "against the order: `Stock::items` (1) is acquired while `Audit::lines` (2) is held",
        "src/stock.rs:27:27",
        "by thread `audit` of `day`",
        "denied: `inversion`",
        "lockdep::class(&self.items, \"items\");",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // In all formats, a lock has the same name.
    let page = |text: &str| {
        let data = text.split_once(r#"<script id="data" type="application/json">"#).unwrap().1;
        parsed(data.split_once("</script>").unwrap().0)["locks"].clone()
    };
    let report = |format| project.run(&format!("report helpers --format {format}")).stdout;
    for locks in [page(&report("html")), parsed(&report("json"))["graph"]["locks"].clone()] {
        let names = [&locks[0]["name"], &locks[1]["name"]];
        assert_eq!(names, ["Audit::lines", "Stock::items"]);
    }
    let dot = report("dot");
    assert!(dot.contains(r#"0 [label = "Audit::lines\nMutex<Vec<String>>"#), "{dot}");
    // Without the finding, the source names a lock that has a class; one without may be several locks. A type is no name.
    let made = r#""created_at":"src/stock.rs:9:10""#;
    let with_class = format!(r#"{made},"class":"Mutex<Vec<u32>> made at src/stock.rs:9:10""#);
    for name in ["lock", "Mutex<Vec<u32>>"] {
        let text = ordered(&|it| {
            let lines = it.lines().filter(|line| !line.starts_with(r#"{"finding""#));
            let named = |line: &str| {
                if line.contains(made) {
                    let line = line.replace(r#""lock","#, &format!("{name:?},"));
                    line.replace(made, &with_class) + "\n"
                } else {
                    line.to_owned() + "\n"
                }
            };
            lines.map(named).collect()
        });
        for part in [
            "  Stock::items  Mutex<Vec<u32>> ",
            "  lock          Mutex<Vec<String>> ",
            "in no finding",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

/// A dense order is bounded on the screen, complete as data, and says that it is approximate.
#[test]
fn a_dense_order_is_bounded() {
    let project = Project::new("order-dense");
    let mut record = Record::new(1);
    for id in 0..20 {
        record.lock(id, &format!("lock {id}"), "Mutex<()>");
    }
    for held in 0..20 {
        for wanted in (0..20).filter(|&it| it != held) {
            // A tournament that is far from any order, and one nesting of each pair the other way.
            for line in 0..=usize::from((held * 7 + wanted * 3) % 5 > 2) {
                record.edge_at([held, wanted], [100 + line, 200 + line], "main");
            }
        }
    }
    let (text, document) = record.order(&project, "dense");
    assert_eq!(document["is_exact"], false);
    assert!(text.contains("approximation"), "{text}");
    assert_eq!(document["against"].as_array().unwrap().len(), 190);
    assert_eq!(text.matches("against the order: `").count(), 50);
    assert!(
        text.contains("140 more pairs of locks are against the order: see `--format json`"),
        "{text}"
    );
}

/// Neither the order of the records nor that of their lines makes a difference.
#[test]
fn equal_records_have_equal_orders() {
    let project = Project::new("order-equal");
    let before = order(&project, "--format json").stdout;
    let [one, two] =
        ["shard-1/bank-1.jsonl", "shard-2/bank-2.jsonl"].map(|it| project.path("records").join(it));
    let texts = [&one, &two].map(|path| fs::read_to_string(path).unwrap());
    fs::write(one, &texts[1]).unwrap();
    fs::write(two, &texts[0]).unwrap();
    assert_eq!(order(&project, "--format json").stdout, before);
}
