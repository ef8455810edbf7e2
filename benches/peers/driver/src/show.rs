//! The figures of a row, and their formatting.

use crate::{
    plan::{Aim, Figure, Peer, Row, Unit},
    results::{Results, fastest, median, ratio, spread},
};

/// One peer in one row.
pub(crate) enum Shown {
    /// The peer is not measured here.
    Dash,
    /// The measurement failed.
    Trouble(String),
    Measured(Measured),
}

pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) spread: f64,
    /// Relative to the raw lock.
    pub(crate) ratio: Option<f64>,
    pub(crate) instructions: Option<u64>,
}

/// Returns the figure of a peer in a row.
pub(crate) fn shown(results: &Results, row: &Row, peer: &Peer) -> Shown {
    if !peer.is_measured_at(row) {
        return Shown::Dash;
    }
    let of = |measurement| results.of(measurement, peer.package);
    let trouble = row.figure.measurements().iter().find_map(|name| of(name)?.trouble.as_ref());
    if let Some(trouble) = trouble {
        return Shown::Trouble(trouble.clone());
    }
    measured(results, row, peer).map_or(Shown::Dash, Shown::Measured)
}

fn measured(results: &Results, row: &Row, peer: &Peer) -> Option<Measured> {
    let values = |measurement, package| {
        results.of(measurement, package).map(|rounds| rounds.results.as_slice())
    };
    let own = |measurement| values(measurement, peer.package);
    let raw = |measurement| (!peer.is_raw()).then(|| values(measurement, peer.raw))?;
    let instructions = |name: &str| results.instructions.get(name)?.get(peer.package).copied();
    let one = |name: &'static str| {
        Some(Measured {
            value: median(own(name)?)?,
            spread: spread(own(name)?)?,
            ratio: raw(name).and_then(|raw| ratio(own(name)?, raw)),
            instructions: instructions(name),
        })
    };
    match row.figure {
        Figure::OneThread(name) | Figure::AgainstRaw(name) => one(name),
        Figure::Median(_, name) => Some(Measured { ratio: None, ..one(name)? }),
        Figure::Fastest(name) => {
            let value = fastest(own(name)?)?;
            let ratio = raw(name).and_then(fastest).map(|raw| value / raw);
            Some(Measured { value, ratio, ..one(name)? })
        }
        Figure::Scaling([alone, together]) => {
            let value = 2.0 * fastest(own(alone)?)? / fastest(own(together)?)?;
            Some(Measured { value, spread: 0.0, ratio: None, instructions: None })
        }
    }
}

impl Measured {
    /// Returns `true` if a goal is met, or `None` if it does not apply.
    pub(crate) fn meets(&self, aim: &Aim) -> Option<bool> {
        Some(match aim {
            Aim::Ratio(aim) => self.ratio? <= *aim,
            Aim::Instructions(aim) => self.instructions? <= *aim,
            Aim::AtMost(aim) => self.value <= *aim,
            Aim::AtLeast(aim) => self.value >= *aim,
        })
    }

    /// Formats the figure for a cell.
    pub(crate) fn text(&self, figure: &Figure) -> String {
        let unit = match figure {
            Figure::Median(Unit::Bytes, _) => " B",
            Figure::Median(Unit::Times, _) | Figure::Scaling(_) => "",
            Figure::Median(Unit::Nanoseconds, _)
            | Figure::OneThread(_)
            | Figure::AgainstRaw(_)
            | Figure::Fastest(_) => " ns",
        };
        let value = number(self.value);
        let spread = if self.spread < self.value / 100.0 {
            String::new()
        } else {
            format!(" ± {}", number(self.spread))
        };
        let ratio = self.ratio.map(|ratio| format!(", × {ratio:.2}")).unwrap_or_default();
        let instructions = self
            .instructions
            .map(|instructions| format!(", {instructions} instr."))
            .unwrap_or_default();
        value + &spread + unit + &ratio + &instructions
    }
}

impl Aim {
    /// Formats the goal for a cell.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Ratio(ratio) => format!("× ≤ {ratio:.2}"),
            Self::Instructions(instructions) => format!("≤ {instructions} instr."),
            Self::AtMost(most) => format!("≤ {}", number(*most)),
            Self::AtLeast(least) => format!("≥ {}", number(*least)),
        }
    }
}

/// Formats a number with three significant digits, or all digits before the point, with separators
/// of thousands.
pub(crate) fn number(value: f64) -> String {
    if value < 9.995 {
        return format!("{value:.2}");
    }
    if value < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        let texts = [0.5, 9.999, 12.34, 99.96, 1234.5, 1_234_567.0].map(number);
        assert_eq!(texts, ["0.50", "10.0", "12.3", "100", "1,234", "1,234,567"]);
    }
}
