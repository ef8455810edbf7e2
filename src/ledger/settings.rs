//! The settings from the environment: variables whose names begin with `LOCKDEP`.
//!
//! The runtime of `cargo lockdep` reads `CARGO_LOCKDEP...` instead. So a program that depends on this crate itself
//! keeps its own settings.

use std::{
    path::PathBuf,
    str::FromStr,
    time::{Duration, Instant},
};

use once_cell::race::OnceBox;

use crate::{
    duration,
    finding::{FindingKind, Level, UnknownName, WaitKind},
    source,
};

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

/// The start of the names of all variables, before `LOCKDEP`.
const PREFIX: &str = if cfg!(lockdep_runtime) { "CARGO_" } else { "" };

/// The environment, read once.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `LOCKDEP=off`: disables all checks.
    pub(crate) off: bool,
    pub(crate) backtraces: Backtraces,
    /// How long a wait may last before the watchdog reports it.
    pub(crate) watchdog: Option<Duration>,
    /// `LOCKDEP_WATCHDOG=off`: a watchdog that the program starts does nothing.
    pub(crate) no_watchdog: bool,
    /// The path of the `lockdep.toml`.
    pub(crate) config: Option<String>,
    /// The names of the signals that print the table of held locks.
    pub(crate) signal: Option<String>,
    /// The folder for records.
    pub(crate) out: Option<PathBuf>,
    /// The name of the service that the process is part of.
    #[cfg_attr(not(feature = "write_records"), allow(dead_code, reason = "records have it"))]
    pub(crate) service: Option<String>,
    /// A folder in which sources are looked for as well.
    source: Option<PathBuf>,
    /// `true` if unhandled findings are summarized at exit and change the exit status.
    pub(crate) exit: bool,
    /// When the environment was read, if there is a clock: the origin of all recorded times.
    pub(crate) start: Option<Instant>,
    /// The level for all kinds. A level for one kind overrides it.
    all: Option<Level>,
    levels: [Option<Level>; FindingKind::ALL.len()],
    /// Levels for single kinds of waits, which override the level of `wait_while_holding`.
    waits: [Option<Level>; WaitKind::ALL.len()],
}

impl Settings {
    pub(crate) fn level(&self, kind: FindingKind) -> Option<Level> {
        self.levels[kind as usize].or(self.all)
    }

    /// Returns the level of a wait while a lock is held.
    pub(crate) fn wait_level(&self, kind: WaitKind) -> Option<Level> {
        self.waits[kind as usize].or_else(|| self.level(FindingKind::WaitWhileHolding))
    }
}

/// A `OnceLock` could block: [`settings`] may run under a global allocator's lock, on many threads
/// at once.
static SETTINGS: OnceBox<Settings> = OnceBox::new();

/// Returns `true` if the environment has been read and turns everything off. Allocates nothing.
pub(crate) fn is_known_off() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.off)
}

/// Returns the settings. The first call reads the environment and reports the values that do not
/// parse.
pub(crate) fn settings() -> &'static Settings {
    SETTINGS.get().unwrap_or_else(|| {
        let value = |name: &str| std::env::var_os(format!("{PREFIX}{name}"));
        let (settings, complaints) =
            parse(|name| Some(value(name)?.to_string_lossy().into_owned()));
        if let Some(folder) = &settings.source {
            source::look_in(folder.clone());
        }
        if SETTINGS.set(Box::new(settings)).is_ok() {
            for complaint in complaints {
                super::print_past_capture(&complaint);
            }
        }
        SETTINGS.get().expect("just set, by us or by another thread")
    })
}

/// Returns the messages about values in an environment that do not parse.
#[cfg(fuzzing)]
pub(crate) fn complaints(variable: impl FnMut(&str) -> Option<String>) -> Vec<String> {
    let variable = std::cell::RefCell::new(variable);
    parse(|name| (variable.borrow_mut())(name)).1
}

/// Parses the variables. Returns a message for each part that does not parse.
fn parse(variable: impl Fn(&str) -> Option<String>) -> (Settings, Vec<String>) {
    let variable = |name| variable(name).map(|value| value.trim().to_owned());
    let mut settings = Settings {
        off: false,
        backtraces: Backtraces::NewEdges,
        watchdog: None,
        no_watchdog: false,
        config: variable("LOCKDEP_CONFIG").filter(|path| !path.is_empty()),
        signal: variable("LOCKDEP_SIGNAL").filter(|name| !name.is_empty()),
        out: variable("LOCKDEP_OUT").filter(|folder| !folder.is_empty()).map(Into::into),
        service: variable("LOCKDEP_SERVICE").filter(|name| !name.is_empty()),
        source: variable("LOCKDEP_SOURCE").filter(|folder| !folder.is_empty()).map(Into::into),
        exit: true,
        start: (!super::IS_BARE).then(Instant::now),
        all: None,
        levels: Default::default(),
        waits: Default::default(),
    };
    let mut complaints = Vec::new();

    for part in variable("LOCKDEP").unwrap_or_default().split(',').map(str::trim) {
        if let Err(complaint) = settings.apply(part) {
            complaints.push(format!(
                "lockdep: `{part}` in LOCKDEP is ignored: {complaint}\n\
                 \x20        it takes `off`, a level, or a list like \
                 `warn,inversion=deny,recursive_read=allow`"
            ));
        }
    }
    settings.backtraces = match variable("LOCKDEP_BACKTRACE").as_deref() {
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
    settings.exit = match variable("LOCKDEP_EXIT").as_deref() {
        None | Some("" | "1") => true,
        Some("0") => false,
        Some(other) => {
            complaints.push(format!(
                "lockdep: `{other}` in LOCKDEP_EXIT is ignored: it takes `1` (unhandled findings end the \
                 process with status 101, the default) or `0` (they do not)"
            ));
            true
        }
    };
    let limit = variable("LOCKDEP_WATCHDOG").filter(|limit| !limit.is_empty());
    settings.no_watchdog = limit.as_deref().is_some_and(|limit| ["0", "off"].contains(&limit));
    if let Some(limit) = limit.filter(|_| !settings.no_watchdog) {
        match duration::parse(&limit) {
            Some(limit) if !limit.is_zero() => settings.watchdog = Some(limit),
            _ => complaints.push(format!(
                "lockdep: `{limit}` in LOCKDEP_WATCHDOG is ignored: it takes a duration, such as `30s`, \
                 `500ms` or `2m`, or `off`"
            )),
        }
    }
    (settings, complaints)
}

impl Settings {
    /// Applies one part of `LOCKDEP`.
    fn apply(&mut self, part: &str) -> Result<(), String> {
        match part.split_once('=') {
            None if part.is_empty() => {}
            None if part == "off" => self.off = true,
            None => self.all = Some(named(part)?),
            Some((kind, level)) => *self.level_mut(kind.trim())? = Some(named(level.trim())?),
        }
        Ok(())
    }

    /// Returns the level of a kind of finding, or of one kind of wait: `wait_while_holding.recv`.
    fn level_mut(&mut self, name: &str) -> Result<&mut Option<Level>, String> {
        let (kind, wait) = name.split_once('.').map_or((name, None), |(k, wait)| (k, Some(wait)));
        let kind: FindingKind = named(kind)?;
        let Some(wait) = wait else { return Ok(&mut self.levels[kind as usize]) };
        if kind != FindingKind::WaitWhileHolding {
            return Err(format!("`{kind}` has no levels for single kinds of waits"));
        }
        let wait: WaitKind = named(wait)?;
        Ok(&mut self.waits[wait as usize])
    }
}

/// Parses a name. The error lists the known names.
fn named<T: FromStr<Err = UnknownName>>(name: &str) -> Result<T, String> {
    name.parse().map_err(|error: UnknownName| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let value = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted);
        parse(|name| value(name).map(|(_, value)| (*value).to_owned()))
    }

    fn levels(value: &str) -> [Option<Level>; FindingKind::ALL.len()] {
        let (settings, complaints) = environment(&[("LOCKDEP", value)]);
        assert_eq!(complaints, [""; 0], "{value}");
        FindingKind::ALL.map(|kind| settings.level(kind))
    }

    #[test]
    fn a_level_for_one_kind_overrides_the_level_for_all() {
        let [inversion, others @ ..] = levels("warn, inversion=deny");
        assert_eq!(inversion, Some(Level::Deny));
        assert!(others.iter().all(|&level| level == Some(Level::Warn)));
        assert_eq!(levels("inversion=deny,warn"), levels("warn,inversion=deny"));
        assert_eq!(levels("abort"), [Some(Level::Abort); FindingKind::ALL.len()]);
    }

    #[test]
    fn a_level_for_one_kind_of_wait_overrides_wait_while_holding() {
        for value in [
            "wait_while_holding=deny,wait_while_holding.recv=warn,allow",
            "allow,wait_while_holding.recv=warn,wait_while_holding=deny",
        ] {
            let (settings, complaints) = environment(&[("LOCKDEP", value)]);
            assert_eq!(complaints, [""; 0], "{value}");
            assert_eq!(settings.wait_level(WaitKind::Recv), Some(Level::Warn));
            assert_eq!(settings.wait_level(WaitKind::Condvar), Some(Level::Deny));
            assert_eq!(settings.level(FindingKind::Inversion), Some(Level::Allow));
        }
        let (settings, _) = environment(&[("LOCKDEP", "warn")]);
        assert_eq!(settings.wait_level(WaitKind::Recv), Some(Level::Warn));
        assert_eq!(environment(&[]).0.wait_level(WaitKind::Condvar), None);

        for (part, complaint) in [
            (
                "wait_while_holding.recieve=warn",
                "unknown kind of wait `recieve`, expected `condvar`, `join`, `recv`, `send`, `barrier`, \
                 `park` or `jobs`",
            ),
            ("inversion.recv=warn", "`inversion` has no levels for single kinds of waits"),
            ("wait_while_holding.recv=loud", "unknown level `loud`, expected `allow`"),
            ("waits.recv=warn", "unknown kind of finding `waits`"),
        ] {
            let (settings, complaints) = environment(&[("LOCKDEP", part)]);
            assert_eq!(settings.wait_level(WaitKind::Recv), None);
            let start = format!("lockdep: `{part}` in LOCKDEP is ignored: {complaint}");
            assert!(complaints[0].starts_with(&start), "{complaints:?}");
        }
    }

    #[test]
    fn empty_variables_change_nothing() {
        assert_eq!(levels(""), [None; FindingKind::ALL.len()]);
        let names = ["WATCHDOG", "SIGNAL", "CONFIG", "OUT", "SERVICE"]
            .map(|name| format!("LOCKDEP_{name}"));
        let empty = names.each_ref().map(|name| (&**name, " "));
        for nothing in [&[][..], &empty] {
            let (settings, complaints) = environment(nothing);
            assert_eq!(complaints, [""; 0]);
            assert!(!settings.off && settings.watchdog.is_none() && settings.signal.is_none());
            assert!(settings.config.is_none() && settings.out.is_none());
            assert_eq!(settings.service, None);
        }
    }

    #[test]
    fn a_file_a_folder_a_service_and_a_signal() {
        let (settings, complaints) = environment(&[
            ("LOCKDEP_CONFIG", "known.toml"),
            ("LOCKDEP_SERVICE", " billing\n"),
            ("LOCKDEP_OUT", "target/records"),
            ("LOCKDEP_SIGNAL", " usr1 "),
        ]);
        assert_eq!(complaints, [""; 0]);
        assert_eq!(settings.config.as_deref(), Some("known.toml"));
        assert_eq!(settings.out, Some(PathBuf::from("target/records")));
        assert_eq!(settings.service.as_deref(), Some("billing"));
        assert_eq!(settings.signal.as_deref(), Some("usr1"));
    }

    #[test]
    fn off_is_off() {
        assert!(environment(&[("LOCKDEP", "off")]).0.off);
        assert!(!environment(&[("LOCKDEP", "allow")]).0.off);
    }

    #[test]
    fn a_part_that_does_not_parse_is_named_and_the_others_apply() {
        let value = "inversoin=warn,recursive_read=warm,self_deadlock=allow,lout";
        let (settings, complaints) = environment(&[("LOCKDEP", value)]);
        assert_eq!(settings.level(FindingKind::Inversion), None);
        assert_eq!(settings.level(FindingKind::RecursiveRead), None);
        assert_eq!(settings.level(FindingKind::SelfDeadlock), Some(Level::Allow));
        for (complaint, part) in
            complaints.iter().zip(["`inversoin=warn`", "`recursive_read=warm`", "`lout`"])
        {
            assert!(complaint.contains(part), "{complaint}");
        }
        assert_eq!(complaints.len(), 3);
        assert!(complaints[0].contains(
            "unknown kind of finding `inversoin`, expected `inversion`, `ordered_inversion`, "
        ));
        assert!(complaints[1].contains("expected `allow`, `warn`, `deny` or `abort`"));
    }

    #[test]
    fn backtraces() {
        for (value, expected) in
            [("0", Backtraces::Off), ("1", Backtraces::NewEdges), ("full", Backtraces::Full)]
        {
            let (settings, _) = environment(&[("LOCKDEP_BACKTRACE", value)]);
            assert_eq!(settings.backtraces, expected);
        }
        let (settings, complaints) = environment(&[("LOCKDEP_BACKTRACE", "yes")]);
        assert_eq!(settings.backtraces, Backtraces::NewEdges);
        assert!(complaints[0].contains("`yes` in LOCKDEP_BACKTRACE"), "{complaints:?}");
    }

    #[test]
    fn the_exit_status() {
        for (value, expected) in [("0", false), ("1", true), ("", true)] {
            let (settings, complaints) = environment(&[("LOCKDEP_EXIT", value)]);
            assert_eq!((settings.exit, complaints.len()), (expected, 0), "{value}");
        }
        let (settings, complaints) = environment(&[("LOCKDEP_EXIT", "no")]);
        assert!(settings.exit);
        assert!(complaints[0].contains("`no` in LOCKDEP_EXIT"), "{complaints:?}");
    }

    #[test]
    fn durations() {
        let (settings, complaints) = environment(&[("LOCKDEP_WATCHDOG", "2m 30s")]);
        assert_eq!(settings.watchdog, Some(Duration::from_secs(150)));
        assert_eq!(complaints, [""; 0]);
        for off in ["0", "off"] {
            let (settings, complaints) = environment(&[("LOCKDEP_WATCHDOG", off)]);
            assert!(settings.watchdog.is_none() && settings.no_watchdog && complaints.is_empty());
        }
        for bad in ["30", "0s", "soon", "-1s"] {
            let (settings, complaints) = environment(&[("LOCKDEP_WATCHDOG", bad)]);
            assert_eq!(settings.watchdog, None);
            assert!(complaints[0].contains(&format!("`{bad}` in LOCKDEP_WATCHDOG")), "{bad}");
        }
    }
}
