//! Objects that no other thread knows yet.
//!
//! A function makes an object, locks it, and puts it where others find it:
//!
//! ```ignore
//! let session = Arc::new(Mutex::new(Session::default()));
//! let mut state = session.lock().unwrap();
//! self.sessions.lock().unwrap().push(Arc::clone(&session));
//! ```
//!
//! While it waits for `sessions`, no other thread can wait for `session`, if all of this holds:
//!
//! - a `let` of the function declares the variable, and its value is the constructor call, or a call of a function that
//!   returns what it makes;
//! - up to the second acquisition, the variable is only locked, read or cloned into other variables of the function;
//! - no loop and no closure begins in between, so that what stands before also happens before;
//! - the function still has the guard of the session, and acquired none there after that: one that calls itself holds
//!   the locks of several sessions, and those of its outer runs may be known.
//!
//! A test that takes two locks in both orders shares nothing either, but stands for a program that does. So it also
//! matters what comes next: the function hands the object out, into what a lock guards or into a channel.
//!
//! `making.rs` has where an object is made, `guard.rs` how long it is locked, this file where it goes, and `flow.rs` whether
//! code runs where it stands.
//!
//! Reads tokens, and parses no Rust: where it is not sure, the object counts as shared.

mod flow;
mod guard;
mod making;

use std::ops::Range;

use super::{
    syntax::{Before, Braces},
    tokens::{Kind, Tokens},
};

/// Methods that acquire a lock, and give nothing away but a guard.
const ACQUIRE: [&str; 10] = [
    "lock",
    "read",
    "write",
    "try_lock",
    "try_read",
    "try_write",
    "upgradable_read",
    "blocking_lock",
    "blocking_read",
    "blocking_write",
];
/// Macros that only print their arguments.
const PRINT: [&str; 14] = [
    "print", "println", "eprint", "eprintln", "format", "write", "writeln", "panic", "trace",
    "debug", "info", "warn", "error", "event",
];
/// Methods that send a value to another thread.
const SEND: [&str; 4] = ["send", "try_send", "blocking_send", "send_blocking"];
/// Functions that only look at a pointer.
const LOOK: [&str; 3] = ["as_ptr", "strong_count", "weak_count"];

/// An object that a function has made, or was handed by the function that has made it.
pub(super) struct Object<'a> {
    tokens: &'a Tokens,
    /// The variables that stand for it.
    names: Vec<&'a str>,
    /// The fields that lead to the lock, the last one first.
    fields: Vec<&'a str>,
    /// The block in which the variable is declared.
    block: usize,
    /// The value of the variable. Empty for a parameter.
    value: Range<usize>,
    /// Where the lock is acquired, if that is in this function.
    locked_at: usize,
}

/// Where an object goes from a place where its variable stands.
enum Use<'a> {
    /// It stays in the function.
    Private,
    /// Another variable of the function is made to stand for it.
    Named(&'a str),
    /// It may go anywhere.
    Out,
}

impl<'a> Object<'a> {
    /// Returns `true` if a token is in the block in which the variable is declared.
    pub(super) fn is_known_at(&self, at: usize) -> bool {
        (self.block..self.tokens.partner(self.block)).contains(&at)
    }

    /// Returns `true` if no other thread can know the object before the lock is acquired that is wanted
    /// at a token of the function, and the function hands the object out afterwards.
    pub(super) fn is_unshared_until(&self, acquired: usize) -> bool {
        let Some(mut names) = self.names_at(acquired) else { return false };
        let mut uses = acquired..self.tokens.partner(self.block);
        let out = uses.find(|&at| match self.use_at(at, &names) {
            Some(Use::Named(name)) => {
                names.push(name);
                false
            }
            Some(Use::Out) => true,
            Some(Use::Private) | None => false,
        });
        out.is_some_and(|at| self.is_handed_out(at, &names))
    }

    /// Returns the object as the parameter of a function that is called in the expression at a token, if no
    /// other thread knows it by then. `callee` is the function's `fn`.
    pub(super) fn handed_to<'b>(
        &self,
        from: usize,
        (tokens, callee): (&'b Tokens, usize),
    ) -> Option<Object<'b>> {
        let end = self.tokens.partner(self.block);
        let is_it = |&at: &usize| {
            self.tokens.text(at) == tokens.text(callee + 1) && self.tokens.text(at + 1) == "("
        };
        let call = (from..end).take_while(|&at| self.tokens.text(at) != ";").find(is_it)?;
        let names = self.names_at(call)?;
        let arguments = self.tokens.expressions(call + 1);
        let is_out = |at| matches!(self.use_at(at, &names), Some(Use::Out));
        let has_it = |argument: &Range<usize>| argument.clone().any(is_out);
        let at = arguments.iter().position(has_it)?;
        if arguments[at + 1..].iter().any(has_it) || !self.is_handle(&arguments[at], &names) {
            return None;
        }
        let parameters = tokens.parameters(callee)?;
        let has_self =
            parameters.first().is_some_and(|it| tokens.text(it.end.saturating_sub(1)) == "self");
        let is_method = self.tokens.text_before(call, 1) == ".";
        let pattern = parameters.get(at + usize::from(has_self && is_method))?.clone();
        let [.., name] = pattern.clone().collect::<Vec<_>>()[..] else { return None };
        let is_variable =
            pattern.len() == 1 || pattern.len() == 2 && tokens.text(name - 1) == "mut";
        let body = (name..tokens.len())
            .find(|&at| tokens.text(at) == "{" && tokens.braces(at) == Braces::Function(callee))?;
        let fields = self.fields.iter().map(|_| "").collect();
        is_variable.then(|| Object {
            tokens,
            names: vec![tokens.text(name)],
            fields,
            block: body,
            value: body..body,
            locked_at: body,
        })
    }

    /// Returns the variables that stand for the object at a token. `None` if another thread may know it by
    /// then, or if what stands before need not happen before.
    fn names_at(&self, at: usize) -> Option<Vec<&'a str>> {
        if at <= self.locked_at || !self.tokens.is_once_in(self.block, at) || !self.is_held_at(at) {
            return None;
        }
        let mut names = self.names.clone();
        for at in self.value.end..at {
            match self.use_at(at, &names) {
                Some(Use::Named(name)) => names.push(name),
                Some(Use::Out) => return None,
                Some(Use::Private) | None => {}
            }
        }
        Some(names)
    }

    /// Returns `true` if the function itself holds the lock at a token, as far as the source says. If it does not, what
    /// the thread holds is the lock of another object, from an outer run of the function.
    fn is_held_at(&self, at: usize) -> bool {
        // The lock of a parameter is held by the caller.
        self.value.is_empty()
            || ACQUIRE.contains(&self.tokens.text(self.locked_at))
                && self.tokens.has_guard_at(self.locked_at, at)
    }

    /// Returns where the object goes from a token, if one of the variables stands there.
    fn use_at(&self, at: usize, names: &[&str]) -> Option<Use<'a>> {
        let tokens = self.tokens;
        if tokens.is(at, Kind::Literal) {
            return self.use_in_text(at, names);
        }
        let is_field = [".", "::"].contains(&tokens.text_before(at, 1))
            || tokens.text(at + 1) == ":" && ["{", ","].contains(&tokens.text_before(at, 1));
        if !tokens.is(at, Kind::Word) || !names.contains(&tokens.text(at)) || is_field {
            return None;
        }
        let printed = tokens.printed_by(at);
        if !tokens.is_now_in(self.block, printed.unwrap_or(at)) {
            return Some(Use::Out);
        }
        let (mut end, mut path) = (at + 1, Vec::new());
        while tokens.text(end) == "."
            && !["(", "::"].contains(&tokens.text(end + 2))
            && (tokens.is(end + 1, Kind::Word) || tokens.is(end + 1, Kind::Literal))
        {
            path.push(tokens.text(end + 1));
            end += 2;
        }
        let method =
            (tokens.text(end) == "." && tokens.text(end + 2) == "(").then(|| tokens.text(end + 1));
        let is_acquired = method.is_some_and(|it| ACQUIRE.contains(&it)) && self.is_lock(&path);
        let is_printed = printed.is_some() && [",", ")"].contains(&tokens.text(end));
        if is_acquired || is_printed || tokens.is_only_borrowed(at) || self.is_beside_lock(&path) {
            return Some(Use::Private);
        }
        let variable = tokens.handle_around(at).and_then(|handle| tokens.variable_for(&handle));
        Some(variable.map_or(Use::Out, Use::Named))
    }

    /// Returns where the object goes from a string that may print it: `"{session:?}"`.
    fn use_in_text(&self, at: usize, names: &[&str]) -> Option<Use<'a>> {
        let is_named = |name: &&str| self.tokens.text(at).contains(&format!("{{{name}"));
        if self.tokens.text_before(self.tokens.outer(at)?, 1) != "!" || !names.iter().any(is_named)
        {
            return None;
        }
        let printed = self.tokens.printed_by(at);
        let is_now = printed.is_some_and(|open| self.tokens.is_now_in(self.block, open));
        Some(if is_now { Use::Private } else { Use::Out })
    }

    /// Returns `true` if the lock is at these fields of the object.
    fn is_lock(&self, path: &[&str]) -> bool {
        // The names of a parameter's fields are not known.
        let is_one = |(field, of): (&&str, &&str)| field.is_empty() || field == of;
        path.len() == self.fields.len() && self.fields.iter().rev().zip(path).all(is_one)
    }

    /// Returns `true` if these fields of the object say nothing of the lock.
    fn is_beside_lock(&self, path: &[&str]) -> bool {
        let (Some(outermost), Some(first)) = (self.fields.last(), path.first()) else {
            return false;
        };
        !outermost.is_empty() && outermost != first
    }

    /// Returns `true` if an expression is the object, or a handle of it.
    fn is_handle(&self, expression: &Range<usize>, names: &[&str]) -> bool {
        let Range { start, end } = *expression;
        let start = if self.tokens.text(start) == "&" { start + 1 } else { start };
        let is_it = |at: usize| names.contains(&self.tokens.text(at));
        if start + 1 == end {
            return is_it(start);
        }
        let of = expression.clone().find(|&at| is_it(at));
        of.and_then(|at| self.tokens.handle_around(at)) == Some(start..end)
    }

    /// Returns `true` if the use of a variable at a token puts the object into what a lock guards, or sends it.
    fn is_handed_out(&self, at: usize, names: &[&str]) -> bool {
        let tokens = self.tokens;
        if !tokens.is_now_in(self.block, at) {
            return false;
        }
        let mut inner = at;
        while let Some(open) = tokens.outer(inner).filter(|&open| open > self.block) {
            let is_call = tokens.text(open) == "(" && tokens.text_before(open, 2) == ".";
            if is_call && self.receives(tokens.chain_before(open - 1)..open, names) {
                return true;
            }
            if tokens.text(open) == "{" && !tokens.is_literal(open) {
                break;
            }
            inner = open;
        }
        let (_, before) = tokens.start_of_expression(inner);
        let Before::Token(equals) = before else { return false };
        let start = tokens.start_of_statement(equals);
        tokens.text(equals) == "="
            && tokens.text(start) != "let"
            && self.receives(start..equals, names)
    }

    /// Returns `true` if a place or a chain of calls leads into what a lock guards, or is a method that sends its
    /// argument.
    fn receives(&self, chain: Range<usize>, names: &[&str]) -> bool {
        let tokens = self.tokens;
        let Some(root) = chain.clone().find(|&at| tokens.is(at, Kind::Word)) else { return false };
        let last = tokens.text(chain.end - 1);
        !names.contains(&tokens.text(root))
            && (SEND.contains(&last) || tokens.acquires(chain) || tokens.is_guard(self.block, root))
    }
}

impl Tokens {
    /// Returns the brackets of the macro that a variable is an argument of, if it only prints its arguments.
    fn printed_by(&self, variable: usize) -> Option<usize> {
        let open = self.outer(variable).filter(|&open| self.text_before(open, 1) == "!")?;
        PRINT.contains(&self.text_before(open, 2)).then_some(open)
    }

    /// Returns `true` if the pointer in a variable is only looked at, or only what it points to is borrowed:
    /// `lockdep::name(&*session, "session")`. That ends with the call.
    fn is_only_borrowed(&self, variable: usize) -> bool {
        let ends = [",", ")"].contains(&self.text(variable + 1));
        let before = |by| self.text_before(variable, by);
        let is_dereferenced =
            before(1) == "*" && before(2) == "&" && ["(", ","].contains(&before(3));
        let is_looked_at =
            before(1) == "&" && before(2) == "(" && LOOK.contains(&before(3)) && before(4) == "::";
        ends && (is_dereferenced || is_looked_at)
    }

    /// Returns the expression that clones the handle in the variable at a token: `Arc::clone(&session)`,
    /// `session.clone()`.
    fn handle_around(&self, variable: usize) -> Option<Range<usize>> {
        if self.text(variable + 1) == "." && self.text(variable + 2) == "clone" {
            return Some(variable..variable + 5).filter(|_| self.text(variable + 4) == ")");
        }
        let open = variable.checked_sub(2)?;
        let is_clone = self.text(open) == "("
            && self.text(open + 1) == "&"
            && self.text(variable + 1) == ")"
            && ["clone", "downgrade"].contains(&self.text_before(open, 1))
            && self.text_before(open, 2) == "::";
        is_clone.then(|| self.start_of_path(open)..variable + 2)
    }

    /// Returns the variable whose whole value is this expression.
    fn variable_for(&self, value: &Range<usize>) -> Option<&str> {
        let equals = value.start.checked_sub(1)?;
        let is_let = self.text_before(equals, 2) == "let"
            || self.text_before(equals, 2) == "mut" && self.text_before(equals, 3) == "let";
        let is_whole = self.text(equals) == "=" && self.text(value.end) == ";";
        (is_let && is_whole).then(|| self.text_before(equals, 1))
    }

    /// Returns the first token of the chain of calls and fields that ends with a method.
    fn chain_before(&self, method: usize) -> usize {
        let mut at = method;
        while self.text_before(at, 1) == "." {
            let mut before = at - 1;
            while before > 0
                && (self.is(before - 1, Kind::Close) || self.text_before(before, 1) == "?")
            {
                let last = before - 1;
                before = if self.text(last) == "?" { last } else { self.partner(last) };
            }
            if before > 0 && self.is(before - 1, Kind::Word) {
                before -= 1;
            }
            if before == at - 1 {
                break;
            }
            at = before;
        }
        at
    }

    /// Returns `true` if a lock is acquired between two tokens.
    fn acquires(&self, mut tokens: Range<usize>) -> bool {
        tokens.any(|at| {
            self.text_before(at, 1) == "."
                && ACQUIRE.contains(&self.text(at))
                && self.text(at + 1) == "("
        })
    }

    /// Returns `true` if the variable at a token was declared as the guard of a lock.
    fn is_guard(&self, block: usize, variable: usize) -> bool {
        let name = self.text(variable);
        let declares = |&at: &usize| {
            let has_it = |equals: usize| (at..equals).any(|it| self.text(it) == name);
            self.text(at) == "let" && self.find(at, variable, "=").is_some_and(has_it)
        };
        let Some(declared) = (block..variable).rfind(declares) else { return false };
        let Some(equals) = self.find(declared, variable, "=") else { return false };
        let is_end = |&at: &usize| [";", "{"].contains(&self.text(at));
        let end = self.level(equals, variable).find(is_end).unwrap_or(variable);
        self.acquires(equals..end)
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns what is said of a source in which `^1` marks the constructor call, `^2` where its lock is acquired,
    /// `^3` where the other lock is, and `^4` the call of the function which does that, if there is one.
    pub(super) fn is_unshared(marked: &str) -> bool {
        let mut text = String::new();
        let mut marks = [None; 4];
        let mut rest = marked;
        while let Some(at) = rest.find('^') {
            text += &rest[..at];
            marks[usize::from(rest.as_bytes()[at + 1] - b'1')] = Some(text.len());
            rest = &rest[at + 2..];
        }
        text += rest;
        let tokens = Tokens::new(&text).unwrap();
        let at = |mark: Option<usize>| tokens.at(mark.unwrap()).unwrap();
        let [created, locked, acquired, call] = marks;
        let Some(object) = Object::locked_at(&tokens, at(locked)) else { return false };
        if !object.is_made_by(&tokens, at(created), true) {
            return false;
        }
        let Some(call) = call else { return object.is_unshared_until(at(acquired)) };
        let callee = tokens.function_around(at(acquired)).ok().flatten().unwrap();
        let handed = object.handed_to(at(Some(call)), (&tokens, callee));
        handed.is_some_and(|it| it.is_unshared_until(at(acquired)))
    }

    /// Puts statements into a function that makes a session and locks it.
    fn in_a_function(rest: &str) -> String {
        format!(
            "impl Server {{ fn accept(&self) {{
                let session = Arc::new(Session {{ id: 7, state: ^1Mutex::new(0) }});
                let mut state = session.state.^2lock().unwrap();
                state.id = 7;
                {rest}
            }} }}"
        )
    }

    fn assert_unshared(sources: &[&str]) {
        for source in sources {
            let source = in_a_function(source);
            assert!(is_unshared(&source), "{source}");
        }
    }

    fn assert_shared(sources: &[&str]) {
        for source in sources {
            let source = in_a_function(source);
            assert!(!is_unshared(&source), "{source}");
        }
    }

    #[test]
    fn an_object_that_is_put_into_what_is_locked_is_unshared() {
        assert_unshared(&[
            "self.sessions.^3lock().unwrap().push(session.clone());",
            "self.sessions.^3lock().unwrap().push(Arc::clone(&session));",
            "self.sessions.^3lock().unwrap_or_else(|it| it.into_inner()).push(session.clone());",
            "self.sessions.^3write().unwrap().insert(7, Entry { session: session.clone(), at: 1 });",
            "let mut sessions = self.sessions.^3lock().unwrap(); sessions.push(session.clone());",
            "let mut sessions = self.sessions.^3lock().unwrap(); sessions.by_id.entry(7).or_insert(session.clone());",
            "let mut sessions = self.sessions.^3lock().unwrap(); sessions[0] = Some(session.clone());",
            "let old = { let mut all = self.sessions.^3lock().unwrap(); all.insert(7, session.clone()) };",
            "if let Ok(mut sessions) = self.sessions.^3lock() { sessions.push(session.clone()); }",
            "*self.latest.^3lock().unwrap() = Some(session.clone());",
            "let handle = session.clone(); self.sessions.^3lock().unwrap().push(handle);",
            "let weak = Arc::downgrade(&session); self.sessions.^3lock().await.push(weak);",
            "println!(\"{} {session:?}\", session.id); tracing::info!(id = session.id, \"{:?}\", session); \
             self.sessions.^3lock().push(session.clone());",
            "name(&*session, 7); let at = Arc::as_ptr(&session); self.sessions.^3lock().push(session.clone());",
            "if state.is_new { self.sessions.^3lock().unwrap().push(session.clone()); } drop(session);",
            // Another lock before it is handed out.
            "self.log.^3lock().unwrap().write(7); self.sessions.lock().unwrap().push(session.clone());",
            // A channel.
            "self.log.^3lock().unwrap().write(7); self.sender.send(session.clone()).unwrap();",
            "let log = self.log.^3lock(); for tx in &self.senders { tx.send(session.clone()).await; }",
        ]);
    }

    #[test]
    fn an_object_that_may_be_known_elsewhere_is_shared() {
        assert_shared(&[
            "all().push(session.clone()); self.sessions.^3lock().unwrap().push(session.clone());",
            "register(&session); self.sessions.^3lock().unwrap().push(session.clone());",
            "session.start(); self.sessions.^3lock().unwrap().push(session.clone());",
            "self.start(move || session.lock()); self.sessions.^3lock().unwrap().push(session.clone());",
            "self.start(move || println!(\"{}\", session.id)); self.sessions.^3lock().push(session.clone());",
            "self.start(move || println!(\"{session:?}\")); self.sessions.^3lock().push(session.clone());",
            "self.start(async { session.lock() }); self.sessions.^3lock().unwrap().push(session.clone());",
            "let it = &session; start(it); self.sessions.^3lock().unwrap().push(session.clone());",
            "let a = session.clone(); start(a); self.sessions.^3lock().unwrap().push(session.clone());",
            "self.sessions.lock().push(session.clone()); self.sessions.^3lock().push(session.clone());",
            "println!(\"{}\", session.start()); self.sessions.^3lock().push(session.clone());",
            "session.lock(); self.sessions.^3lock().push(session.clone());",
            "session.state.clone().start(); self.sessions.^3lock().push(session.clone());",
            "start(&session.state); self.sessions.^3lock().push(session.clone());",
            "start!(session); self.sessions.^3lock().unwrap().push(session.clone());",
            "for _ in 0..2 { self.sessions.^3lock().unwrap().push(session.clone()); }",
            "while self.sessions.^3lock().unwrap().push(session.clone()) {}",
            "self.run(|| self.sessions.^3lock().unwrap().push(session.clone()));",
            "self.tasks.spawn(async move { self.sessions.^3lock().await.push(session.clone()) });",
            // What is locked then is a session of an outer call.
            "drop(state); self.sessions.^3lock().push(session.clone());",
            "let state = bell.wait(state); self.sessions.^3lock().push(session.clone());",
        ]);
    }

    /// It stands for a program that shares it.
    #[test]
    fn an_object_that_stays_in_a_test_is_shared() {
        assert_shared(&[
            "drop(other.^3lock().unwrap());",
            "let other = other.^3lock().unwrap(); drop((state, other));",
            "drop(other.^3lock()); drop(state); thread::spawn(move || session.lock());",
            "drop(other.^3lock()); thread::scope(|scope| { scope.spawn(|| session.lock()); });",
            "drop(other.^3lock()); run(&session, &other);",
            "drop(other.^3lock()); threads.push(spawn({ let session = session.clone(); move || session.lock() }));",
            "drop(other.^3lock()); session.lock().unwrap().children.push(session.clone());",
        ]);
    }

    #[test]
    fn an_object_may_be_handed_to_the_function_that_publishes_it() {
        let add = |call: &str, function: &str| {
            let accept = in_a_function(call);
            format!("{accept} impl Sessions {{ {function} }}")
        };
        for (call, function, is_it) in [
            (
                "self.sessions.^4add(session.id, session.clone());",
                "fn add(&self, id: u64, it: Arc<S>) { self.all.^3lock().unwrap().insert(id, it); }",
                true,
            ),
            (
                "^4Sessions::add(&self.sessions, &session);",
                "fn add(&self, mut it: &Arc<S>) { let mut all = self.all.^3lock(); all.insert(it.clone()); }",
                true,
            ),
            // Handed out before, by either function.
            (
                "start(&session); ^4self.sessions.add(session.clone());",
                "fn add(&self, it: Arc<S>) { self.all.^3lock().unwrap().push(it); }",
                false,
            ),
            (
                "^4self.sessions.add(session.clone());",
                "fn add(&self, it: Arc<S>) { start(&it); self.all.^3lock().unwrap().push(it); }",
                false,
            ),
            (
                "^4self.sessions.add(session.clone());",
                "fn add(&self, it: Arc<S>) { for all in self.all { all.^3lock().unwrap().push(it.clone()); } }",
                false,
            ),
            // Never handed out.
            (
                "^4self.sessions.add(7);",
                "fn add(&self, it: u8) { self.all.^3lock().unwrap().push(it); }",
                false,
            ),
            (
                "^4self.sessions.add(session.clone());",
                "fn add(&self, it: Arc<S>) { self.all.^3lock().unwrap().clear(); }",
                false,
            ),
            // Another function.
            (
                "^4self.sessions.insert(session.clone());",
                "fn add(&self, it: Arc<S>) { self.all.^3lock().unwrap().push(it); }",
                false,
            ),
        ] {
            let source = add(call, function);
            assert_eq!(is_unshared(&source), is_it, "{source}");
        }
    }

    /// A statement of a random function. Variables are chosen among those in scope.
    #[derive(Clone, Debug)]
    enum Step {
        /// Locks, reads or clones the object.
        Private(u8, u8),
        /// Makes the object known to others.
        Share(u8, u8),
        If(Vec<Self>),
        Loop(Vec<Self>),
        /// Acquires another lock and puts the object into what it guards. It may be the one in question.
        Publish(u8),
    }

    fn any_steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (any::<u8>(), any::<u8>()).prop_map(|(of, way)| Step::Private(of, way)),
            1 => (any::<u8>(), any::<u8>()).prop_map(|(of, way)| Step::Share(of, way)),
            3 => any::<u8>().prop_map(Step::Publish),
        ];
        let step = step.prop_recursive(2, 8, 3, |inner| {
            let steps = prop::collection::vec(inner, 0..4);
            prop_oneof![2 => steps.clone().prop_map(Step::If), 1 => steps.prop_map(Step::Loop)]
        });
        prop::collection::vec(step, 1..6)
    }

    /// Writes statements. Marks the first acquisition of another lock.
    fn write(steps: &[Step], scope: &mut Vec<String>, text: &mut String) {
        let outside = scope.len();
        for step in steps {
            let name = |of: u8, scope: &[String]| scope[usize::from(of) % scope.len()].clone();
            match step {
                Step::Private(of, way) => {
                    let it = name(*of, scope);
                    let new = format!("it{}", text.len());
                    let line = match way % 5 {
                        0 => format!("drop({it}.lock());\n"),
                        1 => format!("show(&*{it});\n"),
                        2 => format!("let {new} = {it}.clone();\n"),
                        3 => format!("let mut {new} = Arc::clone(&{it});\n"),
                        _ => format!("{it}.lock().unwrap().count += 1;\n"),
                    };
                    text.push_str(&line);
                    if [2, 3].contains(&(way % 5)) {
                        scope.push(new);
                    }
                }
                Step::Share(of, way) => {
                    let it = name(*of, scope);
                    let line = match way % 5 {
                        0 => format!("share(&{it});\n"),
                        1 => format!("start(move || drop({it}.lock()));\n"),
                        2 => format!("{it}.start();\n"),
                        3 => format!("self.it = Some({it}.clone());\n"),
                        _ => format!("let shared = [{it}.clone()]; start(shared);\n"),
                    };
                    text.push_str(&line);
                }
                Step::If(steps) | Step::Loop(steps) => {
                    *text += if matches!(step, Step::If(_)) {
                        "if is() {\n"
                    } else {
                        "for _ in all() {\n"
                    };
                    write(steps, scope, text);
                    *text += "}\n";
                }
                Step::Publish(of) => {
                    let mark = if text.contains("^3") { "" } else { "^3" };
                    let line =
                        format!("all.{mark}lock().unwrap().push({}.clone());\n", name(*of, scope));
                    text.push_str(&line);
                }
            }
        }
        scope.truncate(outside);
    }

    /// Runs statements on all paths, with loops that run up to twice. `is_shared` says whether others may know the
    /// object before and after. Returns `true` if they may when the lock in question is acquired.
    fn is_shared_then(steps: &[Step], is_shared: &mut [bool; 2], found: &mut bool) -> bool {
        let mut is_known = false;
        for step in steps {
            match step {
                Step::Private(..) => {}
                Step::Share(..) => *is_shared = [false, true],
                Step::Publish(_) => {
                    is_known |= !*found && is_shared[1];
                    *found = true;
                    *is_shared = [false, true];
                }
                Step::If(steps) => {
                    let mut after = *is_shared;
                    is_known |= is_shared_then(steps, &mut after, found);
                    *is_shared = [is_shared[0] || after[0], is_shared[1] || after[1]];
                }
                Step::Loop(steps) => {
                    let before = *found;
                    for _ in 0..2 {
                        // The acquisition in question is the same each time.
                        *found = before;
                        let mut after = *is_shared;
                        is_known |= is_shared_then(steps, &mut after, found);
                        *is_shared = [is_shared[0] || after[0], is_shared[1] || after[1]];
                    }
                }
            }
        }
        is_known
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        /// What is called unshared is unshared on every path. Without loops and branches, the converse holds as well.
        #[test]
        fn agrees_with_all_paths(steps in any_steps()) {
            let (mut text, mut scope) = (String::new(), vec!["session".to_owned()]);
            write(&steps, &mut scope, &mut text);
            prop_assume!(text.contains("^3"));
            let source = format!(
                "fn f() {{ let session = Arc::new(^1Mutex::new(0));\nlet state = session.^2lock();\n{text} }}"
            );
            let is_known = is_shared_then(&steps, &mut [true, false], &mut false);
            let is_unshared = is_unshared(&source);
            prop_assert!(!(is_unshared && is_known), "{}", source);
            let is_straight = !steps.iter().any(|it| matches!(it, Step::If(_) | Step::Loop(_)));
            prop_assert!(!is_straight || is_unshared != is_known, "{}", source);
        }

        /// Any text is decided, without a panic.
        #[test]
        fn any_text_is_decided(
            text in "(let |x|y|=|x\\.lock\\(|\\.clone\\(\\)|\\)|;|\\{|\\}|\\||,|Arc::new\\(|Mutex::new\\(|fn f\\(|&|\\*| ){0,40}",
            marks in [any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()],
        ) {
            let Some(tokens) = Tokens::new(&text).filter(|tokens| tokens.len() > 0) else { return Ok(()) };
            let [created, locked, acquired] = marks.map(|mark| mark.index(tokens.len()));
            if let Some(object) = Object::locked_at(&tokens, locked) {
                let _ = object.is_made_by(&tokens, created, true);
                let _ = object.is_unshared_until(acquired);
                if let Ok(Some(function)) = tokens.function_around(acquired) {
                    let _ = object.handed_to(created, (&tokens, function));
                }
            }
        }
    }
}
