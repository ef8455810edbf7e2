//! The program `transfer`, as the README shows it.

use std::process::Command;

const GOLDEN: &str = include_str!("../golden/transfer.txt");

#[test]
fn red_red_red_green() {
    let output = Command::new(env!("CARGO_BIN_EXE_transfer")).output().unwrap();
    let [text, reports] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    assert_eq!(text, GOLDEN, "{reports}");
    assert!(output.status.success(), "{reports}");
    let titles: Vec<_> = reports.lines().filter(|line| line.starts_with("warning[")).collect();
    assert_eq!(titles.len(), 3, "{reports}");
    let readme = include_str!("../../README.md");
    assert!(readme.contains(GOLDEN), "tests/golden/transfer.txt, but not the README, has\n{text}");
    let report = readme.split_once("The reports have the places:\n\n```text\n").unwrap().1;
    let report = report.split_once("```").unwrap().0;
    assert!(reports.contains(report), "the README has\n{report}, but this is\n{reports}");
}

#[test]
fn an_argument_that_is_no_option() {
    let output = Command::new(env!("CARGO_BIN_EXE_transfer")).arg("--html").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text, "`--html` is not an option: there are none\n");
}
