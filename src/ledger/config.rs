//! Parses the text of a `lockdep.toml`. Feature `config`.

use std::sync::{Arc, atomic::AtomicBool};

use toml_span::{
    Span, Value,
    value::{Table, ValueInner},
};

use super::{allow_entry::Entry, config_file::Config};
use crate::finding::{Site, UnknownName};

/// Parses a file. Returns the error, if there is one.
#[cfg(fuzzing)]
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text, "lockdep.toml").map(|_| ())
}

const ALLOW: &str = "`allow` must be a list of tables: `[[allow]]`";
const ORDER: &str =
    "`order` must be a list of two or more classes, the first one first, or a list of such lists";

/// A key with its value and position.
struct Item<'a> {
    key: &'a str,
    value: &'a ValueInner<'a>,
    at: Span,
}

/// Parses a file. An error names the line and the key.
pub(super) fn parse(text: &str, path: &str) -> Result<Config, String> {
    let breaks: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: Span| breaks.partition_point(|&it| it < at.start) + 1;
    let place = |at: Span| format!("{path}:{}", line(at));
    let wrong = |at: Span, what: &str| format!("{}: {what}", place(at));
    let file = toml_span::parse(text).map_err(|error| wrong(error.span, &error.to_string()))?;
    let mut config = Config::default();
    for item in file.as_table().into_iter().flat_map(items) {
        match (item.key, item.value) {
            ("allow", ValueInner::Array(all)) => {
                for entry in all {
                    let ValueInner::Table(table) = entry.as_ref() else {
                        return Err(wrong(entry.span, ALLOW));
                    };
                    let entry = parse_entry(table, entry.span, place(entry.span), &wrong)?;
                    config.entries.push(entry);
                }
            }
            ("allow", _) => return Err(wrong(item.at, ALLOW)),
            ("order", ValueInner::Array(classes)) => {
                let lists = classes.iter().filter_map(|it| Some((it.span, it.as_array()?)));
                let lists: Vec<_> = lists.collect();
                let orders = match lists.len() {
                    0 => vec![(item.at, classes)],
                    all if all == classes.len() => lists,
                    _ => return Err(wrong(item.at, ORDER)),
                };
                for (at, classes) in orders {
                    let classes = texts(classes).filter(|classes| classes.len() > 1);
                    let classes = classes.ok_or_else(|| wrong(at, ORDER))?;
                    let line = u32::try_from(line(at)).unwrap_or(u32::MAX);
                    let site = Site::new(path.to_owned(), line, 0);
                    config.orders.push((classes, site));
                }
            }
            ("order", _) => return Err(wrong(item.at, ORDER)),
            (key, _) => {
                let what = format!("unknown key `{key}`, expected `[[allow]]` or `order`");
                return Err(wrong(item.at, &what));
            }
        }
    }
    Ok(config)
}

fn parse_entry(
    table: &Table<'_>,
    at: Span,
    place: String,
    wrong: &impl Fn(Span, &str) -> String,
) -> Result<Entry, String> {
    let mut entry = Entry {
        place,
        kind: None,
        locks: Vec::new(),
        sites: Vec::new(),
        reason: Arc::from(""),
        is_used: AtomicBool::new(false),
    };
    for Item { key, value, at } in items(table) {
        let expected = |what: &str| wrong(at, &format!("`{key}` must be {what}"));
        match (key, value) {
            ("reason", ValueInner::String(reason)) => entry.reason = Arc::from(reason.trim()),
            ("reason", _) => return Err(expected("a string")),
            ("kind", ValueInner::String(name)) => {
                let kind =
                    name.parse().map_err(|error: UnknownName| wrong(at, &error.to_string()))?;
                entry.kind = Some(kind);
            }
            ("kind", _) => return Err(expected("the name of a kind of finding")),
            ("locks", ValueInner::Array(locks)) => {
                entry.locks = texts(locks).ok_or_else(|| expected("a list of names"))?;
            }
            ("sites", ValueInner::Array(sites)) => {
                let sites = texts(sites).ok_or_else(|| expected("a list of places"))?;
                entry.sites = sites.iter().map(|site| parse_site(site)).collect();
            }
            ("locks" | "sites", _) => return Err(expected("a list")),
            _ => {
                let known = "`kind`, `locks`, `sites` or `reason`";
                return Err(wrong(at, &format!("unknown key `{key}`, expected {known}")));
            }
        }
    }
    if entry.reason.is_empty() {
        return Err(wrong(at, "`reason` is missing: say why the finding is harmless"));
    }
    if entry.locks.is_empty() && entry.sites.is_empty() {
        return Err(wrong(
            at,
            "`locks` or `sites` is missing: the entry would match every finding",
        ));
    }
    Ok(entry)
}

fn items<'a>(table: &'a Table<'a>) -> impl Iterator<Item = Item<'a>> {
    table.iter().map(|(key, value)| Item { key: &key.name, value: value.as_ref(), at: key.span })
}

fn texts(array: &[Value<'_>]) -> Option<Vec<String>> {
    array.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Parses `src/settle.rs:43`, with or without the line.
fn parse_site(site: &str) -> (String, Option<u32>) {
    match site.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => (file.to_owned(), Some(line)),
        _ => (site.to_owned(), None),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::finding::FindingKind;

    fn error(text: &str) -> String {
        parse(text, "lockdep.toml").map(|_| ()).expect_err(text)
    }

    #[test]
    fn entries() {
        let text = r#"
            [[allow]]
            kind = "inversion"
            locks = ["a", "b.c"]
            reason = "startup alone"

            [[allow]]
            sites = ["src/main.rs:7", "lib.rs"]
            reason = "never at once"
        "#;
        let entries = parse(text, "lockdep.toml").unwrap().entries;
        assert_eq!(entries[0].kind, Some(FindingKind::Inversion));
        assert_eq!(entries[0].locks, ["a", "b.c"]);
        assert_eq!(&*entries[0].reason, "startup alone");
        let sites = [("src/main.rs".to_owned(), Some(7)), ("lib.rs".to_owned(), None)];
        assert_eq!(entries[1].sites, sites);
        assert_eq!(entries[1].place, "lockdep.toml:7");
        let empty = parse("", "lockdep.toml").unwrap();
        assert!(empty.entries.is_empty() && empty.orders.is_empty());
    }

    #[test]
    fn orders() {
        for (text, expected) in [
            ("order = ['a', 'b {}']", "[a, b {}] at lockdep.toml:1"),
            ("order = []\n", ""),
            (
                "order = [\n  ['a', 'b'],\n  ['a', 'c', 'd'],\n]\n",
                "[a, b] at lockdep.toml:2, [a, c, d] at lockdep.toml:3",
            ),
        ] {
            let parsed = parse(text, "lockdep.toml").map(|config| {
                let order = |(classes, site): &(Vec<String>, Site)| {
                    format!("[{}] at {site}", classes.join(", "))
                };
                config.orders.iter().map(order).collect::<Vec<_>>().join(", ")
            });
            let expected = Some(expected.to_owned()).filter(|expected| !expected.is_empty());
            assert_eq!(parsed.ok(), expected, "{text}");
        }
    }

    #[test]
    fn an_invalid_file_is_one_error_with_line_and_key() {
        for (text, expected) in [
            ("[[allow]]\nlocks = [\"a\"]\n", "lockdep.toml:1: `reason` is missing"),
            ("[[allow]]\nreason = \"x\"", "lockdep.toml:1: `locks` or `sites` is missing"),
            (
                "\n[[alow]]\nreason = \"x\"",
                "lockdep.toml:2: unknown key `alow`, expected `[[allow]]` or `order`",
            ),
            (
                "[[allow]]\n\nlock = [\"a\"]",
                "lockdep.toml:3: unknown key `lock`, expected `kind`, `locks`, `sites` or `reason`",
            ),
            (
                "[[allow]]\nkind = \"inversoin\"",
                "lockdep.toml:2: unknown kind of finding `inversoin`, expected `inversion`",
            ),
            ("[[allow]]\nkind = 3", "lockdep.toml:2: `kind` must be the name of a kind of finding"),
            ("[[allow]]\nlocks = \"a\"", "lockdep.toml:2: `locks` must be a list"),
            ("[[allow]]\nlocks = [1]", "lockdep.toml:2: `locks` must be a list of names"),
            ("[[allow]]\nreason = 3", "lockdep.toml:2: `reason` must be a string"),
            ("allow = 3", "lockdep.toml:1: `allow` must be a list of tables: `[[allow]]`"),
            ("order = 'a'", "lockdep.toml:1: `order` must be a list of two or more classes"),
            ("order = ['a']", "lockdep.toml:1: `order` must be a list"),
            ("order = ['a', 3]", "lockdep.toml:1: `order` must be a list"),
            ("order = ['a', ['b', 'c']]", "lockdep.toml:1: `order` must be a list"),
            ("order = [['b', 'c'], 'a']", "lockdep.toml:1: `order` must be a list"),
            ("order = [['a', 'b'],\n['c']]", "lockdep.toml:2: `order` must be a list"),
            ("[[allow]]\nreason = \"x", "lockdep.toml:2: "),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{text}\n{error}");
        }
    }
}
