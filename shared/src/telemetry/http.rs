//! The operator's HTTP server: health, readiness, metrics, and whatever routes a binary adds.
//!
//! It faces networks, so everything has a limit: the number of connections, the size of a request's head and body, and
//! the time that a client may take over a head. On shutdown it stops accepting, lets answers in progress finish, and
//! cuts off what takes too long.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::Readiness;
use super::metrics::Exporter;
use crate::config::ListenAddr;

/// How long to wait before accepting again after the system refused to.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server allows its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; the next ones wait.
    pub connections: u16,
    /// Time for a request's head to arrive, and for which an idle connection is kept.
    pub head_timeout: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body, where a route does not set its own limit.
    pub body_bytes: usize,
    /// Time for answers in progress after shutdown began.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 128,
            head_timeout: Duration::from_secs(15),
            head_bytes: 32 << 10,
            body_bytes: 1 << 20,
            grace: Duration::from_secs(5),
        }
    }
}

/// The address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for HTTP on {address}: {source}; {} (http.listen)", address.remedy(source))]
pub struct BindError {
    /// As configured.
    pub address: ListenAddr,
    /// What the operating system said.
    pub source: io::Error,
}

/// The routes that every binary has: `/healthz`, `/readyz` and `/metrics`. Any other path is told about these.
pub fn router(exporter: Arc<Exporter>, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(exporter))
        .fallback(async || {
            (
                StatusCode::NOT_FOUND,
                "no such page; try /metrics, /readyz or /healthz\n",
            )
        })
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let missing = readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let reasons: String = missing
        .into_iter()
        .map(|(part, reason)| format!("{part}: {reason}\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{reasons}"))
}

async fn metrics(State(exporter): State<Arc<Exporter>>) -> Response {
    match exporter.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// A server that listens, and answers once [`Server::serve`] runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

impl Server {
    /// Listens on an address.
    pub async fn bind(address: &ListenAddr, limits: Limits) -> Result<Self, BindError> {
        let listen = async {
            let listener = TcpListener::bind(address.to_string()).await?;
            let address = listener.local_addr()?;
            Ok(Self {
                listener,
                address,
                limits,
            })
        };
        listen.await.map_err(|source| BindError {
            address: address.clone(),
            source,
        })
    }

    /// Where it listens, the port known.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` completes, and then finishes what is in progress.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { listener, limits, .. } = self;
        let router = router.layer(DefaultBodyLimit::max(limits.body_bytes));
        let slots = Arc::new(Semaphore::new(limits.connections.into()));
        let (stop, stopped) = watch::channel(());
        let accept_all = async {
            while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(connection(stream, router.clone(), limits, stopped.clone(), slot));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept an HTTP connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept_all => {}
            () = shutdown => {}
        }
        drop((stop, listener));
        // Each connection ends itself within the grace period.
        drop(slots.acquire_many(limits.connections.into()).await);
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            timeout(limits.grace, serving).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

#[cfg(test)]
mod tests;
