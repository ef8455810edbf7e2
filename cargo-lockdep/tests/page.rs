//! The HTML page in headless Chromium, if it is installed. A script in the page acts as a user and
//! records what it sees.

mod support;

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lockdep::record::SCHEMA;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use support::Project;

/// How long the browser may take; it needs seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// Inserted into the page before its own scripts. `ACT` is replaced by the test's actions.
const HARNESS: &str = "<script>
{
const problems = [];
const problem = (what) => problems.push(String(what));
addEventListener('error', (event) => problem(event.message));
addEventListener('unhandledrejection', (event) => problem(event.reason));
addEventListener('securitypolicyviolation', (event) => problem(event.violatedDirective));
console.error = console.warn = problem;
const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);
const details = () => one('#details').textContent;
const click = (element) => element.dispatchEvent(new MouseEvent('click', { bubbles: true }));
const press = (key) => (document.activeElement ?? document.body).dispatchEvent(
  new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
const type = (text) => {
  document.activeElement.value = text;
  document.activeElement.dispatchEvent(new Event('input', { bubbles: true }));
};
addEventListener('load', () => {
  const seen = {};
  try { ACT } catch (error) { problem(error.stack); }
  document.documentElement.dataset.seen = encodeURIComponent(JSON.stringify({ ...seen, problems }));
});
}
</script>";

/// Opens a page, runs `act` in it and returns what it recorded. Returns `None` without a browser.
fn see(page: &Path, act: &str) -> Option<Value> {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium");
        return None;
    };
    let text = fs::read_to_string(page).unwrap();
    let text = text.replacen("</head>", &(HARNESS.replace("ACT", act) + "</head>"), 1);
    let watched = page.with_extension("watched.html");
    fs::write(&watched, text).unwrap();
    let dump = page.with_extension("dump.html");
    let mut child = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-quic", "--window-size=1280,1000", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", page.with_extension("profile").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", watched.display()))
        .stdout(fs::File::create(&dump).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(ends(&mut child), "the browser does not end");
    let dump = fs::read_to_string(dump).unwrap();
    let seen = dump.split("data-seen=\"").nth(1).unwrap_or_else(|| panic!("{dump}"));
    let seen = percent_decode_str(seen.split('"').next().unwrap()).decode_utf8().unwrap();
    Some(serde_json::from_str(&seen).unwrap())
}

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    let files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Returns `true` if the browser exits in time; otherwise kills it.
fn ends(child: &mut Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    false
}

#[test]
fn a_few_locks() {
    let project = Project::new("page");
    project.run("report records --output page.html").has_status(100);
    let act = "
        seen.boxes = all('.lock').length;
        seen.arrows = all('.arrow').length;
        seen.denied = all('.arrow.denied').length;

        const transfer = all('.arrow').find((it) => it.getAttribute('aria-label')
            .startsWith('self.ledger acquired while self.accounts was held'));
        click(transfer.querySelector('.reach'));
        seen.arrow = details();
        seen.sites = all('#details .sites').map((it) => it.textContent);
        seen.hash = location.hash;

        click(one('[data-finding=\"0\"]'));
        seen.cycle = all('.arrow.lit').length;
        seen.lit = all('.lock.lit text:first-of-type').map((it) => it.textContent);

        one('.lock[tabindex=\"0\"]').focus();
        press('Escape');
        seen.nothingLit = all('.lit').length;
        press('ArrowLeft');
        press('ArrowLeft');
        press('Enter');
        seen.byKeys = one('#details h3').textContent;
        press('/');
        seen.searching = document.activeElement.id;
        type('EURO rates');
        seen.found = all('#details li').map((it) => it.textContent);
        press('Enter');
        seen.chosen = one('#details h3').textContent;
        one('#details li > button').focus();
        click(document.activeElement);
        seen.focus = document.activeElement.textContent;
        one('.lock[tabindex=\"0\"]').focus();
        press('-');
        seen.transform = one('#root').getAttribute('transform') !== null;";
    let Some(seen) = see(&project.path("page.html"), act) else { return };
    assert_eq!(seen["problems"], json!([]));
    assert_eq!([&seen["boxes"], &seen["arrows"], &seen["denied"]], [5, 9, 3]);
    let sites = seen["sites"].to_string();
    for site in [
        "self.accounts held since",
        "src/bank.rs:24:42",
        "self.ledger acquired at",
        "src/bank.rs:27:21",
    ] {
        assert!(sites.contains(site), "{sites}");
    }
    let arrow = seen["arrow"].as_str().unwrap();
    assert!(arrow.contains("2 processes, thread transfer"), "{arrow}");
    assert!(seen["hash"].as_str().unwrap().starts_with("#arrow-"), "{seen}");
    assert_eq!([&seen["cycle"], &seen["nothingLit"]], [2, 0]);
    assert_eq!(seen["lit"].as_array().unwrap().len(), 2);
    assert_eq!(seen["byKeys"], "self.audited");
    assert_eq!(seen["searching"], "search");
    assert_eq!(seen["found"].as_array().unwrap().len(), 1);
    assert_eq!(seen["chosen"], "self.euro");
    assert_eq!(seen["focus"], "← All locks");
    assert_eq!(seen["transform"], true);
}

/// The order is readable without scripts, and leads to the finding that contradicts it.
#[test]
fn the_proposed_order() {
    let project = Project::new("page-of-order");
    project.run("order records --output page.html").has_status(0);
    let act = "
        seen.locks = all('.order > li').map((it) => it.querySelector('code').textContent);
        seen.marks = all('.order b').map((it) => it.textContent);
        const [against] = all('.contradiction');
        seen.against = against.querySelector('h3').textContent;
        seen.lines = [...against.querySelectorAll('.threads .line.held, .threads .line.acquired')]
            .map((it) => it.querySelector('.number').textContent);
        seen.finding = one(against.querySelector('a').getAttribute('href')).className;
        seen.declared = one('#proposed > details pre').textContent.split('\\n').length;";
    let Some(seen) = see(&project.path("page.html"), act) else { return };
    assert_eq!(seen["problems"], json!([]));
    let locks = ["self.audited", "self.accounts", "self.ledger", "self.euro", "self.dollar"];
    assert_eq!([&seen["locks"], &seen["marks"]], [&json!(locks), &json!(["outermost", "leaf"])]);
    let against =
        "`self.accounts` (2) is acquired while `self.ledger` (3) is held".replace('`', "");
    assert_eq!([&seen["against"], &seen["lines"]], [&json!(against), &json!(["31", "33"])]);
    assert_eq!(seen["finding"], "finding denied");
    assert_eq!(seen["declared"], 10);
}

#[test]
fn tasks_and_threads() {
    let project = Project::new("page-of-tasks");
    project.run("report tasks --output page.html").has_status(100);
    let act = "
        seen.orders = all('.arrow .reach').map((it) => { click(it); return details(); });
        seen.findings = all('[data-finding]').map((it) => { click(it); return details(); });";
    let Some(seen) = see(&project.path("page.html"), act) else { return };
    assert_eq!(seen["problems"], json!([]));
    let orders = seen["orders"].to_string();
    assert!(orders.contains("2 processes, thread reporter"), "{orders}");
    assert!(orders.contains("2 processes, task spawned at src/server.rs:63:5"), "{orders}");
    let findings = seen["findings"].to_string();
    assert!(findings.contains("Task 2, spawned at src/server.rs:63:5"), "{findings}");
    assert!(findings.contains("Thread reporter"), "{findings}");
}

#[test]
fn five_hundred_locks() {
    let project = Project::new("large-page");
    fs::create_dir(project.path("large")).unwrap();
    fs::write(project.path("large/one.jsonl"), large_record(500)).unwrap();
    project.run("report large --output page.html").has_status(100);
    let page = project.path("page.html");
    assert!(fs::metadata(&page).unwrap().len() < 1_500_000);
    let act = "
        seen.first = all('.lock').length;
        click(one('[title=Places]'));
        seen.places = all('.lock').length;
        click(one('.lock'));
        seen.inPlace = all('.lock').length;
        one('#search').focus();
        type('lock 321');
        press('Enter');
        seen.around = one('#shown').textContent;
        click(one('[title=\"All 500 locks\"]'));
        seen.all = all('.lock').length;";
    let Some(seen) = see(&page, act) else { return };
    assert_eq!(seen["problems"], json!([]));
    // At first only the locks of the finding are shown.
    assert_eq!([&seen["first"], &seen["places"], &seen["inPlace"], &seen["all"]], [2, 10, 50, 500]);
    assert_eq!(seen["around"], "5 locks around lock 321");
}

#[test]
fn nothing_at_all() {
    let project = Project::new("empty-page");
    fs::create_dir(project.path("large")).unwrap();
    let text = large_record(0);
    fs::write(project.path("large/one.jsonl"), text).unwrap();
    project.run("report large --output page.html").has_status(4);
    let Some(seen) = see(&project.path("page.html"), "seen.title = document.title;") else {
        return;
    };
    assert_eq!(seen, json!({ "title": "lockdep: nothing was checked", "problems": [] }));
}

/// Returns a record of locks created in ten folders, each acquired while one of the two before it
/// is held, with one inversion.
fn large_record(locks: u64) -> String {
    let mut text = String::new();
    let mut add = |of_type: &str, content: Value| {
        writeln!(text, "{}", json!({ of_type: content })).unwrap();
    };
    add(
        "header",
        json!({
            "schema": SCHEMA, "lockdep": "0.1.0", "id": "1", "process": 1, "program": "large", "started": 0,
        }),
    );
    let lock = |id: u64| {
        let made = format!("part_{}/src/lib.rs:{id}:9", id % 10);
        json!({
            "id": id, "name": format!("lock {id}"), "type": "Mutex<u8>", "created_at": made,
            "class": format!("Mutex<u8> made at {made}"),
        })
    };
    let edge = |held: u64, wanted: u64| {
        json!({
            "held": held, "held_mode": "exclusive", "held_at": format!("src/main.rs:{held}:5"),
            "wanted": wanted, "wanted_mode": "exclusive", "acquired_at": format!("src/main.rs:{wanted}:7"),
            "thread": "main",
        })
    };
    (0..locks).for_each(|id| add("lock", lock(id)));
    for wanted in 2..locks {
        add("edge", edge(wanted - 2, wanted));
        add("edge", edge(wanted - 1, wanted));
    }
    if locks > 0 {
        add(
            "finding",
            json!({
                "kind": "inversion", "level": "allow", "count": 1, "title": "</script><b>x</b>", "help": "",
                "locks": [lock(100), lock(101)],
                "cycle": [edge(100, 101), edge(101, 100)],
                "report": "note[lockdep::inversion]: </script><b>x</b>\n",
            }),
        );
    }
    text
}
