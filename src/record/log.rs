//! The lines of records among those of a log, as `LOCKDEP_OUT=-` writes them.

use std::borrow::Cow;

use serde::Deserialize;

use super::read::RecordId;

/// What stands before a line, followed by the record's id.
const MARK: &str = super::MARK;

/// The number of digits of an id.
const DIGITS: usize = 32;

/// A line of a log whose lines are JSON objects: that of Docker, of the journal, or of a program.
#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "message", alias = "MESSAGE", alias = "msg")]
    log: String,
}

/// Finds a line of a record in a line of a log, and the record that it is of. `None` if it has none.
pub(super) fn line_in(text: &[u8]) -> Option<(RecordId, Cow<'_, [u8]>)> {
    if let Some((id, line)) = marked(text)
        && line.starts_with(b"{\"")
    {
        return Some((id, line.into()));
    }
    let entry: Entry = serde_json::from_slice(text).ok()?;
    let (id, line) = marked(entry.log.as_bytes())?;
    Some((id, line.to_owned().into()))
}

/// Returns what follows a mark and an id.
fn marked(text: &[u8]) -> Option<(RecordId, &[u8])> {
    let marks = text.windows(MARK.len()).enumerate().filter(|(_, it)| *it == MARK.as_bytes());
    marks.map(|(at, _)| &text[at + MARK.len()..]).find_map(|text| {
        let (id, line) = text.split_at_checked(DIGITS)?;
        let id =
            str::from_utf8(id).ok().filter(|id| id.bytes().all(|it| it.is_ascii_hexdigit()))?;
        Some((RecordId::from_str_radix(id, 16).ok()?, line.strip_prefix(b" ")?))
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn lines_of_logs() {
        const ID: &str = "000000000000000000000000000000ff";
        let line = format!("lockdep:{ID} {{\"lock\":{{\"id\":1}}}}\n");
        let json = "{\"lock\":{\"id\":1}}\n";
        let escaped = line.trim_end().replace('"', "\\\"");
        for log in [
            line.clone(),
            format!("2026-12-01T10:00:00.000000001Z stdout F {line}"),
            format!("50 % lockdep: {line}"),
            format!("{{\"log\":\"{escaped}\\n\",\"stream\":\"stdout\"}}\n"),
            format!("{{\"level\":\"info\",\"message\":\"{escaped}\"}}"),
            format!("{{\"_PID\":\"7\",\"MESSAGE\":\"{escaped}\"}}\r\n"),
        ] {
            let (id, found) = line_in(log.as_bytes()).expect(&log);
            assert_eq!((id, str::from_utf8(&found).unwrap().trim_end()), (0xff, json.trim_end()));
        }
        for log in [
            "",
            "lockdep:",
            "lockdep: 2 locks, 1 edge",
            "lockdep:0000000000000000000000000000zzff {\"lock\":{}}",
            "lockdep:000000000000000000000000000000ff",
            "lockdep:000000000000000000000000000000ff no line",
            "{\"log\":\"listening\"}",
            "{\"log\":7}",
        ] {
            assert!(line_in(log.as_bytes()).is_none(), "{log}");
        }
    }
}
