//! Accepts connections, bounds their number, and says once, in one line, why one was closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::config::ListenAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Client, ConnectionError, ConnectionLimits};
use super::connections::Connections;
use super::context::Context;
use super::endpoint::Endpoint;
use super::frame_reader::FrameError;
use super::memory::MemoryBudget;
use crate::metrics::CollectorMetrics;
use crate::security::Principal;
use crate::security::certificate::peer_principal;

/// What bounds the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerOptions {
    /// The largest request.
    pub request_bytes_max: usize,
    /// A connection without a request for so long is closed.
    pub idle: Duration,
    /// A client that stops in the middle of a request, or stops reading, is dropped after so long.
    pub stall: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            request_bytes_max: 16 * 1024 * 1024,
            idle: Duration::from_secs(600),
            stall: Duration::from_secs(30),
        }
    }
}

/// A Kafka port.
pub struct Listener {
    socket: TcpListener,
    options: ListenerOptions,
    memory: MemoryBudget,
    connections: Connections,
}

impl Listener {
    /// Takes the port.
    ///
    /// # Errors
    /// When the port is taken or may not be used.
    pub async fn bind(
        address: &ListenAddr,
        options: ListenerOptions,
        memory: MemoryBudget,
        connections: Connections,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind((address.host.as_str(), address.port)).await?;
        Ok(Self {
            socket,
            options,
            memory,
            connections,
        })
    }

    /// The address it listens on, with the port that port 0 became.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop`; then drops what is idle and returns.
    pub async fn run(self, context: Arc<Context>, endpoint: Arc<Endpoint>, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let (room, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = self.next() => next,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most often too many open files: accepting again at once would only spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = self.connections.enter(room, peer.ip()) else {
                report_end(&context.metrics, peer, Err(ConnectionError::TooMany));
                continue;
            };
            let served = self.serve(Arc::clone(&context), Arc::clone(&endpoint), stream, peer);
            let (stop, metrics) = (stop.clone(), Arc::clone(&context.metrics));
            connections.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    result = served => report_end(&metrics, peer, result),
                }
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
    }

    /// The next connection, once there is a place for it.
    async fn next(&self) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
        let room = self.connections.room().await;
        (room, self.socket.accept().await)
    }

    fn serve(
        &self,
        context: Arc<Context>,
        endpoint: Arc<Endpoint>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<(), ConnectionError>> + use<> {
        let limits = ConnectionLimits {
            request_bytes_max: self.options.request_bytes_max,
            idle: self.options.idle,
            stall: self.options.stall,
        };
        let memory = self.memory.clone();
        async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
            }
            if let Some(tls) = &endpoint.tls {
                let stream = tls.accept(stream).await?;
                let principal = peer_principal(&stream).unwrap_or(Principal::ANONYMOUS);
                let client = Client::new(peer, endpoint, principal);
                return connection::serve(context, memory, limits, stream, client).await;
            }
            let client = Client::new(peer, endpoint, Principal::ANONYMOUS);
            connection::serve(context, memory, limits, stream, client).await
        }
    }
}

/// A client that just went away is nobody's concern; whatever else ended a connection is worth one line.
fn report_end(metrics: &CollectorMetrics, peer: SocketAddr, result: Result<(), ConnectionError>) {
    match result {
        Ok(()) => {}
        Err(ConnectionError::Write(error) | ConnectionError::Frame(FrameError::Io(error))) => {
            tracing::debug!(%peer, %error, "connection lost");
        }
        Err(error) => {
            metrics.closed_connections.with([error.reason()]).inc();
            tracing::warn!(%peer, "closed a Kafka connection: {error}");
        }
    }
}
