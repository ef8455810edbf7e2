//! A child process that runs until it is told to end, and what it writes meanwhile.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
};

use super::child_command;

/// Starts a test of this process again, in a process of its own.
pub(crate) fn start(test: &str, environment: &[(&str, &str)]) -> Child {
    let mut command = child_command(test);
    command.envs(environment.iter().copied()).stdin(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

/// In the child: until the parent closes standard input.
pub(crate) fn until_told() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// In the parent: the lines that the child writes, up to one that has some text in it.
///
/// What it has written after that by then may be lost.
pub(crate) fn lines_until(child: &mut Child, text: &str) -> String {
    lines_between(child, "", text)
}

/// The same from a line on that has another text in it.
pub(crate) fn lines_between(child: &mut Child, from: &str, to: &str) -> String {
    let mut lines = String::new();
    for line in BufReader::new(child.stderr.as_mut().unwrap()).lines() {
        let line = line.unwrap();
        if lines.is_empty() && !line.contains(from) {
            continue;
        }
        lines += &line;
        lines.push('\n');
        if lines.contains(to) {
            return lines;
        }
    }
    panic!("the child ended: {lines}");
}

pub(crate) fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
