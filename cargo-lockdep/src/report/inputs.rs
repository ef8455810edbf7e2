//! Where records are read from: folders, files, rotated or compressed ones, and standard input.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use lockdep::record::{Merge, Problem};

use crate::{Result, cannot, project};

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The records to read.
#[derive(Debug, clap::Args)]
pub(crate) struct Paths {
    /// The folders with the records, searched recursively, or files: records, or logs with their lines; `-` is standard
    /// input. If there are none, the last run is read
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
}

impl Paths {
    /// Finds the records. A folder without any is an error.
    pub(crate) fn inputs(mut self) -> Result<Inputs> {
        if self.paths.is_empty() {
            let last_run = project::last_run_here()?;
            if !last_run.is_dir() {
                return Err("no run has left records here: run `cargo lockdep test`, or name a folder with \
                            records"
                    .to_owned());
            }
            self.paths.push(last_run);
        }
        let mut inputs = Inputs::default();
        for path in &self.paths {
            let name = path.display();
            if path == Path::new("-") {
                inputs.has_standard_input = true;
                continue;
            }
            if !path.metadata().map_err(cannot(format!("read {name}")))?.is_dir() {
                inputs.add_file(path);
                continue;
            }
            // It may be named twice, as a part of another one.
            let folder = path.canonicalize().map_err(cannot(format!("read {name}")))?;
            if !inputs.add_folder(&folder).map_err(cannot(format!("read {name}")))? {
                return Err(format!("there is no record in {name}: no file ends in `.jsonl`"));
            }
        }
        Ok(inputs)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// The folders that have records, or what else processes write besides.
    folders: BTreeSet<PathBuf>,
    /// The files of each record by its name, with their numbers: a higher one is older.
    files: BTreeMap<PathBuf, Vec<(u32, PathBuf)>>,
    has_standard_input: bool,
    /// What cannot be read.
    odd: Vec<String>,
}

impl Inputs {
    pub(crate) fn of_folder(folder: &Path) -> io::Result<Self> {
        let mut inputs = Self::default();
        inputs.add_files_of(folder)?;
        Ok(inputs)
    }

    /// Adds a folder, and those within it. Returns `false` if there is no record in it.
    fn add_folder(&mut self, folder: &Path) -> io::Result<bool> {
        let mut has_any = self.add_files_of(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Links are not followed, because they may form a cycle.
            if entry.file_type()?.is_dir() {
                has_any |= self.add_folder(&entry.path())?;
            }
        }
        Ok(has_any)
    }

    /// Adds a file, whatever its name: a record, or a log with the lines of records.
    fn add_file(&mut self, file: &Path) {
        let (name, number) = rotated(file);
        self.files.entry(name).or_default().push((number, file.to_owned()));
    }

    pub(crate) fn folders(&self) -> &BTreeSet<PathBuf> {
        &self.folders
    }

    /// Adds the records of a folder. Returns `false` if it has none.
    fn add_files_of(&mut self, folder: &Path) -> io::Result<bool> {
        let mut has_any = false;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let (name, _) = rotated(&path);
            let kind = name.extension().unwrap_or_default();
            if kind == "jsonl" && path.metadata().is_ok_and(|it| !it.is_file()) {
                // A pipe or a device may have no end.
                self.odd.push(format!("{}: it is no regular file", path.display()));
                has_any = true;
            } else if kind == "jsonl" {
                self.add_file(&path);
                has_any = true;
            }
            // A program that acquires no lock writes no record, only its counts.
            has_any |= kind == "counts";
        }
        if has_any {
            self.folders.insert(folder.to_owned());
        }
        Ok(has_any)
    }

    /// Adds all records to a merge. Returns a message for each that could not be read, at least in part.
    pub(crate) fn merge(&self, merge: &mut Merge) -> Vec<String> {
        let of_files = merge
            .read_each(&self.records(), |merge, parts| read_parts(parts, |input| merge.add(input)));
        let mut messages = self.odd.clone();
        messages.extend(of_files.into_iter().flatten());
        messages.extend(self.read_standard_input(|input| merge.add(input)));
        messages
    }

    /// Calls `read` for each record, one after the other. Returns a message for each that could not be read, at least
    /// in part.
    pub(crate) fn each(
        &self,
        mut read: impl FnMut(Box<dyn BufRead>) -> io::Result<Vec<Problem>>,
    ) -> Vec<String> {
        let mut messages = self.odd.clone();
        for parts in self.records() {
            messages.extend(read_parts(&parts, &mut read));
        }
        messages.extend(self.read_standard_input(read));
        messages
    }

    /// Returns the files of each record, the first part first.
    fn records(&self) -> Vec<Vec<(u32, PathBuf)>> {
        let in_order = |parts: &Vec<(u32, PathBuf)>| {
            let mut parts = parts.clone();
            parts.sort_by(|one, other| other.cmp(one));
            parts.dedup();
            parts
        };
        self.files.values().map(in_order).collect()
    }

    fn read_standard_input(
        &self,
        read: impl FnOnce(Box<dyn BufRead>) -> io::Result<Vec<Problem>>,
    ) -> Option<String> {
        let name = Path::new("standard input");
        let input = || decompressed(io::stdin()).and_then(read);
        self.has_standard_input.then(|| message(name, &input()))?
    }
}

/// Reads the record in these files, the first part first.
fn read_parts(
    parts: &[(u32, PathBuf)],
    read: impl FnOnce(Box<dyn BufRead>) -> io::Result<Vec<Problem>>,
) -> Option<String> {
    let name = &parts.last()?.1;
    let mut whole: Box<dyn BufRead> = Box::new(io::empty());
    for (_, path) in parts {
        match File::open(path).and_then(decompressed) {
            Ok(part) => whole = Box::new(whole.chain(part)),
            Err(error) => return message(path, &Err(error)),
        }
    }
    message(name, &read(whole))
}

/// Returns what is read, which may be compressed.
fn decompressed(input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let is_compressed = input.fill_buf()?.starts_with(&GZIP);
    Ok(if is_compressed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input)))
    } else {
        Box::new(input)
    })
}

/// Returns the first problem of a file, and the number of further ones.
fn message(file: &Path, problems: &io::Result<Vec<Problem>>) -> Option<String> {
    let name = file.display();
    let of_file = |problem: &Problem| match problem.line {
        0 => format!("{name}: {}", problem.reason),
        line => format!("{name}:{line}: {}", problem.reason),
    };
    match problems.as_deref() {
        Ok([]) => None,
        Ok([only]) => Some(of_file(only)),
        Ok([first, rest @ ..]) => Some(format!("{} (and {} more)", of_file(first), rest.len())),
        Err(error) => Some(format!("{name}: {error}")),
    }
}

/// Returns the name of a file without the ends that rotating and compressing it add, and its number: `app.jsonl` and 2
/// for `app.jsonl.2.gz`.
fn rotated(path: &Path) -> (PathBuf, u32) {
    let is_compressed = path.extension().is_some_and(|it| it == "gz");
    let path = if is_compressed { path.with_extension("") } else { path.to_owned() };
    let number = path.extension().and_then(|it| it.to_str()?.parse().ok());
    match number {
        Some(number) => (path.with_extension(""), number),
        None => (path, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn names_of_rotated_files() {
        for (path, name, number) in [
            ("a/b.jsonl", "a/b.jsonl", 0),
            ("a/b.jsonl.1", "a/b.jsonl", 1),
            ("a/b.jsonl.12.gz", "a/b.jsonl", 12),
            ("b.jsonl.gz", "b.jsonl", 0),
            ("app.log.old", "app.log.old", 0),
            ("app", "app", 0),
        ] {
            assert_eq!(rotated(Path::new(path)), (PathBuf::from(name), number), "{path}");
        }
    }

    fn record() -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/records/pay.jsonl");
        fs::read_to_string(folder).unwrap()
    }

    /// Returns what is merged from files with these contents.
    fn merged(name: &str, files: &[(&str, &[u8])]) -> (Merge, Vec<String>) {
        let folder =
            std::env::temp_dir().join(format!("lockdep-inputs-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        let mut inputs = Inputs::default();
        assert!(inputs.add_folder(&folder).unwrap());
        let mut merge = Merge::default();
        let messages = inputs.merge(&mut merge);
        fs::remove_dir_all(&folder).unwrap();
        (merge, messages)
    }

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A record that was cut anywhere by a rotation is whole again.
    #[test]
    fn parts_are_one_record() {
        let whole = record();
        let (expected, messages) = merged("whole", &[("a.jsonl", whole.as_bytes())]);
        assert_eq!(messages, [""; 0]);
        assert_eq!((expected.records(), expected.edges()), (1, 1));
        for cut in [1, whole.len() / 3, whole.find('\n').unwrap() + 1, whole.len() - 1] {
            let (first, rest) = whole.as_bytes().split_at(cut);
            let (second, third) = rest.split_at(rest.len() / 2);
            let first = compressed(first);
            let files = [("a.jsonl.2.gz", &*first), ("a.jsonl.1", second), ("a.jsonl", third)];
            let (merge, messages) = merged("parts", &files);
            assert_eq!(messages, [""; 0], "{cut}");
            assert!(merge == expected, "{cut}");
        }
    }

    /// The others are read.
    #[test]
    fn what_cannot_be_read_is_named() {
        let whole = record();
        let mut cut = compressed(whole.as_bytes());
        cut.truncate(cut.len() / 2);
        let rest = &whole.as_bytes()[whole.find('\n').unwrap() + 1..];
        let files =
            [("cut.jsonl.gz", &*cut), ("headless.jsonl", rest), ("whole.jsonl", whole.as_bytes())];
        let (merge, messages) = merged("cut", &files);
        assert_eq!((merge.records(), merge.edges()), (1, 1));
        let [one, other] = &messages[..] else { panic!("{messages:?}") };
        assert!(one.contains("cut.jsonl.gz: ") && one.contains("incomplete"), "{one}");
        assert!(other.contains("headless.jsonl:1: no header stands before this (and "), "{other}");
    }
}
