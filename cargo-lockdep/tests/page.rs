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
    see_at(1280, page, act)
}

/// As [`see`], in a window of some width.
fn see_at(width: u32, page: &Path, act: &str) -> Option<Value> {
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
        .args(["--disable-quic", "--virtual-time-budget=5000"])
        .arg(format!("--window-size={width},1000"))
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

/// The labels of a line of 190 columns are read without scrolling sideways, in a wide window and on a phone.
#[test]
fn labels_of_long_lines() {
    let project = Project::new("page-of-long-lines");
    let source = project.path("src/stock.rs");
    let text = fs::read_to_string(&source).unwrap();
    let call = "let lines = locked_for(\"audit\", &audit.lines);";
    let long = call.replace(");", &format!(", {});", "an_argument, ".repeat(12)));
    assert!(long.len() > 190 && text.contains(call));
    fs::write(&source, text.replace(call, &long)).unwrap();
    project.run("report helpers --output page.html").has_status(100);
    let act = "
        const width = WIDTH;
        document.documentElement.style.width = `${width}px`;
        const isSeen = (it) => {
            const { left, right, height } = it.getBoundingClientRect();
            return left >= 0 && right <= width && height > 0;
        };
        const pres = all('.finding .excerpt pre');
        seen.labels = all('#finding-0 .note').map((it) => it.textContent);
        seen.hidden = all('.excerpt .note, .excerpt mark').filter((it) => !isSeen(it) && !it.closest('details')).length;
        seen.scrolled = pres.filter((it) => it.scrollWidth > it.clientWidth).length;
        seen.page = document.body.scrollWidth > width;";
    // The browser has no window of 400 pixels.
    for (window, width) in [(1280, "1280"), (500, "400")] {
        let act = act.replace("WIDTH", width);
        let Some(seen) = see_at(window, &project.path("page.html"), &act) else { return };
        assert_eq!(seen["problems"], json!([]));
        let labels = seen["labels"].to_string();
        assert!(labels.contains("thread audit has held Audit::lines since here"), "{labels}");
        assert_eq!([&seen["hidden"], &seen["scrolled"]], [0, 0], "{seen}");
        assert_eq!(seen["page"], false);
    }
}

/// A finding is one card with both locks, all places, both threads, the fix and the stacks of all acquisitions,
/// however many processes and kinds it has. None of that needs a script.
#[test]
fn a_card_says_everything() {
    let project = Project::new("page-of-cards");
    let record = fs::read_to_string(project.path("helpers/day.jsonl")).unwrap();
    let other = record
        .replace("18ecfddbb555ab3e984cca2e70ec890b", "18ecfddbb555ab3e984cca2e70ec890c")
        .replace("\"program\":\"day\"", "\"program\":\"night\"")
        .replace("\"kind\":\"inversion\"", "\"kind\":\"ordered_inversion\"");
    assert_ne!(other, record);
    fs::write(project.path("helpers/night.jsonl"), other).unwrap();
    project.run("report helpers --output page.html").has_status(100);
    let page = fs::read_to_string(project.path("page.html")).unwrap();
    assert_eq!(page.matches("<article class=\"finding").count(), 1);
    let card = page.split("<article class=\"finding").nth(1).unwrap();
    let card = card.split("</article>").next().unwrap();
    let (before, stacks) = card.split_once("<details class=\"stacks\">").unwrap();
    let (stacks, after) = stacks.split_once("</details>").unwrap();
    let text = |html: &str| {
        let parts = html.split('<').map(|part| part.rsplit('>').next().unwrap());
        parts.collect::<String>()
    };
    let (before, lines) = (text(before), text(stacks));
    for part in [
        "Acquire Stock::items before Audit::lines everywhere",
        "Thread audit",
        "thread audit has held Audit::lines since here",
        "and acquires Stock::items here",
        "Thread till, &quot;a&quot;: 100% acquired them in the opposite order",
        "Stock::items held since here",
        "Audit::lines acquired here",
        "Audit::lines is a Mutex&lt;Vec&lt;String&gt;&gt; made at src/stock.rs:14:10",
    ] {
        let part = part.replacen("Acquire", "acquire", 1);
        assert!(before.contains(&part), "{part}: {before}");
    }
    // Two stacks and what they have in common, of each thread.
    assert_eq!(stacks.matches("<ol class=\"stack\"").count(), 6, "{stacks}");
    for part in [
        "Has held Audit::lines since herestock::sync::lock_unpoisoned at src/sync.rs:6:10",
        "Acquires Stock::items here",
        "stock::reconcile at src/stock.rs:27:27",
        "Both called fromday::a_day::{{closure}}::{{closure}} at tests/day.rs:11:40",
        "Stock::items held since here",
        "Audit::lines acquired here",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let after = text(after);
    let found = "Found by 2 processes: day, night; also found as ordered_inversion";
    assert!(after.contains(found), "{after}");
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

/// Names and arrowheads of a large picture can be read. Where all of it is shown, the list has the names.
#[test]
fn a_hundred_locks() {
    let project = Project::new("page-of-hundred");
    fs::create_dir(project.path("large")).unwrap();
    fs::write(project.path("large/one.jsonl"), large_record(104)).unwrap();
    project.run("report large --output page.html").has_status(100);
    let act = "
        const height = (it) => it.getBoundingClientRect().height;
        const names = () => all('.lock text:first-of-type').filter((it) => height(it) > 0);
        const scale = () => one('#root').transform.baseVal.consolidate().matrix.a;
        const look = () => ({
            names: names().length,
            height: Math.round(height(names()[0] ?? one('.lock rect'))),
            head: Math.round(scale() * one('marker').getAttribute('markerWidth')),
            shown: one('#shown').textContent,
        });
        const inSight = (it) => {
            const [box, stage] = [it, one('#picture')].map((it) => it.getBoundingClientRect());
            return box.left >= stage.left && box.right <= stage.right && box.top >= stage.top && box.bottom <= stage.bottom;
        };
        click(one('[title=\"All 104 locks\"]'));
        seen.readable = look();
        seen.denied = all('.lock.denied').map(inSight);
        click(one('#fit'));
        seen.whole = look();
        seen.out = all('.lock').filter((it) => !inSight(it)).length;
        seen.list = all('#nestings li').map((it) => it.textContent);";
    let Some(seen) = see(&project.path("page.html"), act) else { return };
    assert_eq!(seen["problems"], json!([]));
    let readable = &seen["readable"];
    assert!(readable["names"] == 104 && readable["height"].as_u64() > Some(9), "{readable}");
    assert!(readable["head"].as_u64() >= Some(6), "{readable}");
    assert_eq!(readable["shown"], "104 locks. Drag for more; Fit shows all.");
    assert_eq!(seen["denied"], json!([true, true]));
    let whole = &seen["whole"];
    assert!(whole["names"] == 0 && whole["head"].as_u64() > Some(2), "{whole}");
    assert_eq!(whole["shown"], "104 locks. Zoom in for the names, or choose from the list.");
    assert_eq!(seen["out"], 0);
    let list = seen["list"].as_array().unwrap();
    assert!(list.len() == 103 && list.contains(&json!("lock 0, then lock 2")), "{list:?}");
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
