//! One client's connection: requests are taken one after another, answers go out in the order of the requests.
//!
//! A Produce is taken (sequenced) in its turn but answered when it is durable, so a client may have several in flight;
//! any other request is finished before the next one is read, as Kafka does it, because clients rely on that order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tailrace_shared::kafka::{RequestHeader, Segments};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::context::{Call, Context};
use super::frame_reader::{Frame, FrameError, FrameReader};
use super::memory::MemoryBudget;
use super::table::{self, Answer, RequestError, Started};
use crate::security::Principal;

/// How many requests of one connection may wait for their answers.
const IN_FLIGHT_MAX: usize = 32;

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
        }
    }
}

/// Serves one client until it leaves, breaks the protocol, or is idle for too long.
pub(super) async fn serve<S>(
    context: Arc<Context>,
    memory: MemoryBudget,
    limits: ConnectionLimits,
    socket: S,
    peer: SocketAddr,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (read, mut write) = tokio::io::split(socket);
    let mut reader = FrameReader::new(read, memory, limits.request_bytes_max, limits.stall);
    let mut answers: FuturesOrdered<Answer> = FuturesOrdered::new();
    let mut one_at_a_time = false;
    let mut may_abandon = false;
    loop {
        let may_read = answers.is_empty() || (!one_at_a_time && answers.len() < IN_FLIGHT_MAX);
        tokio::select! {
            biased;
            Some(answer) = answers.next(), if !answers.is_empty() => {
                if let Some(segments) = answer? {
                    write_answer(&mut write, segments, limits.stall).await?;
                }
            }
            frame = timeout(limits.idle, next_frame(&mut reader, may_read)), if may_read || may_abandon => match frame {
                Ok(Ok(Some(frame))) => {
                    let taken = take_request(&context, peer, frame).await?;
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
    R: AsyncRead + Unpin,
{
    if may_read {
        return reader.next().await;
    }
    reader.closed().await;
    Ok(None)
}

/// Starts a request.
async fn take_request(context: &Arc<Context>, peer: SocketAddr, frame: Frame) -> Result<Started, ConnectionError> {
    let began = Instant::now();
    let mut body = frame.bytes;
    let header = RequestHeader::decode(&mut body).map_err(RequestError::Header)?;
    let correlation_id = header.correlation_id;
    let Some(api) = header.api() else {
        return Err(RequestError::UnknownApi(header.api_key).into());
    };
    let call = Call {
        api,
        version: header.api_version,
        client_id: header.client_id.unwrap_or_default(),
        peer,
        principal: Principal::ANONYMOUS,
    };
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

async fn write_answer<W>(write: &mut W, mut segments: Segments, stall: Duration) -> Result<(), ConnectionError>
where
    W: AsyncWrite + Unpin,
{
    while segments.has_remaining() {
        match timeout(stall, write.write_buf(&mut segments)).await {
            Ok(Ok(0)) => return Err(ConnectionError::Write(io::ErrorKind::WriteZero.into())),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(ConnectionError::Write(error)),
            Err(_) => return Err(ConnectionError::NotReading(stall)),
        }
    }
    Ok(())
}
