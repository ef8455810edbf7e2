//! The levels of findings.

/// What a finding of a [`FindingKind`](super::FindingKind) does to the program. Every finding is
/// recorded, whatever its level.
///
/// ```
/// use lockdep::Level;
///
/// // Levels are ordered by severity.
/// assert!(Level::Allow < Level::Warn && Level::Warn < Level::Deny);
/// let told = lockdep::findings().iter().filter(|it| it.level() >= Level::Warn).count();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Only record it.
    Allow,
    /// Print the report on standard error, once, and continue.
    Warn,
    /// Panic with the report, in the thread that is about to block, before it
    /// blocks.
    ///
    /// The message is formatted for printing: with colours if standard error is a terminal, unless
    /// `NO_COLOR` is set. A test should inspect findings with
    /// [`testing::expect`](crate::testing::expect) or [`findings`](crate::findings) instead.
    Deny,
    /// Print the report and abort the process, for a core dump or a debugger.
    Abort,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Warn, Self::Deny, Self::Abort];

    /// Returns the name used in `LOCKDEP`: `allow`, `warn`, `deny`, `abort`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
            Self::Abort => "abort",
        }
    }
}
