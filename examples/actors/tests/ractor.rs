//! Two actors of ractor that ask each other.

use actors::ractor::{Ledger, OfLedger, OfStock, Stock};
use lockdep::{FindingKind, tokio};
use ractor::rpc::CallResult;

/// The questions come one after the other, so nothing hangs. If they came at once, each actor would wait for the
/// other's handler.
#[test]
fn a_circle_of_questions() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (ledger, stock) = (Ledger::start().await.unwrap(), Stock::start().await.unwrap());
        let value = ledger.ask(|reply| OfLedger::Value(stock.clone(), reply)).await.unwrap();
        assert_eq!(value.unwrap(), 130);

        // Fixed: the asker knows the balance, so the stock asks for nothing.
        let balance = ledger.ask(OfLedger::Balance).await.unwrap().unwrap();
        let items = stock.ask(|reply| OfStock::BuyWith(balance, reply)).await.unwrap();
        assert_eq!(items.unwrap(), 4);
        assert!(lockdep::findings().is_empty());

        // Denied, so the handler panics, and its actor ends.
        let answer = stock.ask(|reply| OfStock::Buy(ledger, reply)).await;
        assert!(!matches!(answer, Ok(CallResult::Success(_))));
    });
    let found = lockdep::take_findings();
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.kind(), FindingKind::Inversion);
    let text = finding.to_string();
    for words in [
        "`ractor stock` and `ractor ledger` are owed and waited for in both orders",
        "src/ractor.rs",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
