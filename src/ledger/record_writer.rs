//! The record on disk that `LOCKDEP_OUT` asks for.
//!
//! There is one file per process, opened for appending; or standard output, for containers, where each line is marked
//! with the record's id, because the program and other processes write there as well.
//! What belongs together is written with one
//! call of `write` and without a buffer, so it survives any end of the process. The lock is held
//! for that call only; names are looked up and lines formatted outside it. A lock's own line
//! precedes the first line that mentions it. The first failure ends the record, with a message, and
//! the program continues.

use std::{
    fs::{File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{
        AtomicBool,
        Ordering::{Relaxed, SeqCst},
    },
    time::{Duration, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use super::{
    print_past_capture, settings,
    source_facts::{Memory, creates, remembered},
    suppress,
};
use crate::{
    finding::{Edge, Finding, LockInfo, OtherHolds, Site},
    record::{self, Header, Line, MARK, SCHEMA},
    render,
};

static OUT: Mutex<Option<Out>> = Mutex::new(None);
/// `true` while there is a record to write to.
static RECORDS: AtomicBool = AtomicBool::new(false);
/// The names of locks in the source, by what they depend on: where the lock was first seen and made, and its type.
static NAMES: Memory<String, (Site, Option<Site>, String)> = Mutex::new(None);

/// How long a thread waits for the record: after a fork, a thread of the parent may hold its lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of locks remembered before all are discarded. A lock that is written twice does no
/// harm.
const CAPACITY: usize = 1 << 16;

/// Where records go.
#[derive(Clone)]
enum Target {
    Folder(PathBuf),
    StandardOutput,
}

/// An open record.
struct Out {
    target: Target,
    /// `None` for standard output.
    path: Option<PathBuf>,
    file: File,
    /// The number of bytes written to the file.
    written: u64,
    /// What stands before each line.
    mark: String,
    /// The process that wrote the header. A fork creates its own record.
    process: u32,
    /// The locks already written to it.
    locks: FxHashSet<u64>,
}

/// Returns `true` if there is a record to write to.
#[inline]
pub(crate) fn records() -> bool {
    RECORDS.load(Relaxed)
}

/// Opens the record, if the environment asks for one.
pub(crate) fn open_record() {
    let Some(target) = &settings().out else { return };
    // The header has its entries.
    super::load_config();
    match Target::new(target).and_then(Out::create) {
        Ok(out) => {
            if let Some(mut place) = OUT.try_lock_for(LOCK_TIMEOUT) {
                *place = Some(out);
                RECORDS.store(true, SeqCst);
            }
            // Another thread may have made a finding before it could know of the record.
            for finding in super::findings() {
                record_finding(&finding, false);
            }
        }
        Err(error) => print_past_capture(&format!(
            "lockdep: `{}` in LOCKDEP_OUT is ignored: cannot create a record there: {error}",
            target.display()
        )),
    }
}

/// Returns the file's path, if everything so far was written to it.
pub(super) fn path() -> Option<PathBuf> {
    let out = OUT.try_lock_for(LOCK_TIMEOUT)?;
    let out = out.as_ref().filter(|out| records() && out.process == process::id());
    out?.path.clone()
}

/// Writes new edges, each with the other locks that were held.
pub(crate) fn record_edges(edges: &[(Edge, OtherHolds)]) {
    if edges.is_empty() {
        return;
    }
    let line = |(edge, gates): &(Edge, OtherHolds)| {
        let allowed = suppress::reason_for_pair(edge.held.id, edge.wanted.id);
        let allowed = allowed.map(|reason| reason.to_string().into());
        Line::Edge(record::Edge { allowed, ..render::json::edge(edge, gates) })
    };
    let lines: Vec<_> = edges.iter().map(line).map(|line| render::json::json(&line)).collect();
    let locks = edges
        .iter()
        .flat_map(|(edge, gates)| [&edge.held, &edge.wanted].into_iter().chain(&gates.exclusive));
    write(locks, &lines);
}

/// Writes that a guard of this lock which was acquired here was released by another thread or task.
pub(crate) fn record_released_elsewhere(lock: &LockInfo, acquired_at: &Site) {
    let described = render::json::lock(lock, name(lock), creates);
    let place = Some(acquired_at.to_string().into());
    let line = Line::Lock(record::Lock { released_elsewhere: place, ..described });
    write(std::iter::once(lock), &[render::json::json(&line)]);
}

/// Says that the record is too full for further edges.
pub(crate) fn note_full_record() {
    if records() {
        let record = path().map_or_else(|| "the record".to_owned(), |it| it.display().to_string());
        print_past_capture(&format!(
            "lockdep: LOCKDEP_OUT: {record} is full: later edges of the lock order are left out, findings \
             are not"
        ));
    }
}

/// Writes a new finding, before it is reported, so that no reported finding is lost. Returns its
/// report, which is part of the record.
pub(super) fn record_finding(finding: &Finding, in_scope: bool) -> String {
    let json = render::json::finding(finding, in_scope, creates);
    let report = json.report.to_string();
    let line = Line::Finding(json);
    let locks = finding.cycle.iter().flat_map(|edge| [&edge.held, &edge.wanted]);
    write(locks, &[render::json::json(&line)]);
    report
}

/// Writes the lines, preceded by those of the locks that they mention.
fn write<'a>(locks: impl Iterator<Item = &'a LockInfo>, lines: &[String]) {
    let mut locks: Vec<_> = locks.collect();
    locks.sort_by_key(|lock| lock.id);
    locks.dedup_by_key(|lock| lock.id);
    // Reads source files and formats lines for new locks only, and not under the lock. A fork,
    // whose record has no locks yet, may format some twice.
    let is_known = |lock: &LockInfo| {
        let out = OUT.try_lock_for(LOCK_TIMEOUT);
        let out = out.as_ref().and_then(|out| out.as_ref());
        out.is_some_and(|out| out.process == process::id() && out.locks.contains(&lock.id))
    };
    locks.retain(|lock| !is_known(lock));
    let lock = |&lock: &&LockInfo| {
        (lock.id, render::json::json(&Line::Lock(render::json::lock(lock, name(lock), creates))))
    };
    let locks: Vec<_> = locks.iter().map(lock).collect();

    let failure = {
        let Some(mut out) = OUT.try_lock_for(LOCK_TIMEOUT) else { return };
        let written = out.as_mut().map_or(Ok(()), |out| out.write(&locks, lines));
        let name = out.as_ref().map(Out::name);
        written.err().zip(name).filter(|_| RECORDS.swap(false, Relaxed))
    };
    if let Some((error, name)) = failure {
        print_past_capture(&format!(
            "lockdep: LOCKDEP_OUT: recording to {name} has stopped: {error}"
        ));
    }
}

fn name(lock: &LockInfo) -> String {
    if let Some(name) = &lock.name {
        return name.to_string();
    }
    let key = (lock.seen_at.clone(), lock.created_at().cloned(), lock.type_name());
    remembered(&NAMES, &key, |_| render::json::name(lock))
}

/// Returns the file name of a program, without the hash that cargo appends to a test's; and what
/// [identifies](Header::executable) the program.
fn names_of(program: &Path) -> (String, Option<String>) {
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    let name = without_hash(&stem);
    // The hash is of the package, its version and how it is compiled, but not of a folder.
    let path = if name == stem { program.to_string_lossy() } else { stem.clone() };
    (name.to_owned(), Some(path.into_owned()).filter(|path| !path.is_empty()))
}

/// Returns the name of the service that the process is part of.
fn service() -> Option<String> {
    let of_telemetry = || std::env::var("OTEL_SERVICE_NAME").ok();
    settings().service.clone().or_else(of_telemetry).filter(|name| !name.trim().is_empty())
}

/// Returns the name of the machine or container, where the system has it in a file or variable.
fn host() -> Option<String> {
    let of_system = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_environment =
        || ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|it| std::env::var(it).ok());
    let name = of_system.or_else(of_environment)?.trim().to_owned();
    Some(name).filter(|name| !name.is_empty())
}

fn without_hash(name: &str) -> &str {
    let is_hash = |end: &str| end.len() == 16 && end.bytes().all(|it| it.is_ascii_hexdigit());
    match name.rsplit_once('-') {
        Some((name, end)) if is_hash(end) => name,
        _ => name,
    }
}

impl Target {
    fn new(out: &Path) -> io::Result<Self> {
        if out == "-" {
            Ok(Self::StandardOutput)
        } else {
            std::path::absolute(out).map(Self::Folder)
        }
    }
}

/// Returns another handle of standard output, past the lock and the buffer of std's: a thread that writes to it may run code of
/// the program, which acquires locks.
fn standard_output() -> io::Result<File> {
    #[cfg(unix)]
    let own = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned().map(File::from);
    #[cfg(windows)]
    let own = std::os::windows::io::AsHandle::as_handle(&io::stdout())
        .try_clone_to_owned()
        .map(File::from);
    #[cfg(not(any(unix, windows)))]
    let own = Err(io::ErrorKind::Unsupported.into());
    own
}

impl Out {
    /// Creates a new record and writes its header.
    fn create(target: Target) -> io::Result<Self> {
        let since_1970 = UNIX_EPOCH.elapsed().unwrap_or_default();
        let nanos = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        let id = format!("{nanos:016x}{:016x}", RandomState::new().hash_one(nanos));
        let (program, executable) = names_of(&std::env::current_exe().unwrap_or_default());
        let (process, service) = (process::id(), service());

        let (path, file, mark) = match &target {
            Target::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                let path = folder.join(format!("{program}-{process}-{id}.jsonl"));
                // `create_new`, because process ids are reused; the random part of the name is not.
                let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
                (Some(path), file, String::new())
            }
            Target::StandardOutput => (None, standard_output()?, format!("{MARK}{id} ")),
        };
        let locks = FxHashSet::default();
        let mut out = Self { target, path, file, written: 0, mark, process, locks };
        let header = Line::Header(Header {
            schema: SCHEMA,
            lockdep: env!("CARGO_PKG_VERSION").into(),
            id: id.into(),
            process,
            program: program.into(),
            test: std::env::var("NEXTEST_TEST_NAME").ok().map(Into::into),
            started: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            executable: executable.map(Into::into),
            host: service.as_ref().and_then(|_| host()).map(Into::into),
            service: service.map(Into::into),
            allow: suppress::for_record(),
        });
        out.append(&format!("{}{}\n", out.mark, render::json::json(&header)))?;
        Ok(out)
    }

    fn name(&self) -> String {
        let path = self.path.as_ref();
        path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
    }

    /// Writes the lines, preceded by those of the locks that are not in the record yet.
    fn write(&mut self, locks: &[(u64, String)], lines: &[String]) -> io::Result<()> {
        if self.process != process::id() {
            *self = Self::create(self.target.clone())?;
        }
        if self.locks.len() >= CAPACITY {
            self.locks.clear();
        }
        let new = locks.iter().filter(|(lock, _)| self.locks.insert(*lock)).map(|(_, line)| line);
        let mut text = String::new();
        for line in new.chain(lines) {
            text += &self.mark;
            text += line;
            text.push('\n');
        }
        self.append(&text)
    }

    /// One system call, unless the write is partial; then the rest follows immediately.
    ///
    /// If the disk is full, the record gets an incomplete last line, by which its readers know that
    /// something is missing: a file can be extended by a hole, unless the process may have no larger one.
    fn append(&mut self, text: &str) -> io::Result<()> {
        let appended = self.file.write_all(text.as_bytes());
        match appended {
            Ok(()) => self.written += text.len() as u64,
            Err(_) if self.path.is_some() => {
                let is_extended = self.file.set_len(self.written + 1);
                is_extended.or_else(|_| self.file.set_len(self.written.saturating_sub(2)))?;
            }
            Err(_) => {}
        }
        appended
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_identified_by_its_hash_and_another_program_by_its_path() {
        for (path, name, executable) in [
            ("/a/deps/it-0123456789abcdef", "it", "it-0123456789abcdef"),
            ("/b/deps/it-0123456789abcdef.exe", "it", "it-0123456789abcdef"),
            ("/a/debug/server", "server", "/a/debug/server"),
        ] {
            let names = (name.to_owned(), Some(executable.to_owned()));
            assert_eq!(names_of(Path::new(path)), names);
        }
        assert_eq!(names_of(Path::new("")), (String::new(), None));
    }

    #[test]
    fn the_hash_that_cargo_appends_is_removed() {
        assert_eq!(without_hash("two-words-0123456789abcdef"), "two-words");
        let others = ["plain", "two-words", "a-0123456789abcde", "a-0123456789abcdeg"];
        assert!(others.iter().all(|name| without_hash(name) == *name));
    }
}
