//! What the environment asks for: `LOCKDEP` and `LOCKDEP_BACKTRACE`.

use once_cell::race::OnceBox;

use crate::finding::{FindingKind, Level};

/// When a call stack is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backtraces {
    /// Never.
    Off,
    /// When an edge is new.
    NewEdges,
    /// At every acquisition, so that the held end of an edge has one too.
    Full,
}

/// The environment, read once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `LOCKDEP=off`: nothing is checked at all.
    pub(crate) off: bool,
    pub(crate) backtraces: Backtraces,
    /// A level for all kinds, and those for some kinds, which win over it.
    all: Option<Level>,
    levels: [Option<Level>; FindingKind::ALL.len()],
}

impl Settings {
    pub(crate) fn level(&self, kind: FindingKind) -> Option<Level> {
        self.levels[kind as usize].or(self.all)
    }
}

/// The environment's settings. Read at the first call, which also complains
/// about what it could not read.
pub(crate) fn settings() -> &'static Settings {
    // Not a `OnceLock`: this may run inside a global allocator's lock, on many
    // threads at once, and must not block.
    static SETTINGS: OnceBox<Settings> = OnceBox::new();
    SETTINGS.get().unwrap_or_else(|| {
        let variable =
            |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (settings, complaints) =
            parse(variable("LOCKDEP").as_deref(), variable("LOCKDEP_BACKTRACE").as_deref());
        if SETTINGS.set(Box::new(settings)).is_ok() {
            for complaint in complaints {
                super::print(&complaint);
            }
        }
        SETTINGS.get().expect("just set, by us or by another thread")
    })
}

/// What the two variables say, and a message for each part that says nothing.
fn parse(lockdep: Option<&str>, backtrace: Option<&str>) -> (Settings, Vec<String>) {
    let mut settings = Settings {
        off: false,
        backtraces: Backtraces::NewEdges,
        all: None,
        levels: Default::default(),
    };
    let mut complaints = Vec::new();

    for part in lockdep.unwrap_or_default().split(',').map(str::trim) {
        if let Err(complaint) = settings.apply(part) {
            complaints.push(format!(
                "lockdep: `{part}` in LOCKDEP is ignored: {complaint}\n\
                 \x20        it takes `off`, a level, or a list like \
                 `warn,inversion=deny,recursive_read=allow`"
            ));
        }
    }
    settings.backtraces = match backtrace.map(str::trim) {
        None | Some("" | "1") => Backtraces::NewEdges,
        Some("0") => Backtraces::Off,
        Some("full") => Backtraces::Full,
        Some(other) => {
            complaints.push(format!(
                "lockdep: `{other}` in LOCKDEP_BACKTRACE is ignored: it takes `0` (none), \
                 `1` (one for each new edge, the default) or `full` (one for each acquisition)"
            ));
            Backtraces::NewEdges
        }
    };
    (settings, complaints)
}

impl Settings {
    /// Applies one part of `LOCKDEP`.
    fn apply(&mut self, part: &str) -> Result<(), String> {
        match part.split_once('=') {
            None if part.is_empty() => {}
            None if part == "off" => self.off = true,
            None => self.all = Some(parse_level(part)?),
            Some((kind, level)) => {
                let kind = kind.trim();
                let kind =
                    FindingKind::ALL.into_iter().find(|k| k.name() == kind).ok_or_else(|| {
                        format!(
                            "no kind of finding is called `{kind}` ({})",
                            names(FindingKind::ALL.map(FindingKind::name))
                        )
                    })?;
                self.levels[kind as usize] = Some(parse_level(level.trim())?);
            }
        }
        Ok(())
    }
}

fn parse_level(name: &str) -> Result<Level, String> {
    Level::ALL.into_iter().find(|level| level.name() == name).ok_or_else(|| {
        format!("no level is called `{name}` ({})", names(Level::ALL.map(Level::name)))
    })
}

/// `` there are `a`, `b` and `c` ``
fn names<const N: usize>(names: [&str; N]) -> String {
    let (last, others) = names.split_last().expect("never empty");
    format!("there are `{}` and `{last}`", others.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(value: &str) -> [Option<Level>; FindingKind::ALL.len()] {
        let (settings, complaints) = parse(Some(value), None);
        assert_eq!(complaints, [""; 0], "{value}");
        FindingKind::ALL.map(|kind| settings.level(kind))
    }

    #[test]
    fn a_kind_wins_over_a_level_for_all_in_any_order() {
        let [inversion, others @ ..] = levels("warn, inversion=deny");
        assert_eq!(inversion, Some(Level::Deny));
        assert_eq!(others, [Some(Level::Warn); 3]);
        assert_eq!(levels("inversion=deny,warn"), levels("warn,inversion=deny"));
    }

    #[test]
    fn nothing_said_changes_nothing() {
        assert_eq!(levels(""), [None; 4]);
        assert_eq!(parse(None, None), parse(Some(""), Some("")));
    }

    #[test]
    fn off_is_off() {
        assert!(parse(Some("off"), None).0.off);
        assert!(!parse(Some("allow"), None).0.off);
    }

    #[test]
    fn a_bad_part_is_named_and_the_others_hold() {
        let (settings, complaints) =
            parse(Some("inversoin=warn,recursive_read=warm,self_deadlock=allow,lout"), None);
        assert_eq!(settings.level(FindingKind::Inversion), None);
        assert_eq!(settings.level(FindingKind::RecursiveRead), None);
        assert_eq!(settings.level(FindingKind::SelfDeadlock), Some(Level::Allow));
        for (complaint, part) in
            complaints.iter().zip(["`inversoin=warn`", "`recursive_read=warm`", "`lout`"])
        {
            assert!(complaint.contains(part), "{complaint}");
        }
        assert_eq!(complaints.len(), 3);
    }

    #[test]
    fn backtraces() {
        for (value, expected) in
            [("0", Backtraces::Off), ("1", Backtraces::NewEdges), ("full", Backtraces::Full)]
        {
            assert_eq!(parse(None, Some(value)).0.backtraces, expected);
        }
        let (settings, complaints) = parse(None, Some("yes"));
        assert_eq!(settings.backtraces, Backtraces::NewEdges);
        assert!(complaints[0].contains("`yes` in LOCKDEP_BACKTRACE"), "{complaints:?}");
    }
}
