//! The switch, as a constant.

/// `true` if this build is on the checked side of the [switch](crate#the-switch).
///
/// ```
/// // A checked build is slower: its tests may take longer.
/// let limit = std::time::Duration::from_secs(if lockdep::ENABLED { 30 } else { 10 });
/// ```
pub const ENABLED: bool = cfg!(any(debug_assertions, feature = "enforce"));
