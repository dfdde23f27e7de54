//! Syslog over TCP (RFC 6587) and TLS (RFC 5425). A sender that sends more than the spool takes has to wait: its connection is
//! not read from meanwhile.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::sockopt;
use tailrace_shared::clock::Clock;
use tailrace_shared::tls::{HandshakeError, TlsServer};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Chunk, Drain, Framing, Input, MESSAGES_MAX, Message};
use crate::gather::Seams;
use crate::rate_limit::RateLimit;
use crate::status::ReceiveMetrics;

/// So much is read at once.
const READ_LEN: usize = 16 << 10;
/// After an error of `accept`, most often too many open files: accepting again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A sender that has said nothing for so long is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// And again so often, and so many times.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMES: u32 = 4;

/// When the agent stops, what a sender has sent is taken in as long as there is no such pause in it.
const DRAIN_WAIT: Duration = Duration::from_millis(10);

/// A port to which senders connect.
pub(super) struct Streams {
    listener: TcpListener,
    tls: Option<Arc<TlsServer>>,
    input: usize,
    topic: Arc<str>,
    limit: Arc<RateLimit>,
    max_len: usize,
    free: Arc<Semaphore>,
    connections_max: usize,
}

impl Streams {
    pub(super) fn new(listener: TcpListener, index: usize, input: &Input) -> Self {
        Self {
            listener,
            tls: input.tls.clone(),
            input: index,
            topic: Arc::clone(&input.records.topic),
            limit: Arc::clone(&input.records.limit),
            max_len: input.max_len,
            free: Arc::new(Semaphore::new(input.connections_max)),
            connections_max: input.connections_max,
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves senders until `stop`, or nobody takes chunks.
    pub(super) async fn run(self, chunks: Sender<Chunk>, seams: &Seams, stop: CancellationToken) {
        let connections = TaskTracker::new();
        let mut full_was_said = false;
        let mut drain = Drain::default();
        while !drain.is_over(&stop) {
            // Who has connected before the agent stops may have sent something.
            let accepted = tokio::select! {
                biased;
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a syslog connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else {
                seams.receive_metrics.connections_refused.with([&*self.topic]).inc();
                if !std::mem::replace(&mut full_was_said, true) {
                    tracing::warn!(
                        %peer,
                        topic = %self.topic,
                        connections_max = self.connections_max,
                        "refusing syslog connections: there are as many as syslog.connections_max allows"
                    );
                }
                continue;
            };
            full_was_said = false;
            let connection = Connection {
                tls: self.tls.clone(),
                input: self.input,
                topic: Arc::clone(&self.topic),
                limit: Arc::clone(&self.limit),
                clock: Arc::clone(&seams.clock),
                framing: Framing::new(self.max_len),
                sender: peer.ip().to_canonical(),
                chunks: chunks.clone(),
                metrics: seams.receive_metrics.clone(),
                stop: stop.clone(),
            };
            connections.spawn(connection.serve(stream, place));
        }
        drop(self.listener);
        connections.close();
        connections.wait().await;
    }
}

/// What is needed to serve one sender.
struct Connection {
    tls: Option<Arc<TlsServer>>,
    input: usize,
    topic: Arc<str>,
    limit: Arc<RateLimit>,
    clock: Arc<dyn Clock>,
    framing: Framing,
    sender: IpAddr,
    chunks: Sender<Chunk>,
    metrics: ReceiveMetrics,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        if let Err(error) = keep_alive(&stream) {
            tracing::debug!(%error, "cannot ask for TCP keepalive");
        }
        let connected = self.metrics.connections.with([&*self.topic]);
        connected.inc();
        let result = match self.tls.take() {
            None => self.receive(stream).await,
            Some(tls) => match self.handshake(&tls, stream).await {
                Some(stream) => self.receive(stream).await,
                None => Ok(()),
            },
        };
        connected.dec();
        if let Err(error) = result {
            tracing::debug!(sender = %self.sender, %error, "a syslog connection was lost");
        }
    }

    async fn handshake(
        &self,
        tls: &TlsServer,
        stream: TcpStream,
    ) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
        let shaken = tokio::select! {
            () = self.stop.cancelled() => return None,
            shaken = tls.accept(stream) => shaken,
        };
        let refuse = |error: HandshakeError| match error {
            // Whoever only asks whether somebody listens.
            HandshakeError::Failed(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                tracing::debug!(sender = %self.sender, "a connection was closed before it was one of TLS");
            }
            error => {
                self.metrics.handshakes_failed.with([&*self.topic]).inc();
                tracing::warn!(sender = %self.sender, topic = %self.topic, "refused a syslog connection: {error}");
            }
        };
        shaken.map_err(refuse).ok()
    }

    /// Until the sender closes, or the agent stops. What has arrived by then is sent on, an unfinished message too.
    async fn receive(&mut self, mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
        let (mut buffer, mut drain) = (BytesMut::new(), Drain::default());
        loop {
            buffer.reserve(READ_LEN);
            let read = match self.stop.is_cancelled() {
                false => tokio::select! {
                    () = self.stop.cancelled() => continue,
                    read = read_within(&self.limit, &*self.clock, &mut stream, &mut buffer) => read,
                },
                true if drain.is_over(&self.stop) => Ok(0),
                true => timeout(DRAIN_WAIT, stream.read_buf(&mut buffer)).await.unwrap_or(Ok(0)),
            };
            let is_last = !matches!(read, Ok(1..));
            loop {
                let chunk = self.cut(&mut buffer, is_last);
                let is_full = chunk.messages.len() == MESSAGES_MAX;
                if !chunk.messages.is_empty() && self.chunks.send(chunk).await.is_err() {
                    return Ok(());
                }
                if !is_full {
                    break;
                }
            }
            if is_last {
                return read.map(|_| ());
            }
        }
    }

    fn cut(&mut self, buffer: &mut BytesMut, is_last: bool) -> Chunk {
        let (mut messages, sender) = (Vec::new(), self.sender);
        let done = self.framing.cut(buffer, is_last, |bytes, cut| {
            messages.push(Message { bytes, cut, sender });
            match messages.len() {
                MESSAGES_MAX => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        Chunk {
            input: self.input,
            bytes: buffer.split_to(done).freeze(),
            messages,
        }
    }
}

/// Reads on once the rate allows it.
async fn read_within(
    limit: &RateLimit,
    clock: &dyn Clock,
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    limit.ready(clock).await;
    stream.read_buf(buffer).await
}

/// Senders that vanish must not keep their place for ever.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_TIMES)?;
    Ok(())
}
