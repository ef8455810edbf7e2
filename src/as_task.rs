//! [`as_task`].

use std::future::Future;

/// Checks a future as a task, if the task that awaits it is not known: because a library such as hyper spawned it, or
/// because it runs on another runtime.
///
/// Only the order of its locks is checked. Whether the future is stuck for ever depends on its surroundings, which may
/// drop it after a while, so that is not reported. In a [known task](crate::tokio#known-tasks) the future is part of
/// that task, as if it were awaited directly. In a build that is not checked, the future is returned as it is.
///
/// With axum, one layer checks all handlers:
///
/// ```ignore
/// use axum::{Router, middleware::{self, Next}, routing::get};
///
/// let app = Router::new()
///     .route("/stock", get(stock))
///     .layer(middleware::from_fn(|request, next: Next| lockdep::as_task(next.run(request))));
/// ```
///
/// # Panics
///
/// When it is polled, if the future panics, and for a finding at [`Level::Deny`](crate::Level::Deny).
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use lockdep::tokio::{self, sync::Mutex};
///
/// # #[tokio::main] async fn main() {
/// let stock = Arc::new(Mutex::new(10));
/// let handler = {
///     let stock = Arc::clone(&stock);
///     lockdep::as_task(async move { *stock.lock().await -= 1 })
/// };
/// ::tokio::spawn(handler).await.unwrap(); // as a library would
/// assert_eq!(*stock.lock().await, 9);
/// # }
/// ```
#[track_caller]
pub fn as_task<F: Future>(future: F) -> impl Future<Output = F::Output> {
    #[cfg(any(debug_assertions, feature = "enforce"))]
    let future = crate::tokio::as_task(future);
    future
}
