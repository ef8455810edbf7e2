//! Renders findings as text. Data in, text out: the only lock taken here is one for the lookup of
//! symbols, and no lock is held around it, because it reads files.

mod activity;
mod all_asleep;
mod allow;
mod backtrace;
mod climb;
pub(crate) mod dot;
#[cfg_attr(not(feature = "excerpts"), path = "draw_plain.rs")]
mod draw;
mod held;
mod help;
mod helpers;
#[cfg(feature = "write_records")]
pub(crate) mod json;
mod lock_names;
mod parts;
mod report;
mod roles;
mod section;
mod story;
mod thread_names;
mod title;
mod wait_chain;
mod words;

use std::{fmt, time::Duration};

#[cfg_attr(not(unix), allow(unused_imports, reason = "for a handler of `exit`"))]
pub(crate) use backtrace::unwinds_to_harness;
pub(crate) use climb::way_to;
pub(crate) use draw::stderr_wants_color;
pub(crate) use held::held;
pub(crate) use lock_names::lock_name;
pub(crate) use report::{headline, lock_names, shown_edges, shown_sites};
#[cfg(all(unix, feature = "signals"))]
pub(crate) use wait_chain::answer;
pub(crate) use wait_chain::long_wait;

use crate::{
    duration,
    finding::{Finding, HeldLocks},
};

impl Finding {
    /// Returns the report: what was seen, where, by which threads, and what would have to happen
    /// for it to hang. With ANSI colours if `color`.
    ///
    /// Without the feature `excerpts` there are no excerpts of the source and no colours.
    ///
    /// Reads the sources that it shows and looks up the symbols of the backtraces, which takes
    /// milliseconds.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        report::report(self, color)
    }
}

impl fmt::Display for Finding {
    /// Writes the report without colours, as [`render(false)`](Self::render).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for HeldLocks {
    /// Formats a table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if crate::enabled::ENABLED {
            f.write_str(&held(&self.threads))
        } else {
            f.write_str("locks are not checked in this build\n")
        }
    }
}

/// The width of running text.
const WIDTH: usize = 88;

/// Formats a duration from one second on; shorter ones are not worth mentioning.
fn age(age: Duration) -> Option<String> {
    let seconds = Duration::from_secs(age.as_secs());
    (!seconds.is_zero()).then(|| duration::Display(seconds).to_string())
}

/// Reports how many searches for cycles were cut short, if any.
pub(crate) fn cut_short(searches: u64) -> Option<String> {
    let (searches, were) = match searches {
        0 => return None,
        1 => ("1 search".to_owned(), "was"),
        _ => (format!("{searches} searches"), "were"),
    };
    Some(format!(
        "lockdep: {searches} for cycles {were} cut short: inversions may be missing (see `Stats::cut_short`)"
    ))
}
