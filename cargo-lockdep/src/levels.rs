//! What each kind of finding does to our verdict.

use std::str::FromStr;

use lockdep::{FindingKind, Level};

const KINDS: [FindingKind; 11] = [
    FindingKind::Inversion,
    FindingKind::OrderedInversion,
    FindingKind::SingleThreadInversion,
    FindingKind::GuardedInversion,
    FindingKind::SelfDeadlock,
    FindingKind::RecursiveRead,
    FindingKind::Deadlock,
    FindingKind::DeclaredOrder,
    FindingKind::ClassInversion,
    FindingKind::WaitWhileHolding,
    FindingKind::LeakedGuard,
];

/// The processes abort for nothing: that level is left out.
const LEVELS: [Level; 3] = [Level::Allow, Level::Warn, Level::Deny];

/// What the checked processes are told: to write their findings down and go on, so that the
/// tests give the results that they give without us. But a thread that is certain to hang
/// panics instead, as otherwise nobody would hear of it.
pub(crate) const OF_PROCESSES: &str = "allow,self_deadlock=deny,deadlock=deny";

/// A level for one kind, or for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    kind: Option<FindingKind>,
    level: Level,
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, level) = match text.split_once('=') {
            Some((kind, level)) => (Some(kind.trim()), level.trim()),
            None => (None, text.trim()),
        };
        let kind = kind.map(|name| {
            KINDS.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                let names = KINDS.map(FindingKind::name).join("`, `");
                format!("no kind of finding is called `{name}`: there are `{names}`")
            })
        });
        let level = LEVELS.into_iter().find(|known| known.name() == level).ok_or_else(|| {
            format!("no level is called `{level}`: there are `allow`, `warn` and `deny`")
        })?;
        Ok(Self { kind: kind.transpose()?, level })
    }
}

/// The level of each kind.
#[derive(Debug)]
pub(crate) struct Levels(Vec<Change>);

impl Levels {
    pub(crate) fn new(changes: Vec<Change>) -> Self {
        Self(changes)
    }

    /// What a kind does, by its name. One kind's own level wins over that for all, and the last
    /// word over the first. A kind that is not known here is denied.
    pub(crate) fn of(&self, name: &str) -> Level {
        let Some(kind) = KINDS.into_iter().find(|kind| kind.name() == name) else {
            return Level::Deny;
        };
        let last = |wanted| self.0.iter().rev().find(|change| change.kind == wanted);
        last(Some(kind)).or_else(|| last(None)).map_or(kind.default_level(), |change| change.level)
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
            assert_eq!(levels(changes).of("inversion"), Level::Deny);
            assert_eq!(levels(changes).of("recursive_read"), Level::Warn);
        }
    }

    #[test]
    fn nothing_said_is_the_librarys_choice() {
        let levels = Levels::new(Vec::new());
        assert_eq!(levels.of("inversion"), Level::Deny);
        assert_eq!(levels.of("class_inversion"), Level::Warn);
        assert_eq!(levels.of("guarded_inversion"), Level::Allow);
        assert_eq!(levels.of("of_tomorrow"), Level::Deny);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, part) in [("inversoin=warn", "`inversoin`"), ("inversion=loud", "`loud`")] {
            assert!(text.parse::<Change>().unwrap_err().contains(part));
        }
    }
}
