//! For CI servers that list tests: each finding as a test, which fails if it is denied.

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
        // A suite without tests is an error to some servers. Where nothing ran, nothing is well.
        let status = match report.counts.processes {
            0 => TestCaseStatus::skipped(),
            _ => TestCaseStatus::success(),
        };
        let mut case = TestCase::new("lock order", status);
        case.set_classname("lockdep").set_system_out(summary(report));
        suite.add_test_case(case);
    }
    let mut document = Document::new("cargo lockdep");
    document.add_test_suite(suite);
    let text = document.to_string().map_err(cannot("write XML"))?;
    // Two more that XML does not take; quick-junit leaves out the others.
    Ok(text.replace(['\u{fffe}', '\u{ffff}'], ""))
}

fn case(judged: &Judged) -> TestCase {
    let finding = &judged.finding;
    let status = match judged.verdict {
        Verdict::Denied => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(judged.title())
                .set_type(format!("lockdep::{}", finding.kind))
                .set_description(finding.to_string());
            status
        }
        _ => TestCaseStatus::success(),
    };
    // Two findings may be told in the same words, of other places.
    let place = finding.cycle.first().map_or("", |edge| &edge.acquired_at);
    let mut case = TestCase::new(format!("{} at {place}", judged.title()), status);
    case.set_classname(format!("lockdep::{}", finding.kind));
    if judged.verdict == Verdict::Warned {
        case.set_system_out(finding.to_string());
    }
    case
}
