//! The program's source files, if they are available: excerpts, the expressions that name locks, and
//! the constructor calls that create one kind of lock.

mod class;
pub(crate) mod doctest;
mod name;
mod sharing;
mod syntax;
mod temporary;
mod tokens;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use once_cell::race::OnceBox;

pub(crate) use self::{class::Creates, temporary::Lifetime};
use self::{sharing::Object, tokens::Tokens};
use crate::{
    finding::{LockInfo, Role, Site},
    upstream,
};

/// A folder in which files are looked for as well. Set once, before any is read.
static ROOT: OnceBox<PathBuf> = OnceBox::new();

/// Makes files be looked for in a folder as well: the process may run outside of its project.
pub(crate) fn look_in(root: PathBuf) {
    let _ = ROOT.set(Box::new(root));
}

/// The largest source file that is read.
const MAX_FILE: u64 = 1 << 24;

/// The source files that one report reads.
#[derive(Default)]
pub(crate) struct Sources {
    files: HashMap<String, Option<String>>,
    /// Those that a name was looked for in. To split a large file takes a debug build milliseconds.
    tokens: HashMap<String, Option<Rc<Tokens>>>,
}

impl Sources {
    /// Returns the text of the file that a site is in. `None` for one that may be in a doctest, whose
    /// lines are others.
    pub(crate) fn text(&mut self, site: &Site) -> Option<&str> {
        if site.may_be_in_a_doctest() {
            return None;
        }
        self.files.entry(site.file().to_owned()).or_insert_with(|| read(site.file())).as_deref()
    }

    /// Returns the text of a file that was read before.
    pub(crate) fn known(&self, file: &str) -> Option<&str> {
        self.files.get(file)?.as_deref()
    }

    /// Returns the column that debug information counts in bytes as one that counts characters. Reads the
    /// file, unless it is a dependency's: its lines are hardly ever shown.
    pub(crate) fn column(&mut self, file: &str, line: u32, bytes: u32) -> u32 {
        if bytes <= 1 || upstream::is_of_a_dependency(file) {
            return bytes;
        }
        let start = Site::new(file.to_owned(), line, 1);
        let characters = self.text(&start).and_then(|text| {
            let before = text[offset(text, &start)?..].get(..bytes as usize - 1)?;
            u32::try_from(before.chars().count()).ok()
        });
        characters.map_or(bytes, |before| before + 1)
    }

    /// Returns the source expression of the lock that is acquired at a site. `None` for a condvar
    /// wait, whose receiver is the condition variable; where a thread is spawned; and in lock_api's
    /// own source.
    pub(crate) fn receiver(&mut self, site: &Site) -> Option<String> {
        if site.is_of_reentrant_mutex() {
            return None;
        }
        let text = self.text(site)?;
        let offset = offset(text, site)?;
        let is_wait = text[offset..].starts_with("wait");
        if is_wait || starts_a_thread(&text[offset..]) { None } else { receiver_at(text, offset) }
    }

    /// As [`receiver`](Self::receiver), except that a channel or barrier may have a method named
    /// `wait`.
    pub(crate) fn receiver_of(&mut self, lock: &LockInfo, site: &Site) -> Option<String> {
        if !matches!(lock.kind.role, Role::Channel | Role::Barrier) {
            return self.receiver(site);
        }
        let text = self.text(site)?;
        let offset = offset(text, site)?;
        looped_over(text, offset).or_else(|| receiver_at(text, offset))
    }

    /// Returns the field or `static` that the lock is, from its constructor call.
    pub(crate) fn declared(&mut self, lock: &LockInfo) -> Option<String> {
        let site = lock.created_at().filter(|site| !site.is_of_the_toolchain())?;
        let (tokens, offset) = self.tokens(site)?;
        name::declared(&tokens, offset, &lock.type_name())
    }

    /// Returns the expression for a lock that its callers use, where `way` leads from its
    /// acquisition to them.
    pub(crate) fn handed_over(&mut self, receiver: String, way: &[&Site]) -> Option<String> {
        let mut name = receiver;
        for pair in way.windows(2).take_while(|pair| pair[0] != pair[1]) {
            let [inner, outer] = [pair[0], pair[1]].map(|site| self.tokens(site));
            let ((inner, offset), (outer, call)) = (inner?, outer?);
            name = name::handed_over(&name, (&inner, offset), (&outer, call))?;
            if !name::is_anonymous(&name) {
                break;
            }
        }
        if name == "self" {
            let last = way.iter().zip(way.iter().skip(1)).take_while(|(a, b)| a != b).count();
            return self.type_around(way.get(last)?);
        }
        Some(name)
    }

    /// Returns the field of a tuple struct that a method locks: `Book::0` for `self.0.lock()`.
    pub(crate) fn field_of_self(&mut self, receiver: &str, site: &Site) -> Option<String> {
        let field = receiver.strip_prefix("self.")?;
        Some(format!("{}::{field}", self.type_around(site)?))
    }

    /// Returns the type whose methods are around a site.
    fn type_around(&mut self, site: &Site) -> Option<String> {
        let (tokens, offset) = self.tokens(site)?;
        tokens.implemented_around(tokens.at(offset)?).map(str::to_owned)
    }

    /// Returns the name of the function around a site, if no macro may have made it.
    pub(crate) fn function_around(&mut self, site: &Site) -> Option<String> {
        let (tokens, offset) = self.tokens(site)?;
        let function = tokens.function_around(tokens.at(offset)?).ok()??;
        Some(tokens.text(function + 1).to_owned())
    }

    /// Returns how long the guard lives that is acquired at `held`, if it is a temporary and another lock is acquired
    /// meanwhile.
    pub(crate) fn lifetime(&mut self, held: &Site, wanted: &Site) -> Option<Lifetime> {
        let (tokens, at) = self.tokens(held)?;
        let (_, wanted) = self.tokens(wanted).filter(|_| held.file() == wanted.file())?;
        temporary::lifetime(&tokens, at, wanted)
    }

    /// Returns `true` if a `let` before a site may declare the lock that is acquired there. Most locks are in
    /// fields and statics, which this tells without splitting the file.
    fn is_declared_before(&mut self, site: &Site) -> Option<bool> {
        let name = self.receiver(site)?;
        let variable = name.split('.').next()?;
        let text = self.text(site)?;
        let before = &text[..offset(text, site)?];
        let declarations = [format!("let {variable}"), format!("let mut {variable}")];
        Some(declarations.iter().any(|it| before.contains(it)))
    }

    /// Returns the tokens of the file that a site is in, and its offset.
    fn tokens(&mut self, site: &Site) -> Option<(Rc<Tokens>, usize)> {
        let text = self.text(site)?;
        let offset = offset(text, site)?;
        let text = self.files[site.file()].as_deref()?;
        let split = || Tokens::new(text).map(Rc::new);
        let tokens = self.tokens.entry(site.file().to_owned()).or_insert_with(split);
        Some((tokens.clone()?, offset))
    }
}

/// A source file, split into tokens, whose constructor calls say which locks they make.
#[derive(Debug)]
pub struct Constructors(Tokens);

impl Constructors {
    /// Returns `None` if the brackets of the text do not match, or if it is too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Tokens::new(text).map(Self)
    }

    /// Returns the field or `static` whose lock is created at a line and column.
    #[must_use]
    pub fn declared_at(&self, (line, column): (u32, u32), type_name: &str) -> Option<String> {
        name::declared(&self.0, offset_of(self.0.source(), line, column)?, type_name)
    }
}

/// Returns `true` if an expression tells which lock it is only together with the code around it.
#[must_use]
pub fn is_anonymous(name: &str) -> bool {
    name::is_anonymous(name)
}

/// Returns `true` if the text starts with a call that spawns threads: `thread::spawn(`, `spawn(`,
/// or `spawn_scoped(` of a method.
fn starts_a_thread(text: &str) -> bool {
    let path = leading_path(text);
    let function = path.rsplit("::").next().unwrap_or(path);
    ["spawn", "spawn_scoped", "spawn_unchecked", "scope"].contains(&function)
        && text[path.len()..].starts_with('(')
}

/// Returns the source expression of the lock that is acquired at a site. Reads the file.
pub(crate) fn receiver(site: &Site) -> Option<String> {
    Sources::default().receiver(site)
}

/// Reads a source file by the path that the compiler was given: relative to the current folder or
/// one above it, or to [`ROOT`]. Paths are relative to the workspace root, while `cargo test` runs in the
/// package's folder.
fn read(file: &str) -> Option<String> {
    let from_here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let root = ROOT.get().map(PathBuf::as_path);
    from_here.ancestors().chain(root).map(|folder| folder.join(file)).find_map(|path| {
        // Reading a pipe would block.
        let is_source = |it: &fs::Metadata| it.is_file() && it.len() <= MAX_FILE;
        fs::metadata(&path).ok().filter(is_source)?;
        fs::read_to_string(path).ok()
    })
}

/// Returns which locks are created at a site, according to the source. Reads the file.
pub(crate) fn creates(site: &Site) -> Creates {
    if !is_of_the_workspace(site.file()) {
        return Creates::Various;
    }
    let mut sources = Sources::default();
    let Some((text, offset)) =
        sources.text(site).and_then(|text| Some((text, offset(text, site)?)))
    else {
        return Creates::Various;
    };
    class::creates(text, offset)
}

/// Returns `true` if no other thread can know a lock that was created and acquired at these two sites,
/// when another one is acquired while it is held, according to the source. `way` returns the lines that
/// led to that acquisition, from there outward. Reads the files.
pub(crate) fn is_unshared(
    created: &Site,
    held_at: &Site,
    acquired_at: &Site,
    way: impl FnOnce(&mut Sources) -> Vec<Site>,
) -> bool {
    let mut sources = Sources::default();
    let decide = |sources: &mut Sources| {
        if !sources.is_declared_before(held_at)? {
            return None;
        }
        let (tokens, offset) = sources.tokens(held_at)?;
        let object = Object::locked_at(&tokens, tokens.at(offset)?)?;
        let (making, offset) = sources.tokens(created)?;
        if !object.is_made_by(&making, making.at(offset)?, created.file() == held_at.file()) {
            return None;
        }
        let (acquiring, offset) = sources.tokens(acquired_at)?;
        let acquired = acquiring.at(offset)?;
        if acquired_at.file() == held_at.file() && object.is_known_at(acquired) {
            return Some(object.is_unshared_until(acquired));
        }
        // It is acquired in a function that is called here.
        let function = acquiring.function_around(acquired).ok().flatten()?;
        let call = way(sources).into_iter().nth(1).filter(|call| call.file() == held_at.file())?;
        let (_, offset) = sources.tokens(&call)?;
        let handed = object.handed_to(tokens.at(offset)?, (&acquiring, function))?;
        Some(handed.is_unshared_until(acquired))
    };
    decide(&mut sources).unwrap_or(false)
}

/// Returns `true` for a file of the program's workspace. Cargo passes their paths relative to its
/// root. Those of other packages, registries and the toolchain are absolute.
fn is_of_the_workspace(file: &str) -> bool {
    !Path::new(file).has_root() && !is_ours(file)
}

/// Returns `true` for a file of this crate, whose constants and `Default`s hide their callers. In
/// most programs it is outside of the workspace.
fn is_ours(file: &str) -> bool {
    let this = "source/mod.rs";
    let folder = &file!()[..file!().len() - this.len()];
    !folder.is_empty() && file.starts_with(folder)
}

/// Returns the byte offset of a site, if the text still has that line and column.
pub(crate) fn offset(text: &str, site: &Site) -> Option<usize> {
    offset_of(text, site.line(), site.column())
}

fn offset_of(text: &str, line: u32, column: u32) -> Option<usize> {
    let line_start = match line {
        0 => return None,
        1 => 0,
        line => text.match_indices('\n').nth(line as usize - 2)?.0 + 1,
    };
    let line = text[line_start..].split('\n').next()?;
    let column = column.checked_sub(1)? as usize;
    let (in_line, _) = line.char_indices().nth(column)?;
    Some(line_start + in_line)
}

/// Returns the length of the identifier at `offset`, which the caret underlines; 1 if it is empty.
pub(crate) fn identifier(text: &str, offset: usize) -> usize {
    text[offset..].find(|c: char| !is_identifier(c)).unwrap_or(text.len() - offset).max(1)
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Returns the expression whose method is called at `offset`, on one line: `bank.accounts` in
/// `bank.accounts.lock()`, even if the chain is broken over several lines. For a plain call, its
/// first argument: `a` in `Mutex::lock(&a)`. For a `Deref`, the place: `CONFIG` in `*CONFIG`.
///
/// This scans tokens and does not parse Rust: where it is not sure, it returns `None`.
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

/// Strips the clone of a handle that a guard keeps: `Arc::clone(&lock)`, `lock.clone()` → `lock`.
fn cloned(expression: &str) -> &str {
    let of_call = || {
        let (function, argument) = expression.strip_suffix(')')?.split_once("::clone(&")?;
        let is_whole = leading_path(argument) == argument && leading_path(function) == function;
        is_whole.then_some(argument)
    };
    expression.strip_suffix(".clone()").or_else(of_call).unwrap_or(expression)
}

/// Returns the receiver that a `for` at `offset` iterates over: `jobs` in `for job in &jobs {`.
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

/// Returns the start of the postfix expression at the end of the text:
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
            // `(expression).lock()` is readable; a macro, a generic call or an operator is not.
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

/// Returns the text before the bracket that the last character closes.
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

/// Joins a chain of calls into one line.
fn on_one_line(expression: &str) -> String {
    expression.lines().map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the name of the lock whose method is at the `^`.
    fn name(marked: &str) -> Option<String> {
        let offset = marked.find('^').expect("a mark");
        receiver_at(&marked.replace('^', ""), offset)
    }

    #[test]
    fn the_receiver_names_the_lock() {
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
    fn a_column_in_bytes_becomes_one_in_characters() {
        let text = "\n/* ü → */ lock();\n";
        let mut sources = Sources::default();
        for file in ["a.rs", "/registry/src/a.rs"] {
            sources.files.insert(file.to_owned(), Some(text.to_owned()));
        }
        sources.files.insert("gone.rs".to_owned(), None);
        for (file, line, bytes, column) in [
            ("a.rs", 2, 14, 11),
            ("a.rs", 2, 4, 4),
            // Unknown, within a character, and beyond the text.
            ("a.rs", 2, 0, 0),
            ("a.rs", 2, 5, 5),
            ("a.rs", 2, 99, 99),
            ("a.rs", 9, 7, 7),
            ("gone.rs", 2, 14, 14),
            ("/registry/src/a.rs", 2, 14, 14),
        ] {
            assert_eq!(sources.column(file, line, bytes), column, "{file}:{line}:{bytes}");
        }
    }

    #[test]
    fn a_for_loop_names_its_receiver() {
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
    fn a_spawn_names_no_lock() {
        for source in ["thread::spawn(move || ())", "spawn(f)", "std::thread::scope(|scope| ())"] {
            assert!(starts_a_thread(source), "{source}");
        }
        for source in ["spawn.lock()", "lock()", "spawned(&a)", "self.spawn"] {
            assert!(!starts_a_thread(source), "{source}");
        }
    }

    #[test]
    fn unclear_source_names_no_lock() {
        for source in ["vec![a].^lock()", "get::<T>().^lock()", ".^lock()", "\").^lock()", "^"] {
            assert_eq!(name(source), None, "{source}");
        }
    }
}
