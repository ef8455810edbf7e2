//! The `junit` format for CI servers: each finding is a test, which fails if the finding is denied.

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::human::summary;
use crate::{
    Result, cannot,
    report::{Judged, Report, Verdict},
};

pub(super) fn text(report: &Report) -> Result<String> {
    let mut suite = TestSuite::new("lockdep");
    suite.add_test_cases(report.told().map(case));
    if !report.is_denied() {
        // Some servers reject a suite without tests. A run in which nothing was checked must not count as success.
        let status = match report.nothing {
            Some(_) => TestCaseStatus::skipped(),
            None => TestCaseStatus::success(),
        };
        let mut case = TestCase::new("lock order", status);
        case.set_classname("lockdep").set_system_out(summary(report));
        suite.add_test_case(case);
    }
    let mut document = Document::new("cargo lockdep");
    document.add_test_suite(suite);
    let text = document.to_string().map_err(cannot("write XML"))?;
    // quick-junit removes all other characters that XML does not allow.
    Ok(text.replace(['\u{fffe}', '\u{ffff}'], ""))
}

fn case(judged: &Judged) -> TestCase {
    let finding = &judged.finding;
    let status = match judged.verdict {
        Verdict::Denied => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(&finding.title)
                .set_type(format!("lockdep::{}", finding.kind))
                .set_description(finding.to_string());
            status
        }
        _ => TestCaseStatus::success(),
    };
    // Findings at different places may have the same title.
    let place = finding.cycle.first().map_or("", |edge| &edge.acquired_at);
    let name = format!("{} at {place}", without_task_numbers(&finding.title));
    let mut case = TestCase::new(name, status);
    case.set_classname(format!("lockdep::{}", finding.kind));
    if judged.verdict == Verdict::Warned {
        case.set_system_out(finding.to_string());
    }
    case
}

/// Replaces the numbers of tasks (`task 7 waits` → `a task waits`, `tasks 7 and 8` → `two tasks`):
/// they differ from run to run, and a server identifies a test by its name.
fn without_task_numbers(title: &str) -> String {
    let is_name = |(at, _): &(usize, &str)| at % 2 == 1;
    let parts = title.split('`').enumerate();
    let parts = parts.map(|part| if is_name(&part) { part.1.to_owned() } else { reworded(part.1) });
    parts.collect::<Vec<_>>().join("`")
}

fn reworded(text: &str) -> String {
    let mut words = text.split(' ').peekable();
    let mut reworded = Vec::new();
    let after_number = |word: &str| {
        let rest = word.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < word.len()).then(|| rest.to_owned())
    };
    while let Some(word) = words.next() {
        match (word, words.peek().copied().and_then(after_number)) {
            ("task", Some(rest)) => {
                words.next();
                reworded.push(format!("a task{rest}"));
            }
            ("tasks", Some(_)) => {
                let last = words.by_ref().take(3).last().and_then(after_number);
                reworded.push(format!("two tasks{}", last.unwrap_or_default()));
            }
            _ => reworded.push(word.to_owned()),
        }
    }
    reworded.join(" ")
}

#[cfg(test)]
mod tests {
    use super::without_task_numbers;

    #[test]
    fn the_name_of_a_test_has_no_numbers_of_tasks() {
        for (title, name) in [
            ("task 7 waits for `task 7`, which it has", "a task waits for `task 7`, which it has"),
            ("tasks 7 and 18 wait for each other", "two tasks wait for each other"),
            ("task 7 and thread `task` wait", "a task and thread `task` wait"),
            ("3 tasks wait: task 1 → task 2 → …", "3 tasks wait: a task → a task → …"),
            ("a task of task force", "a task of task force"),
            ("tasks 1 and 2: so", "two tasks: so"),
        ] {
            assert_eq!(without_task_numbers(title), name);
        }
    }
}
