//! Five services, each of which locks itself and then the next one.

use lockdep::sync::Mutex;

#[derive(Default)]
struct Services {
    auth: Mutex<u8>,
    billing: Mutex<u8>,
    catalog: Mutex<u8>,
    delivery: Mutex<u8>,
    email: Mutex<u8>,
}

fn both(one: &Mutex<u8>, other: &Mutex<u8>) {
    let one = one.lock().unwrap();
    *other.lock().unwrap() += *one;
}

impl Services {
    fn log_in(&self) {
        both(&self.auth, &self.billing);
    }

    fn bill(&self) {
        both(&self.billing, &self.catalog);
    }

    fn order(&self) {
        both(&self.catalog, &self.delivery);
    }

    fn ship(&self) {
        both(&self.delivery, &self.email);
    }

    fn notify(&self) {
        both(&self.email, &self.auth);
    }
}

pub(crate) fn main() {
    let it = Services::default();
    let steps: [&(dyn Fn() + Sync); 5] =
        [&|| it.log_in(), &|| it.bill(), &|| it.order(), &|| it.ship(), &|| it.notify()];
    crate::in_turn(&steps);
}
