//! [`is_in_task`], with every version of tokio.

/// Stands in for tokio's module of this name, which needs the feature `rt`.
#[allow(dead_code, reason = "used without tokio's feature `rt`")]
mod runtime {
    pub(super) struct Handle;

    impl Handle {
        pub(super) fn try_current() -> Result<Self, ()> {
            Err(())
        }
    }
}

/// Stands in for tokio's function of this name, which is unstable in old versions. With those,
/// everything that runs in the runtime counts as a task.
#[allow(dead_code, reason = "used with an old tokio")]
fn try_id() -> Option<()> {
    // Takes precedence over the module above, if tokio has one.
    #[allow(
        unused_imports,
        clippy::wildcard_imports,
        reason = "there may be nothing to import"
    )]
    use ::tokio::*;
    runtime::Handle::try_current().ok().map(drop)
}

/// Returns `true` if the runtime polls one of its tasks in this thread.
pub(crate) fn is_in_task() -> bool {
    // Takes precedence over the function above, if tokio has one.
    #[allow(
        unused_imports,
        clippy::wildcard_imports,
        reason = "there may be nothing to import"
    )]
    use ::tokio::task::*;
    try_id().is_some()
}
