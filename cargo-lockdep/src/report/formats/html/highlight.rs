//! Rust source as HTML, with highlighted tokens and marked places.

use std::ops::Range;

use maud::{Markup, html};
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

/// A file's tokens with their CSS classes.
pub(super) struct Highlighted<'a> {
    text: &'a str,
    /// The byte range of each line, without its line break.
    lines: Vec<Range<usize>>,
    tokens: Vec<(Range<usize>, &'static str)>,
}

/// A marked token of a line.
pub(super) struct Mark<'a> {
    /// From 1, in characters.
    pub(super) column: u32,
    pub(super) class: &'a str,
}

/// The columns of a tab, as in the style sheet.
const TAB: usize = 4;

/// rustc's lexer returns keywords as identifiers.
const KEYWORDS: [&str; 39] = [
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "self", "Self", "static", "struct", "super", "trait", "true", "type", "union",
    "unsafe", "use", "where", "while",
];

impl<'a> Highlighted<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut tokens: Vec<(Range<usize>, _)> = Vec::new();
        let mut start = 0;
        for token in tokenize(text, FrontmatterAllowed::No) {
            let range = start..start + token.len as usize;
            start = range.end;
            tokens.push((range.clone(), class(token.kind, &text[range], &text[start..])));
        }
        let mut lines = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            lines.push(start..start + line.trim_end_matches(['\n', '\r']).len());
            start += line.len();
        }
        Self { text, lines, tokens }
    }

    pub(super) fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// Returns the text of a line. `number` starts at 1.
    pub(super) fn text(&self, number: usize) -> &'a str {
        &self.text[self.lines[number - 1].clone()]
    }

    /// Returns how many columns a line is indented.
    pub(super) fn indent(&self, number: usize) -> usize {
        let spaces = self.text(number).chars().take_while(|it| it.is_whitespace());
        spaces.map(|it| if it == '\t' { TAB } else { 1 }).sum()
    }

    /// Renders a line.
    pub(super) fn line(&self, number: usize, marks: &[Mark<'_>]) -> Markup {
        let line = self.lines[number - 1].clone();
        let first = self.tokens.partition_point(|(token, _)| token.end <= line.start);
        let tokens = self.tokens[first..].iter().take_while(|(token, _)| token.start < line.end);
        let offset = |column: u32| {
            let column = (column as usize).saturating_sub(1);
            self.text[line.clone()].char_indices().nth(column).map(|(at, _)| line.start + at)
        };
        let marks: Vec<_> =
            marks.iter().filter_map(|mark| Some((offset(mark.column)?, mark.class))).collect();
        html! {
            @for (token, class) in tokens {
                @let text = &self.text[token.start.max(line.start)..token.end.min(line.end)];
                // A chain of calls is broken as rustfmt does it.
                @if text == "." { wbr; }
                @match marks.iter().find(|(at, _)| token.contains(at)) {
                    Some((_, mark)) => mark class=(mark) { (text) },
                    None if class.is_empty() => (text),
                    None => span class=(class) { (text) },
                }
            }
        }
    }
}

/// Returns the CSS class of a token.
fn class(kind: TokenKind, text: &str, after: &str) -> &'static str {
    match kind {
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => "comment",
        TokenKind::Literal {
            kind: LiteralKind::Int { .. } | LiteralKind::Float { .. }, ..
        } => "number",
        TokenKind::Literal { .. } => "string",
        TokenKind::Lifetime { .. } => "lifetime",
        TokenKind::Ident if KEYWORDS.contains(&text) => "keyword",
        TokenKind::Ident if after.starts_with('(') || after.starts_with('!') => "function",
        TokenKind::Ident if text.starts_with(char::is_uppercase) => "type",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_apart_and_escaped() {
        let source = "fn f<'a>(s: &'a str) {\n    let x = \"<b>\n&\" + g(3); // <i>\n}\n";
        let source = Highlighted::new(source);
        assert_eq!(source.line_count(), 4);
        let line = |number| source.line(number, &[]).into_string();
        assert!(line(1).starts_with(r#"<span class="keyword">fn</span> f&lt;"#), "{}", line(1));
        assert!(line(2).ends_with(r#"<span class="string">&quot;&lt;b&gt;</span>"#));
        assert_eq!(
            line(3),
            r#"<span class="string">&amp;&quot;</span> + <span class="function">g</span>(<span class="number">3</span>); <span class="comment">// &lt;i&gt;</span>"#
        );
    }

    #[test]
    fn a_mark_is_the_token_at_its_column() {
        let source = Highlighted::new("é.lock(); µ.lock();\n");
        let mark = |column| source.line(1, &[Mark { column, class: "held" }]).into_string();
        assert!(mark(13).ends_with(r#"µ<wbr>.<mark class="held">lock</mark>();"#), "{}", mark(13));
        assert!(!mark(99).contains("<mark") && !mark(0).is_empty());
    }
}
