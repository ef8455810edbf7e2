//! Stands in for the parser of `lockdep.toml` in builds without the feature `config`.

use super::config_file::Config;

/// Returns an error that names the missing feature.
pub(super) fn parse(_text: &str, path: &str) -> Result<Config, String> {
    Err(format!("{path} is not read: this build lacks the feature `config` of lockdep"))
}

/// Parses nothing.
#[cfg(fuzzing)]
pub(crate) fn check(_text: &str) -> Result<(), String> {
    Ok(())
}
