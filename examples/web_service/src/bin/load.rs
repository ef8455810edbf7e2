//! Customers who order chairs and cancel all of their orders, each on its own connection.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use pico_args::Arguments;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

const USAGE: &str = "usage: load [--address 127.0.0.1:3000] [--customers 32] [--at-once | --stock] \
    [--seconds 10 | --rounds N]";

/// How many chairs a customer orders before the first cancellation.
const ORDERS: usize = 10;
/// How long a working service takes at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the customers do.
#[derive(Clone, Copy)]
enum Plan {
    /// All of them order, and when they have all done so, all of them cancel. No order meets a
    /// cancellation.
    InTurn,
    /// Each orders and cancels independently of the others.
    AtOnce,
    /// All of them look at the stock and order nothing.
    Stock,
}

struct Customer {
    connection: SendRequest<Full<Bytes>>,
    orders: Vec<String>,
    latencies: Vec<Duration>,
}

impl Customer {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the service listens");
        stream.set_nodelay(true).expect("a connection takes options");
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
        tokio::spawn(connection);
        Self { connection: sender, orders: Vec::new(), latencies: Vec::new() }
    }

    /// Sends a request and returns the body of the response.
    async fn send(&mut self, method: Method, path: &str, body: &'static str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::from(body))
            .expect("a request is well-formed");
        let start = Instant::now();
        let answer = async {
            self.connection.ready().await?;
            let answer = self.connection.send_request(request).await?;
            let status = answer.status();
            Ok::<_, hyper::Error>((status, answer.into_body().collect().await?.to_bytes()))
        };
        let answer = timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer to {path} in {PATIENCE:?}"));
        let (status, body) = answer.expect("the service stays connected");
        self.latencies.push(start.elapsed());
        assert!(status.is_success(), "{path}: {status}");
        String::from_utf8(body.into()).expect("JSON is UTF-8")
    }

    async fn look_at_stock(mut self) -> Self {
        for _ in 0..ORDERS {
            self.send(Method::GET, "/stock/chair", "").await;
        }
        self
    }

    async fn order(mut self) -> Self {
        for _ in 0..ORDERS {
            self.send(Method::GET, "/stock/chair", "").await;
            let order = r#"{"item": "chair", "quantity": 1}"#;
            let id = self.send(Method::POST, "/orders", order).await;
            let path = format!("/orders/{id}");
            self.send(Method::GET, &path, "").await;
            self.orders.push(path);
        }
        self
    }

    async fn cancel(mut self) -> Self {
        for path in std::mem::take(&mut self.orders) {
            self.send(Method::DELETE, &path, "").await;
        }
        self
    }
}

/// Lets all customers do the same, and waits until they have done it.
async fn all<F: Future<Output = Customer> + Send + 'static>(
    customers: Vec<Customer>,
    what: impl Fn(Customer) -> F,
) -> Vec<Customer> {
    customers.into_iter().map(what).collect::<JoinSet<_>>().join_all().await
}

async fn run(plan: Plan, mut customers: Vec<Customer>) -> Vec<Customer> {
    match plan {
        Plan::InTurn => {
            customers = all(customers, Customer::order).await;
            all(customers, Customer::cancel).await
        }
        Plan::AtOnce => {
            all(customers, async |customer| customer.order().await.cancel().await).await
        }
        Plan::Stock => all(customers, Customer::look_at_stock).await,
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = Arguments::from_env();
    let address = arguments.opt_value_from_str("--address").expect(USAGE);
    let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000)));
    let number = arguments.opt_value_from_str("--customers").expect(USAGE).unwrap_or(32);
    let plan = match (arguments.contains("--at-once"), arguments.contains("--stock")) {
        (false, false) => Plan::InTurn,
        (true, false) => Plan::AtOnce,
        (false, true) => Plan::Stock,
        (true, true) => panic!("{USAGE}"),
    };
    let seconds = arguments.opt_value_from_str("--seconds").expect(USAGE).unwrap_or(10);
    let rounds = arguments.opt_value_from_str("--rounds").expect(USAGE);
    assert!(arguments.finish().is_empty(), "{USAGE}");

    let mut customers = Vec::new();
    for _ in 0..number {
        customers.push(Customer::connect(address).await);
    }
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let mut done = 0;
    while rounds.map_or_else(|| Instant::now() < end, |rounds: usize| done < rounds) {
        customers = run(plan, customers).await;
        done += 1;
    }
    let elapsed = start.elapsed().as_secs_f64();

    let mut latencies: Vec<_> = customers.into_iter().flat_map(|it| it.latencies).collect();
    latencies.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 requests")]
    let per_second = latencies.len() as f64 / elapsed;
    let percentile = |percent| latencies[(latencies.len() - 1) * percent / 100];
    println!(
        "{number} connections, {} requests in {elapsed:.1} s: {per_second:.0} requests/s, p50 {:.2?}, p99 {:.2?}",
        latencies.len(),
        percentile(50),
        percentile(99),
    );
}
