//! The server as a client sees it, on a real socket.

use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start(router: Router, limits: Limits) -> Running {
    let server = Server::bind(&ListenAddr::loopback(0), limits).await.unwrap();
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(server.serve(router, async { stopped.await.unwrap() }));
    Running { address, stop, server }
}

impl Running {
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(&self, request: &str) -> String {
        read_all(self.send(request).await).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"))
            .await
    }
}

/// Up to the end, or to a reset by a server that would not read on.
async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn health_readiness_and_metrics_are_told() {
    let exporter = Exporter::default();
    crate::metrics! {
        struct Sample {
            answers: Counter[] = "t_answers_total", "Answers.";
        }
    }
    Sample::register(exporter.registry())
        .unwrap()
        .answers
        .with([])
        .inc_by(42);
    let readiness = Readiness::waiting_for(&["wal", "catalog"]);
    let extra = Router::new().route("/extra", get(async || "more"));
    let server = start(
        router(Arc::new(exporter), readiness.clone()).merge(extra),
        Limits::default(),
    )
    .await;

    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200"));
    readiness.wait("wal", "replaying file 3 of 17");
    let answer = server.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.ends_with("not ready\ncatalog: not started\nwal: replaying file 3 of 17\n"),
        "{answer}"
    );
    readiness.ready("wal");
    readiness.ready("catalog");
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
    let answer = server.get("/metrics").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4") && answer.contains("\nt_answers_total 42\n"));
    assert!(server.get("/extra").await.ends_with("more"));
    let none = server.get("/").await;
    assert!(none.starts_with("HTTP/1.1 404") && none.contains("/metrics"), "{none}");
}

#[tokio::test]
async fn a_client_that_sends_too_much_or_too_slowly_is_turned_away() {
    let router = Router::new().route("/", post(async |body: String| body));
    let limits = Limits {
        body_bytes: 10,
        head_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = start(router, limits).await;
    let post = |body: &str| {
        format!(
            "POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert!(server.ask(&post("0123456789")).await.ends_with("\r\n\r\n0123456789"));
    assert!(server.ask(&post("0123456789a")).await.starts_with("HTTP/1.1 413"));
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(!server.ask(&long).await.starts_with("HTTP/1.1 200"));
    assert!(
        !server
            .ask("GET / HTTP/1.1\r\nx: half")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(server.ask("").await, "", "an idle connection is closed");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = start(Router::new().route("/", get(async || "done")), limits).await;
    let idle = server.send("").await;
    let waiting = server.get("/");
    tokio::pin!(waiting);
    assert!(timeout(Duration::from_millis(50), waiting.as_mut()).await.is_err());
    drop(idle);
    assert!(waiting.await.ends_with("done"));
}

#[tokio::test]
async fn shutdown_finishes_answers_and_cuts_off_what_takes_too_long() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (began, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = get(async move || {
        began.notify_one();
        wait.notified().await;
        "finished"
    });
    let stuck = get(std::future::pending::<&'static str>);
    let router = Router::new().route("/slow", slow).route("/stuck", stuck);
    let server = start(
        router,
        Limits {
            grace: Duration::from_millis(500),
            ..Limits::default()
        },
    )
    .await;
    let slow = server.send("GET /slow HTTP/1.1\r\n\r\n").await;
    let stuck = server.send("GET /stuck HTTP/1.1\r\n\r\n").await;
    begun.notified().await;
    server.stop.send(()).unwrap();
    go_on.notify_one();
    assert!(read_all(slow).await.ends_with("finished"));
    server.server.await.unwrap();
    assert_eq!(read_all(stuck).await, "");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = start(Router::new(), Limits::default()).await;
    let error = Server::bind(&ListenAddr::loopback(server.address.port()), Limits::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");
}
