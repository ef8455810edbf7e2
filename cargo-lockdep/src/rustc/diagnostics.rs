//! The messages that rustc writes on standard error when cargo calls it: one JSON object per line.

use serde::Deserialize;

#[derive(Deserialize)]
struct Message {
    /// Set in the notice that a file was written. After `metadata`, cargo starts the crates that
    /// depend on this one.
    emit: Option<String>,
    level: Option<String>,
    code: Option<Code>,
    #[serde(rename = "message")]
    text: Option<String>,
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: usize,
    column_start: usize,
    is_primary: bool,
    /// The macro call that generated the code.
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: Span,
}

impl Span {
    /// Returns the span in handwritten source.
    fn outermost(&self) -> &Self {
        self.expansion.as_ref().map_or(self, |expansion| expansion.span.outermost())
    }
}

/// Returns `true` if the line is the notice that the crate's metadata was written. After it, only code
/// generation and linking can fail.
pub(crate) fn is_metadata_notice(line: &[u8]) -> bool {
    serde_json::from_slice::<Message>(line)
        .is_ok_and(|message| message.emit.as_deref() == Some("metadata"))
}

/// Returns `true` if the line is the notice that a file was written.
pub(crate) fn is_notice(line: &[u8]) -> bool {
    serde_json::from_slice::<Message>(line).is_ok_and(|message| message.emit.is_some())
}

/// The errors that types and their implementations cause: missing or ambiguous ones, and sizes.
const OF_TYPES: [&str; 15] = [
    "E0034", "E0053", "E0080", "E0119", "E0271", "E0275", "E0277", "E0282", "E0283", "E0284",
    "E0308", "E0369", "E0512", "E0599", "E0790",
];

/// Returns `true` if all errors are about types. Others, such as unknown names, are the crate's own.
pub(crate) fn concern_types(output: &[u8]) -> bool {
    let lines = output.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let mut errors = messages.filter(|it| it.level.as_deref() == Some("error")).peekable();
    // The last one says how many there were, and has no code.
    let is_count = |message: &Message| {
        message.text.as_deref().is_some_and(|it| it.starts_with("aborting due to"))
    };
    errors.peek().is_some()
        && errors
            .all(|it| is_count(&it) || it.code.is_some_and(|code| OF_TYPES.contains(&&*code.code)))
}

/// Returns an error as rustc would write it, for cargo to print.
pub(crate) fn error_line(text: &str) -> String {
    let rendered = format!("error: {text}\n\n");
    let message = serde_json::json!({
        "$message_type": "diagnostic", "message": text, "code": null, "level": "error", "spans": [], "children": [],
        "rendered": rendered,
    });
    format!("{message}\n")
}

/// Returns the first error as one line.
pub(crate) fn first_error(output: &[u8]) -> String {
    let errors = output.split(|&byte| byte == b'\n').filter_map(|line| {
        let message: Message = serde_json::from_slice(line).ok()?;
        let text = message.text.filter(|_| message.level.as_deref() == Some("error"))?;
        let text = text.lines().next().unwrap_or_default().to_owned();
        Some(match message.spans.iter().find(|span| span.is_primary).map(Span::outermost) {
            Some(at) => {
                format!("{}:{}:{}: {text}", at.file_name, at.line_start, at.column_start)
            }
            None => text,
        })
    });
    let as_text = || {
        let text = String::from_utf8_lossy(output);
        text.lines().find(|line| line.starts_with("error")).map(str::to_owned)
    };
    errors.into_iter().next().or_else(as_text).unwrap_or_else(|| "rustc failed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_with_its_place() {
        let output = br#"{"$message_type":"diagnostic","message":"unused","level":"warning","spans":[]}
{"$message_type":"diagnostic","message":"mismatched types\nand more","level":"error","spans":[
{"$message_type":"diagnostic","message":"mismatched types\nand more","level":"error","spans":[{"file_name":"src/a.rs","line_start":3,"column_start":7,"is_primary":true}]}
{"$message_type":"diagnostic","message":"aborting","level":"error","spans":[]}
"#;
        assert_eq!(first_error(output), "src/a.rs:3:7: mismatched types");
        assert_eq!(first_error(b"error: no such option\n"), "error: no such option");
        assert_eq!(first_error(b""), "rustc failed");
    }

    #[test]
    fn errors_about_types_are_told_from_others() {
        let error = |code: &str| {
            format!(
                r#"{{"message":"x","level":"error","code":{{"code":"{code}","explanation":null}}}}"#
            )
        };
        let count = r#"{"message":"aborting due to 1 previous error","level":"error","code":null}"#;
        let warning =
            r#"{"message":"unused","level":"warning","code":{"code":"unused_variables"}}"#;
        let all = |lines: &[&str]| concern_types(lines.join("\n").as_bytes());
        assert!(all(&[warning, &error("E0308"), &error("E0282"), count]));
        assert!(!all(&[&error("E0308"), &error("E0425"), count]));
        assert!(!all(&[warning]) && !all(&["error: no such option"]));
        let syntax = r#"{"message":"expected one of","level":"error","code":null}"#;
        assert!(!all(&[syntax, count]));
        assert_eq!(first_error(error_line("it is so").as_bytes()), "it is so");
    }

    #[test]
    fn notices_are_recognized() {
        let notice = br#"{"$message_type":"artifact","artifact":"x/libx.rmeta","emit":"metadata"}"#;
        assert!(is_metadata_notice(notice));
        let other = br#"{"artifact":"x/x.d","emit":"dep-info"}"#;
        assert!(is_notice(other) && !is_metadata_notice(other));
        assert!(!is_metadata_notice(b"error: no"));
    }
}
