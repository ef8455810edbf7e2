//! One function with a branch for each order.

use lockdep::sync::Mutex;

#[derive(Default)]
struct Link {
    left: Mutex<u32>,
    right: Mutex<u32>,
}

fn copy(link: &Link, to_the_right: bool) {
    if to_the_right {
        let left = link.left.lock().unwrap();
        *link.right.lock().unwrap() = *left;
    } else {
        let right = link.right.lock().unwrap();
        *link.left.lock().unwrap() = *right;
    }
}

pub(crate) fn main() {
    let link = Link::default();
    crate::one_after_the_other(|| copy(&link, true), || copy(&link, false));
}
