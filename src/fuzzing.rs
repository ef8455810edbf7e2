//! What the fuzzer in `fuzz/` needs of what is private.
#![allow(missing_docs, reason = "nobody else sees it")]

pub fn environment(variable: impl FnMut(&str) -> Option<String>) -> Vec<String> {
    crate::ledger::complaints(variable)
}

pub fn config(text: &str) -> Result<(), String> {
    crate::ledger::check_config(text)
}
