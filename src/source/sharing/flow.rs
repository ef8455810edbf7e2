//! Whether code runs where it stands: not in a closure or a task that runs later, and in no loop.

use crate::source::{syntax::Braces, tokens::Tokens};

impl Tokens {
    /// Returns `true` if a token runs exactly where it stands in a block, at most once.
    pub(super) fn is_once_in(&self, block: usize, at: usize) -> bool {
        self.all_around(block, at, |open, at| self.runs_once(open, at))
    }

    /// Returns `true` if a token runs where it stands in a block, any number of times.
    pub(super) fn is_now_in(&self, block: usize, at: usize) -> bool {
        self.all_around(block, at, |open, at| self.runs_now(open, at))
    }

    /// Returns `true` if a token is in a block, and `is_true` for each pair of brackets up to it.
    fn all_around(
        &self,
        block: usize,
        mut at: usize,
        is_true: impl Fn(usize, usize) -> bool,
    ) -> bool {
        while let Some(open) = self.outer(at) {
            if open == block {
                return !self.is_in_closure(open, at) && !self.is_in_while(at);
            }
            if !is_true(open, at) {
                return false;
            }
            at = open;
        }
        false
    }

    pub(super) fn runs_once(&self, open: usize, at: usize) -> bool {
        self.runs_now(open, at) && !self.is_loop(open)
    }

    /// Returns `true` if what is directly in a pair of brackets runs where these stand, in no closure and no task.
    fn runs_now(&self, open: usize, at: usize) -> bool {
        let is_async = || {
            let before = self.text_before(open, 1);
            before == "async" || before == "move" && self.text_before(open, 2) == "async"
        };
        let is_here = match self.text(open) {
            "{" => self.is_literal(open) || self.braces(open) == Braces::Expression && !is_async(),
            _ => self.text_before(open, 1) != "!" || self.text_before(open, 2) == "vec",
        };
        is_here && !self.is_in_closure(open, at) && !self.is_in_while(at)
    }

    /// Returns `true` if braces are the body of a loop.
    fn is_loop(&self, open: usize) -> bool {
        let header = self.start_of_statement(open);
        self.text(open) == "{"
            && self.level(header, open).any(|it| ["for", "while", "loop"].contains(&self.text(it)))
    }

    /// Returns `true` if a token is in the head of a `while`, which runs each time.
    fn is_in_while(&self, at: usize) -> bool {
        self.level(self.start_of_statement(at), at).any(|it| self.text(it) == "while")
    }

    /// Returns `true` if a token is in a closure that begins directly in a pair of brackets.
    fn is_in_closure(&self, open: usize, at: usize) -> bool {
        let (mut is_inside, mut body) = (false, open);
        for it in self.level(open + 1, at) {
            match self.text(it) {
                _ if it < body => {}
                "," | ";" => is_inside = false,
                "||" if !self.ends_operand(it) => is_inside = true,
                "|" if !self.ends_operand(it) => {
                    is_inside = true;
                    body = self.find(it, at, "|").map_or(at, |bar| bar + 1);
                }
                _ => {}
            }
        }
        is_inside
    }
}
