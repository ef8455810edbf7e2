//! How long a guard lives that no variable has, as the source says it: in the head of a `match`, or in a statement.

use super::{
    syntax::is_keyword,
    tokens::{Kind, Tokens},
};

/// The end of a temporary guard's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The end of the `match`, `if let`, `while let` or `for` that has it in its head.
    Block(&'static str),
    /// The end of the `else` of an `if let`, before edition 2024. Since then, the beginning of the `else`.
    Else,
    /// The end of the statement.
    Statement,
}

/// Returns how long the guard lives that the call at `held` returns, if it is a temporary and the call at `wanted` is
/// made meanwhile, but not on the guard itself. Both places are bytes of the source.
pub(super) fn lifetime(tokens: &Tokens, held: usize, wanted: usize) -> Option<Lifetime> {
    let (held, wanted) = (tokens.at(held)?, tokens.at(wanted)?);
    if tokens.is_temporary(held) { lives_until(tokens, held, wanted) } else { None }
}

/// As [`lifetime`], of a temporary. Both places are tokens.
pub(super) fn lives_until(tokens: &Tokens, held: usize, wanted: usize) -> Option<Lifetime> {
    let mut at = held;
    loop {
        match tokens.head_of(at) {
            Head::Of(keyword) => return tokens.block_around(keyword, at, wanted),
            Head::Condition => return None,
            Head::Brackets(open) => at = open,
            Head::Statement(start) => {
                let is_end = |&it: &usize| {
                    [";", ","].contains(&tokens.text(it)) || tokens.is(it, Kind::Close)
                };
                let end = tokens.level(start, tokens.len()).find(is_end).unwrap_or(tokens.len());
                let is_in = (start..end).contains(&wanted) && !tokens.is_chained(held, wanted);
                return is_in.then_some(Lifetime::Statement);
            }
        }
    }
}

/// What an expression is in.
enum Head {
    /// The head of a block with this keyword.
    Of(usize),
    /// The condition of an `if` or a `while`, whose temporaries are dropped before its block.
    Condition,
    /// These brackets.
    Brackets(usize),
    /// A statement, an arm or a closure that begins at this token.
    Statement(usize),
}

impl Tokens {
    /// Returns `true` if the guard that a call returns is used in the expression and not kept.
    pub(super) fn is_temporary(&self, call: usize) -> bool {
        let Some(arguments) = self.arguments_of_call(call) else { return false };
        let mut after = self.partner(arguments) + 1;
        loop {
            match (self.text(after), self.text(after + 1)) {
                ("?", _) => after += 1,
                (".", "await") => after += 2,
                (".", "unwrap" | "expect" | "unwrap_or_else") if self.text(after + 2) == "(" => {
                    after = self.partner(after + 2) + 1;
                }
                (text, _) => {
                    return text == "." || ["*", "&"].contains(&self.before_receiver(call));
                }
            }
        }
    }

    /// Returns `true` if the method `wanted` is called on what a call returns, or on what another method
    /// returns that is.
    fn is_chained(&self, call: usize, wanted: usize) -> bool {
        let mut at = call;
        while at < wanted {
            let Some(arguments) = self.arguments_of_call(at) else { return false };
            at = self.partner(arguments) + 1;
            while ["?", "."].contains(&self.text(at)) || self.is_field(at) {
                at += 1;
            }
        }
        at == wanted
    }

    /// Returns `true` for a field in a chain of methods.
    fn is_field(&self, at: usize) -> bool {
        self.text_before(at, 1) == "." && self.text(at + 1) == "."
    }

    /// Returns the token before the receiver of a method.
    fn before_receiver(&self, call: usize) -> &str {
        let mut at = call;
        while let Some(left) = self.left(at) {
            let text = self.text(left);
            let is_part = [".", "::", "?", "(", "["].contains(&text)
                || self.is(left, Kind::Word) && !is_keyword(text);
            if !is_part {
                return text;
            }
            at = left;
        }
        ""
    }

    /// Returns what the expression around a token is in, on the token's level.
    fn head_of(&self, at: usize) -> Head {
        let brackets = self.outer(at).filter(|&open| self.text(open) != "{");
        let (mut here, mut has_let) = (at, false);
        while let Some(left) = self.left(here) {
            match self.text(left) {
                "," if brackets.is_some() => break,
                ";" | "=>" | "," => return Head::Statement(here),
                "{" if self.ends_statement(left) => return Head::Statement(here),
                "|" | "||" if !self.ends_operand(left) => return Head::Statement(here),
                "let" => has_let = true,
                "match" | "for" => return Head::Of(left),
                "if" | "while" if has_let => return Head::Of(left),
                "if" | "while" => return Head::Condition,
                _ => {}
            }
            here = left;
        }
        brackets.map_or(Head::Statement(here), Head::Brackets)
    }

    /// Returns how long what is at `head` lives, if `wanted` is in the block with this keyword.
    fn block_around(&self, keyword: usize, head: usize, wanted: usize) -> Option<Lifetime> {
        let body = |from: usize| self.level(from, self.len()).find(|&it| self.text(it) == "{");
        let mut open = body(head)?;
        if (head..self.partner(open)).contains(&wanted) {
            return Some(Lifetime::Block(match self.text(keyword) {
                "match" => "match",
                "for" => "for",
                "if" => "if let",
                _ => "while let",
            }));
        }
        while self.text(keyword) == "if" && self.text(self.partner(open) + 1) == "else" {
            open = body(self.partner(open) + 1)?;
            if wanted < self.partner(open) {
                return (wanted > keyword).then_some(Lifetime::Else);
            }
        }
        None
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns how long the guard of the first `^` lives, at whose time the second `^` is reached.
    fn lifetime_at(marked: &str) -> Option<Lifetime> {
        let held = marked.find('^').expect("a mark");
        let wanted = marked.rfind('^').expect("a mark") - 1;
        lifetime(&Tokens::new(&marked.replace('^', ""))?, held, wanted)
    }

    #[test]
    fn a_guard_in_a_head_lives_as_long_as_the_block() {
        for (source, keyword) in [
            (
                "fn f() { match self.a.^lock().unwrap().get(0) { Some(x) => b.^lock(), _ => {} } }",
                "match",
            ),
            ("fn f() { let y = match *a.^lock().unwrap() { 0 => b.^lock(), _ => 1 }; }", "match"),
            (
                "fn f() { match find(a.^lock().unwrap().id) { Some(x) => { b.^lock(); } _ => {} } }",
                "match",
            ),
            ("fn f() { g(); if let Some(x) = a.^lock().unwrap().pop() { b.^lock(); } }", "if let"),
            ("fn f() { if let Some(x) = &*a.^read() { b.^lock(); } }", "if let"),
            ("fn f() { if c {} else if let Some(x) = a.^lock().x { b.^lock(); } }", "if let"),
            ("fn f() { while let Some(x) = a.^lock().await.pop() { b.^lock(); } }", "while let"),
            ("fn f() { for x in a.^lock().unwrap().iter() { b.^lock(); } }", "for"),
            ("fn f() { for x in locked(&a).^lock().unwrap().iter() { x.^lock(); } }", "for"),
        ] {
            assert_eq!(lifetime_at(source), Some(Lifetime::Block(keyword)), "{source}");
        }
    }

    #[test]
    fn a_guard_in_the_head_of_an_if_let_outlives_its_else_before_2024() {
        for source in [
            "fn f() { if let Some(x) = a.^lock().get(0) { g(x) } else { b.^lock(); } }",
            "fn f() { if let Some(x) = a.^lock().get(0) { g(x) } else if c { } else { b.^lock(); } }",
            "fn f() { if let Some(x) = a.^lock().get(0) { g(x) } else if b.^lock().c { } }",
        ] {
            assert_eq!(lifetime_at(source), Some(Lifetime::Else), "{source}");
        }
    }

    #[test]
    fn a_guard_in_a_statement_lives_until_its_end() {
        for source in [
            "fn f() { a.^lock().unwrap().push(b.^lock().unwrap().len()); }",
            "fn f() { let x = a.^lock().unwrap().x + b.^lock().unwrap().x; }",
            "fn f() { g(); h(&a.^lock(), &b.^lock()); }",
            "fn f() { run(|| a.^lock().unwrap().push(b.^lock())) }",
            "fn f() { a.^lock().iter().for_each(|x| { b.^lock(); }); }",
            "fn f() { *a.^lock().unwrap() += *b.^lock().unwrap(); }",
            "fn f() -> u8 { a.^lock().x + b.^lock().x }",
        ] {
            assert_eq!(lifetime_at(source), Some(Lifetime::Statement), "{source}");
        }
    }

    #[test]
    fn other_guards_are_no_temporaries() {
        for source in [
            "fn f() { let a = a.^lock().unwrap(); b.^lock(); }",
            "fn f() { match a.^lock() { Ok(a) => b.^lock(), _ => {} } }",
            "fn f() { if let Ok(a) = a.^lock() { b.^lock(); } }",
            "fn f() { if a.^lock().is_empty() { b.^lock(); } }",
            "fn f() { while a.^lock().x { b.^lock(); } }",
            "fn f() { a.^lock().x(); b.^lock(); }",
            "fn f() { match a.^lock().x { _ => {} } b.^lock(); }",
            "fn f() { let a = lock(&a.^b); b.^lock(); }",
            "fn f() { run(a.^lock().unwrap()); b.^lock(); }",
            "fn f() { run(|| a.^lock().x(), || b.^lock()); }",
            // What is locked meanwhile is in the guard, or what its method calls.
            "fn f() { a.^lock().unwrap().b.^lock().c(); }",
            "fn f() { a.^lock()?.b().unwrap().^clear(); }",
        ] {
            assert_eq!(lifetime_at(source), None, "{source}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(
            text in "(fn |match |if let |for |else|\\.lock\\(\\)|[(){}\\[\\],;=|&*. a]){0,40}",
            held in 0..80_usize,
            wanted in 0..80_usize,
        ) {
            let Some(tokens) = Tokens::new(&text) else { return Ok(()) };
            let _ = lifetime(&tokens, held, wanted);
        }
    }
}
