//! A replacement for `IsTerminal`, which is sealed in std.

/// [`std::io::IsTerminal`], for std's types and the checked streams.
pub trait IsTerminal {
    /// As [`std::io::IsTerminal::is_terminal`].
    fn is_terminal(&self) -> bool;
}

impl<T: ::std::io::IsTerminal> IsTerminal for T {
    fn is_terminal(&self) -> bool {
        ::std::io::IsTerminal::is_terminal(self)
    }
}

macro_rules! is_terminal {
    ($($stream:ty),*) => {$(
        impl IsTerminal for $stream {
            fn is_terminal(&self) -> bool {
                ::std::io::IsTerminal::is_terminal(&self.inner)
            }
        }
    )*};
}

is_terminal!(
    super::Stdin,
    super::StdinLock<'_>,
    super::Stdout,
    super::StdoutLock<'_>,
    super::Stderr,
    super::StderrLock<'_>
);
