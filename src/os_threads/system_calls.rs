//! The system calls in which threads usually wait.

#![cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")),
    allow(dead_code, reason = "few of them are known on other architectures")
)]

use crate::finding::SystemCall;

/// Number, name, and a description for the report.
type Known = (i64, &'static str, &'static str);

const FOR_INPUT: &str = "waiting until a file or socket is ready";
const READS: &str = "reading";
const WRITES: &str = "writing";
const CONNECTS: &str = "waiting for a connection";
const SLEEPS: &str = "asleep for a set time";
const FOR_SIGNAL: &str = "waiting for a signal";
const FOR_CHILD: &str = "waiting for a child process";
const FOR_FILE_LOCK: &str = "waiting for a file lock";
const FOR_DISK: &str = "waiting until a file is written to disk";
const FOR_THREAD: &str = "asleep until another thread wakes it";
const FOR_TIME: &str = "waiting, for a set time";

/// Not all architectures have the same calls, and libc does not define all of them for each.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const KNOWN: &[Known] = &[
    (libc::SYS_epoll_pwait, "epoll_pwait", FOR_INPUT),
    (libc::SYS_ppoll, "ppoll", FOR_INPUT),
    (libc::SYS_pselect6, "pselect6", FOR_INPUT),
    (libc::SYS_read, "read", READS),
    (libc::SYS_readv, "readv", READS),
    (libc::SYS_pread64, "pread64", READS),
    (libc::SYS_recvfrom, "recvfrom", READS),
    (libc::SYS_recvmsg, "recvmsg", READS),
    (libc::SYS_recvmmsg, "recvmmsg", READS),
    (libc::SYS_write, "write", WRITES),
    (libc::SYS_writev, "writev", WRITES),
    (libc::SYS_pwrite64, "pwrite64", WRITES),
    (libc::SYS_sendto, "sendto", WRITES),
    (libc::SYS_sendmsg, "sendmsg", WRITES),
    (libc::SYS_sendfile, "sendfile", WRITES),
    (libc::SYS_accept, "accept", CONNECTS),
    (libc::SYS_accept4, "accept4", CONNECTS),
    (libc::SYS_connect, "connect", CONNECTS),
    (libc::SYS_nanosleep, "nanosleep", SLEEPS),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", SLEEPS),
    (libc::SYS_restart_syscall, "restart_syscall", FOR_TIME),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", FOR_SIGNAL),
    (libc::SYS_rt_sigsuspend, "rt_sigsuspend", FOR_SIGNAL),
    (libc::SYS_wait4, "wait4", FOR_CHILD),
    (libc::SYS_waitid, "waitid", FOR_CHILD),
    (libc::SYS_flock, "flock", FOR_FILE_LOCK),
    (libc::SYS_fcntl, "fcntl", FOR_FILE_LOCK),
    (libc::SYS_fsync, "fsync", FOR_DISK),
    (libc::SYS_fdatasync, "fdatasync", FOR_DISK),
    (libc::SYS_futex_waitv, "futex_waitv", FOR_THREAD),
    // Newer architectures lack these.
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, "epoll_wait", FOR_INPUT),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, "poll", FOR_INPUT),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, "select", FOR_INPUT),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_pause, "pause", FOR_SIGNAL),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_vfork, "vfork", FOR_CHILD),
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const KNOWN: &[Known] = &[(libc::SYS_read, "read", READS), (libc::SYS_write, "write", WRITES)];

/// Returns the system call with this number.
pub(super) fn by_number(number: u64) -> SystemCall {
    let known = KNOWN.iter().find(|known| u64::try_from(known.0) == Ok(number));
    SystemCall { number, known: known.map(|&(_, name, does)| (name, does)) }
}
