//! Tests of the command line.

use std::{
    fs,
    process::{Command, Output},
};

fn race_lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_race-lab")).args(arguments).output().unwrap()
}

#[test]
fn shows_the_ways_and_the_factors_and_draws_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("race.html");
    let output = race_lab(&[
        "--requests=10",
        "--rate=10000",
        "--window=1ms",
        "--html",
        page.to_str().unwrap(),
    ]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let (text, page) =
        (String::from_utf8(output.stdout).unwrap(), fs::read_to_string(page).unwrap());
    for part in ["row locked", "whether a race is possible at all", "how often"] {
        assert!(text.contains(part) && page.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_bad_argument_is_told_in_one_message() {
    for (arguments, said) in [
        (["--workers=0"], "0 is not in 1..=200"),
        (["--window=soon"], "expected number at 0, as in 3ms"),
        (["--window=1h"], "more than 10s"),
        (["--rate=-1"], "invalid value '-1' for '--rate <RATE>'"),
        (["--html=/nowhere/at/all.html"], "cannot write /nowhere/at/all.html"),
        (["--speed=9"], "unexpected argument '--speed'"),
    ] {
        let output = race_lab(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert_eq!(error.matches("error:").count(), 1, "{error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
