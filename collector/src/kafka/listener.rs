//! Accepts connections, bounds their number, and says once, in one line, why one was closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tailrace_shared::config::ListenAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, ConnectionError, ConnectionLimits};
use super::context::Context;
use super::frame_reader::FrameError;
use super::memory::MemoryBudget;
use crate::metrics::CollectorMetrics;

/// What bounds the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerOptions {
    /// How many connections there may be at once; more wait to be accepted.
    pub connections_max: usize,
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
            connections_max: 10_000,
            request_bytes_max: 16 * 1024 * 1024,
            idle: Duration::from_secs(600),
            stall: Duration::from_secs(30),
        }
    }
}

/// The Kafka port.
pub struct Listener {
    socket: TcpListener,
    options: ListenerOptions,
    memory: MemoryBudget,
    open: Arc<AtomicUsize>,
}

impl Listener {
    /// Takes the port.
    ///
    /// # Errors
    /// When the port is taken or may not be used.
    pub async fn bind(address: &ListenAddr, options: ListenerOptions, memory: MemoryBudget) -> io::Result<Self> {
        let socket = TcpListener::bind((address.host.as_str(), address.port)).await?;
        Ok(Self {
            socket,
            options,
            memory,
            open: Arc::default(),
        })
    }

    /// The address it listens on, with the port that port 0 became.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Open connections, for metrics.
    #[must_use]
    pub fn open_connections(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.open)
    }

    /// Serves until `stop`; then drops what is idle and returns.
    pub async fn run(self, context: Arc<Context>, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.options.connections_max));
        let connections = TaskTracker::new();
        loop {
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = self.next(&places) => next,
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
            let served = self.serve(Arc::clone(&context), stream, peer);
            let (open, stop, metrics) = (Arc::clone(&self.open), stop.clone(), Arc::clone(&context.metrics));
            connections.spawn(async move {
                open.fetch_add(1, Ordering::Relaxed);
                tokio::select! {
                    () = stop.cancelled() => {}
                    result = served => report_end(&metrics, peer, result),
                }
                open.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
        connections.close();
        connections.wait().await;
    }

    /// The next connection, once there is a place for it.
    async fn next(
        &self,
        places: &Arc<Semaphore>,
    ) -> (Option<OwnedSemaphorePermit>, io::Result<(TcpStream, SocketAddr)>) {
        // The semaphore is never closed.
        let place = Arc::clone(places).acquire_owned().await.ok();
        (place, self.socket.accept().await)
    }

    fn serve(
        &self,
        context: Arc<Context>,
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
            connection::serve(context, memory, limits, stream, peer).await
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
