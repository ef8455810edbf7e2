//! What stands around a token: functions, closures, items, expressions, statements.
//!
//! This looks at neighbouring tokens and parses no Rust: where it is not sure, it says so.

use std::ops::Range;

use super::tokens::{Kind, Tokens};

/// What a pair of braces contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Braces {
    /// The body of a function, whose `fn` is there.
    Function(usize),
    /// The body of a closure, whose parameters end there.
    Closure(usize),
    /// The items of an `impl` that is there.
    Impl(usize),
    Module,
    /// The default methods of a trait, or the definition of a type.
    Item,
    /// The input of the macro whose `!` is there.
    Macro(usize),
    /// A block, a `match` or a struct literal.
    Expression,
}

/// What stands in front of an expression.
#[derive(Clone, Copy)]
pub(super) enum Before {
    /// An operator, a comma or a keyword.
    Token(usize),
    /// The bracket around it, or the end of another statement.
    Nothing,
}

impl Tokens {
    /// Returns the bracket that opens the arguments of the call that a token begins: `(` in
    /// `Mutex::<u8>::new(0)`.
    pub(super) fn arguments_of_call(&self, at: usize) -> Option<usize> {
        let mut at = at;
        loop {
            if !self.is(at, Kind::Word) {
                return None;
            }
            at += 1;
            if self.text(at) == "::" && self.text(at + 1) == "<" {
                at = self.end_of_generics(at + 1)?;
            }
            match self.text(at) {
                "(" => return Some(at),
                "::" => at += 1,
                _ => return None,
            }
        }
    }

    /// Returns `true` if the token before a bar ends an operand, so that the bar is an operator.
    pub(super) fn ends_operand(&self, bar: usize) -> bool {
        let Some(before) = bar.checked_sub(1) else { return false };
        self.is(before, Kind::Close)
            || self.is(before, Kind::Literal)
            || self.is(before, Kind::Word) && !is_keyword(self.text(before))
    }

    /// Returns the bar that begins the parameters of a closure.
    pub(super) fn opening_bar(&self, bar: usize) -> Option<usize> {
        let mut at = bar;
        loop {
            at = self.left(at)?;
            match self.text(at) {
                "|" => return Some(at),
                ";" | "=" | "=>" | "||" => return None,
                _ => {}
            }
        }
    }

    /// Returns the end of the function around a token.
    pub(super) fn end_of_body(&self, at: usize) -> usize {
        let bodies = std::iter::successors(self.outer(at), |&open| self.outer(open));
        let body =
            bodies.into_iter().find(|&open| matches!(self.braces(open), Braces::Function(_)));
        body.map_or(at, |open| self.partner(open))
    }

    /// Returns the token after the `>` that closes a `<`.
    pub(super) fn end_of_generics(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in from..self.len() {
            match self.text(at) {
                "<" => depth += 1,
                ">" if depth == 1 => return Some(at + 1),
                ">" => depth -= 1,
                ";" => return None,
                _ => {}
            }
        }
        None
    }

    /// Returns the `fn` of the innermost function around a token; `None` outside of functions.
    pub(super) fn function_around(&self, at: usize) -> Result<Option<usize>, InMacro> {
        let mut outer = self.outer(at);
        while let Some(open) = outer {
            if self.text(open) == "{" {
                match self.braces(open) {
                    Braces::Function(function) => return Ok(Some(function)),
                    Braces::Macro(_) => return Err(InMacro),
                    _ => {}
                }
            } else if self.text_before(open, 1) == "!" && self.text_before(open, 2) != "vec" {
                return Err(InMacro);
            }
            outer = self.outer(open);
        }
        Ok(None)
    }

    /// Returns what a pair of braces contains, from what stands in front of it.
    pub(super) fn braces(&self, open: usize) -> Braces {
        let before = self.text_before(open, 1);
        if before == "|" || before == "||" {
            return Braces::Closure(open - 1);
        }
        if before == "!" {
            return Braces::Macro(open - 1);
        }
        if self.text_before(open, 2) == "!" {
            return Braces::Macro(open - 2);
        }
        let header = self.start_of_statement(open);
        for at in self.level(header, open) {
            match self.text(at) {
                "fn" => return Braces::Function(at),
                "impl" => return Braces::Impl(at),
                "mod" => return Braces::Module,
                "trait" | "struct" | "enum" | "union" => return Braces::Item,
                // What may stand in front of an item.
                "#" | "!" | "[" | "pub" | "(" | "unsafe" | "async" | "const" | "extern"
                | "default" => {}
                text if text.starts_with('"') => {}
                _ => break,
            }
        }
        // `|x| -> T {`
        let mut at = open;
        while let Some(left) = self.left(at) {
            match self.text(left) {
                "->" if ["|", "||"].contains(&self.text_before(left, 1)) => {
                    return Braces::Closure(left - 1);
                }
                "::" | "<" | ">" | "&" | "(" | "[" => at = left,
                _ if self.is(left, Kind::Word) || self.is(left, Kind::Lifetime) => at = left,
                _ => break,
            }
        }
        Braces::Expression
    }

    /// Returns `true` if braces are a struct literal: a path whose last name is a type's stands
    /// before it, and an expression may begin there.
    pub(super) fn is_literal(&self, open: usize) -> bool {
        let mut start = open;
        while start > 0 && (self.is(start - 1, Kind::Word) || self.text(start - 1) == "::") {
            let word = self.text(start - 1);
            if is_keyword(word) {
                break;
            }
            start -= 1;
        }
        let is_type = self.text_before(open, 1).starts_with(char::is_uppercase);
        let starters = ["(", "[", "{", "}", ",", ";", ":", "=", "=>", "|", "||", "&", "return", ""];
        is_type && starters.contains(&self.text_before(start, 1))
    }

    /// Returns the expressions between a pair of brackets.
    pub(super) fn expressions(&self, open: usize) -> Vec<Range<usize>> {
        self.elements(open, |at| match self.text(at) {
            "<" if self.text_before(at, 1) == "::" => self.end_of_generics(at),
            // The parameters of a closure.
            "|" if !self.ends_operand(at) => Some(self.find(at, self.partner(open), "|")? + 1),
            _ => None,
        })
    }

    /// Returns the declarations of parameters or fields between a pair of brackets.
    pub(super) fn declarations(&self, open: usize) -> Vec<Range<usize>> {
        self.elements(open, |at| (self.text(at) == "<").then(|| self.end_of_generics(at))?)
    }

    /// Returns what is between the commas of a pair of brackets. `end` returns the end of what
    /// begins at a token and may contain other commas.
    fn elements(&self, open: usize, end: impl Fn(usize) -> Option<usize>) -> Vec<Range<usize>> {
        let close = self.partner(open);
        let mut elements = Vec::new();
        let mut start = open + 1;
        let mut next = start;
        for at in self.level(open + 1, close) {
            if at < next {
                continue;
            }
            if self.text(at) == "," {
                elements.push(start..at);
                start = at + 1;
            }
            next = end(at).unwrap_or(at);
        }
        elements.push(start..close);
        elements.retain(|element| !element.is_empty());
        elements
    }

    /// Returns the patterns of a function's parameters: what stands before their types.
    pub(super) fn parameters(&self, function: usize) -> Option<Vec<Range<usize>>> {
        let mut open = function + 2;
        if self.text(open) == "<" {
            open = self.end_of_generics(open)?;
        }
        let pattern =
            |Range { start, end }: Range<usize>| start..self.find(start, end, ":").unwrap_or(end);
        let is_there = self.text(open) == "(";
        is_there.then(|| self.declarations(open).into_iter().map(pattern).collect())
    }

    /// Returns the first token of a text between two places of one level.
    pub(super) fn find(&self, from: usize, to: usize, text: &str) -> Option<usize> {
        self.level(from + 1, to).find(|&at| self.text(at) == text)
    }

    /// Returns the token to the left on the same level. A pair of brackets is its opening one.
    pub(super) fn left(&self, at: usize) -> Option<usize> {
        let left = at.checked_sub(1)?;
        if self.is(left, Kind::Open) {
            None
        } else if self.is(left, Kind::Close) {
            Some(self.partner(left))
        } else {
            Some(left)
        }
    }

    /// Returns the first token of the expression that contains a token, and what stands before it.
    pub(super) fn start_of_expression(&self, at: usize) -> (usize, Before) {
        let mut at = at;
        while let Some(left) = self.left(at) {
            match self.text(left) {
                // The name of a loop.
                ":" if left > 0 && self.is(left - 1, Kind::Lifetime) => {}
                "," | ";" | ":" | "=" | "=>" | "->" | "|" | "||" | "return" | "break" => {
                    if self.text(left) == ";" {
                        break;
                    }
                    return (at, Before::Token(left));
                }
                "{" if self.ends_statement(left) => break,
                text if text.len() == 2 && text.ends_with('=') => {
                    return (at, Before::Token(left));
                }
                _ => {}
            }
            at = left;
        }
        (at, Before::Nothing)
    }

    /// Returns the first token of the statement or item that contains a token.
    pub(super) fn start_of_statement(&self, at: usize) -> usize {
        let mut at = at;
        while let Some(left) = self.left(at) {
            if self.text(left) == ";" || self.text(left) == "{" && self.ends_statement(left) {
                break;
            }
            at = left;
        }
        at
    }

    /// Returns `true` if a pair of braces ends a statement or an item.
    pub(super) fn ends_statement(&self, open: usize) -> bool {
        !matches!(self.text(self.partner(open) + 1), "." | "?" | "else" | ">")
    }
}

/// The call is part of a macro's input.
pub(super) struct InMacro;

pub(super) fn is_keyword(word: &str) -> bool {
    let keywords = [
        "as", "break", "else", "for", "if", "impl", "in", "let", "loop", "match", "move", "mut",
        "ref", "return", "unsafe", "where", "while",
    ];
    keywords.contains(&word)
}

/// Returns `true` for a name in capitals.
pub(super) fn is_constant(name: &str) -> bool {
    let is_capital = |it: char| it.is_uppercase() || it.is_ascii_digit() || it == '_';
    name.starts_with(char::is_uppercase) && name.chars().all(is_capital)
}
