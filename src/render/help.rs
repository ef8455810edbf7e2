//! What a report says would help, kind by kind.

use super::words::Words;
use crate::finding::{Declaration, Detail, Edge, FindingKind, Level};

impl Words<'_> {
    pub(super) fn help(&self) -> String {
        let Edge { held, wanted, held_at, acquired_at, .. } = self.first();
        let (held, wanted) = (self.names.of(held), self.names.of(wanted));
        let (held_line, line) = (held_at.line(), acquired_at.line());
        let writer = self.while_writers_wait();
        match self.finding.kind {
            FindingKind::Inversion | FindingKind::SingleThreadInversion if self.has_event() => {
                self.owed()
            }
            FindingKind::SelfDeadlock if self.has_event() => format!(
                "it would wait for itself for ever: at line {line}, do what is waited for instead, or \
                 drop the guard of line {held_line} first"
            ),
            FindingKind::LeakedGuard if self.has_event() => format!(
                "unless another thread answers, a wait for {held} lasts for ever. Its guard was forgotten: by `mem::forget`, a `ManuallyDrop`, a leaked \
                 box, or a cycle of `Arc`s"
            ),
            FindingKind::SingleThreadInversion => {
                let (needed, again) = match self.len() {
                    2 => ("two threads".to_owned(), "either of the two"),
                    len => (format!("{len} threads"), "one of these"),
                };
                format!(
                    "it takes {needed} at once{writer} to hang, and one of them was seen in two of \
                     these places. As soon as another thread does {again}, this is an inversion: \
                     decide on one order of these locks and acquire them in it everywhere"
                )
            }
            FindingKind::GuardedInversion => format!(
                "it cannot hang for as long as {} {} held around it each time. Without that it \
                 would be an inversion: one order of these locks everywhere would need no gate",
                self.gates(),
                if self.gate_locks().len() == 1 { "is" } else { "are" }
            ),
            FindingKind::Inversion if self.same_lines() => format!(
                "if they run at once{writer}, each waits for the next. Lines {held_line} and {line} take \
                 these locks in the order in which they are handed to them: take them in an order \
                 of their own instead, by a number or a key that each of them has"
            ),
            FindingKind::Inversion if self.len() == 2 => format!(
                "if both run at once{writer}, each waits for the other: acquire {wanted} before {held} \
                 everywhere, or release {held} before line {line}"
            ),
            FindingKind::Inversion => format!(
                "if they run at once{writer}, each waits for the next: decide on one order of these \
                 locks and acquire them in it everywhere, or release {held} before line {line}"
            ),
            FindingKind::ClassInversion => format!(
                "it was never seen on the same two locks, and may never happen: but if it does, \
                 each waits for the other. Decide which of the two kinds comes first. Locks are of \
                 one kind if one line made them, or by `lockdep::class`; `lockdep::allow_pair` is \
                 for those that never meet: {held} and {wanted}"
            ),
            FindingKind::DeclaredOrder => self.declared(),
            FindingKind::SelfDeadlock if self.initializes() => format!(
                "it would wait for itself for ever: what is needed at line {line} must not come \
                 from {held}"
            ),
            FindingKind::SelfDeadlock => format!(
                "it would wait for itself for ever: drop the guard of line {held_line} first, or \
                 pass it on. A guard made in the header of a `match`, `if let` or `for` lives to \
                 the end of that block"
            ),
            FindingKind::RecursiveRead => format!(
                "if a writer queues between the two, the second read waits behind the writer, \
                 which waits for the first: pass the guard of line {held_line} on, or drop it \
                 before line {line}"
            ),
            FindingKind::WaitWhileHolding => format!(
                "the wait gives back {wanted} alone: if whoever notifies needs {held} to get \
                 there, both wait for ever. Release {held} before line {line}"
            ),
            FindingKind::Deadlock => {
                let what_now = match self.finding.level {
                    Level::Deny => {
                        "this thread panics, which gives back what it holds, so that \
                                    the others can go on"
                    }
                    Level::Abort => "the process is aborted",
                    Level::Warn | Level::Allow => "none of them will ever go on",
                };
                match self.len() {
                    1 => {
                        format!("{what_now}. Drop the guard of line {held_line} before line {line}")
                    }
                    _ => format!(
                        "{what_now}. Acquire these locks in one order everywhere, or release \
                         {held} before line {line}"
                    ),
                }
            }
            FindingKind::LeakedGuard => format!(
                "unless another thread releases {held} by force, whoever waits for it waits for \
                 ever. Its guard was forgotten: by `mem::forget`, a `ManuallyDrop`, a leaked box, \
                 or a cycle of `Arc`s"
            ),
        }
    }

    /// The same where something is owed and waited for.
    fn owed(&self) -> String {
        let waits = self.shown.iter().find(|edge| edge.wanted.kind.is_event());
        let waits = waits.unwrap_or_else(|| self.first());
        let (held, event) = (self.names.of(&waits.held), self.names.of(&waits.wanted));
        let (line, writer) = (waits.acquired_at.line(), self.while_writers_wait());
        let run = match (self.finding.kind, self.len()) {
            (FindingKind::SingleThreadInversion, 2) => "if two threads do this at once",
            (FindingKind::SingleThreadInversion, _) => "if different threads do this at once",
            (_, 2) => "if both run at once",
            _ => "if they run at once",
        };
        let each = if self.len() == 2 { "the other" } else { "the next" };
        let before = if waits.held.kind.is_event() {
            format!("answer {held} before the wait for {event} at line {line}")
        } else {
            format!(
                "release {held} before the wait at line {line}, or do not acquire it while {event} \
                 is owed"
            )
        };
        format!("{run}{writer}, each waits for {each}: {before}")
    }

    /// The same where an order was declared.
    fn declared(&self) -> String {
        let Edge { held, wanted, acquired_at, .. } = self.first();
        let (held, wanted, line) = (self.names.of(held), self.names.of(wanted), acquired_at.line());
        let declaration = match &self.finding.detail {
            Detail::Declared(declaration) => Some(declaration),
            _ => None,
        };
        match declaration {
            Some(Declaration::Keys { held: key, are_equal: true, .. }) => format!(
                "both have the key {key}, which does not say who comes first: give each lock a \
                     key of its own, or do not nest them"
            ),
            Some(Declaration::Keys { held: held_key, wanted: key, .. }) => format!(
                "{held} has the key {held_key}, {wanted} the key {key}: the smaller one is to be \
                     acquired first, release {held} before line {line}"
            ),
            Some(Declaration::Order(site)) => format!(
                "it was declared at {site} that {wanted} comes before {held}: release {held} \
                     before line {line}"
            ),
            Some(Declaration::Leaf) => format!(
                "{held} was declared a leaf, nothing is acquired while it is held: release it \
                     before line {line}"
            ),
            Some(Declaration::Outermost) | None => {
                let what = if self.first().wanted.kind.is_event() {
                    "outermost, it is waited for"
                } else {
                    "an outermost lock, it is acquired"
                };
                format!(
                    "{wanted} was declared {what} while nothing is held: release {held} before \
                     line {line}"
                )
            }
        }
    }
}
