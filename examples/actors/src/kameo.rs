//! kameo: questions by `ask`.

use kameo::{
    Actor, Reply,
    actor::{ActorRef, Spawn},
    error::SendError,
    message::{Context, Message},
};

use crate::{Replies, handling, replies};

/// A reference to an actor whose answers are checked.
pub struct Asked<A: Actor> {
    actor: ActorRef<A>,
    replies: Replies,
}

impl<A: Actor> Clone for Asked<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), replies: Replies::clone(&self.replies) }
    }
}

/// The answer to a question, or an error.
pub type Answer<A, M> = Result<
    <<A as Message<M>>::Reply as Reply>::Ok,
    SendError<M, <<A as Message<M>>::Reply as Reply>::Error>,
>;

impl<A: Actor> Asked<A> {
    /// Asks the actor, and waits for the answer.
    #[track_caller]
    pub fn ask<M>(&self, message: M) -> impl Future<Output = Answer<A, M>>
    where
        A: Message<M>,
        M: Send + 'static,
    {
        self.replies.wait_async(self.actor.ask(message).into_future())
    }
}

/// The money of a shop.
#[derive(Actor)]
pub struct Ledger {
    balance: u64,
    replies: Replies,
}

/// The goods of a shop.
#[derive(Actor)]
pub struct Stock {
    items: u64,
    replies: Replies,
}

/// Asks the ledger for its balance.
pub struct Balance;
/// Asks the stock how many items there are.
pub struct Items;
/// Asks the ledger for the value of everything. It asks the stock.
pub struct Value(pub Asked<Stock>);
/// Asks the stock to buy an item, if there is money. It asks the ledger.
pub struct Buy(pub Asked<Ledger>);
/// Asks the stock to buy an item, if this is enough money.
pub struct BuyWith(pub u64);

impl Ledger {
    /// Starts the actor.
    #[must_use]
    pub fn start() -> Asked<Self> {
        let replies = replies("kameo ledger");
        let actor = Self::spawn(Self { balance: 100, replies: Replies::clone(&replies) });
        Asked { actor, replies }
    }
}

impl Stock {
    /// Starts the actor.
    #[must_use]
    pub fn start() -> Asked<Self> {
        let replies = replies("kameo stock");
        let actor = Self::spawn(Self { items: 3, replies: Replies::clone(&replies) });
        Asked { actor, replies }
    }
}

impl Message<Balance> for Ledger {
    type Reply = u64;

    async fn handle(&mut self, _: Balance, _: &mut Context<Self, u64>) -> u64 {
        handling(&self.replies, async { self.balance }).await
    }
}

impl Message<Items> for Stock {
    type Reply = u64;

    async fn handle(&mut self, _: Items, _: &mut Context<Self, u64>) -> u64 {
        handling(&self.replies, async { self.items }).await
    }
}

impl Message<Value> for Ledger {
    type Reply = u64;

    async fn handle(&mut self, Value(stock): Value, _: &mut Context<Self, u64>) -> u64 {
        let value = async { self.balance + 10 * stock.ask(Items).await.unwrap_or_default() };
        handling(&self.replies, value).await
    }
}

impl Message<Buy> for Stock {
    type Reply = u64;

    async fn handle(&mut self, Buy(ledger): Buy, _: &mut Context<Self, u64>) -> u64 {
        let items = &mut self.items;
        let buy = async {
            let balance = ledger.ask(Balance).await.unwrap_or_default();
            *items += u64::from(balance >= 10);
            *items
        };
        handling(&self.replies, buy).await
    }
}

impl Message<BuyWith> for Stock {
    type Reply = u64;

    async fn handle(&mut self, BuyWith(money): BuyWith, _: &mut Context<Self, u64>) -> u64 {
        let items = &mut self.items;
        let buy = async {
            *items += u64::from(money >= 10);
            *items
        };
        handling(&self.replies, buy).await
    }
}
