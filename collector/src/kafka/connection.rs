//! One client's connection: requests are taken one after another, answers go out in the order of the requests.
//!
//! A Produce is taken (sequenced) in its turn but answered when it is durable, so a client may have several in flight;
//! any other request is finished before the next one is read, as Kafka does it, because clients rely on that order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tailrace_shared::kafka::{ApiKey, Encoder, RequestHeader, Segments};
use tailrace_shared::tls::HandshakeError;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::context::{Call, Context};
use super::endpoint::Endpoint;
use super::frame_reader::{Frame, FrameError, FrameReader};
use super::handlers::sasl_authenticate::authenticate;
use super::memory::MemoryBudget;
use super::peer::Peer;
use super::table::{self, Answer, RequestError, Started};
use super::throttle::Muted;
use crate::security::Principal;
use crate::security::login::{Login, LoginError};

/// How many requests of one connection may wait for their answers.
const IN_FLIGHT_MAX: usize = 32;

/// Of a long answer so much is written before other connections have their turn.
const TURN_BYTES: usize = 1 << 20;

/// What somebody may send who has not logged in yet, as in Kafka (`sasl.server.max.receive.size`).
const STRANGERS_REQUEST_BYTES_MAX: usize = 512 << 10;

/// What bounds a connection.
#[derive(Debug, Clone)]
pub(super) struct ConnectionLimits {
    pub(super) request_bytes_max: usize,
    /// Closed after so long without a request.
    pub(super) idle: Duration,
    /// Closed when the client neither sends the rest of a request nor reads its answers for so long.
    pub(super) stall: Duration,
}

/// Why a connection ended, other than by the client's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("cannot write the answer: {0}")]
    Write(#[source] io::Error),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("this address has as many connections as it may (kafka.connections_per_address_max)")]
    TooMany,
    #[error("{0}{hint}", hint = hint(.0))]
    Handshake(#[from] HandshakeError),
    #[error("the client has read nothing for {} s", .0.as_secs())]
    NotReading(Duration),
}

impl ConnectionError {
    /// For a metric's label.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Frame(FrameError::Http) => "http",
            Self::Frame(FrameError::Tls) => "tls",
            Self::Frame(FrameError::TooLarge { .. } | FrameError::TooShort { .. }) => "frame_length",
            Self::Frame(FrameError::Stalled(_)) | Self::NotReading(_) => "stalled",
            Self::Frame(FrameError::Io(_) | FrameError::CutShort) | Self::Write(_) => "lost",
            Self::Request(_) => "request",
            Self::Login(_) => "login",
            Self::TooMany => "too_many",
            Self::Handshake(_) => "handshake",
        }
    }
}

fn hint(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Plain => "; set security.protocol=SSL, or SASL_SSL, in the client",
        HandshakeError::Failed(_) => "",
    }
}

/// Who is at the other end.
#[derive(Clone)]
pub(super) struct Client {
    peer: SocketAddr,
    endpoint: Arc<Endpoint>,
    login: Arc<Mutex<Login>>,
    muted: Arc<Muted>,
}

impl Client {
    /// Somebody who came in here, and is whoever its certificate says.
    pub(super) fn new(peer: SocketAddr, endpoint: Arc<Endpoint>, principal: Principal) -> Self {
        let login = Arc::new(Mutex::new(endpoint.login(principal)));
        let muted = Arc::new(Muted::default());
        Self {
            peer,
            endpoint,
            login,
            muted,
        }
    }

    fn call(&self, api: ApiKey, version: i16, client_id: Option<ByteString>) -> Call {
        Call {
            api,
            version,
            client_id: client_id.unwrap_or_default(),
            peer: self.peer,
            endpoint: Arc::clone(&self.endpoint),
            principal: self.login.lock().principal().clone(),
            login: Arc::clone(&self.login),
            muted: Arc::clone(&self.muted),
        }
    }
}

/// Serves one client until it leaves, breaks the protocol, or is idle for too long.
pub(super) async fn serve<S>(
    context: Arc<Context>,
    memory: MemoryBudget,
    limits: ConnectionLimits,
    socket: S,
    client: Client,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Peer + Unpin,
{
    let mut reader = FrameReader::new(socket, memory, limits.request_bytes_max, limits.stall);
    let mut answers: FuturesOrdered<Answer> = FuturesOrdered::new();
    let mut one_at_a_time = false;
    let mut may_abandon = false;
    loop {
        if client.login.lock().is_stranger() {
            reader.limit_to(STRANGERS_REQUEST_BYTES_MAX.min(limits.request_bytes_max));
        } else {
            reader.limit_to(limits.request_bytes_max);
        }
        let muted_until = client.muted.until();
        let may_read =
            muted_until.is_none() && (answers.is_empty() || (!one_at_a_time && answers.len() < IN_FLIGHT_MAX));
        tokio::select! {
            biased;
            Some(answer) = answers.next(), if !answers.is_empty() => {
                let (segments, failed) = join_ready(answer, &mut answers);
                write_answers(reader.socket_mut(), segments, limits.stall).await?;
                failed?;
                if let Some(error) = client.login.lock().rejected() {
                    return Err(error.clone().into());
                }
            }
            () = sleep_until(muted_until.unwrap_or_else(Instant::now)), if muted_until.is_some() => {}
            frame = timeout(limits.idle, next_frame(&mut reader, may_read)), if may_read || may_abandon => match frame {
                Ok(Ok(Some(frame))) => {
                    let taken = take_request(&context, &client, frame).await?;
                    one_at_a_time = !taken.may_overlap;
                    may_abandon = taken.may_abandon;
                    answers.push_back(taken.answer);
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_idle) if answers.is_empty() => return Ok(()),
                Err(_idle) => {}
            },
        }
    }
}

/// The next request; where it is not its turn yet, only the client's leave is awaited.
async fn next_frame<R>(reader: &mut FrameReader<R>, may_read: bool) -> Result<Option<Frame>, FrameError>
where
    R: AsyncRead + Peer + Unpin,
{
    if may_read {
        return reader.next().await;
    }
    reader.closed().await;
    Ok(None)
}

/// Starts a request.
async fn take_request(context: &Arc<Context>, client: &Client, frame: Frame) -> Result<Started, ConnectionError> {
    let began = Instant::now();
    if client.login.lock().expects_bare_message() {
        return Ok(take_bare_message(Arc::clone(context), client, frame));
    }
    let mut body = frame.bytes;
    let header = RequestHeader::decode(&mut body).map_err(RequestError::Header)?;
    let correlation_id = header.correlation_id;
    let Some(api) = header.api() else {
        return Err(RequestError::UnknownApi(header.api_key).into());
    };
    client.login.lock().admit(api, context.broker.clock().monotonic())?;
    let call = client.call(api, header.api_version, header.client_id);
    let started = table::start(Arc::clone(context), call, correlation_id, body).await?;
    let (memory, metrics, pending) = (frame.memory, Arc::clone(&context.metrics), started.answer);
    let answer: Answer = Box::pin(async move {
        let answer = pending.await;
        metrics
            .request_seconds
            .with([api.name()])
            .observe(began.elapsed().as_secs_f64());
        drop(memory);
        answer
    });
    Ok(Started { answer, ..started })
}

/// A message of a SASL mechanism, as clients send them after SaslHandshake 0: without a header, and answered in the same way.
fn take_bare_message(context: Arc<Context>, client: &Client, frame: Frame) -> Started {
    let call = client.call(ApiKey::SaslAuthenticate, 0, None);
    let answer = async move {
        let Ok((message, _)) = authenticate(&context, &call, &frame.bytes).await else {
            // There is no form in which to say no.
            return Ok(None);
        };
        Ok(Some(bare(&message)))
    };
    Started {
        answer: Box::pin(answer),
        may_overlap: false,
        may_abandon: false,
    }
}

fn bare(message: &Bytes) -> Segments {
    let mut out = BytesMut::with_capacity(4 + message.len());
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
    Encoder::contiguous(out).finish()
}

/// Joins the answers that are ready, so that they go out at once; up to the first that breaks the connection.
fn join_ready(
    first: Result<Option<Segments>, RequestError>,
    answers: &mut FuturesOrdered<Answer>,
) -> (Segments, Result<(), RequestError>) {
    let mut joined = Segments::default();
    let mut next = Some(first);
    while let Some(answer) = next {
        match answer {
            Ok(segments) => joined.append(segments.unwrap_or_default()),
            Err(error) => return (joined, Err(error)),
        }
        next = answers.next().now_or_never().flatten();
    }
    (joined, Ok(()))
}

async fn write_answers<W>(write: &mut W, mut segments: Segments, stall: Duration) -> Result<(), ConnectionError>
where
    W: AsyncWrite + Unpin,
{
    while segments.has_remaining() {
        match timeout(stall, write.write_buf(&mut (&mut segments).take(TURN_BYTES))).await {
            Ok(Ok(0)) => return Err(ConnectionError::Write(io::ErrorKind::WriteZero.into())),
            Ok(Ok(_)) if segments.has_remaining() => yield_now().await,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(ConnectionError::Write(error)),
            Err(_) => return Err(ConnectionError::NotReading(stall)),
        }
    }
    // TLS may hold the end of it back.
    match timeout(stall, write.flush()).await {
        Ok(flushed) => flushed.map_err(ConnectionError::Write),
        Err(_) => Err(ConnectionError::NotReading(stall)),
    }
}
