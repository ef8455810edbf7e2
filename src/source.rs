//! The program's own source, if it is still there: excerpts, and the names that
//! it gives to its locks.

use std::{collections::HashMap, path::PathBuf};

use crate::finding::{LockInfo, Role, Site};

/// The source files that one report looks into.
#[derive(Default)]
pub(crate) struct Sources {
    files: HashMap<String, Option<String>>,
}

impl Sources {
    /// The text of the file that a site is in.
    pub(crate) fn text(&mut self, site: &Site) -> Option<&str> {
        self.files.entry(site.file().to_owned()).or_insert_with(|| read(site.file())).as_deref()
    }

    /// The text of a file that has been looked into before.
    pub(crate) fn known(&self, file: &str) -> Option<&str> {
        self.files.get(file)?.as_deref()
    }

    /// What the source calls the lock that is acquired at a site. Nothing for a
    /// wait, whose receiver is the condition variable, nor where a thread is started, nor in lock_api's own source.
    pub(crate) fn receiver(&mut self, site: &Site) -> Option<String> {
        if site.is_of_reentrant_mutex() {
            return None;
        }
        let text = self.text(site)?;
        let offset = offset(text, site)?;
        let is_wait = text[offset..].starts_with("wait");
        if is_wait || starts_a_thread(&text[offset..]) { None } else { receiver_at(text, offset) }
    }

    /// The same of what is known to be a channel or a barrier, whose own method may be called `wait`.
    pub(crate) fn receiver_of(&mut self, lock: &LockInfo, site: &Site) -> Option<String> {
        if !matches!(lock.kind.role, Role::Channel | Role::Barrier) {
            return self.receiver(site);
        }
        let text = self.text(site)?;
        let offset = offset(text, site)?;
        looped_over(text, offset).or_else(|| receiver_at(text, offset))
    }
}

/// Returns `true` if the text starts with a call that spawns threads: `thread::spawn(`, `spawn(`, or
/// `spawn_scoped(` of a method.
fn starts_a_thread(text: &str) -> bool {
    let path = leading_path(text);
    let function = path.rsplit("::").next().unwrap_or(path);
    ["spawn", "spawn_scoped", "spawn_unchecked", "scope"].contains(&function)
        && text[path.len()..].starts_with('(')
}

/// What the source calls the lock that is acquired at a site. Reads the file.
pub(crate) fn receiver(site: &Site) -> Option<String> {
    Sources::default().receiver(site)
}

/// Reads a source file by the path that the compiler was given: as it stands,
/// or below a folder above the current one, as paths are relative to the
/// workspace's root while `cargo test` runs in the package's.
fn read(file: &str) -> Option<String> {
    let from_here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    from_here
        .ancestors()
        .map(|folder| folder.join(file))
        .find_map(|path| std::fs::read_to_string(path).ok())
}

/// Whether a lock is made at a site by a call of its own, as far as the source tells: not by
/// `#[derive(Default)]`, which makes all of a type's locks at one place.
pub(crate) fn is_a_call(site: &Site) -> bool {
    let mut sources = Sources::default();
    let call = |text: &str| {
        let here = &text[offset(text, site)?..];
        let path = leading_path(here);
        let after = here[path.len()..].trim_start().trim_start_matches("::");
        (!path.is_empty() && after.starts_with(['(', '<'])).then_some(())
    };
    sources.text(site).and_then(call).is_some()
}

/// The byte at which a site starts, if the text still has such a place.
pub(crate) fn offset(text: &str, site: &Site) -> Option<usize> {
    let line_start = match site.line() {
        0 => return None,
        1 => 0,
        line => text.match_indices('\n').nth(line as usize - 2)?.0 + 1,
    };
    let line = text[line_start..].split('\n').next()?;
    let column = site.column().checked_sub(1)? as usize;
    let (in_line, _) = line.char_indices().nth(column)?;
    Some(line_start + in_line)
}

/// The length of the identifier that starts at `offset`: what the caret
/// underlines. 1 if there is none.
pub(crate) fn identifier(text: &str, offset: usize) -> usize {
    text[offset..].find(|c: char| !is_identifier(c)).unwrap_or(text.len() - offset).max(1)
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The expression whose method is called at `offset`, on one line:
/// `bank.accounts` in `bank.accounts.lock()`, also if the chain is broken over
/// several lines. For a plain call, its first argument: `a` in `Mutex::lock(&a)`;
/// for a `Deref`, the place itself: `CONFIG` in `*CONFIG`.
///
/// This reads tokens, not the grammar: where it is not sure, it says nothing.
fn receiver_at(text: &str, offset: usize) -> Option<String> {
    let before = text[..offset].trim_end();
    let expression = if let Some(before) = before.strip_suffix('.') {
        &before[start_of_postfix_expression(before)?..]
    } else {
        let here = text[offset..].trim_start_matches(['*', '&']);
        let path = leading_path(here);
        match here[path.len()..].strip_prefix('(') {
            Some(arguments) => leading_path(arguments.trim_start().trim_start_matches('&')),
            None => path,
        }
    };
    let name = on_one_line(cloned(expression.trim()));
    (!name.is_empty() && name.chars().count() <= 60).then_some(name)
}

/// What a handle is cloned of, for a guard that keeps the clone: `Arc::clone(&lock)`, `lock.clone()` → `lock`.
fn cloned(expression: &str) -> &str {
    let of_call = || {
        let (function, argument) = expression.strip_suffix(')')?.split_once("::clone(&")?;
        let is_whole = leading_path(argument) == argument && leading_path(function) == function;
        is_whole.then_some(argument)
    };
    expression.strip_suffix(".clone()").or_else(of_call).unwrap_or(expression)
}

/// The receiver that a `for` at `offset` takes messages from: `jobs` in `for job in &jobs {`.
fn looped_over(text: &str, offset: usize) -> Option<String> {
    let header = text[offset..].strip_prefix("for ")?.split('{').next()?;
    let (_, expression) = header.split_once(" in ")?;
    let expression = expression.trim().trim_start_matches('&');
    let methods = [".iter()", ".into_iter()", ".try_iter()"];
    let method = methods.iter().find_map(|method| expression.strip_suffix(method));
    let name = method.unwrap_or(expression);
    (!name.is_empty() && leading_path(name) == name).then(|| name.to_owned())
}

/// `a::b.c` of `a::b.c + 1`.
fn leading_path(text: &str) -> &str {
    let end = text.find(|c: char| !is_identifier(c) && c != ':' && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches(['.', ':'])
}

/// Where the postfix expression that ends the text starts:
/// `foo(self.map[&key]?.entry(a, b).0` → `self.map[&key]?.entry(a, b).0`.
fn start_of_postfix_expression(text: &str) -> Option<usize> {
    let mut rest = text.trim_end();
    loop {
        rest = rest.trim_end_matches('?').trim_end();
        // A call's arguments or an index, any number of them.
        let mut bracketed = false;
        while rest.ends_with([')', ']']) {
            rest = before_brackets(rest)?;
            bracketed = true;
        }
        let head = rest.trim_end_matches(is_identifier);
        if head.len() == rest.len() {
            // `(expression).lock()`; a macro, a generic call or an operator ends
            // what we can read.
            let readable = bracketed && !rest.ends_with(['!', '>']);
            return readable.then_some(rest.len());
        }
        let joined = head.trim_end();
        match joined.strip_suffix('.').or_else(|| joined.strip_suffix("::")) {
            Some(before) if !before.ends_with('.') => rest = before.trim_end(),
            _ => return Some(head.len()),
        }
    }
}

/// The text before the bracket that the last one closes.
fn before_brackets(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices().rev() {
        match character {
            ')' | ']' | '}' => depth += 1,
            '(' | '[' | '{' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[..at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// A chain of calls, without the line breaks in it.
fn on_one_line(expression: &str) -> String {
    expression.lines().map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the lock is called whose method stands at the `^`.
    fn name(marked: &str) -> Option<String> {
        let offset = marked.find('^').expect("a mark");
        receiver_at(&marked.replace('^', ""), offset)
    }

    #[test]
    fn the_source_names_the_lock() {
        for (source, expected) in [
            ("let a = bank.accounts.^lock().unwrap();", "bank.accounts"),
            ("accounts.^lock()", "accounts"),
            ("*self.0.^lock().unwrap() += 1", "self.0"),
            ("foo(&self.map[&key].^read())", "self.map[&key]"),
            ("shard(hash(key)).inner.^write()", "shard(hash(key)).inner"),
            ("crate::STATE.^lock()", "crate::STATE"),
            ("if let Some(x) = self.find(id)?.^lock()", "self.find(id)?"),
            ("self\n        .bank\n        .accounts\n        .^lock()", "self.bank.accounts"),
            ("(*pair).0.^lock()", "(*pair).0"),
            ("for x in 0..locks[i].^lock()", "locks[i]"),
            ("Arc::clone(&self.lock).^lock_owned()", "self.lock"),
            ("std::sync::Arc::clone(&lock).^lock_owned()", "lock"),
            ("self.lock.clone().^lock_owned()", "self.lock"),
            ("Arc::clone(&locks[0]).^lock_owned()", "Arc::clone(&locks[0])"),
            ("^Mutex::lock(&a)", "a"),
            ("^LazyLock::force(&CONFIG)", "CONFIG"),
            ("let x = ^CONFIG.port;", "CONFIG.port"),
            ("let x = ^*CONFIG + 1;", "CONFIG"),
        ] {
            assert_eq!(name(source).as_deref(), Some(expected), "{source}");
        }
    }

    #[test]
    fn the_source_names_the_receiver_of_a_loop() {
        for (source, expected) in [
            ("^for job in &self.jobs {", Some("self.jobs")),
            ("^for (at, job) in jobs.into_iter() {", Some("jobs")),
            ("^for job in jobs(1) {", None),
            ("^force.recv()", None),
        ] {
            let offset = source.find('^').expect("a mark");
            let name = looped_over(&source.replace('^', ""), offset);
            assert_eq!(name.as_deref(), expected, "{source}");
        }
    }

    #[test]
    fn a_call_that_spawns_names_no_lock() {
        for source in ["thread::spawn(move || ())", "spawn(f)", "std::thread::scope(|scope| ())"] {
            assert!(starts_a_thread(source), "{source}");
        }
        for source in ["spawn.lock()", "lock()", "spawned(&a)", "self.spawn"] {
            assert!(!starts_a_thread(source), "{source}");
        }
    }

    #[test]
    fn where_the_source_is_not_clear_it_says_nothing() {
        for source in ["vec![a].^lock()", "get::<T>().^lock()", ".^lock()", "\").^lock()", "^"] {
            assert_eq!(name(source), None, "{source}");
        }
    }
}
