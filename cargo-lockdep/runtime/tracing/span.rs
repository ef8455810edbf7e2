//! Spans. Only that of a spawn carries information.

use std::{cell::Cell, marker::PhantomData, panic::Location};

use lockdep::__private::validator::tasks;

/// The fields of the span of a spawn.
#[derive(Clone, Copy)]
pub(crate) struct Spawn {
    kind: &'static str,
    pub(crate) site: &'static Location<'static>,
    /// The size of the future that tokio was given, if it has boxed it.
    pub(crate) unboxed_size: Option<usize>,
}

impl Spawn {
    /// Returns `true` for a future of the program. A closure of `spawn_blocking` is no task: its
    /// locks belong to the thread that runs it.
    pub(crate) fn is_task(&self) -> bool {
        self.kind != "blocking"
    }

    /// Returns `true` for work that tokio itself moves to another thread, as for each call of
    /// `tokio::fs`. No guard of the program can move there.
    fn is_by(&self, tokio: &str) -> bool {
        let home = tokio.strip_suffix("util/trace.rs").unwrap_or(tokio);
        self.site.file().starts_with(home)
    }

    /// Returns `true` if the polling thread waits for this task.
    pub(crate) fn blocks_thread(&self) -> bool {
        self.kind == "block_on"
    }
}

thread_local! {
    /// The last spawn for which a span was created, until its future is instrumented, which tokio
    /// does right away. It is not in the span itself because tokio's locks and operations also have
    /// spans, which should have no size.
    static SPAWN: Cell<Option<Spawn>> = const { Cell::new(None) };
}

/// Takes the last spawn for which a span was created.
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

    /// Returns the span of a task that is being spawned. `tokio` is the path of tokio's source file
    /// with the span.
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
