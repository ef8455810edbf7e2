//! Wrappers of std's handles of the standard streams and of their guards.

use ::std::{
    cell::Cell,
    fmt,
    io::{self, BufRead, IoSlice, IoSliceMut, Lines, Read, Write},
    panic::{RefUnwindSafe, UnwindSafe},
    process::Stdio,
};

use super::stream::{Hold, Stream};

static STDIN: Stream = Stream::new("stdin", "Stdin", None);
pub(crate) static STDOUT: Stream = Stream::new("stdout", "Stdout", Some(&STDOUT_DEPTH));
pub(crate) static STDERR: Stream = Stream::new("stderr", "Stderr", Some(&STDERR_DEPTH));

::std::thread_local! {
    static STDOUT_DEPTH: Cell<usize> = const { Cell::new(0) };
    static STDERR_DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Defines a handle and its guard, with the traits that std implements for both.
macro_rules! stream {
    ($Handle:ident, $Guard:ident, $function:ident, $STREAM:ident) => {
        #[doc = concat!("[`std::io::", stringify!($Handle), "`], checked.")]
        pub struct $Handle {
            pub(super) inner: io::$Handle,
        }

        #[doc = concat!("[`std::io::", stringify!($Guard), "`], checked.")]
        #[must_use = "if unused the stream will immediately unlock"]
        pub struct $Guard<'a> {
            // Dropped first, so that the stream counts as released before another thread can lock
            // it.
            _hold: Hold,
            pub(super) inner: io::$Guard<'a>,
        }

        #[doc = concat!("As [`std::io::", stringify!($function), "`].")]
        #[must_use]
        pub fn $function() -> $Handle {
            $Handle { inner: io::$function() }
        }

        impl $Handle {
            /// As in std. The stream counts as held meanwhile.
            #[track_caller]
            pub fn lock(&self) -> $Guard<'static> {
                let (_hold, inner) = $STREAM.lock(|| self.inner.lock());
                $Guard { _hold, inner }
            }
        }

        impl UnwindSafe for $Handle {}
        impl RefUnwindSafe for $Handle {}
        impl UnwindSafe for $Guard<'_> {}
        impl RefUnwindSafe for $Guard<'_> {}

        impl fmt::Debug for $Handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }

        impl fmt::Debug for $Guard<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }

        stream!(os $Handle);
        stream!(os $Guard<'_>);
    };
    (os $type:ty) => {
        #[cfg(unix)]
        impl ::std::os::fd::AsFd for $type {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.inner.as_fd()
            }
        }

        #[cfg(unix)]
        impl ::std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                self.inner.as_raw_fd()
            }
        }

        #[cfg(windows)]
        impl ::std::os::windows::io::AsHandle for $type {
            fn as_handle(&self) -> ::std::os::windows::io::BorrowedHandle<'_> {
                self.inner.as_handle()
            }
        }

        #[cfg(windows)]
        impl ::std::os::windows::io::AsRawHandle for $type {
            fn as_raw_handle(&self) -> ::std::os::windows::io::RawHandle {
                self.inner.as_raw_handle()
            }
        }
    };
}

stream!(Stdin, StdinLock, stdin, STDIN);
stream!(Stdout, StdoutLock, stdout, STDOUT);
stream!(Stderr, StderrLock, stderr, STDERR);

macro_rules! write_by_lock {
    ($($handle:ty),*) => {$(
        impl Write for $handle {
            #[track_caller]
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.lock().write(buf)
            }
            #[track_caller]
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.lock().write_vectored(bufs)
            }
            #[track_caller]
            fn flush(&mut self) -> io::Result<()> {
                self.lock().flush()
            }
            #[track_caller]
            fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                self.lock().write_all(buf)
            }
            #[track_caller]
            fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
                self.lock().write_fmt(args)
            }
        }
    )*};
}

write_by_lock!(Stdout, &Stdout, Stderr, &Stderr);

macro_rules! write {
    ($($guard:ty),*) => {$(
        impl Write for $guard {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.inner.write(buf)
            }
            fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                self.inner.write_vectored(bufs)
            }
            fn flush(&mut self) -> io::Result<()> {
                self.inner.flush()
            }
            fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                self.inner.write_all(buf)
            }
            fn write_fmt(&mut self, args: fmt::Arguments<'_>) -> io::Result<()> {
                self.inner.write_fmt(args)
            }
        }
    )*};
}

write!(StdoutLock<'_>, StderrLock<'_>);

impl From<Stdout> for Stdio {
    fn from(stdout: Stdout) -> Self {
        stdout.inner.into()
    }
}

impl From<Stderr> for Stdio {
    fn from(stderr: Stderr) -> Self {
        stderr.inner.into()
    }
}

impl Stdin {
    /// As in std.
    #[track_caller]
    pub fn read_line(&self, buf: &mut String) -> io::Result<usize> {
        self.lock().read_line(buf)
    }

    /// As in std.
    #[track_caller]
    pub fn lines(self) -> Lines<StdinLock<'static>> {
        self.lock().lines()
    }
}

macro_rules! read_by_lock {
    ($($handle:ty),*) => {$(
        impl Read for $handle {
            #[track_caller]
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.lock().read(buf)
            }
            #[track_caller]
            fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
                self.lock().read_vectored(bufs)
            }
            #[track_caller]
            fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
                self.lock().read_to_end(buf)
            }
            #[track_caller]
            fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
                self.lock().read_to_string(buf)
            }
            #[track_caller]
            fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
                self.lock().read_exact(buf)
            }
        }
    )*};
}

read_by_lock!(Stdin, &Stdin);

impl Read for StdinLock<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.read_vectored(bufs)
    }
    fn read_to_end(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.inner.read_to_end(buf)
    }
    fn read_to_string(&mut self, buf: &mut String) -> io::Result<usize> {
        self.inner.read_to_string(buf)
    }
    fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(buf)
    }
}

impl BufRead for StdinLock<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        self.inner.consume(n);
    }
    fn read_until(&mut self, byte: u8, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.inner.read_until(byte, buf)
    }
    fn read_line(&mut self, buf: &mut String) -> io::Result<usize> {
        self.inner.read_line(buf)
    }
}
