//! What tasks owe and wait for: handlers of actors that ask each other.
#![cfg(feature = "tokio")]

use std::{future::Future, pin::Pin, sync::Arc};

use lockdep::{
    Finding, FindingKind, Level,
    external::Event,
    sync::Mutex as StdMutex,
    tokio::{
        select, spawn,
        sync::{Mutex, mpsc, oneshot},
        task::{JoinHandle, yield_now},
    },
};

use crate::{kinds, run};

type Handler = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// An actor, which handles one message after another.
#[derive(Clone)]
struct Actor {
    replies: Arc<Event>,
    mailbox: mpsc::UnboundedSender<(Handler, oneshot::Sender<()>)>,
}

impl Actor {
    fn start(name: &'static str) -> (Self, JoinHandle<()>) {
        let (mailbox, mut messages) = mpsc::unbounded_channel::<(Handler, oneshot::Sender<()>)>();
        let replies = Arc::new(Event::new(name));
        let actor = Self { replies: Arc::clone(&replies), mailbox };
        // As actors do, it also waits for something else meanwhile.
        let (stop, mut stopped) = oneshot::channel::<()>();
        let serves = spawn(async move {
            loop {
                let message = select! {
                    message = messages.recv() => message,
                    _ = &mut stopped => None,
                };
                let Some((handler, reply)) = message else { break };
                replies.owe_while(handler()).await;
                let _ = reply.send(());
            }
            drop(stop);
        });
        (actor, serves)
    }

    async fn ask<F: Future<Output = ()> + Send + 'static>(
        &self,
        handler: impl FnOnce() -> F + Send + 'static,
    ) {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send((Box::new(|| Box::pin(handler())), reply)).expect("it runs");
        // The actor has ended if its handler was denied.
        let _ = self.replies.wait_async(answer).await;
    }
}

/// Each actor asks the other, at different times, so that nothing hangs.
#[test]
fn actors_that_ask_each_other() {
    let found = run(async {
        let ((ledger, one), (stock, other)) = (Actor::start("ledger"), Actor::start("stock"));
        let (to_stock, to_ledger) = (stock.clone(), ledger.clone());
        ledger.ask(|| async move { to_stock.ask(|| async {}).await }).await;
        assert!(lockdep::findings().is_empty());
        stock.ask(|| async move { to_ledger.ask(|| async {}).await }).await;
        drop((ledger, stock));
        assert!(other.await.is_err() && one.await.is_ok());
    });
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.kind(), FindingKind::Inversion);
    let text = finding.to_string();
    for words in [
        "`stock` and `ledger` are owed and waited for in both orders",
        "owed `ledger` and waited for `stock`\n",
        "each waits for the next one's answer",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// The other ways to be stuck in a handler: asking oneself, and a lock over the question.
#[test]
fn an_actor_that_asks_itself_and_one_that_needs_a_held_lock() {
    let found = run(async {
        let (actor, serves) = Actor::start("itself");
        let to_itself = actor.clone();
        actor.ask(|| async move { to_itself.ask(|| async {}).await }).await;
        assert!(serves.await.is_err());
    });
    assert_eq!(kinds(&found), [FindingKind::SelfDeadlock]);

    let found = run(async {
        let (actor, serves) = Actor::start("needs");
        let rates = Arc::new(Mutex::new(()));
        let handler = {
            let rates = Arc::clone(&rates);
            || async move { drop(rates.lock().await) }
        };
        actor.ask(handler).await;
        let asks = {
            let actor = actor.clone();
            spawn(async move {
                let _held = rates.lock().await;
                actor.ask(|| async {}).await;
            })
        };
        assert!(asks.await.is_err());
        drop(actor);
        serves.await.unwrap();
    });
    assert_eq!(kinds(&found), [FindingKind::Inversion]);
}

/// The actor's task also waits for something else, so only the paths of these acquisitions prove their order.
#[test]
#[cfg(debug_assertions)]
fn locks_that_a_handler_acquires_one_after_the_other() {
    let found = run(async {
        let (actor, serves) = Actor::start("in order");
        let (rates, stock) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        for _ in 0..2 {
            let (rates, stock) = (Arc::clone(&rates), Arc::clone(&stock));
            actor
                .ask(|| async move {
                    let _rates = rates.lock().await;
                    yield_now().await;
                    drop(stock.lock().await);
                })
                .await;
        }
        let other = spawn(async move {
            let _stock = stock.lock().await;
            drop(rates.lock().await);
        });
        assert!(other.await.is_err());
        drop(actor);
        serves.await.unwrap();
    });
    assert_eq!(kinds(&found), [FindingKind::Inversion]);
}

/// Questions in one direction, to the side, and locks that are released before.
#[test]
fn actors_that_never_wait_for_each_other() {
    let found = run(async {
        let ((front, one), (back, other)) = (Actor::start("front"), Actor::start("back"));
        let state = Arc::new(StdMutex::new(0));
        for _ in 0..3 {
            let (back, state) = (back.clone(), Arc::clone(&state));
            front
                .ask(|| async move {
                    *state.lock().unwrap() += 1;
                    let handler = || async move { *state.lock().unwrap() += 1 };
                    yield_now().await;
                    tokio::join!(back.ask(handler), back.ask(|| async {}));
                })
                .await;
        }
        // A message without a question: the handler does not wait for it.
        let to_front = front.clone();
        back.ask(|| async move {
            spawn(async move { to_front.ask(|| async {}).await });
        })
        .await;
        yield_now().await;
        drop((front, back));
        let _ = (one.await, other.await);
    });
    assert_eq!(kinds(&found), []);
}

/// What one branch of a task owes, another does not.
#[test]
fn a_branch_that_owes_beside_one_that_acquires() {
    let found = run(async {
        lockdep::set_level(FindingKind::HeldAcrossAwait, Level::Allow);
        let (replies, state) = (Arc::new(Event::new("of a branch")), Arc::new(Mutex::new(())));
        let owes = async {
            let _owes = replies.owe();
            yield_now().await;
        };
        let acquires = async {
            drop(state.lock().await);
            yield_now().await;
            drop(state.lock().await);
        };
        tokio::join!(owes, acquires);
        let waits = spawn({
            let (replies, state) = (Arc::clone(&replies), Arc::clone(&state));
            async move {
                let _held = state.lock().await;
                replies.wait_async(yield_now()).await;
            }
        });
        waits.await.unwrap();
    });
    let is_of_order = |finding: &&Finding| finding.kind() != FindingKind::HeldAcrossAwait;
    assert_eq!(found.iter().filter(is_of_order).count(), 0, "{found:?}");
}

/// A second handler of the same event may answer.
#[test]
fn an_event_that_two_tasks_owe() {
    let found = run(async {
        let replies = Arc::new(Event::new("both owe"));
        let other = {
            let replies = Arc::clone(&replies);
            let handler = async {
                for _ in 0..500 {
                    yield_now().await;
                }
            };
            spawn(async move { replies.owe_while(handler).await })
        };
        yield_now().await;
        replies.owe_while(replies.wait_async(other)).await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// An actor that owes all the time, polled by the same task as its client.
#[test]
fn an_event_that_another_future_of_the_task_owes() {
    let found = run(async {
        let replies = Event::new("sibling owes");
        let (questions, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        let actor = async {
            let _owes = replies.owe();
            while let Some(reply) = asked.recv().await {
                let _ = reply.send(());
            }
        };
        let client = async {
            let (reply, answer) = oneshot::channel();
            questions.send(reply).unwrap();
            replies.wait_async(answer).await.unwrap();
            drop(questions);
        };
        tokio::join!(actor, client);
    });
    assert!(!kinds(&found).contains(&FindingKind::SelfDeadlock));
}
