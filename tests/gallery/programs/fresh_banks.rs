//! Two requests, each with its own locks: an inversion of the classes, not of the instances.

use lockdep::sync::{Mutex, MutexGuard};

struct Request {
    headers: Mutex<Vec<String>>,
    body: Mutex<String>,
}

impl Request {
    fn new() -> Self {
        Self { headers: Mutex::new(Vec::new()), body: Mutex::new(String::new()) }
    }

    fn headers(&self) -> MutexGuard<'_, Vec<String>> {
        self.headers.lock().unwrap()
    }

    fn body(&self) -> MutexGuard<'_, String> {
        self.body.lock().unwrap()
    }
}

fn parse(request: &Request) {
    let mut headers = request.headers();
    headers.push(format!("length: {}", request.body().len()));
}

fn compress(request: &Request) {
    let mut body = request.body();
    body.clear();
    request.headers().push("encoding: gzip".to_owned());
}

pub(crate) fn main() {
    crate::one_after_the_other(|| parse(&Request::new()), || compress(&Request::new()));
}
