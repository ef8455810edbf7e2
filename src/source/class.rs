//! Constructor calls whose locks are one kind of lock to the program's author: a class.
//!
//! They are if the call says which part of what it is: a field among others, a `static`, a variable.
//! They are not if the call is inside a wrapper, which hides who creates the lock: `Self(..)`, a
//! builder, a generic function, a parameter as the value. This follows the lock from its call outwards,
//! through what only hands it on (`Arc::new`, a tuple, a block, a variable), to the place that it gets.
//!
//! Reads tokens, and parses no Rust: where it is not sure, the locks are no class.

use std::ops::Range;

use super::{
    syntax::{Before, Braces, InMacro, is_constant, is_keyword},
    tokens::{Kind, Tokens},
};

/// The number of expressions that are followed for one call.
const MAX_STEPS: u32 = 256;

/// What accompanies one lock inside a wrapper, and makes no second part of it.
const COMPANIONS: [&str; 3] = ["Condvar", "Notify", "PhantomData"];

/// The locks that a constructor call creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Creates {
    /// Locks of which nothing is known in common.
    Various,
    /// One kind of lock to the program's author: a class.
    OneKind,
    /// A class of one lock in each process: a `static`.
    OneLock,
}

/// Returns which locks the call at a byte of the source creates.
pub(super) fn creates(text: &str, offset: usize) -> Creates {
    let Some(tokens) = Tokens::new(text) else { return Creates::Various };
    let call = tokens.at(offset).and_then(|at| Some((at, tokens.arguments_of_call(at)?)));
    match call {
        Some((at, _)) if tokens.initializes_static(at) => Creates::OneLock,
        Some((at, arguments)) if tokens.makes_class(at, arguments) => Creates::OneKind,
        _ => Creates::Various,
    }
}

/// Where the value of an expression goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Into a `static`, which there is once.
    Static,
    /// To a place that says what it is.
    Named,
    /// Out of a wrapper, or to a place that is not understood.
    Unknown,
}

/// What is known of a value on its way outwards.
#[derive(Clone, Copy, Default)]
struct Path {
    /// It has become part of a tuple or an array.
    is_part: bool,
    /// A closure that is called for each element creates it.
    is_repeated: bool,
    /// It is a variable that was declared there, so closures behind that do not create it.
    declared: Option<usize>,
}

impl Tokens {
    fn makes_class(&self, call: usize, arguments: usize) -> bool {
        let mut steps = MAX_STEPS;
        match self.fate(call, Path::default(), &mut steps) {
            Fate::Static => true,
            Fate::Unknown => false,
            Fate::Named => match self.function_around(call) {
                Ok(Some(function)) => !self.is_wrapper(function, arguments),
                Ok(None) => true,
                Err(InMacro) => false,
            },
        }
    }

    /// Follows the value of the expression that contains a token, on the token's level.
    fn fate(&self, mut at: usize, mut path: Path, steps: &mut u32) -> Fate {
        loop {
            let Some(left) = steps.checked_sub(1) else { return Fate::Unknown };
            *steps = left;
            let (start, before) = self.start_of_expression(at);
            let outer = self.outer(at);
            if let Before::Token(before) = before {
                match self.text(before) {
                    "return" | "break" => return self.fate_of_result(at, path),
                    "=>" => match outer {
                        Some(arms) => at = arms,
                        None => return Fate::Unknown,
                    },
                    ":" => return self.fate_of_field(outer),
                    "|" | "||" => match self.outside_of_closure(before, &mut path) {
                        Ok(closure) => at = closure,
                        Err(fate) => return fate,
                    },
                    "=" => return self.fate_of_assigned(before, path, steps),
                    "," if outer.is_some() => match self.outside_of(start, outer, &mut path, steps)
                    {
                        Ok(outside) => at = outside,
                        Err(fate) => return fate,
                    },
                    _ => return Fate::Unknown,
                }
                continue;
            }
            match self.outside_of(start, outer, &mut path, steps) {
                Ok(outside) => at = outside,
                Err(fate) => return fate,
            }
        }
    }

    /// Returns a token of the expression around the brackets that the value is in.
    fn outside_of(
        &self,
        start: usize,
        outer: Option<usize>,
        path: &mut Path,
        steps: &mut u32,
    ) -> Result<usize, Fate> {
        let Some(open) = outer else { return Err(Fate::Unknown) };
        let callee = self.text_before(open, 1);
        let is_word = open > 0 && self.is(open - 1, Kind::Word) && !is_keyword(callee);
        match self.text(open) {
            "{" => self.outside_of_braces(start, open, path, steps),
            _ if callee == "!" => {
                let is_list = self.text_before(open, 2) == "vec";
                if is_list { Ok(open - 2) } else { Err(Fate::Unknown) }
            }
            "(" if is_word => {
                // A tuple struct. Variants are the same, except for those that everybody knows.
                let is_struct = callee.starts_with(char::is_uppercase);
                let is_transparent = !is_struct || ["Some", "Ok", "Err"].contains(&callee);
                if is_transparent { Ok(open - 1) } else { Err(Fate::Unknown) }
            }
            _ if is_word || [">", ")", "]", "#"].contains(&callee) => Err(Fate::Unknown),
            _ => {
                path.is_part |= self.parts(open) > 1;
                Ok(open)
            }
        }
    }

    fn outside_of_braces(
        &self,
        start: usize,
        open: usize,
        path: &mut Path,
        steps: &mut u32,
    ) -> Result<usize, Fate> {
        let close = self.partner(open);
        let is_shorthand = self.is(start, Kind::Word) && [",", "}"].contains(&self.text(start + 1));
        if is_shorthand && self.is_literal(open) {
            return Err(self.fate_of_field(Some(open)));
        }
        if self.text_before(start, 1) == "," {
            return Err(Fate::Unknown);
        }
        let end = self.level(start, close).find(|&at| self.text(at) == ";");
        let is_loop = ["for", "while"].contains(&self.text(start));
        match self.braces(open) {
            Braces::Item | Braces::Impl(_) | Braces::Module | Braces::Macro(_) => {
                Err(Fate::Unknown)
            }
            _ if end.is_some() || is_loop => {
                // `list.push(Mutex::new(0));`
                let is_method = self.is(start, Kind::Word) && self.text(start + 1) == ".";
                let name = is_method.then(|| self.text(start));
                Err(self.fate_of_variables(name.as_slice(), start..self.end_of_body(start), steps))
            }
            Braces::Function(_) => Err(self.fate_of_result(start, *path)),
            Braces::Closure(bar) => self.outside_of_closure(bar, path),
            Braces::Expression => Ok(open),
        }
    }

    /// The fate of what a function or closure returns.
    fn fate_of_result(&self, at: usize, path: Path) -> Fate {
        let returns = |function: usize, body: usize| {
            self.level(function, body).any(|at| self.text(at) == "->")
        };
        let mut outer = self.outer(at);
        while let Some(open) = outer {
            match self.braces(open) {
                // A wrapper returns one lock, a fixture several.
                Braces::Function(function) if path.is_part || !returns(function, open) => {
                    return Fate::Named;
                }
                Braces::Function(_) | Braces::Closure(_) => return Fate::Unknown,
                _ => outer = self.outer(open),
            }
        }
        Fate::Unknown
    }

    /// Returns the start of a closure, or the fate of what it returns. `bar` ends its parameters.
    fn outside_of_closure(&self, bar: usize, path: &mut Path) -> Result<usize, Fate> {
        let start = match self.text(bar) {
            "||" => Some(bar),
            _ => self.opening_bar(bar),
        };
        let Some(mut start) = start else { return Err(Fate::Unknown) };
        while ["move", "async", "static"].contains(&self.text_before(start, 1)) {
            start -= 1;
        }
        if self.ends_operand(start) {
            return Err(Fate::Unknown);
        }
        if path.declared.is_some_and(|at| at < start) {
            return Ok(start);
        }
        if path.is_part {
            return Err(Fate::Named);
        }
        // Closures that are called here and now, once or for each element. Others are builders.
        let call = self.outer(start).filter(|&it| it > 0 && self.text(it) == "(");
        let Some(callee) = call.map(|call| call - 1) else { return Err(Fate::Unknown) };
        let receiver = self.text_before(callee, 2);
        if self.text(callee).starts_with("get_or") && is_constant(receiver) {
            return Err(Fate::Static);
        }
        let is_method = self.text_before(callee, 1) == ".";
        if is_method || ["new", "from_fn", "repeat_with"].contains(&self.text(callee)) {
            path.is_repeated = true;
            Ok(start)
        } else {
            Err(Fate::Unknown)
        }
    }

    /// The fate of a field of a struct literal. A struct with one field is a wrapper.
    fn fate_of_field(&self, literal: Option<usize>) -> Fate {
        let is_part = literal.is_some_and(|it| self.text(it) == "{" && self.parts(it) > 1);
        if is_part { Fate::Named } else { Fate::Unknown }
    }

    /// The fate of what stands behind a `=`.
    fn fate_of_assigned(&self, equals: usize, path: Path, steps: &mut u32) -> Fate {
        let Some(start) = self.keyword_of_statement(equals) else { return Fate::Unknown };
        match self.text(start) {
            "static" => Fate::Static,
            "let" => self.fate_of_let(start, equals, path, steps),
            _ => Fate::Unknown,
        }
    }

    /// Returns the first token of a statement or item behind its attributes and visibility.
    fn keyword_of_statement(&self, at: usize) -> Option<usize> {
        let mut start = self.start_of_statement(at);
        while self.text(start) == "#" {
            start += 1;
            if self.text(start) != "[" {
                return None;
            }
            start = self.partner(start) + 1;
        }
        if self.text(start) == "pub" {
            start += 1;
            if self.text(start) == "(" {
                start = self.partner(start) + 1;
            }
        }
        Some(start)
    }

    /// Returns `true` for a call in the initializer of a `static`, where it runs once. Follows the
    /// value outwards through what has it once: a struct, a tuple, the arguments of a call, the
    /// closure of a lazy value.
    fn initializes_static(&self, mut at: usize) -> bool {
        for _ in 0..MAX_STEPS {
            let (start, before) = self.start_of_expression(at);
            let outer = self.outer(at);
            let around = match before {
                Before::Token(before) => match self.text(before) {
                    "=" => return self.is_of_static(before),
                    ":" | "," => outer.filter(|&open| self.has_once(open)),
                    "|" | "||" => outer.filter(|&open| self.is_lazy(open, before)),
                    _ => None,
                },
                Before::Nothing => outer.and_then(|open| match self.text(open) {
                    "{" if !self.is_literal(open) => self.lazy_around(start, open),
                    _ => Some(open).filter(|&open| self.has_once(open)),
                }),
            };
            match around {
                Some(open) => at = open,
                None => return false,
            }
        }
        false
    }

    /// Returns `true` if what stands in a pair of brackets is evaluated once. An array may repeat
    /// it, and a macro may do anything.
    fn has_once(&self, open: usize) -> bool {
        match self.text(open) {
            "(" => self.text_before(open, 1) != "!",
            "{" => self.is_literal(open),
            _ => false,
        }
    }

    /// Returns `true` for the arguments of `LazyLock::new` or `Lazy::new`, which begin with a closure
    /// without parameters.
    fn is_lazy(&self, open: usize, bar: usize) -> bool {
        let callee = [3, 2, 1].map(|by| self.text_before(open, by));
        matches!(callee, ["LazyLock" | "Lazy", "::", "new"])
            && self.text(bar) == "||"
            && bar == open + 1
    }

    /// Returns the arguments of a call that are a [lazy](Self::is_lazy) closure, whose braces have
    /// only the expression that begins at `start`.
    fn lazy_around(&self, start: usize, open: usize) -> Option<usize> {
        let Braces::Closure(bar) = self.braces(open) else { return None };
        let is_alone = start == open + 1
            && self.level(start, self.partner(open)).all(|at| self.text(at) != ";");
        self.outer(open).filter(|&arguments| is_alone && self.is_lazy(arguments, bar))
    }

    /// Returns `true` for the `=` of a `static` that is one for all threads, and is not the input of
    /// a macro that may repeat it.
    fn is_of_static(&self, equals: usize) -> bool {
        let Some(start) = self.keyword_of_statement(equals) else { return false };
        let attributes = self.start_of_statement(equals)..start;
        let is_of_thread = attributes.into_iter().any(|at| self.text(at) == "thread_local");
        if self.text(start) != "static" || is_of_thread {
            return false;
        }
        let mut outer = self.outer(start);
        if self.text(start + 1) == "ref" {
            // `lazy_static! { static ref A: Mutex<u8> = Mutex::new(0); }`
            let Some(open) = outer else { return false };
            if [2, 1].map(|by| self.text_before(open, by)) != ["lazy_static", "!"] {
                return false;
            }
            outer = self.outer(open);
        }
        while let Some(open) = outer {
            let is_in_macro = match self.text(open) {
                "{" => matches!(self.braces(open), Braces::Macro(_)),
                _ => self.text_before(open, 1) == "!",
            };
            if is_in_macro {
                return false;
            }
            outer = self.outer(open);
        }
        true
    }

    /// The fate of what a `let` declares.
    fn fate_of_let(&self, start: usize, equals: usize, path: Path, steps: &mut u32) -> Fate {
        let pattern = start + 1..self.find(start, equals, ":").unwrap_or(equals);
        let is_variable = |at: &usize| {
            let name = self.text(*at);
            let starts = |it: char| it.is_lowercase() || it == '_';
            self.is(*at, Kind::Word) && name.starts_with(starts) && !is_keyword(name)
        };
        let names: Vec<_> = pattern.clone().filter(is_variable).map(|at| self.text(at)).collect();
        let is_one = pattern.clone().all(|at| self.is(at, Kind::Word)) && names.len() == 1;
        if path.is_repeated && !is_one {
            // `let [config, stats] = [1, 2].map(|value| Mutex::new(value));`
            return Fate::Unknown;
        }
        let Some(block) = self.outer(start) else { return Fate::Unknown };
        let end = self.partner(block);
        match self.find(equals, end, ";") {
            Some(from) => self.fate_of_variables(&names, from..end, steps),
            None => Fate::Unknown,
        }
    }

    /// The fate of variables, from their uses: named, unless one of them goes into a wrapper.
    fn fate_of_variables(&self, names: &[&str], uses: Range<usize>, steps: &mut u32) -> Fate {
        let declared = uses.start;
        let path = Path { declared: Some(declared), ..Path::default() };
        // The closures that capture what is used in them.
        let mut closures: Vec<Range<usize>> = Vec::new();
        for at in uses {
            closures.extend(self.capturing(at));
            if !self.is(at, Kind::Word) || !names.contains(&self.text(at)) {
                continue;
            }
            let closure = closures.extract_if(.., |it| it.contains(&at)).map(|it| it.start);
            let moved = self.is_moved(at).then_some(at);
            let moved: Vec<_> = closure.chain(moved).collect();
            if moved.into_iter().any(|it| self.fate(it, path, steps) == Fate::Unknown) {
                return Fate::Unknown;
            }
        }
        Fate::Named
    }

    /// Returns the extent of the `move` closure or block that begins at a token.
    fn capturing(&self, at: usize) -> Option<Range<usize>> {
        if self.text(at) != "move" {
            return None;
        }
        let close = self.partner(self.outer(at)?);
        let body = match self.text(at + 1) {
            "|" => self.find(at + 1, close, "|")?,
            _ => at,
        };
        let ends = |&it: &usize| [",", ";"].contains(&self.text(it));
        let end = self.level(body + 1, close).find(ends);
        Some(at..end.unwrap_or(close))
    }

    /// Returns `true` if a name may stand for a variable that goes elsewhere: it is no field, and
    /// not just borrowed.
    fn is_moved(&self, name: usize) -> bool {
        let before = self.text_before(name, 1);
        let is_other = before == "." || before == "::" || self.text(name + 1) == ":";
        let handles = ["clone", "into", "to_owned"];
        let is_receiver = self.text(name + 1) == "." && !handles.contains(&self.text(name + 2));
        let is_borrowed = before == "mut" || before == "&" && self.text_before(name, 3) != "clone";
        !(is_other || is_receiver || is_borrowed)
    }

    /// Returns `true` if a function hides who creates the lock: it is generic, in a trait or a
    /// generic `impl`, or the lock guards one of its parameters.
    fn is_wrapper(&self, function: usize, arguments: usize) -> bool {
        let name = function + 1;
        let is_of_wrapper = match self.outer(function).map(|it| self.braces(it)) {
            None | Some(Braces::Module | Braces::Function(_) | Braces::Macro(_)) => false,
            Some(Braces::Impl(at)) => self.is_generic(at + 1),
            _ => true,
        };
        if is_of_wrapper || self.is_generic(name + 1) {
            return true;
        }
        let Some(parameters) = self.parameters(function) else { return true };
        let names = parameters.into_iter().flatten().filter(|&at| self.is(at, Kind::Word));
        let names: Vec<_> =
            names.map(|at| self.text(at)).filter(|it| *it != "mut").chain(["self"]).collect();
        let is_parameter = |at: usize| {
            self.is(at, Kind::Word)
                && names.contains(&self.text(at))
                && !["::", "."].contains(&self.text_before(at, 1))
        };
        let calls = |at: usize| is_parameter(at) && self.text(at + 1) == "(";
        let end = self.partner(arguments);
        let mut heads = self.expressions(arguments).into_iter().map(|it| self.head(it.start));
        (arguments..end).any(calls)
            || heads.any(|head| {
                let is_field = self.text(head + 1) == "."
                    && self.is(head + 2, Kind::Word)
                    && self.text(head + 3) != "(";
                is_parameter(head) && !is_field
            })
    }

    /// Returns the first token of an expression that is no prefix or closure.
    fn head(&self, mut at: usize) -> usize {
        loop {
            match self.text(at) {
                "&" | "*" | "mut" | "move" | "||" | "(" | "{" => at += 1,
                _ => return at,
            }
        }
    }

    /// Returns `true` if generics begin at a token that declare more than lifetimes.
    fn is_generic(&self, at: usize) -> bool {
        if self.text(at) != "<" {
            return false;
        }
        let Some(end) = self.end_of_generics(at) else { return true };
        let mut depth = 0_usize;
        for at in at..end {
            match self.text(at) {
                "<" => depth += 1,
                ">" => depth = depth.saturating_sub(1),
                _ => {}
            }
            let begins = depth == 1 && ["<", ","].contains(&self.text(at));
            if begins && !self.is(at + 1, Kind::Lifetime) && self.text(at + 1) != ">" {
                return true;
            }
        }
        false
    }

    /// Returns the number of parts of a tuple, an array or a struct literal, without the companions
    /// of a lock.
    fn parts(&self, open: usize) -> usize {
        let is_companion = |at| COMPANIONS.contains(&self.text(at));
        let is_part = |part: &Range<usize>| !part.clone().any(is_companion);
        self.expressions(open).iter().filter(|part| is_part(part)).count()
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns what is said of the constructor call at the `^`.
    fn is_class_at(marked: &str) -> bool {
        let offset = marked.find('^').expect("a mark");
        creates(&marked.replace('^', ""), offset) != Creates::Various
    }

    #[test]
    fn a_named_part_of_what_it_is() {
        for source in [
            "static CONFIG: Mutex<u8> = ^Mutex::new(0);",
            "#[allow(x)] pub(crate) static A: [Mutex<u8>; 2] = [const { ^Mutex::new(0) }; 2];",
            "lazy_static! { /// Docs.\n static ref A: Mutex<u8> = ^Mutex::new(0); }",
            "thread_local! { static A: Mutex<u8> = const { ^Mutex::new(0) }; }",
            "static A: LazyLock<Mutex<u8>> = LazyLock::new(|| ^Mutex::new(0));",
            "fn a() -> &'static Mutex<u8> { static A: OnceLock<Mutex<u8>> = OnceLock::new(); \
             A.get_or_init(|| ^Mutex::new(0)) }",
            "fn a<T>() { static A: Mutex<u8> = ^Mutex::new(0); }",
            "fn main() { let a = ^Mutex::new(0); }",
            "fn main() { let a: Mutex<HashMap<u8, u8>> = ^Mutex::default(); }",
            "fn main() { let (a, b) = (^Mutex::new(0), Mutex::new(1)); }",
            "fn main() { let a = Arc::new(^Mutex::<u8>::new(0)); let b = a.clone(); \
             thread::spawn(move || work(b)); take(&a); }",
            "fn test() -> u8 { let a = ^Mutex::new(0); *a.lock().unwrap() }",
            "fn test() -> io::Result<()> { let a = ^Mutex::new(0); work(&a)?; Ok(()) }",
            "fn test() { if true { run(^Mutex::new(0)) } else { 'a: loop { } } }",
            "#![allow(x)] fn test() { run(1, Arc::new(^Mutex::new(0))); }",
            "mod tests { #[test] fn test() { run(Arc::new(^Mutex::new(0))) } }",
            "fn main() { let accounts: Vec<_> = (0..4).map(|_| ^Mutex::new(0)).collect(); }",
            "fn main() { let a = vec![^Mutex::new(0), Mutex::new(1)]; }",
            "fn main() { let mut a = Vec::new(); for i in 0..4 { a.push(^Mutex::new(0)); } }",
            "impl Bank { fn new() -> Self { Self { a: ^Mutex::new(vec![]), b: Mutex::new(0) } } }",
            "impl<'a> Bank<'a> { fn new(name: &'a str) -> Self { Self { a: ^Mutex::new(0), name } } }",
            "impl Default for Bank { fn default() -> Self { Bank { a: ^Mutex::new(0), b: 1 } } }",
            "impl Bank { fn new() -> Self { Self(Arc::new(Inner { a: ^Mutex::new(0), b: 1 })) } }",
            "impl Bank { fn new() -> Self { let a = ^Mutex::new(0); Self { a, b: 1 } } }",
            "impl Bank { fn new() -> Self { let a = Arc::new(^Mutex::new(0)); \
             Self { b: Arc::clone(&a), a } } }",
            "impl Bank { const fn new(size: usize) -> Bank { \
             Bank { a: ^Mutex::new(Vec::with_capacity(size)), b: 1, ..Self::EMPTY } } }",
            "impl Bank { fn get(&self) -> A { self.map.entry(1).or_insert_with(|| \
             ^Mutex::new(0)); A } }",
            "fn fixture() -> (Mutex<u8>, Mutex<u8>) { (^Mutex::new(0), Mutex::new(1)) }",
            "fn fixture() -> (Mutex<u8>, u8) { let a = ^Mutex::new(0); (a, 1) }",
            "fn test() { let make = || (^Mutex::new(0), Mutex::new(1)); }",
            "fn test() { let bank = || Bank { a: ^Mutex::new(0), b: 1 }; }",
            "fn test() { thread::spawn(move || { let a = ^Mutex::new(0); a.lock(); }); }",
            "fn test() { let (sender, receiver) = ^mpsc::sync_channel(1); }",
            "fn test() { let worker = thread::Builder::new().^spawn(move || work()); }",
            "fn test() { thread::scope(|scope| { scope.^spawn(|| work()); }); }",
        ] {
            assert!(is_class_at(source), "{source}");
        }
    }

    #[test]
    fn a_wrapper_hides_who_makes_it() {
        for source in [
            // What wraps one lock.
            "impl<T> Shared<T> { fn new(value: T) -> Self { Self(Arc::new(^Mutex::new(value))) } }",
            "impl<T> Shared<T> { fn new(value: T) -> Self { Self { a: ^Mutex::new(value), b: 1 } } }",
            "impl<T: Default> Default for Shared<T> { fn default() -> Self { \
             Self { a: ^Mutex::default(), b: 1 } } }",
            "impl<T> From<T> for Shared<T> { fn from(value: T) -> Self { Self(^Mutex::new(value)) } }",
            "impl<'a, const N: usize> A<'a, N> { fn new() -> Self { \
             Self { a: ^Mutex::new([0; N]), b: 1 } } }",
            "impl Counter { fn new() -> Self { Self(^Mutex::new(0)) } }",
            "impl Counter { fn new() -> Self { Counter(^Mutex::new(0)) } }",
            "impl Counter { fn new() -> Self { Self { value: ^Mutex::new(0) } } }",
            "impl Counter { fn new() -> Self { Self { value: ^Mutex::new(0), } } }",
            "impl Queue { fn new() -> Self { Self { a: ^Mutex::new(0), ready: Condvar::new() } } }",
            "impl Counter { fn new() -> Self { let value = ^Mutex::new(0); Self { value } } }",
            "impl Counter { fn new() -> Self { let a = ^Mutex::new(0); Self { value: a } } }",
            "impl Counter { fn new() -> Self { let a = ^Mutex::new(0); let a = Arc::new(a); \
             let all = Self(Arc::clone(&a)); all } }",
            "impl Default for Counter { fn default() -> Self { Self(Default::default(), \
             ^Mutex::new(0)) } }",
            "trait Make { fn make(&self) -> Pair { Pair { a: ^Mutex::new(0), b: 1 } } }",
            // What hands over one lock.
            "fn counter() -> Mutex<u8> { ^Mutex::new(0) }",
            "fn counter() -> Arc<Mutex<u8>> { if a { Arc::new(^Mutex::new(0)) } else { b } }",
            "fn counter() -> Arc<Mutex<u8>> { match a { A => Arc::new(^Mutex::new(0)), _ => b } }",
            "fn counter() -> Option<Mutex<u8>> { return Some(^Mutex::new(0)); }",
            "fn counter() -> Arc<Mutex<u8>> { let a = ^Mutex::new(0); Arc::new(a) }",
            "fn counter() -> Arc<Mutex<u8>> { let a = ^Mutex::new(0); let b = Arc::new(a); b }",
            "fn counters() -> Vec<Mutex<u8>> { let mut a = Vec::new(); a.push(^Mutex::new(0)); a }",
            "fn counters() -> Vec<Mutex<u8>> { let mut a = Vec::new(); \
             for _ in 0..4 { a.push(^Mutex::new(0)); } a }",
            "fn counters() -> Vec<Mutex<u8>> { (0..4).map(|_| ^Mutex::new(0)).collect() }",
            "fn pair() -> Arc<(Mutex<bool>, Condvar)> { Arc::new((^Mutex::new(false), Condvar::new())) }",
            "fn counter() -> impl FnMut() -> u8 { let a = ^Mutex::new(0); \
             move || { *a.lock().unwrap() += 1; } }",
            "fn counter() -> impl Fn(u8, u8) { let a = ^Mutex::new(0); let f = move |b, c| work(&a); f }",
            "fn counter() -> impl Future { let a = ^Mutex::new(0); async move { a.lock().await; } }",
            "fn test() { let make = || ^Mutex::new(0); }",
            "fn test() { let make = |value| -> Arc<Mutex<u8>> { Arc::new(^Mutex::new(value)) }; }",
            "fn test() { let make = move || { let a = ^Mutex::new(0); a }; }",
            "fn test() { run(|| ^Mutex::new(0)); }",
            "fn test() { let [a, b] = [1, 2].map(|value| ^Mutex::new(value)); }",
            "const NEW: Mutex<u8> = ^Mutex::new(0);",
            "impl Counter { const NEW: Self = Self { value: ^Mutex::new(0) }; }",
            // What guards a parameter.
            "fn run(value: u8) { let a = ^Mutex::new(value); }",
            "fn run(value: &str) { let a = ^Mutex::new(value.to_owned()); }",
            "fn run(value: impl Into<u8>) { let a = ^Mutex::new(value.into()); }",
            "fn run(mut f: impl FnMut() -> u8) { let a = ^Mutex::new(Some(f())); }",
            "fn run(Wrapping(value): Wrapping<u8>) { let a = ^Mutex::new(value); }",
            "fn run(f: fn()) { let worker = ^thread::spawn(move || { f() }); }",
            "fn run<T>() { let a = ^Mutex::new(Vec::<T>::new()); }",
            "impl Account { fn new(balance: u8) -> Self { Self { a: ^Mutex::new(balance), b: 1 } } }",
            "impl Event { fn new(name: &str) -> Self { Self { a: ^Event::new(name), b: 1 } } }",
            "trait Lock { fn lock(self) -> Mutex<Self> { ^Mutex::new(self) } }",
            // Macros.
            "macro_rules! make { () => { let a = ^Mutex::new(0); } }",
            "fn test() { let a = make!(^Mutex::new(0)); }",
            "fn test() { make! { let a = ^Mutex::new(0); } }",
            // No call.
            "#[derive(^Default)] struct A { a: Mutex<u8>, b: Mutex<u8> }",
            "fn test() { let a = ^make!(0); }",
            "fn test() { let a = b.map(^Mutex::new); }",
            "fn test() { let a = ^<Mutex<u8>>::new(0); }",
            "fn test() { let a = ^A { a: 1 }; }",
            "fn test() { let a = Mutex::new(0);^ }",
            // What is not understood.
            "^Mutex::new(0)",
            "fn test() { let a = ^Mutex::new(0) }",
            "fn test() { let a = ^Mutex::new(0); } }",
            "fn test() { a = ^Mutex::new(0); }",
            "impl Counter { fn reset(&mut self) { self.a = ^Mutex::new(0); } }",
            "fn test() { let a = b || run(^Mutex::new(0)); }",
            "fn test() { let a = b[^Mutex::new(0)]; }",
            "fn test() { if let Some(a) = run(^Mutex::new(0)) {} }",
        ] {
            assert!(!is_class_at(source), "{source}");
        }
    }

    /// Returns `true` if the constructor call at the `^` creates one lock in each process.
    fn is_single_at(marked: &str) -> bool {
        let offset = marked.find('^').expect("a mark");
        creates(&marked.replace('^', ""), offset) == Creates::OneLock
    }

    #[test]
    fn a_static_is_one_lock() {
        for source in [
            "static CONFIG: Mutex<u8> = ^Mutex::new(0);",
            "#[allow(x)] pub(crate) static CONFIG: Mutex<u8> = ^Mutex::new(0);",
            "mod a { static A: RwLock<Vec<u8>> = ^RwLock::new(Vec::new()); }",
            "fn a<T>() -> &'static Mutex<u8> { static A: Mutex<u8> = ^Mutex::new(0); &A }",
            "static A: LazyLock<Mutex<u8>> = LazyLock::new(|| ^Mutex::new(0));",
            "static A: LazyLock<Mutex<u8>> = ^LazyLock::new(|| Mutex::new(0));",
            "static A: Lazy<Mutex<u8>> = sync::Lazy::new(|| { ^Mutex::new(read()) });",
            "static A: LazyLock<Arc<Mutex<u8>>> = LazyLock::new(|| Arc::new(^Mutex::new(0)));",
            "static A: OnceLock<u8> = ^OnceLock::new();",
            "static A: State = State { a: ^Mutex::new(0), b: Mutex::new(1) };",
            "static A: State = State { a: Mutex::new(0), b: ^Mutex::new(1) };",
            "static A: (Mutex<u8>, Mutex<u8>) = (Mutex::new(0), ^Mutex::new(1));",
            "static A: Mutex<u8> = ^Mutex::new([0; 3].len());",
            "lazy_static! { /// Docs.\n static ref A: Mutex<u8> = ^Mutex::new(0); }",
            "lazy_static! { static ref A: u8 = 1; pub static ref B: Mutex<u8> = ^Mutex::new(0); }",
        ] {
            assert!(is_single_at(source), "{source}");
        }
        for source in [
            "static A: [Mutex<u8>; 2] = [const { ^Mutex::new(0) }; 2];",
            "static A: [Mutex<u8>; 2] = [^Mutex::new(0), Mutex::new(1)];",
            "static A: LazyLock<Vec<Mutex<u8>>> = LazyLock::new(|| (0..2).map(|_| ^Mutex::new(0)).collect());",
            "static A: LazyLock<Vec<Mutex<u8>>> = LazyLock::new(|| vec![^Mutex::new(0), Mutex::new(1)]);",
            "static A: LazyLock<Vec<Mutex<u8>>> = LazyLock::new(|| { let mut a = Vec::new(); \
             for _ in 0..2 { a.push(^Mutex::new(0)); } a });",
            "static A: LazyLock<Vec<Mutex<u8>>> = LazyLock::new(|| { let a = 1; ^Mutex::new(a) });",
            "static A: Pool = Pool::new(|| ^Mutex::new(0));",
            "static A: Pool<LazyLock<u8>> = Pool::new(LazyLock::new, || ^Mutex::new(0));",
            "static A: fn() -> Mutex<u8> = || ^Mutex::new(0);",
            "fn a() { static A: OnceLock<Mutex<u8>> = OnceLock::new(); A.get_or_init(|| ^Mutex::new(0)); }",
            "thread_local! { static A: Mutex<u8> = ^Mutex::new(0); }",
            "thread_local!(static A: Mutex<u8> = const { ^Mutex::new(0) });",
            "#[thread_local] static A: Mutex<u8> = ^Mutex::new(0);",
            "twice! { static A: Mutex<u8> = ^Mutex::new(0); }",
            "twice! { mod a { static A: Mutex<u8> = ^Mutex::new(0); } }",
            "twice! { static ref A: Mutex<u8> = ^Mutex::new(0); }",
            "static A: Mutex<u8> = make!(^Mutex::new(0));",
            "macro_rules! make { () => { static A: Mutex<u8> = ^Mutex::new(0); } }",
            "const A: Mutex<u8> = ^Mutex::new(0);",
            "fn main() { let a = ^Mutex::new(0); }",
            "static A: State = State::new(); impl State { const fn new() -> Self { \
             Self { a: ^Mutex::new(0), b: 1 } } }",
            "static A: fn() = ^make;",
        ] {
            assert!(!is_single_at(source), "{source}");
        }
    }

    /// Each variable is copied twice, so there are too many ways to follow.
    #[test]
    fn following_variables_ends() {
        let copies: String = (0..99).map(|_| "let a = run(a.clone(), a.clone());").collect();
        assert!(!is_class_at(&format!("fn test() {{ let a = ^Mutex::new(0); {copies} }}")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever is written there, nothing panics.
        #[test]
        fn any_text_can_be_asked(
            words in prop::collection::vec(prop::sample::select(vec![
                "fn ", "impl", "let ", "static ", "Self", "a", "b", "(", ")", "{", "}", "[", "]",
                "<", ">", "|", "||", "=", "=>", "->", ":", "::", ";", ",", ".", "&", "#", "!",
                "'a", "return ", "move ", "for ", "in ", "vec", "const ", "pub", "get_or_init", "T",
            ]), 0..24),
            place in any::<prop::sample::Index>(),
        ) {
            let place = place.index(words.len() + 1);
            let (before, after) = words.split_at(place);
            for [open, close] in [["", ""], ["fn f() {", "}"], ["impl A { fn f(a: T) -> T {", "}}"]] {
                let before = format!("{open}{}", before.concat());
                let text = format!("{before}A::new(a){}{close}", after.concat());
                creates(&text, before.len());
            }
        }

        #[test]
        fn any_place_can_be_asked(text in "[^x]{0,60}", place in 0..64_usize) {
            creates(&text, place);
        }
    }
}
