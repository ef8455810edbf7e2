//! A child process that runs until it is told to end, and its output.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
};

use super::child_command;

/// Runs a test again, in a separate process.
pub(crate) fn start<T: Fn()>(test: T, environment: &[(&str, &str)]) -> Child {
    let mut command = child_command(test);
    command.envs(environment.iter().copied()).stdin(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

/// In the child: waits until the parent closes standard input.
pub(crate) fn until_told() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// In the parent: returns the lines that the child writes, up to one that contains a text.
///
/// Lines that it has written after that one may be lost.
pub(crate) fn lines_until(child: &mut Child, text: &str) -> String {
    lines_between(child, "", text)
}

/// As above, but starting with a line that contains another text.
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
