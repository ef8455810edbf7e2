// `#[tokio::main]` and `#[tokio::test]`.

use tokio::runtime::{Handle, RuntimeFlavor};

fn flavour() -> RuntimeFlavor {
    Handle::current().runtime_flavor()
}

#[tokio::main]
async fn multi() -> RuntimeFlavor {
    tokio::spawn(async { flavour() }).await.unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn current() -> Result<RuntimeFlavor, String> {
    Ok(flavour())
}

#[tokio::main(worker_threads = 2)]
async fn two_workers() -> usize {
    Handle::current().metrics().num_workers()
}

#[test]
fn main_has_its_flavour() {
    assert_eq!(multi(), RuntimeFlavor::MultiThread);
    assert_eq!(current(), Ok(RuntimeFlavor::CurrentThread));
    assert_eq!(two_workers(), 2);
}

#[tokio::test]
async fn a_test() {
    assert_eq!(flavour(), RuntimeFlavor::CurrentThread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_test_with_arguments() -> Result<(), std::io::Error> {
    assert_eq!(flavour(), RuntimeFlavor::MultiThread);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_test_of_time() {
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
}

#[tokio::test]
#[should_panic(expected = "as it should")]
async fn a_test_that_panics() {
    panic!("as it should");
}
