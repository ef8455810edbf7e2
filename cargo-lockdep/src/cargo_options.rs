//! The parts of cargo's command line that we must understand.

use std::{collections::BTreeSet, ffi::OsString};

use crate::Result;

/// Returns the packages that cargo's arguments name, without versions and addresses.
pub(crate) fn packages(arguments: &[OsString]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(argument) = arguments.next() {
        let name = match argument {
            "-p" | "--package" => arguments.next(),
            _ => argument.strip_prefix("--package=").or_else(|| argument.strip_prefix("-p")),
        };
        let name = name.map(|name| name.rsplit(['/', '#']).next().unwrap_or(name));
        named.extend(name.and_then(|name| name.split(['@', ':']).next()).map(str::to_owned));
    }
    named
}

/// Returns the values of an option that may be given more than once: `--name value` or `--name=value`.
pub(crate) fn values(arguments: &[OsString], name: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut arguments = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(argument) = arguments.next() {
        let assigned = argument.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        let value = if argument == name { arguments.next() } else { assigned };
        values.extend(value.map(str::to_owned));
    }
    values
}

/// Removes an option with a value from cargo's arguments: `--name value` or `--name=value`.
pub(crate) fn take_option(arguments: &mut Vec<OsString>, name: &str) -> Result<Option<OsString>> {
    let assigned = format!("{name}=");
    let mut taken = None;
    let mut at = 0;
    while at < arguments.len() {
        let value = if arguments[at] == name {
            arguments.remove(at);
            if at == arguments.len() {
                return Err(format!("`{name}` requires a value"));
            }
            arguments.remove(at)
        } else if let Some(value) = arguments[at].to_str().and_then(|a| a.strip_prefix(&assigned)) {
            let value = OsString::from(value);
            arguments.remove(at);
            value
        } else {
            at += 1;
            continue;
        };
        if taken.replace(value).is_some() {
            return Err(format!("`{name}` is given more than once"));
        }
    }
    Ok(taken)
}

/// Removes assignments to some keys from cargo's `--config KEY=VALUE`, and returns them. Cargo reads the values as TOML.
pub(crate) fn take_assignments(
    arguments: &mut Vec<OsString>,
    keys: &[&str],
) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    let mut at = 0;
    while at < arguments.len() {
        let argument = arguments[at].to_string_lossy().into_owned();
        let (text, length) = match argument.strip_prefix("--config=") {
            Some(text) => (text.to_owned(), 1),
            None if argument == "--config" && at + 1 < arguments.len() => {
                (arguments[at + 1].to_string_lossy().into_owned(), 2)
            }
            None => {
                at += 1;
                continue;
            }
        };
        let assigned = text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        if let Some((key, value)) = assigned.filter(|(key, _)| keys.contains(key)) {
            taken.push((key.to_owned(), value.trim_matches(['"', '\'']).to_owned()));
            arguments.drain(at..at + length);
        } else {
            at += length;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn all_values_of_an_option_are_returned() {
        let arguments = words("--name a --names b --name=c,d -x --name");
        assert_eq!(values(&arguments, "--name"), ["a", "c,d"]);
    }

    #[test]
    fn assignments_to_some_keys_are_removed() {
        let mut arguments = words(
            "--config a.b=1 -p x --config=build.rustdoc=\"/r\" --config c.toml --config d.e='f' --config",
        );
        let taken = take_assignments(&mut arguments, &["build.rustdoc", "d.e"]);
        let taken: Vec<_> = taken.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(taken, [("build.rustdoc", "/r"), ("d.e", "f")]);
        assert_eq!(arguments, words("--config a.b=1 -p x --config c.toml --config"));
    }

    #[test]
    fn both_forms_of_an_option_are_removed() {
        for form in ["-p x --target y --release", "-p x --target=y --release"] {
            let mut arguments = words(form);
            assert_eq!(take_option(&mut arguments, "--target"), Ok(Some("y".into())));
            assert_eq!(arguments, words("-p x --release"));
        }
        let mut arguments = words("--target-dir x");
        assert_eq!(take_option(&mut arguments, "--target"), Ok(None));
        assert_eq!(arguments.len(), 2);
        assert!(take_option(&mut words("--target"), "--target").is_err());
        assert!(take_option(&mut words("--target x --target=y"), "--target").is_err());
    }
}
