use lockdep::sync::RwLock;

pub struct Rates {
    euro: RwLock<i64>,
    dollar: RwLock<i64>,
}

impl Rates {
    pub fn new() -> Self {
        Self { euro: RwLock::new(1), dollar: RwLock::new(2) }
    }

    pub fn quote(&self) -> i64 {
        let euro = self.euro.read().unwrap();
        let dollar = self.dollar.read().unwrap();
        *dollar + *self.euro.read().unwrap() * *euro
    }
}
