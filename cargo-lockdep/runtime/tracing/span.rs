//! Spans, of which only that of a spawn says anything.

use std::{cell::Cell, marker::PhantomData, panic::Location};

use lockdep::__private::validator::tasks;

/// What tokio says of a task that it spawns.
#[derive(Clone, Copy)]
pub(crate) struct Spawn {
    kind: &'static str,
    pub(crate) site: &'static Location<'static>,
    /// The size of the future that tokio was given, if it has put it into a box.
    pub(crate) unboxed_size: Option<usize>,
}

impl Spawn {
    /// Returns `true` for what is a future of the program. A closure of `spawn_blocking` is not:
    /// its locks are those of the thread that runs it.
    pub(crate) fn is_task(&self) -> bool {
        self.kind != "blocking"
    }

    /// Returns `true` for what tokio itself runs in another thread, as for each call of `tokio::fs`. No guard of the
    /// program goes there.
    fn is_by(&self, tokio: &str) -> bool {
        let home = tokio.strip_suffix("util/trace.rs").unwrap_or(tokio);
        self.site.file().starts_with(home)
    }

    /// Returns `true` for what the thread waits for that polls it.
    pub(crate) fn blocks_thread(&self) -> bool {
        self.kind == "block_on"
    }
}

thread_local! {
    /// The spawn whose span was made last, until its future is instrumented, which tokio does at once. Not in
    /// the span itself, because tokio's locks and operations have spans as well, which are to have no size.
    static SPAWN: Cell<Option<Spawn>> = const { Cell::new(None) };
}

/// Takes the spawn whose span was made last.
pub(crate) fn take_spawn() -> Option<Spawn> {
    SPAWN.take()
}

/// As `tracing::Span`.
#[derive(Clone, Debug)]
pub struct Span(());

/// As `tracing::span::Entered`.
#[derive(Debug)]
pub struct Entered<'a>(PhantomData<&'a Span>);

/// As `tracing::span::EnteredSpan`.
#[derive(Debug)]
pub struct EnteredSpan(());

/// As `tracing::Id`. No span has one, so tokio does not trace its wakers.
#[derive(Clone, Debug)]
pub enum Id {}

impl Span {
    /// As `tracing::Span::none`.
    pub const fn none() -> Self {
        Self(())
    }

    /// The span of a task that is being spawned. `tokio` is the path of tokio's file that says so.
    pub fn of_spawn(
        kind: &'static str,
        site: &'static Location<'static>,
        unboxed_size: Option<usize>,
        tokio: &str,
    ) -> Self {
        let spawn = Spawn { kind, site, unboxed_size };
        if !spawn.is_task() && !spawn.is_by(tokio) {
            tasks::may_send_guards();
        }
        SPAWN.set(Some(spawn));
        Self(())
    }

    /// As `tracing::Span::enter`.
    pub fn enter(&self) -> Entered<'_> {
        Entered(PhantomData)
    }

    /// As `tracing::Span::entered`.
    pub fn entered(self) -> EnteredSpan {
        EnteredSpan(())
    }

    /// As `tracing::Span::in_scope`.
    pub fn in_scope<T>(&self, scope: impl FnOnce() -> T) -> T {
        scope()
    }

    /// As `tracing::Span::id`.
    pub fn id(&self) -> Option<Id> {
        None
    }
}

impl Id {
    /// As `tracing::Id::into_u64`.
    pub fn into_u64(&self) -> u64 {
        match *self {}
    }
}
