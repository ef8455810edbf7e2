//! How long a function has the guard of its object.

use std::ops::Range;

use crate::source::{
    syntax::is_keyword,
    temporary,
    tokens::{Kind, Tokens},
};

impl Tokens {
    /// Returns `true` if the guard that a call returns lives at a later token, as far as the source says: in a
    /// temporary, or in a variable that is not moved before.
    pub(super) fn has_guard_at(&self, call: usize, at: usize) -> bool {
        if self.is_temporary(call) {
            return temporary::lives_until(self, call, at).is_some();
        }
        let variables = self.variables_for(call);
        let is_unused = |it: &Range<usize>| it.len() == 1 && self.text(it.start) == "_";
        if variables.as_ref().is_some_and(is_unused) {
            return false;
        }
        let names: Vec<&str> = variables
            .into_iter()
            .flatten()
            .filter(|&it| self.is(it, Kind::Word) && !is_keyword(self.text(it)))
            .map(|it| self.text(it))
            .filter(|name| name.starts_with(|it: char| it.is_lowercase() || it == '_'))
            .collect();
        at < self.end_of_scope(call) && !(call..at).any(|it| self.is_moved_away(it, &names))
    }

    /// Returns the pattern of the `let` whose value a token is in.
    fn variables_for(&self, value: usize) -> Option<Range<usize>> {
        let start = self.start_of_statement(value);
        let equals = self.level(start, value).filter(|&it| self.text(it) == "=").last()?;
        let is_let = |&it: &usize| self.text(it) == "let";
        let keyword = self.level(start, equals).filter(is_let).last()?;
        let end = self.find(keyword, equals, ":").unwrap_or(equals);
        Some(keyword + 1..end)
    }

    /// Returns the end of the block in which a variable lives that a statement declares: its own block after an
    /// `if let` or a `match`.
    fn end_of_scope(&self, at: usize) -> usize {
        let start = self.start_of_statement(at);
        if ["if", "while", "match"].contains(&self.text(start)) {
            let body = self.level(at, self.len()).find(|&it| self.text(it) == "{");
            return body.map_or(at, |open| self.partner(open));
        }
        let mut inner = at;
        while let Some(open) = self.outer(inner) {
            if self.text(open) == "{" {
                return self.partner(open);
            }
            inner = open;
        }
        at
    }

    /// Returns `true` if one of these variables is moved at a token.
    fn is_moved_away(&self, at: usize, names: &[&str]) -> bool {
        let before = |by| self.text_before(at, by);
        let is_declared = before(1) == "let" || before(1) == "mut" && before(2) == "let";
        let is_borrowed = ["&", "*", "."].contains(&before(1))
            || before(1) == "mut" && before(2) == "&"
            || [".", "["].contains(&self.text(at + 1));
        self.is(at, Kind::Word) && names.contains(&self.text(at)) && !is_declared && !is_borrowed
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;

    /// Returns `true` if the guard of the call at the first `^` lives at the second one.
    fn is_held(marked: &str) -> bool {
        let first = marked.find('^').unwrap();
        let second = marked[first + 1..].find('^').unwrap() + first;
        let tokens = Tokens::new(&marked.replace('^', "")).unwrap();
        tokens.has_guard_at(tokens.at(first).unwrap(), tokens.at(second).unwrap())
    }

    #[test]
    fn a_guard_lives_as_long_as_its_variable() {
        for source in [
            "fn f() { let a = x.^lock().unwrap(); y.^lock(); }",
            "fn f() { let mut a: Guard<u8> = x.^lock().await; a.b = 1; g(&a, &mut a, *a); y.^lock(); }",
            "fn f() { let Ok(mut a) = x.^lock() else { return }; y.^lock(); }",
            "fn f() { if let Ok(a) = x.^lock() { a.b(); y.^lock(); } }",
            "fn f() { match x.^lock() { Ok(a) => y.^lock(), _ => {} } }",
            "fn f() { let (_a, _b) = (x.^lock(), z.lock()); y.^lock(); }",
            "fn f() { let _guard = x.^lock(); if z { y.^lock(); } }",
            "fn f() { let a = x.^lock(); let a = a.b; y.^lock(); }",
            "fn f() { x.^lock().unwrap().push(y.^lock()); }",
        ] {
            assert!(is_held(source), "{source}");
        }
        for source in [
            "fn f() { let a = x.^lock().unwrap(); drop(a); y.^lock(); }",
            "fn f() { let Ok(a) = x.^lock() else { return }; if z { drop(a); } y.^lock(); }",
            "fn f() { let mut a = x.^lock(); a = bell.wait(a); y.^lock(); }",
            "fn f() { let _ = x.^lock(); y.^lock(); }",
            "fn f() { { let a = x.^lock(); } y.^lock(); }",
            "fn f() { if let Ok(a) = x.^lock() { a.b(); } y.^lock(); }",
            "fn f() { x.^lock().unwrap().b = 1; y.^lock(); }",
            "fn f() { let b = x.^lock().unwrap().b; y.^lock(); }",
        ] {
            assert!(!is_held(source), "{source}");
        }
    }
}
