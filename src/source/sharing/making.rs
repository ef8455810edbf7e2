//! Where an object is made: the variable that stands for it, and the constructor call that is its value, or the function
//! that returns what it makes.

use std::ops::Range;

use super::Object;
use crate::source::{
    syntax::{Braces, is_keyword},
    tokens::{Kind, Tokens},
};

/// Pointers to one object whose constructors do nothing else.
const POINTERS: [&str; 3] = ["Arc", "Rc", "Box"];

impl<'a> Object<'a> {
    /// Returns the object whose lock is acquired at a token, if that is a local variable.
    pub(in crate::source) fn locked_at(tokens: &'a Tokens, acquired: usize) -> Option<Self> {
        let (root, fields) = tokens.place_before(acquired)?;
        let (block, value) = tokens.declaration_of(root)?;
        let names = vec![tokens.text(root)];
        Some(Self { tokens, names, fields, block, value, locked_at: acquired })
    }

    /// Returns `true` if the constructor call at a token of a file, `call`, made the lock: it is the
    /// variable's value, or that of a function which is called there.
    pub(in crate::source) fn is_made_by(
        &self,
        tokens: &Tokens,
        call: usize,
        is_same_file: bool,
    ) -> bool {
        let Some((made, fields)) = tokens.made_by(call) else { return false };
        if fields != self.fields {
            return false;
        }
        if is_same_file && self.value.contains(&call) {
            return made == self.value;
        }
        let Some((of, function)) = self.tokens.called_for(&self.value) else { return false };
        let of = match of {
            Some("Self") => self.tokens.implemented_around(self.value.start),
            of => of,
        };
        let Some(maker) = tokens.function_returning(&made) else { return false };
        tokens.text(maker + 1) == function && tokens.implemented_around(maker) == of
    }
}

impl Tokens {
    /// Returns the variable and the fields, the last one first, of the lock whose method is at a token.
    fn place_before(&self, method: usize) -> Option<(usize, Vec<&str>)> {
        let mut fields = Vec::new();
        let mut at = method;
        while self.text_before(at, 1) == "." {
            at = at.checked_sub(2)?;
            fields.push(self.text(at));
            if !self.is(at, Kind::Word) && !self.is(at, Kind::Literal) {
                return None;
            }
        }
        let name = fields.pop()?;
        let is_variable = name.starts_with(|it: char| it.is_lowercase() || it == '_');
        let is_path = self.text_before(at, 1) == "::";
        (is_variable && name != "self" && !is_keyword(name) && !is_path).then_some((at, fields))
    }

    /// Returns the block in which the variable at a token was declared, and its value.
    fn declaration_of(&self, variable: usize) -> Option<(usize, Range<usize>)> {
        let mut at = variable;
        loop {
            let open = self.outer(at)?;
            let is_it = |&it: &usize| {
                let name = if self.text(it + 1) == "mut" { it + 2 } else { it + 1 };
                self.text(it) == "let"
                    && self.text(name) == self.text(variable)
                    && ["=", ":"].contains(&self.text(name + 1))
                    && [";", "{", "}"].contains(&self.text_before(it, 1))
            };
            if let Some(declared) = self.level(open + 1, at).filter(is_it).last() {
                let equals = self.find(declared, at, "=")?;
                let end = self.find(equals, at, ";")?;
                let is_plain = self.level(equals, end).all(|it| self.text(it) != "else");
                return is_plain.then_some((open, equals + 1..end));
            }
            if !self.runs_once(open, at) {
                return None;
            }
            at = open;
        }
    }

    /// Returns the expression that a constructor call is wrapped in, if that does nothing but keep the lock,
    /// and the fields that lead to the lock, the last one first.
    fn made_by(&self, call: usize) -> Option<(Range<usize>, Vec<&str>)> {
        let (mut start, mut fields) = (call, Vec::new());
        let mut end = self.partner(self.arguments_of_call(call)?) + 1;
        while let Some(open) = self.outer(start) {
            if ![",", self.text(self.partner(open))].contains(&self.text(end)) {
                break;
            }
            let is_struct = self.text_before(open, 1).starts_with(char::is_uppercase);
            match self.text(open) {
                "(" if self.is_pointer(open) => {}
                "(" if is_struct => {
                    let part = self.expressions(open).iter().position(|it| it.start == start)?;
                    fields.push(*["0", "1", "2", "3"].get(part)?);
                }
                "{" if self.is_literal(open) && self.text_before(start, 1) == ":" => {
                    fields.push(self.text_before(start, 2));
                }
                _ => break,
            }
            start = self.start_of_path(open);
            end = self.partner(open) + 1;
        }
        Some((start..end, fields))
    }

    /// Returns `true` if a bracket opens the argument of a constructor that only wraps it: `Arc::new`, `Ok`.
    fn is_pointer(&self, open: usize) -> bool {
        let is_new = self.text_before(open, 1) == "new" && self.text_before(open, 2) == "::";
        is_new && POINTERS.contains(&self.text_before(open, 3))
            || ["Some", "Ok"].contains(&self.text_before(open, 1))
    }

    /// Returns the first token of the path before a bracket.
    pub(super) fn start_of_path(&self, open: usize) -> usize {
        let mut at = open;
        while self.text_before(at, 1) == "::"
            || at > 0 && self.is(at - 1, Kind::Word) && !is_keyword(self.text(at - 1))
        {
            at -= 1;
        }
        at
    }

    /// Returns the function, and the type that it belongs to, whose call is a variable's value.
    fn called_for(&self, value: &Range<usize>) -> Option<(Option<&str>, &str)> {
        let Range { mut start, mut end } = *value;
        let open = loop {
            let open = self.arguments_of_call(start)?;
            if !self.is_pointer(open) || self.partner(open) + 1 != end {
                break open;
            }
            (start, end) = (open + 1, self.partner(open));
        };
        let mut rest = (self.partner(open) + 1..end).map(|at| self.text(at)).collect::<Vec<_>>();
        while let [before @ .., "?"]
        | [before @ .., ".", "await"]
        | [before @ .., ".", "unwrap", "(", ")"]
        | [before @ .., ".", "expect", "(", _, ")"] = &rest[..]
        {
            rest = before.to_vec();
        }
        let of = (self.text_before(open, 2) == "::").then(|| self.text_before(open, 3));
        let of = of.filter(|of| of.starts_with(char::is_uppercase));
        rest.is_empty().then(|| (of, self.text_before(open, 1)))
    }

    /// Returns the `fn` of the function whose last expression this is.
    fn function_returning(&self, expression: &Range<usize>) -> Option<usize> {
        let open = self.outer(expression.start).filter(|&open| self.text(open) == "{")?;
        let is_last = self.partner(open) == expression.end
            && ["{", ";", "}"].contains(&self.text_before(expression.start, 1));
        match self.braces(open) {
            Braces::Function(function) if is_last => Some(function),
            _ => None,
        }
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::super::tests::is_unshared;

    #[test]
    fn an_object_is_made_here_or_by_a_function_that_is_called_here() {
        let publish = "self.sessions.^3lock().unwrap().push(session.clone());";
        for (made, is_it) in [
            ("fn f() { let session = Arc::new(Session { id: 7, state: ^1Mutex::new(0) }); session.state", true),
            ("fn f() { let session: Arc<_> = Arc::new(Session(7, ^1Mutex::new(0))); session.1", true),
            ("fn f() { let session = Box::leak(Box::new(^1Mutex::new(0))); session", false),
            ("fn f() { let session = Session::new(^1Mutex::new(0)); session.state", false),
            ("fn f() { let session = all().get_or(^1Mutex::new(0)); session", false),
            ("fn f(session: Arc<Mutex<u8>>) { drop(^1Mutex::new(0)); session", false),
            ("fn f() { let session = all.lock().remove(0); drop(^1Mutex::new(0)); session", false),
            ("fn f() { drop(^1Mutex::new(0)); SESSION", false),
            ("fn f(&self) { drop(^1Mutex::new(0)); self.session", false),
            (
                "impl Session { fn new() -> Self { Self { state: ^1Mutex::new(0) } } }
                fn f() { let session = Arc::new(Session::new()); session.state",
                true,
            ),
            (
                "impl Session { async fn open() -> Result<Self> { let id = 7; Ok(Self { id, state: ^1Mutex::new(0) }) } }
                fn f() { let session = Session::open(7).await?; session.state",
                true,
            ),
            ("fn session() -> Arc<Mutex<u8>> { Arc::new(^1Mutex::new(0)) } fn f() { let session = session(); session", true),
            // Another function, type or field.
            ("fn other() -> Arc<Mutex<u8>> { Arc::new(^1Mutex::new(0)) } fn f() { let session = session(); session", false),
            (
                "impl Other { fn new() -> Self { Self { state: ^1Mutex::new(0) } } }
                fn f() { let session = Arc::new(Session::new()); session.state",
                false,
            ),
            (
                "impl Session { fn new() -> Self { Self { other: ^1Mutex::new(0) } } }
                fn f() { let session = Arc::new(Session::new()); session.state",
                false,
            ),
            // It may put it anywhere.
            (
                "fn session() -> Arc<Mutex<u8>> { let it = Arc::new(^1Mutex::new(0)); all.push(it.clone()); it }
                fn f() { let session = session(); session",
                false,
            ),
            (
                "fn session() -> Arc<Mutex<u8>> { CELL.get_or_init(|| Arc::new(^1Mutex::new(0))).clone() }
                fn f() { let session = session(); session",
                false,
            ),
        ] {
            let (before, object) = made.rsplit_once("; ").unwrap();
            let source = format!("{before}; let guard = {object}.^2lock(); {publish} }}");
            assert_eq!(is_unshared(&source), is_it, "{source}");
        }
    }
}
