//! The tokens of Rust source, with their brackets matched.
//!
//! Knows comments, literals and lifetimes, and nothing of the grammar. Text that is no Rust has no
//! tokens or odd ones, but never panics.

/// The largest text that is split.
const MAX_LENGTH: usize = 1 << 20;

/// Operators of more than one character, without those that begin or end generics: `<<` and `>>`.
const OPERATORS: [&str; 18] = [
    "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "..", "+=", "-=", "*=", "/=", "%=", "^=",
    "&=", "|=",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or keyword.
    Word,
    Lifetime,
    Literal,
    Open,
    Close,
    Operator,
}

/// The index of no token.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: u32,
    end: u32,
    /// The other bracket of the pair; [`NONE`] for what is no bracket.
    partner: u32,
    /// The opening bracket of the innermost pair around it; [`NONE`] outside of all.
    outer: u32,
}

#[derive(Debug)]
pub(super) struct Tokens {
    text: String,
    all: Vec<Token>,
}

impl Tokens {
    /// Returns `None` if the brackets do not match, or if the text is too long.
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let mut all: Vec<Token> = Vec::with_capacity(text.len() / 4);
        let mut open: Vec<u32> = Vec::new();
        let mut at = 0;
        while let Some((kind, start, end)) = next(text, at) {
            at = end;
            let index = position(all.len());
            let mut token = Token {
                kind,
                start: position(start),
                end: position(end),
                partner: NONE,
                outer: open.last().copied().unwrap_or(NONE),
            };
            if kind == Kind::Close {
                token.partner = open.pop()?;
                let opening = &mut all[token.partner as usize];
                opening.partner = index;
                token.outer = opening.outer;
                let brackets = (&text[opening.start as usize..][..1], &text[start..end]);
                if !matches!(brackets, ("(", ")") | ("[", "]") | ("{", "}")) {
                    return None;
                }
            }
            if kind == Kind::Open {
                open.push(index);
            }
            all.push(token);
        }
        open.is_empty().then(|| Self { text: text.to_owned(), all })
    }

    /// Returns the whole text.
    pub(super) fn source(&self) -> &str {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the token that starts at a byte of the text.
    pub(super) fn at(&self, offset: usize) -> Option<usize> {
        self.all.binary_search_by_key(&offset, |token| token.start as usize).ok()
    }

    /// Returns a token's text, which is empty before the first and behind the last.
    pub(super) fn text(&self, at: usize) -> &str {
        self.all.get(at).map_or("", |token| &self.text[token.start as usize..token.end as usize])
    }

    /// Returns the text of the token `by` places before.
    pub(super) fn text_before(&self, at: usize, by: usize) -> &str {
        at.checked_sub(by).map_or("", |before| self.text(before))
    }

    pub(super) fn is(&self, at: usize, kind: Kind) -> bool {
        self.all.get(at).is_some_and(|token| token.kind == kind)
    }

    /// Returns the other bracket of a pair.
    pub(super) fn partner(&self, bracket: usize) -> usize {
        self.all[bracket].partner as usize
    }

    /// Returns the opening bracket of the innermost pair around a token. A bracket is not in its
    /// own pair.
    pub(super) fn outer(&self, at: usize) -> Option<usize> {
        let outer = self.all.get(at)?.outer;
        (outer != NONE).then_some(outer as usize)
    }

    /// Returns the tokens between two places, without what is in brackets between them.
    pub(super) fn level(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        let mut at = from;
        std::iter::from_fn(move || {
            let this = at;
            at = if self.is(this, Kind::Open) { self.partner(this) } else { this } + 1;
            (this < to).then_some(this)
        })
    }
}

/// Texts are so short that each place in them fits.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

/// Returns the next token at or after a place: its kind, start and end.
fn next(text: &str, mut at: usize) -> Option<(Kind, usize, usize)> {
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        let comment = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else {
            break;
        };
        at += comment;
    }
    let rest = &text[at..];
    let (kind, length) = token(rest, rest.chars().next()?);
    Some((kind, at, at + length))
}

fn token(rest: &str, first: char) -> (Kind, usize) {
    let word = length_of_word(rest);
    match first {
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        '"' => (Kind::Literal, quoted(rest, '"')),
        '\'' => quote(rest),
        '0'..='9' => (Kind::Literal, word),
        // The prefix of a string, a byte or a raw identifier.
        _ if word > 0 => {
            let after = &rest[word..];
            let is_raw = rest[..word].ends_with('r');
            let is_prefix = matches!(&rest[..word], "b" | "c" | "r" | "br" | "cr");
            let hashes = after.bytes().take_while(|&it| it == b'#').count();
            match after[hashes..].chars().next() {
                Some('"') if is_prefix && is_raw => (Kind::Literal, word + raw(after, hashes)),
                Some('"') if is_prefix && hashes == 0 => (Kind::Literal, word + quoted(after, '"')),
                Some('\'') if &rest[..word] == "b" && hashes == 0 => {
                    (Kind::Literal, word + quoted(after, '\''))
                }
                Some(_) if &rest[..word] == "r" && hashes == 1 => {
                    (Kind::Word, word + 1 + length_of_word(&after[1..]))
                }
                _ => (Kind::Word, word),
            }
        }
        _ => {
            let long = OPERATORS.iter().find(|it| rest.starts_with(**it));
            (Kind::Operator, long.map_or(first.len_utf8(), |it| it.len()))
        }
    }
}

fn length_of_word(text: &str) -> usize {
    text.find(|it| !super::is_identifier(it)).unwrap_or(text.len())
}

/// Returns the length of a text in quotes, with escapes. It ends with the file if it is open.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, it)| {
        let is_end = it == quote && !escaped;
        escaped = it == '\\' && !escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// Returns the length of a raw string behind its prefix.
fn raw(text: &str, hashes: usize) -> usize {
    let end = format!("\"{}", &text[..hashes]);
    let body = hashes + 1;
    text[body..].find(&end).map_or(text.len(), |at| body + at + end.len())
}

/// A character or a lifetime.
fn quote(text: &str) -> (Kind, usize) {
    let mut inside = text[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => (Kind::Literal, quoted(text, '\'')),
        _ => (Kind::Lifetime, 1 + length_of_word(&text[1..])),
    }
}

/// Returns the length of a block comment, which may contain others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let Some(found) = text[at..].find(['/', '*']) else { return text.len() };
        at += found;
        match text.get(at..at + 2) {
            Some("/*") => depth += 1,
            Some("*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Option<Vec<String>> {
        let tokens = Tokens::new(text)?;
        Some((0..tokens.len()).map(|at| tokens.text(at).to_owned()).collect())
    }

    #[test]
    fn brackets_in_comments_and_literals_are_no_brackets() {
        for (text, expected) in [
            ("a::b(c)", "a :: b ( c )"),
            ("x // (\n+= y", "x += y"),
            ("/* ( /* [ */ { */ x", "x"),
            ("/*/ ( */ x", "x"),
            (r#""(\"(" b"(" c"(" x"#, r#""(\"(" b"(" c"(" x"#),
            (r##"r#"("("# br"(" x"##, r##"r#"("("# br"(" x"##),
            (r"'(' b'(' '\'' '\u{28}' x", r"'(' b'(' '\'' '\u{28}' x"),
            ("&'a str 'outer: loop", "& 'a str 'outer : loop"),
            ("r#fn 1.0 0..2 0x_ff", "r#fn 1 . 0 0 .. 2 0x_ff"),
            ("Vec<Vec<u8>>", "Vec < Vec < u8 > >"),
            ("'é' é \"é\"", "'é' é \"é\""),
        ] {
            assert_eq!(tokens(text).map(|it| it.join(" ")).as_deref(), Some(expected), "{text}");
        }
        for text in ["(", ")", "(]", "{ ( }"] {
            assert_eq!(tokens(text), None, "{text}");
        }
        assert_eq!(tokens(&" ".repeat(MAX_LENGTH + 1)), None);
    }

    #[test]
    fn levels_leave_out_what_is_in_brackets() {
        let tokens = Tokens::new("a (b [c] d) e").unwrap();
        let level: Vec<_> = tokens.level(0, tokens.len()).map(|at| tokens.text(at)).collect();
        assert_eq!(level, ["a", "(", "e"]);
        let c = tokens.at(6).unwrap();
        let around = tokens.outer(c).unwrap();
        assert_eq!((tokens.text(c), tokens.text(around)), ("c", "["));
        assert_eq!(tokens.text(tokens.partner(around)), "]");
        assert_eq!(tokens.outer(tokens.partner(around)), tokens.outer(around));
        assert_eq!(tokens.outer(0), None);
    }

    proptest! {
        /// Tokens are in order and apart, and brackets are symmetric.
        #[test]
        fn any_text_has_tokens_or_none(text in "([(){}\\[\\]|/*#'\"r\\\\a\n=é ]|[^x]){0,40}") {
            let Some(tokens) = Tokens::new(&text) else { return Ok(()) };
            let mut end = 0;
            for (at, token) in tokens.all.iter().enumerate() {
                prop_assert!(end <= token.start && token.start < token.end);
                end = token.end;
                if matches!(token.kind, Kind::Open | Kind::Close) {
                    prop_assert_eq!(tokens.partner(tokens.partner(at)), at);
                }
                let outer = tokens.outer(at);
                prop_assert!(outer.is_none_or(|it| it < at && at < tokens.partner(it)));
            }
        }
    }
}
