//! The guard in the head of a `match` lives until its end.

use lockdep::sync::Mutex;

#[derive(Default)]
struct Router {
    routes: Mutex<Vec<(String, u32)>>,
    hits: Mutex<Vec<u32>>,
}

impl Router {
    fn route(&self, path: &str) -> u32 {
        match self.routes.lock().unwrap().iter().find(|(it, _)| it == path) {
            Some((_, handler)) => {
                self.hits.lock().unwrap().push(*handler);
                *handler
            }
            None => 0,
        }
    }

    fn prune(&self) {
        let hits = self.hits.lock().unwrap();
        self.routes.lock().unwrap().retain(|(_, handler)| hits.contains(handler));
    }
}

pub(crate) fn main() {
    let router = Router::default();
    router.routes.lock().unwrap().push(("/".to_owned(), 1));
    crate::one_after_the_other(|| assert_eq!(router.route("/"), 1), || router.prune());
}
