//! What the script prints: the finding of both services' records, and nothing once it is fixed.

use std::{fs, path::Path, process::Command};

use snapbox::{Data, assert_data_eq};

#[test]
fn the_report_names_both_services_and_the_fixed_ones_are_silent() {
    let output = Command::new("sh")
        .args(["-c", "./run 2>&1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TWO_SERVICES", env!("CARGO_BIN_EXE_two-services"))
        .env_remove("OTEL_SERVICE_NAME")
        .output()
        .expect("a shell is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let text = text.replace(&format!(" on `{}`", host.trim()), " on `HOST`");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run.txt");
    assert_data_eq!(text, Data::read_from(&golden, None).raw());
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/target/lockdep.html"));
    assert!(page.expect("it was written").contains("class=\"lanes\""));
}
