//! Durations as text: `1h 30m`.
//!
//! Not the crate humantime: its `From<Duration>` for std's `Duration` is visible in every crate that depends on
//! this one, where `Duration::from(x)` then needs a type for `x`.

use std::{fmt, time::Duration};

/// The units that are written, in nanoseconds, the largest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `30s`, `500ms`, `1.5h` or `1h 30m`. Returns `None` if it is no duration.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = None;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let part = number.parse::<f64>().ok()? * seconds_of(unit)?;
        sum = Some(
            sum.unwrap_or(Duration::ZERO).checked_add(Duration::try_from_secs_f64(part).ok()?)?,
        );
        rest = after.trim_start();
    }
    sum
}

fn seconds_of(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "nsec" | "nanos" => 1e-9,
        "us" | "usec" | "µs" | "micros" => 1e-6,
        "ms" | "msec" | "millis" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "wk" | "wks" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

/// Writes a duration in its units, without those of which there are none: `1h 30m`.
pub(crate) struct Display(pub(crate) Duration);

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_nanos();
        if rest == 0 {
            return f.write_str("0s");
        }
        let mut separator = "";
        for (unit, nanoseconds) in UNITS {
            if rest >= nanoseconds {
                write!(f, "{separator}{}{unit}", rest / nanoseconds)?;
                rest %= nanoseconds;
                separator = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, nanoseconds) in [
            ("30s", 30_000_000_000),
            ("500ms", 500_000_000),
            ("1d 2h 3m 4s", 93_784_000_000_000),
            ("1us 1ns", 1_001),
        ] {
            let duration = Duration::from_nanos(nanoseconds);
            assert_eq!(Display(duration).to_string(), text);
            assert_eq!(parse(text), Some(duration));
        }
        assert_eq!(Display(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn what_people_write_is_read() {
        for (text, seconds) in [
            ("1.5min", Some(90.0)),
            ("1h30m", Some(5_400.0)),
            (" 2 hours  1 sec ", Some(7_201.0)),
            ("0s", Some(0.0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 fortnight", None),
            ("99999999999999999999999w", None),
        ] {
            assert_eq!(parse(text), seconds.map(Duration::from_secs_f64), "{text}");
        }
    }
}
