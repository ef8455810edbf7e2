//! Two actors of kameo that ask each other.

use actors::kameo::{Balance, Buy, BuyWith, Ledger, Stock, Value};
use lockdep::{FindingKind, tokio};

/// The questions come one after the other, so nothing hangs. If they came at once, each actor would wait for the
/// other's handler.
#[test]
fn a_circle_of_questions() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (ledger, stock) = (Ledger::start(), Stock::start());
        assert_eq!(ledger.ask(Value(stock.clone())).await.unwrap(), 130);

        // Fixed: the asker knows the balance, so the stock asks for nothing.
        let balance = ledger.ask(Balance).await.unwrap();
        assert_eq!(stock.ask(BuyWith(balance)).await.unwrap(), 4);
        assert!(lockdep::findings().is_empty());

        // Denied, so the handler panics, and its actor ends.
        assert!(stock.ask(Buy(ledger)).await.is_err());
    });
    let found = lockdep::take_findings();
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.kind(), FindingKind::Inversion);
    let text = finding.to_string();
    for words in
        ["`kameo stock` and `kameo ledger` are owed and waited for in both orders", "src/kameo.rs"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
}
