//! Names, paths and messages of std, lock_api, tokio and other executors that lockdep has to recognise.
//!
//! None of them is promised by its project, so each has a test that fails when it changes. Pure. The symbols that
//! distinguish the branches of a future are in `validator/tasks/steps.rs`.

use std::{any::Any, ffi::OsStr, path::Path};

/// Returns `true` for a source file of the standard library.
pub(crate) fn is_of_the_toolchain(file: &str) -> bool {
    file.starts_with("/rustc/") || file.contains("/lib/rustlib/src/")
}

/// Returns `true` for a source file of a crate from a registry or from git, where cargo unpacks them, or of the
/// standard library.
pub(crate) fn is_of_a_dependency(file: &str) -> bool {
    let path = file.replace('\\', "/");
    is_of_the_toolchain(file) || path.contains("/registry/src/") || path.contains("/git/checkouts/")
}

/// Returns `true` for lock_api's `ReentrantMutex`, which locks in a closure: its caller is unknown.
pub(crate) fn is_reentrant_mutex(file: &str) -> bool {
    let path = file.replace('\\', "/");
    path.ends_with("/src/remutex.rs") && path.contains("/lock_api-")
}

/// Returns `true` for the files of lock_api whose `unlocked` acquires a lock again from their own lines. The guard
/// lives on and would unlock what it does not hold, so nothing can be thrown there.
pub(crate) fn retakes_locks(file: &str) -> bool {
    let path = Path::new(file);
    let is_lock_api = |folder: &Path| {
        let name = folder.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name == "lock_api" || name.starts_with("lock_api-"))
    };
    (path.ends_with("src/mutex.rs") || path.ends_with("src/rwlock.rs"))
        && path.ancestors().nth(2).is_some_and(is_lock_api)
}

/// Returns `true` for std's functions that run the destructors of thread-locals, and abort if one panics.
/// Either may be inlined.
pub(crate) fn destroys_thread_locals(function: &str) -> bool {
    let is_named = |name| function.contains("thread_local::") && function.contains(name);
    is_named("::destroy") || is_named("::abort_on_dtor_unwind")
}

/// Returns `true` for std's function that calls a thread's closure.
pub(crate) fn starts_thread(function: &str) -> bool {
    function.contains("__rust_begin_short_backtrace")
}

/// Returns `true` for the function from which libtest calls a test.
pub(crate) fn starts_test(function: &str) -> bool {
    function.starts_with("test::") && starts_thread(function)
}

/// Returns `true` for a function in which a panic may end.
pub(crate) fn catches_panics(function: &str) -> bool {
    function.contains("catch_unwind") || function.starts_with("__rust_try")
}

/// Returns `true` for functions of the standard library, where their file is unknown.
pub(crate) fn is_of_std(function: &str) -> bool {
    ["std::", "core::", "alloc::", "__rust"].iter().any(|home| function.starts_with(home))
}

/// Returns `true` for the panic of `std::thread::scope` when one of its threads has panicked.
pub(crate) fn is_panic_of_thread_scope(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref::<&str>().is_some_and(|&text| text == "a scoped thread panicked")
}

/// Returns `true` for what polls tasks, and for the insides of `select!` and `join!`.
pub(crate) fn is_of_an_executor(function: &str) -> bool {
    let homes = [
        "tokio::runtime::",
        "tokio::task::",
        "tokio::future::",
        "tokio::macros::",
        "tokio::loom::",
        "async_executor::",
        "async_global_executor::",
        "async_io::block_on",
        "async_io::driver::",
        "async_std::task::",
        "async_task::",
        "futures_executor::",
        "futures_lite::future::block_on",
    ];
    homes.iter().any(|home| function.starts_with(home))
}

/// Returns the macro of tokio that the compiler gives as the place of the code in it.
pub(crate) fn tokio_macro(site: &str) -> Option<&'static str> {
    let (_, place) =
        site.split_once("/src/macros/").filter(|(home, _)| home.contains("/tokio-"))?;
    let macros = [
        ("select.rs", "`tokio::select!`"),
        ("join.rs", "`tokio::join!`"),
        ("try_join.rs", "`tokio::try_join!`"),
    ];
    macros.into_iter().find(|(file, _)| place.starts_with(file)).map(|(_, name)| name)
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use std::{
        panic::{Location, catch_unwind},
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;

    /// The functions on the calling stack.
    fn functions() -> Vec<String> {
        let stack = backtrace::Backtrace::new();
        let symbols = stack.frames().iter().flat_map(backtrace::BacktraceFrame::symbols);
        let names = symbols.filter_map(backtrace::BacktraceSymbol::name);
        names.map(|name| format!("{name:#}").trim_start_matches('<').to_owned()).collect()
    }

    #[test]
    fn a_file_of_the_standard_library() {
        #[track_caller]
        fn caller((): ()) -> &'static str {
            Location::caller().file()
        }
        let file = [()].map(caller)[0];
        assert!(is_of_the_toolchain(file), "{file}");
        assert!(is_of_the_toolchain(
            "/home/me/.rustup/toolchains/stable/lib/rustlib/src/rust/core.rs"
        ));
        assert!(!is_of_the_toolchain("src/rustc/library.rs") && !is_of_the_toolchain(file!()));
    }

    #[test]
    fn functions_of_a_thread() {
        let functions = thread::spawn(functions).join().unwrap();
        assert!(functions.iter().any(|name| starts_thread(name)), "{functions:?}");
        assert!(functions.iter().any(|name| is_of_std(name)), "{functions:?}");
        assert!(!functions.iter().any(|name| destroys_thread_locals(name)), "{functions:?}");
    }

    /// Optimized builds inline `catch_unwind`, and may lack the debug information that says so.
    #[test]
    #[cfg(debug_assertions)]
    fn a_panic_of_a_test_reaches_the_harness() {
        let here = functions();
        let start = here.iter().position(|name| starts_test(name)).expect("this is a test");
        assert!(!here[..start].iter().any(|name| catches_panics(name)), "{here:?}");
        let caught = catch_unwind(functions).unwrap();
        let start = caught.iter().position(|name| starts_test(name)).expect("this is a test");
        assert!(caught[..start].iter().any(|name| catches_panics(name)), "{caught:?}");
        let of_a_thread = thread::spawn(functions).join().unwrap();
        assert!(!of_a_thread.iter().any(|name| starts_test(name)), "{of_a_thread:?}");
    }

    #[test]
    fn a_destructor_of_a_thread_local() {
        struct Local(Arc<Mutex<Vec<String>>>);

        impl Drop for Local {
            fn drop(&mut self) {
                *self.0.lock().unwrap() = functions();
            }
        }

        thread_local!(static LOCAL: std::cell::OnceCell<Local> = const { std::cell::OnceCell::new() });
        let seen = Arc::default();
        let of_thread = Local(Arc::clone(&seen));
        let thread = thread::spawn(|| LOCAL.with(|local| drop(local.set(of_thread))));
        thread.join().unwrap();
        let seen = seen.lock().unwrap();
        assert!(seen.iter().any(|name| destroys_thread_locals(name)), "{seen:?}");
    }

    #[test]
    fn a_scope_one_of_whose_threads_panics() {
        let in_scope = || thread::scope(|scope| _ = scope.spawn(|| panic!("a thread of a scope")));
        assert!(is_panic_of_thread_scope(&*catch_unwind(in_scope).unwrap_err()));
        let own = catch_unwind(|| panic!("another one")).unwrap_err();
        assert!(!is_panic_of_thread_scope(&*own));
    }

    #[cfg(feature = "lock_api")]
    #[test]
    fn files_of_lock_api() {
        use std::cell::Cell;

        use lock_api::{GuardSend, RawMutex};

        thread_local!(static LAST: Cell<&'static str> = const { Cell::new("") });

        /// Notes from which file it is locked.
        struct Raw;

        #[allow(unsafe_code, reason = "the trait is unsafe")]
        // SAFETY: the values that it guards are `()`.
        unsafe impl RawMutex for Raw {
            const INIT: Self = Self;
            type GuardMarker = GuardSend;

            #[track_caller]
            fn lock(&self) {
                LAST.set(Location::caller().file());
            }

            fn try_lock(&self) -> bool {
                true
            }

            unsafe fn unlock(&self) {}
        }

        struct Id;

        #[allow(unsafe_code, reason = "the trait is unsafe")]
        // SAFETY: only one thread asks.
        unsafe impl lock_api::GetThreadId for Id {
            const INIT: Self = Self;

            fn nonzero_thread_id(&self) -> std::num::NonZeroUsize {
                std::num::NonZeroUsize::MIN
            }
        }

        let lock = lock_api::Mutex::<Raw, ()>::new(());
        let mut guard = lock.lock();
        assert_eq!(LAST.get(), file!());
        lock_api::MutexGuard::unlocked(&mut guard, || ());
        assert!(retakes_locks(LAST.get()), "{}", LAST.get());
        drop(lock_api::ReentrantMutex::<Raw, Id, ()>::new(()).lock());
        assert!(is_reentrant_mutex(LAST.get()), "{}", LAST.get());
        assert!(!retakes_locks("src/mutex.rs") && !is_reentrant_mutex("src/remutex.rs"));
    }

    #[test]
    fn functions_of_tokio() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let functions = runtime.block_on(async { functions() });
        // An optimized build may inline all of them.
        let is_one = |name: &String| is_of_an_executor(name);
        assert!(functions.iter().any(is_one) || !cfg!(debug_assertions), "{functions:?}");
        let site = "/registry/src/index/tokio-1.54.1/src/macros/try_join.rs:150:20";
        assert_eq!(tokio_macro(site), Some("`tokio::try_join!`"));
        assert_eq!(tokio_macro("/registry/src/index/tokio-1.54.1/src/sync/mutex.rs:1:1"), None);
        assert_eq!(tokio_macro("/home/me/server/src/macros/join.rs:1:1"), None);
    }
}
