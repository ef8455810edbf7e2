//! Two types in two files, whose accessors are on the same lines.

mod book;
mod stock;

pub(crate) fn main() {
    let (stock, book) = (stock::Stock::new(), book::Book::new());
    crate::one_after_the_other(|| stock.take(&book), || book.balance(&stock));
}
