//! The messages that rustc writes on standard error when cargo calls it: one JSON object per line.

use serde::Deserialize;

#[derive(Deserialize)]
struct Message {
    /// Set in the notice that a file was written. After `metadata`, cargo starts the crates that
    /// depend on this one.
    emit: Option<String>,
    level: Option<String>,
    #[serde(rename = "message")]
    text: Option<String>,
    #[serde(default)]
    spans: Vec<Span>,
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
    fn notices_are_recognized() {
        let notice = br#"{"$message_type":"artifact","artifact":"x/libx.rmeta","emit":"metadata"}"#;
        assert!(is_metadata_notice(notice));
        let other = br#"{"artifact":"x/x.d","emit":"dep-info"}"#;
        assert!(is_notice(other) && !is_metadata_notice(other));
        assert!(!is_metadata_notice(b"error: no"));
    }
}
