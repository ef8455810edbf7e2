//! The level of each kind of finding in the report.

use std::str::FromStr;

use lockdep::{FindingKind, Level, UnknownName, WaitKind};

/// Without `abort`, which concerns the process that has the finding.
const LEVELS: [Level; 3] = [Level::Allow, Level::Warn, Level::Deny];

/// The value of `LOCKDEP` for the checked processes. They record findings and continue, so that tests have the
/// same results as without lockdep. A thread or task that is certain to hang panics, or the finding would be lost.
pub(crate) fn of_processes() -> String {
    let certain = FindingKind::ALL.into_iter().filter(|kind| kind.is_certain());
    certain.fold("allow".to_owned(), |levels, kind| levels + &format!(",{kind}=deny"))
}

/// A level for one kind of finding, for one kind of wait, or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    of: Of,
    level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    All,
    Kind(FindingKind),
    /// `wait_while_holding.recv`
    Wait(WaitKind),
}

impl FromStr for Of {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, wait) = text.split_once('.').map_or((text, None), |(k, wait)| (k, Some(wait)));
        let kind: FindingKind = name.parse().map_err(|error: UnknownName| error.to_string())?;
        let Some(wait) = wait else { return Ok(Self::Kind(kind)) };
        if kind != FindingKind::WaitWhileHolding {
            return Err(format!("`{name}` has no levels for single kinds of waits"));
        }
        wait.parse().map(Self::Wait).map_err(|error: UnknownName| error.to_string())
    }
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (of, level) = match text.split_once('=') {
            Some((of, level)) => (of.trim().parse()?, level.trim()),
            None => (Of::All, text.trim()),
        };
        let level = LEVELS.into_iter().find(|known| known.name() == level).ok_or_else(|| {
            format!("unknown level `{level}`, expected `allow`, `warn` or `deny`")
        })?;
        Ok(Self { of, level })
    }
}

/// The level of each kind.
#[derive(Debug)]
pub(crate) struct Levels(Vec<Change>);

impl Levels {
    pub(crate) fn new(changes: Vec<Change>) -> Self {
        Self(changes)
    }

    /// Returns the level of a kind, and of the wait that it is about. The level of one kind takes precedence over
    /// that of all, and a later argument over an earlier one.
    pub(crate) fn of(&self, kind: FindingKind, wait: Option<WaitKind>) -> Level {
        let last = |wanted| self.0.iter().rev().find(|change| change.of == wanted);
        let change = wait.and_then(|wait| last(Of::Wait(wait)));
        let change = change.or_else(|| last(Of::Kind(kind))).or_else(|| last(Of::All));
        let default = wait.map_or_else(|| kind.default_level(), WaitKind::default_level);
        change.map_or(default, |change| change.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(changes: &str) -> Levels {
        Levels::new(changes.split(',').map(|change| change.parse().unwrap()).collect())
    }

    #[test]
    fn a_kind_wins_over_a_level_for_all_in_any_order() {
        for changes in ["warn,inversion=deny", "inversion=deny,warn"] {
            assert_eq!(levels(changes).of(FindingKind::Inversion, None), Level::Deny);
            assert_eq!(levels(changes).of(FindingKind::RecursiveRead, None), Level::Warn);
        }
    }

    #[test]
    fn checked_processes_deny_only_what_is_certain() {
        assert_eq!(of_processes(), "allow,self_deadlock=deny,deadlock=deny,futurelock=deny");
    }

    #[test]
    fn one_kind_of_wait_wins_over_all_waits() {
        let of = |changes, wait| levels(changes).of(FindingKind::WaitWhileHolding, wait);
        let changes = "wait_while_holding.recv=deny,wait_while_holding=allow,warn";
        assert_eq!(of(changes, Some(WaitKind::Recv)), Level::Deny);
        assert_eq!(of(changes, Some(WaitKind::Send)), Level::Allow);
        assert_eq!(of("deny", Some(WaitKind::Recv)), Level::Deny);
        assert_eq!(of("inversion=deny", Some(WaitKind::Recv)), Level::Allow);
        assert_eq!(of("inversion=deny", Some(WaitKind::Condvar)), Level::Warn);
        assert_eq!(of("inversion=deny", None), Level::Warn);
    }

    #[test]
    fn nothing_said_is_the_librarys_choice() {
        let levels = Levels::new(Vec::new());
        assert_eq!(levels.of(FindingKind::Inversion, None), Level::Deny);
        assert_eq!(levels.of(FindingKind::ClassInversion, None), Level::Warn);
        assert_eq!(levels.of(FindingKind::GuardedInversion, None), Level::Allow);
        assert_eq!(levels.of(FindingKind::Futurelock, None), Level::Deny);
        assert_eq!(levels.of(FindingKind::PoolExhaustion, None), Level::Warn);
    }

    #[test]
    fn errors_name_the_part_that_does_not_parse() {
        for (text, part) in [
            ("inversoin=warn", "`inversoin`"),
            ("inversion=loud", "`loud`"),
            ("wait_while_holding.recieve=warn", "`recieve`"),
            ("inversion.recv=warn", "`inversion` has no levels for single kinds of waits"),
        ] {
            assert!(text.parse::<Change>().unwrap_err().contains(part));
        }
    }
}
