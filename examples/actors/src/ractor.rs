//! ractor: questions by `call`, with a port for the answer.

use ractor::{
    Actor, ActorProcessingErr, ActorRef, Message, MessagingErr, RpcReplyPort, SpawnErr,
    rpc::CallResult,
};

use crate::{Replies, handling, replies};

/// A reference to an actor whose answers are checked.
pub struct Asked<M: Message> {
    actor: ActorRef<M>,
    replies: Replies,
}

impl<M: Message> Clone for Asked<M> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), replies: Replies::clone(&self.replies) }
    }
}

impl<M: Message> Asked<M> {
    /// Asks the actor, and waits for the answer.
    #[track_caller]
    pub fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(RpcReplyPort<R>) -> M,
    ) -> impl Future<Output = Result<CallResult<R>, MessagingErr<M>>> {
        self.replies.wait_async(self.actor.call(question, None))
    }
}

/// Returns the answer, or 0 without one.
async fn number<M: Message>(
    answer: impl Future<Output = Result<CallResult<u64>, MessagingErr<M>>>,
) -> u64 {
    match answer.await {
        Ok(CallResult::Success(number)) => number,
        _ => 0,
    }
}

/// The money of a shop.
pub struct Ledger(Replies);
/// The goods of a shop.
pub struct Stock(Replies);

/// The questions to the ledger.
pub enum OfLedger {
    /// For its balance.
    Balance(RpcReplyPort<u64>),
    /// For the value of everything. It asks the stock.
    Value(Asked<OfStock>, RpcReplyPort<u64>),
}

/// The questions to the stock.
pub enum OfStock {
    /// How many items there are.
    Items(RpcReplyPort<u64>),
    /// To buy an item, if there is money. It asks the ledger.
    Buy(Asked<OfLedger>, RpcReplyPort<u64>),
    /// To buy an item, if this is enough money.
    BuyWith(u64, RpcReplyPort<u64>),
}

impl Ledger {
    /// Starts the actor.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> Result<Asked<OfLedger>, SpawnErr> {
        let replies = replies("ractor ledger");
        let (actor, _) = Actor::spawn(None, Self(Replies::clone(&replies)), 100).await?;
        Ok(Asked { actor, replies })
    }
}

impl Stock {
    /// Starts the actor.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> Result<Asked<OfStock>, SpawnErr> {
        let replies = replies("ractor stock");
        let (actor, _) = Actor::spawn(None, Self(Replies::clone(&replies)), 3).await?;
        Ok(Asked { actor, replies })
    }
}

impl Actor for Ledger {
    type Msg = OfLedger;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(
        &self,
        _: ActorRef<OfLedger>,
        balance: u64,
    ) -> Result<u64, ActorProcessingErr> {
        Ok(balance)
    }

    async fn handle(
        &self,
        _: ActorRef<OfLedger>,
        question: OfLedger,
        balance: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        let answer = async {
            match question {
                OfLedger::Balance(reply) => reply.send(*balance),
                OfLedger::Value(stock, reply) => {
                    let items = number(stock.ask(OfStock::Items)).await;
                    reply.send(*balance + 10 * items)
                }
            }
        };
        Ok(handling(&self.0, answer).await?)
    }
}

impl Actor for Stock {
    type Msg = OfStock;
    type State = u64;
    type Arguments = u64;

    async fn pre_start(&self, _: ActorRef<OfStock>, items: u64) -> Result<u64, ActorProcessingErr> {
        Ok(items)
    }

    async fn handle(
        &self,
        _: ActorRef<OfStock>,
        question: OfStock,
        items: &mut u64,
    ) -> Result<(), ActorProcessingErr> {
        let answer = async {
            let (money, reply) = match question {
                OfStock::Items(reply) => return reply.send(*items),
                OfStock::Buy(ledger, reply) => (number(ledger.ask(OfLedger::Balance)).await, reply),
                OfStock::BuyWith(money, reply) => (money, reply),
            };
            *items += u64::from(money >= 10);
            reply.send(*items)
        };
        Ok(handling(&self.0, answer).await?)
    }
}
