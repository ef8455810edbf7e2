//! A guard that is forgotten to keep the lock, by a thread that then ends.

use lockdep::sync::Mutex;

#[derive(Default)]
struct Device {
    registers: Mutex<[u8; 4]>,
}

impl Device {
    fn claim(&self) {
        let registers = self.registers.lock().unwrap();
        std::mem::forget(registers);
    }
}

pub(crate) fn main() {
    let device = Device::default();
    crate::alone(|| device.claim());
}
