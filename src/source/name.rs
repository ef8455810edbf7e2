//! What a person would call a lock whose acquisition does not say it: `m.lock()` in a helper, `self.0.lock()` in a
//! wrapper.
//!
//! Its constructor call says which field or `static` it is ([`declared`]). Failing that, the caller of the helper says
//! what it hands over ([`handed_over`]).

use std::ops::Range;

use super::{
    receiver_at,
    syntax::{Before, Braces, is_constant},
    tokens::{Kind, Tokens},
};

/// The number of expressions that are left on the way from a call to what it initializes.
const MAX_STEPS: u32 = 64;
/// The longest name, in characters.
const MAX_LENGTH: usize = 60;

/// Returns `true` if an expression tells which lock it is only together with the code around it: a single variable, or
/// a field without a name.
pub(super) fn is_anonymous(name: &str) -> bool {
    let last = name.rsplit(['.', ':']).next().unwrap_or(name);
    let is_variable = name.chars().all(super::is_identifier) && !is_constant(name);
    let is_field_of_tuple = !last.is_empty() && last.chars().all(|it| it.is_ascii_digit());
    is_variable || is_field_of_tuple || name.contains(['(', '|', '{'])
}

/// Returns the field or the `static` that the constructor call at a byte of the source initializes: `Bank::accounts`,
/// `ACCOUNTS`. `type_name` is the type of the lock, without paths.
pub(super) fn declared(tokens: &Tokens, offset: usize, type_name: &str) -> Option<String> {
    let mut at = tokens.at(offset)?;
    if let Some(field) = tokens.derived_field(at, type_name) {
        return Some(field);
    }
    for _ in 0..MAX_STEPS {
        let (start, before) = tokens.start_of_expression(at);
        let outer = tokens.outer(at);
        match before {
            Before::Token(before) => match tokens.text(before) {
                ":" => return tokens.field(before, outer?),
                "=" => return tokens.static_variable(before),
                "|" => at = tokens.opening_bar(before)?,
                "||" => at = before,
                "," => at = tokens.call_around(outer?)?,
                _ => return None,
            },
            Before::Nothing => {
                let open = outer?;
                if tokens.text(open) != "{" {
                    at = tokens.call_around(open)?;
                } else if let Braces::Closure(bar) = tokens.braces(open) {
                    at = if tokens.text(bar) == "||" { bar } else { tokens.opening_bar(bar)? };
                } else if tokens.is_literal(open) && tokens.is(start, Kind::Word) {
                    return tokens.field(start + 1, open);
                } else {
                    return None;
                }
            }
        }
        if let Some(name) = tokens.initialized_by(at) {
            return Some(name);
        }
    }
    None
}

/// Returns the expression that a call hands to the function in which `name` stands: `bank.accounts` for `m` in `fn
/// lock(m: &Mutex<u8>) { m.lock() }`, called as `lock(&bank.accounts)`. Both places are bytes of their texts.
pub(super) fn handed_over(
    name: &str,
    (tokens, offset): (&Tokens, usize),
    (calling, call): (&Tokens, usize),
) -> Option<String> {
    let head = name.split(|it| !super::is_identifier(it)).next()?;
    let at = tokens.at(offset)?;
    let function = tokens.function_around(at).ok().flatten()?;
    let parameters = tokens.parameters(function)?;
    let is_self = |pattern: &Range<usize>| tokens.variable(pattern) == Some("self");
    let has_self = parameters.first().is_some_and(is_self);
    let at = parameters.iter().position(|it| tokens.variable(it) == Some(head))?;

    let called = calling.at(call)?;
    let arguments = calling.arguments_of_call(called)?;
    if !(called..arguments).any(|at| calling.text(at) == tokens.text(function + 1)) {
        // A closure, a trait object, or a macro.
        return None;
    }
    let is_method = calling.text_before(called, 1) == ".";
    let argument = match (has_self, is_method) {
        (true, true) if at == 0 => receiver_at(calling.source(), call)?,
        (true, true) => calling.argument(arguments, at - 1)?,
        _ => calling.argument(arguments, at)?,
    };
    let rest = &name[head.len()..];
    let is_index = rest.starts_with('.') && rest[1..].chars().all(|it| it.is_ascii_digit());
    let whole = if is_index { argument } else { argument + rest };
    (whole.chars().count() <= MAX_LENGTH).then_some(whole)
}

impl Tokens {
    /// Returns the first token of the call around an opening bracket, or of the pair of brackets itself.
    fn call_around(&self, open: usize) -> Option<usize> {
        match self.text(open) {
            "(" | "[" => {
                Some(open.checked_sub(1).filter(|&it| self.is(it, Kind::Word)).unwrap_or(open))
            }
            _ => None,
        }
    }

    /// Returns the `static` that a closure initializes: `LOCK` in `LOCK.get_or_init(|| ..)`.
    fn initialized_by(&self, closure: usize) -> Option<String> {
        let call = self.outer(closure).filter(|&it| it > 2 && self.text(it) == "(")?;
        let is_init = self.text(call - 1).starts_with("get_or") && self.text(call - 2) == ".";
        let name = self.text(call - 3);
        (is_init && is_constant(name)).then(|| self.in_module(call, name))
    }

    /// Returns the field of a struct literal whose name ends before a token.
    fn field(&self, colon: usize, literal: usize) -> Option<String> {
        let name = self.text_before(colon, 1);
        let of = self.text_before(literal, 1);
        if self.text(literal) != "{" || !of.starts_with(char::is_uppercase) {
            return None;
        }
        let of = if of == "Self" { self.implemented_around(literal)? } else { of };
        Some(format!("{of}::{name}"))
    }

    /// Returns the type of the `impl` around a token.
    pub(super) fn implemented_around(&self, at: usize) -> Option<&str> {
        let mut outer = self.outer(at);
        while let Some(open) = outer {
            if let Braces::Impl(start) = self.braces(open) {
                let from = self.level(start, open).find(|&it| self.text(it) == "for");
                let mut depth = 0_usize;
                let mut last = None;
                for it in self.level(from.unwrap_or(start) + 1, open) {
                    match self.text(it) {
                        "<" => depth += 1,
                        ">" => depth = depth.saturating_sub(1),
                        "where" => break,
                        text if depth == 0 && self.is(it, Kind::Word) => last = Some(text),
                        _ => {}
                    }
                }
                return last;
            }
            outer = self.outer(open);
        }
        None
    }

    /// Returns the `static` whose value stands behind a `=`.
    fn static_variable(&self, equals: usize) -> Option<String> {
        let statement = self.start_of_statement(equals);
        let mut words = self.level(statement, equals).filter(|&at| self.is(at, Kind::Word));
        let keyword = words.find(|&at| self.text(at) == "static")?;
        let name = words.map(|at| self.text(at)).find(|it| *it != "mut")?;
        Some(self.in_module(keyword, name))
    }

    /// Puts the name of the innermost module in the file before a name.
    fn in_module(&self, at: usize, name: &str) -> String {
        let mut outer = self.outer(at);
        while let Some(open) = outer {
            if self.braces(open) == Braces::Module {
                return format!("{}::{name}", self.text_before(open, 1));
            }
            outer = self.outer(open);
        }
        name.to_owned()
    }

    /// Returns the field of a struct for which `Default` is derived at a token, if only one is of this type.
    fn derived_field(&self, at: usize, type_name: &str) -> Option<String> {
        let list = self.outer(at)?;
        let attribute = self.outer(list)?;
        if self.text_before(list, 1) != "derive" || self.text_before(attribute, 1) != "#" {
            return None;
        }
        let after = self.partner(attribute) + 1;
        let keyword = (after..self.len())
            .take_while(|&it| self.text(it) != "{")
            .find(|&it| self.text(it) == "struct")?;
        let name = self.text(keyword + 1);
        let body =
            (keyword..self.len()).find(|&it| self.is(it, Kind::Open) && self.text(it) == "{")?;
        let wanted: String = type_name.chars().filter(|it| !it.is_whitespace()).collect();
        let mut found = None;
        for Range { start, end } in self.declarations(body) {
            let Some(colon) = self.find(start, end, ":") else { continue };
            let of: String = (colon + 1..end).map(|it| self.text(it)).collect();
            if is_type(&of, &wanted) {
                if found.is_some() {
                    return None;
                }
                found = Some(self.text_before(colon, 1));
            }
        }
        Some(format!("{name}::{}", found?))
    }

    /// Returns an argument of a call, if it is a place.
    fn argument(&self, open: usize, at: usize) -> Option<String> {
        let Range { start: mut from, end } = self.expressions(open).get(at)?.clone();
        while ["&", "mut", "*"].contains(&self.text(from)) {
            from += 1;
        }
        let text: String = (from..end).map(|it| self.text(it)).collect();
        let is_place = |it: char| super::is_identifier(it) || ".:[]&".contains(it);
        (!text.is_empty() && text.chars().all(is_place)).then_some(text)
    }

    /// Returns the variable that a parameter's pattern declares, if that is all it does.
    fn variable(&self, pattern: &Range<usize>) -> Option<&str> {
        let is_prefix =
            |&at: &usize| ["&", "mut"].contains(&self.text(at)) || self.is(at, Kind::Lifetime);
        let name = pattern.clone().find(|at| !is_prefix(at))?;
        (self.is(name, Kind::Word) && name + 1 == pattern.end).then(|| self.text(name))
    }
}

/// Returns `true` if a field of the type `of`, in the source's words, may be what reports call `wanted`.
fn is_type(of: &str, wanted: &str) -> bool {
    let without_paths = |text: &str| {
        let last = |part: &str| part.rsplit("::").next().unwrap_or(part).to_owned();
        text.split_inclusive(['<', '>', ',', '(', ')', '[', ']', ';', '&'])
            .map(last)
            .collect::<String>()
    };
    without_paths(of) == without_paths(wanted)
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the name that is declared where the `^` is.
    fn declared_at(marked: &str, type_name: &str) -> Option<String> {
        let offset = marked.find('^').expect("a mark");
        declared(&Tokens::new(&marked.replace('^', ""))?, offset, type_name)
    }

    #[test]
    fn a_constructor_call_says_what_it_initializes() {
        for (source, name) in [
            ("static LOCK: Mutex<u8> = ^Mutex::new(0);", Some("LOCK")),
            (
                "pub(crate) static LOCK: LazyLock<Mutex<u8>> = LazyLock::new(|| ^Mutex::new(0));",
                Some("LOCK"),
            ),
            ("mod env { static LOCK: Mutex<u8> = ^Mutex::new(0); }", Some("env::LOCK")),
            (
                "fn f() -> &'static Mutex<u8> { static L: Mutex<u8> = ^Mutex::new(0); &L }",
                Some("L"),
            ),
            ("fn f() { LOCK.get_or_init(|| ^Mutex::new(())).lock(); }", Some("LOCK")),
            ("impl Bank { fn new() -> Self { Self { a: ^Mutex::new(0), b } } }", Some("Bank::a")),
            (
                "impl<T> From<T> for Bank<T> { fn from(t: T) -> Self { Self { a: ^Mutex::new(t) } } }",
                Some("Bank::a"),
            ),
            ("fn f() -> Bank { Bank { a: Arc::new(^Mutex::new(0)), b: 1 } }", Some("Bank::a")),
            (
                "fn f() -> Bank { Bank { a: [^Mutex::new(0), Mutex::new(1)], b: 1 } }",
                Some("Bank::a"),
            ),
            ("fn f() { let a = ^Mutex::new(0); }", None),
            ("fn f() { Shared(^Mutex::new(0)) }", None),
            ("fn f() { ^Mutex::new(0) }", None),
            ("fn f() { match x { _ => ^Mutex::new(0) } }", None),
        ] {
            assert_eq!(declared_at(source, "Mutex<u8>").as_deref(), name, "{source}");
        }
    }

    #[test]
    fn a_derive_says_so_if_one_field_is_of_the_type() {
        let bank = "#[derive(Debug, ^Default)]\npub struct Bank {\n    a: Mutex<Vec<u8>>,\n    \
                    b: std::sync::Mutex<u8>,\n    c: u8,\n}";
        assert_eq!(declared_at(bank, "Mutex<Vec<u8>>").as_deref(), Some("Bank::a"));
        assert_eq!(declared_at(bank, "Mutex<u8>").as_deref(), Some("Bank::b"));
        assert_eq!(declared_at(bank, "Mutex<u16>"), None);
        let twice = "#[derive(^Default)] struct Bank { a: Mutex<u8>, b: Mutex<u8> }";
        assert_eq!(declared_at(twice, "Mutex<u8>"), None);
    }

    /// Returns what the call at the second `^` passes for `name` at the first.
    fn handed_over_at(name: &str, inner: &str, outer: &str) -> Option<String> {
        let [at, call] = [inner, outer].map(|text| text.find('^').expect("a mark"));
        let [inner, outer] = [inner, outer].map(|text| Tokens::new(&text.replace('^', "")));
        handed_over(name, (&inner?, at), (&outer?, call))
    }

    #[test]
    fn a_call_says_what_it_passes() {
        let helper = "fn lock<T>(why: &str, m: &Mutex<T>) -> Guard<T> { m.^lock().unwrap() }";
        for (call, name) in [
            ("let a = ^lock(\"a, b\", &bank.accounts);", Some("bank.accounts")),
            ("helpers::^lock(\"\", &mut self.locks[2])", Some("self.locks[2]")),
            ("^helpers::lock::<u8>(\"\", LOCK)", Some("LOCK")),
            ("^lock(\"\", &find(1))", None),
            ("^other(\"\", &bank.accounts)", None),
            ("each.^map(lock)", None),
        ] {
            assert_eq!(handed_over_at("m", helper, call).as_deref(), name, "{call}");
        }
        let generic =
            "fn with<T, F: Fn(u8, u8)>(all: HashMap<u8, u8>, m: &Mutex<T>, f: F) { m.^lock(); }";
        let call = "^with(of::<u8, u8>(), &bank.accounts, |a, b| ())";
        assert_eq!(handed_over_at("m", generic, call).as_deref(), Some("bank.accounts"));
        let last = "fn with(f: impl Fn(u8, u8), n: u8, m: &Mutex<u8>) { m.^lock(); }";
        let call = "^with(|a, b| a | b, 3, &bank.accounts)";
        assert_eq!(handed_over_at("m", last, call).as_deref(), Some("bank.accounts"));
        let pattern = "fn lock([m]: [&Mutex<u8>; 1]) { m.^lock(); }";
        assert_eq!(handed_over_at("m", pattern, "^lock(all)"), None);
        let method = "impl<T> Shared<T> { fn with(&self, f: F) { f(&mut self.0.^lock()) } }";
        assert_eq!(
            handed_over_at("self.0", method, "config.^with(|it| 1)").as_deref(),
            Some("config")
        );
        let named = "impl<T> Shared<T> { fn with(&self, f: F) { f(&mut self.lock.^lock()) } }";
        let name = handed_over_at("self.lock", named, "world.config.^with(|it| 1)");
        assert_eq!(name.as_deref(), Some("world.config.lock"));
        // A closure's parameter is not the function's.
        assert_eq!(handed_over_at("x", "fn f(g: G) { g(|x| x.^lock()) }", "^f(a)"), None);
    }

    #[test]
    fn variables_name_no_lock() {
        for name in ["m", "lock", "self.0", "pair.1", "LOCK.get_or_init(|| Mutex::new(()))", "f(x)"]
        {
            assert!(is_anonymous(name), "{name}");
        }
        for name in ["self.jobs", "LOCK", "env::LOCK", "accounts[from]", "self.0.jobs"] {
            assert!(!is_anonymous(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_asked(
            text in "(fn |impl |static |#\\[derive\\(|Self|M::new|m\\.lock|[(){}\\[\\],;:=|&<>. a]){0,40}",
            place in 0..80_usize,
            call in 0..80_usize,
        ) {
            let Some(tokens) = Tokens::new(&text) else { return Ok(()) };
            let _ = declared(&tokens, place, "Mutex<u8>");
            let _ = handed_over("m", (&tokens, place), (&tokens, call));
            let _ = handed_over("self.0", (&tokens, place), (&tokens, call));
        }
    }
}
