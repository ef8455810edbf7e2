//! Printing and parsing of the names of kinds, levels and modes: in `LOCKDEP`, `lockdep.toml`, records and `cargo lockdep`.

use std::{error::Error, fmt, str::FromStr};

use super::{FindingKind, Level, Mode, WaitKind};

/// The error of parsing a [`FindingKind`], [`WaitKind`], [`Level`] or [`Mode`]. Its message lists
/// the valid names.
///
/// ```
/// use lockdep::Level;
///
/// let error = "loud".parse::<Level>().unwrap_err();
/// assert_eq!(error.to_string(), "unknown level `loud`, expected `allow`, `warn`, `deny` or `abort`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, name, known } = self;
        let (last, others) = known.split_last().expect("there are some");
        write!(f, "unknown {what} `{name}`, expected `{}` or `{last}`", others.join("`, `"))
    }
}

impl Error for UnknownName {}

macro_rules! read_and_print_names {
    ($($type:ident $what:literal)*) => {$(
        impl fmt::Display for $type {
            /// Writes the [name](Self::name).
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        #[cfg(feature = "records")]
        impl serde::Serialize for $type {
            /// Serializes the [name](Self::name).
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            /// Parses a [name](Self::name).
            fn from_str(name: &str) -> Result<Self, UnknownName> {
                Self::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| UnknownName {
                    what: $what,
                    name: name.to_owned(),
                    known: Self::ALL.map(Self::name).to_vec(),
                })
            }
        }
    )*};
}

read_and_print_names! {
    FindingKind "kind of finding"
    WaitKind "kind of wait"
    Level "level"
    Mode "mode"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        for kind in FindingKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for kind in WaitKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(format!("{:5}|", Level::Warn), "warn |");
        assert!("".parse::<FindingKind>().is_err() && "Inversion".parse::<FindingKind>().is_err());
    }
}
