//! Parses the files of `/proc/self/task/*` (proc(5)). Pure: text in, data out.
//!
//! Incomplete or unknown text is `None`, which allows no conclusion.

use crate::finding::FutexWait;

/// The contents of `status`: a thread, and some facts about its process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) name: String,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `X`: see proc(5).
    pub(super) state: char,
    /// The process that traces this one, or 0.
    pub(super) tracer: u64,
    /// The number of threads of the process.
    pub(super) threads: u64,
    /// The signals that the process handles: one bit for each, the lowest for signal 1.
    pub(super) caught: u64,
    /// How often the thread has stopped running: voluntarily, to wait, and involuntarily.
    pub(super) switches: [u64; 2],
}

impl Status {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            values.map(str::trim).next()
        };
        let number = |name| field(name)?.parse().ok();
        // A truncated number might be read as a smaller one, so the last line must be complete.
        text.ends_with('\n').then_some(())?;
        Some(Self {
            name: field("Name")?.to_owned(),
            state: field("State")?.chars().next()?,
            tracer: number("TracerPid")?,
            threads: number("Threads")?,
            caught: u64::from_str_radix(field("SigCgt")?, 16).ok()?,
            switches: [number("voluntary_ctxt_switches")?, number("nonvoluntary_ctxt_switches")?],
        })
    }
}

/// The contents of `syscall`: the call that a thread is blocked in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Not blocked: it runs, or has been woken.
    No,
    /// In the kernel, but not in a system call.
    OutsideCalls,
    InCall {
        number: u64,
        arguments: [u64; 6],
    },
}

impl Blocked {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n')?;
        if line == "running" {
            return Some(Self::No);
        }
        let (number, rest) = line.split_once(' ')?;
        let words: Vec<_> = rest.split(' ').map(hexadecimal).collect::<Option<_>>()?;
        // The arguments are followed by the stack pointer and the program counter.
        match (number, &words[..]) {
            ("-1", [_, _]) => Some(Self::OutsideCalls),
            (_, [arguments @ .., _, _]) => {
                let arguments = arguments.try_into().ok()?;
                Some(Self::InCall { number: number.parse().ok()?, arguments })
            }
            _ => None,
        }
    }
}

fn hexadecimal(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// Returns the futex wait with these arguments, if they are those of one: futex(2). Excludes
/// priority inheritance and requeueing, which no lock of std, parking_lot or a C library uses
/// unless asked to.
pub(super) fn futex_wait([address, operation, value, limit, ..]: [u64; 6]) -> Option<FutexWait> {
    const WAIT: u64 = 0;
    const WAIT_BITSET: u64 = 9;
    const PRIVATE: u64 = 128;
    const CLOCK_REALTIME: u64 = 256;
    // The parameters are the lower halves of 64-bit registers.
    let [operation, value] = [operation, value].map(|it| it & u64::from(u32::MAX));
    match operation & !(PRIVATE | CLOCK_REALTIME) {
        WAIT | WAIT_BITSET => Some(FutexWait {
            address,
            value: u32::try_from(value).ok()?,
            is_timed: limit != 0,
            is_private: operation & PRIVATE != 0,
        }),
        _ => None,
    }
}

/// Returns `true` if, according to `maps`, no other process can share the memory at an address. A
/// futex there is private even without the flag, for example that of a joined thread. File mappings
/// may be shared until they are written to, so only anonymous memory counts.
pub(super) fn is_in_private_memory(maps: &str, address: u64) -> bool {
    mapping(maps, address).is_some_and(|it| !it.is_shared && !it.is_of_file)
}

/// Returns `true` unless, according to `maps`, what this process writes at an address stays in it.
pub(super) fn is_in_shared_memory(maps: &str, address: u64) -> bool {
    mapping(maps, address).is_none_or(|it| it.is_shared)
}

/// A line of `maps`.
struct Mapping {
    is_shared: bool,
    is_of_file: bool,
}

fn mapping(maps: &str, address: u64) -> Option<Mapping> {
    let has_address = |line: &&str| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let bounds = range.and_then(|(from, to)| {
            let [from, to] = [from, to].map(|it| u64::from_str_radix(it, 16).ok());
            Some(from?..to?)
        });
        bounds.is_some_and(|bounds| bounds.contains(&address))
    };
    let mut fields = maps.lines().find(has_address)?.split_ascii_whitespace().skip(1);
    // `rw-p`: the last letter is `p` for private or `s` for shared. Then offset, device, inode.
    let access = fields.next().filter(|it| it.len() == 4 && it.ends_with(['p', 's']))?;
    Some(Mapping { is_shared: access.ends_with('s'), is_of_file: fields.nth(2)? != "0" })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tnet (epoll) S\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t14816\n\
        Pid:\t14817\nTracerPid:\t0\nThreads:\t3\nSigPnd:\t0000000000000000\n\
        SigCgt:\t0000000000000440\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";

    #[test]
    fn a_status() {
        let status = Status::parse(STATUS).unwrap();
        let expected = Status {
            name: "net (epoll) S".to_owned(),
            state: 'S',
            tracer: 0,
            threads: 3,
            caught: 0x440,
            switches: [12, 3],
        };
        assert_eq!(status, expected);
    }

    /// An incomplete status is never read as a smaller one.
    #[test]
    fn a_truncated_status_does_not_parse() {
        for length in 0..STATUS.len() {
            assert_eq!(Status::parse(&STATUS[..length]), None, "{length}");
        }
        for gone in ["State", "TracerPid", "Threads", "SigCgt", "voluntary_ctxt_switches"] {
            assert_eq!(Status::parse(&STATUS.replace(gone, "Other")), None, "{gone}");
        }
    }

    #[test]
    fn blocked_threads() {
        assert_eq!(Blocked::parse("running\n"), Some(Blocked::No));
        let outside = Blocked::parse("-1 0x7ffc31ac9a20 0x7f8c0b0d3b5a\n");
        assert_eq!(outside, Some(Blocked::OutsideCalls));
        let text = "202 0x7f1b5c000910 0x109 0x39e1 0x0 0x0 0xffffffff 0x7ffd9d9d 0x7f1b5c0\n";
        let arguments = [0x7f1b_5c00_0910, 0x109, 0x39e1, 0, 0, 0xffff_ffff];
        assert_eq!(Blocked::parse(text), Some(Blocked::InCall { number: 202, arguments }));
        for length in 0..text.len() {
            assert_eq!(Blocked::parse(&text[..length]), None, "{length}");
        }
        for wrong in ["\n", "-1\n", "-1 0x1\n", "x 0x0 0x0\n", "-2 0x0 0x0\n", "stopped\n"] {
            assert_eq!(Blocked::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn waits_in_a_futex() {
        let wait = |operation, limit| futex_wait([0x7000, operation, 7, limit, 0, 0]);
        let told =
            |operation, limit| wait(operation, limit).map(|wait| (wait.is_timed, wait.is_private));
        // FUTEX_WAIT and FUTEX_WAIT_BITSET; then with the realtime clock, private, and both.
        assert_eq!(told(0, 0), Some((false, false)));
        assert_eq!(told(9, 0), Some((false, false)));
        assert_eq!(told(0x109, 0), Some((false, false)));
        assert_eq!(told(0x80, 0), Some((false, true)));
        assert_eq!(told(0x189, 0), Some((false, true)));
        assert_eq!(told(0x189, 0x7fff_0000), Some((true, true)));
        // FUTEX_WAKE, FUTEX_LOCK_PI, FUTEX_WAIT_REQUEUE_PI: not such waits.
        for other in [1, 6, 11, 13, 0x8b] {
            assert_eq!(told(other, 0), None, "{other}");
        }
        // The upper half of a register is ignored.
        let wait = futex_wait([0x7000, 0xffff_ffff_0000_0080, 0x1_0000_0007, 0, 0, 0]).unwrap();
        assert_eq!((wait.value, wait.is_private), (7, true));
    }

    #[test]
    fn private_and_shared_memory() {
        let maps = "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/dbus-daemon\n\
                    7f00a000-7f00b000 rw-s 00000000 00:05 1041 /dev/shm/queue\n\
                    7f00b000-7f00c000 rw-p 00000000 00:00 0 \n";
        let is_private = |address| is_in_private_memory(maps, address);
        assert!(is_private(0x7f00_b000) && is_private(0x7f00_bfff));
        assert!(!is_private(0x40_0000), "a file's");
        assert!(!is_private(0x7f00_a000) && !is_private(0x7f00_afff));
        assert!(!is_private(0x7f00_c000) && !is_private(0));
        // What a process writes to a private mapping of a file stays in the process.
        let is_shared = |address| is_in_shared_memory(maps, address);
        assert!(!is_shared(0x40_0000) && !is_shared(0x7f00_b000));
        assert!(is_shared(0x7f00_a000) && is_shared(0x7f00_c000), "unknown is not private");
        assert!(!is_in_private_memory("", 0x40_0000));
        assert!(!is_in_private_memory("7f00a000-7f00b000 rw", 0x7f00_a000));
    }
}
