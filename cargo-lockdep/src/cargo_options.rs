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
