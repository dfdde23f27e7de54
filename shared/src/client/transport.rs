//! Frames over one byte stream: requests go out in the order they were submitted, responses are matched to them in
//! that order, and a caller that gives up leaves the stream in step. What the frames mean is for
//! [`super::Connection`].
//!
//! One task owns the stream. Its writing half takes requests from a bounded queue and announces each to the reading half
//! before its first byte leaves, so a response always finds its request at the head of the line. The number in flight
//! is bounded by permits that only the response gives back. When anything goes wrong the cause is kept, both queues
//! are dropped, and with them everybody who waits.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::burst::Burst;
use crate::kafka::{ResponseHeader, Segments};

/// What a connection runs over: TCP today; TLS wraps one stream into another.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

const READ_BUFFER: usize = 64 * 1024;
/// A response is given memory as its bytes arrive, at most this much ahead of them.
const READ_AHEAD: usize = 1 << 20;

/// Why a connection is gone.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Lost {
    /// End of stream.
    #[error("the broker closed the connection")]
    ClosedByBroker,
    /// This side let go of it.
    #[error("the connection was closed by this side")]
    ClosedHere,
    /// The stream failed.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// The oldest request got no answer in time, so the later ones would not either.
    #[error("the broker stopped answering")]
    NoAnswer,
    /// The length of a response cannot be.
    #[error("the broker announced a response of {bytes} bytes, but 4 to {max} are accepted; is it a Kafka port?")]
    ResponseLength {
        /// As announced.
        bytes: i32,
        /// The limit of this side.
        max: usize,
    },
    /// A response to something that was not asked at this point.
    #[error("the broker answered request {got} when {expected} was due")]
    OutOfStep {
        /// Correlation id of the oldest request.
        expected: i32,
        /// Correlation id in the response.
        got: i32,
    },
    /// Bytes while nothing was asked.
    #[error("the broker sent bytes that nobody asked for; is it a Kafka port?")]
    Unsolicited,
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::ClosedByBroker
        } else {
            Self::Io(Arc::new(error))
        }
    }
}

/// Why there is no response.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoResponse {
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("no response in time")]
    Timeout,
}

/// The limits of a transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) in_flight_max: usize,
    pub(super) response_bytes_max: usize,
}

/// A stream with its task. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Transport {
    requests: mpsc::Sender<Outgoing>,
    permits: Arc<Semaphore>,
    lost: Arc<OnceLock<Lost>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Outgoing {
    frame: Segments,
    waiter: Waiter,
}

#[derive(Debug)]
struct Waiter {
    correlation_id: i32,
    deadline: Instant,
    reply: oneshot::Sender<Result<Bytes, Lost>>,
    /// Given back when the response is here, however long the caller waited for it.
    _permit: OwnedSemaphorePermit,
}

impl Transport {
    pub(super) fn start(stream: Box<dyn Stream>, limits: Limits) -> Self {
        let in_flight_max = limits.in_flight_max.clamp(1, Semaphore::MAX_PERMITS);
        let (requests, queued) = mpsc::channel(in_flight_max);
        let lost = Arc::new(OnceLock::new());
        let task = tokio::spawn(drive(
            stream,
            queued,
            Limits {
                in_flight_max,
                ..limits
            },
            Arc::clone(&lost),
        ));
        Self {
            requests,
            permits: Arc::new(Semaphore::new(in_flight_max)),
            lost,
            task,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Queues a frame, waiting while too many are in flight, and gives a future of the response, correlation id
    /// included. Frames leave in the order in which calls of this return.
    pub(super) async fn submit(
        &self,
        correlation_id: i32,
        frame: Segments,
        deadline: Instant,
    ) -> Result<impl Future<Output = Result<Bytes, NoResponse>> + Send + use<>, NoResponse> {
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| NoResponse::Timeout)?.map_err(|_| Lost::ClosedHere)?;
        let (reply, response) = oneshot::channel();
        let waiter = Waiter {
            correlation_id,
            deadline,
            reply,
            _permit: permit,
        };
        // A permit is a place in the queue, so only a connection that is gone refuses.
        self.requests
            .try_send(Outgoing { frame, waiter })
            .map_err(|_| cause(&self.lost))?;
        let lost = Arc::clone(&self.lost);
        Ok(async move {
            match timeout_at(deadline, response).await {
                Err(_) => Err(NoResponse::Timeout),
                Ok(Err(_)) => Err(cause(&lost).into()),
                Ok(Ok(response)) => Ok(response?),
            }
        })
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn cause(lost: &OnceLock<Lost>) -> Lost {
    lost.get().cloned().unwrap_or(Lost::ClosedHere)
}

async fn drive(
    stream: Box<dyn Stream>,
    mut queued: mpsc::Receiver<Outgoing>,
    limits: Limits,
    lost: Arc<OnceLock<Lost>>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let (announce, mut announced) = mpsc::channel(limits.in_flight_max);
    let mut writing = pin!(write_requests(writer, &mut queued, announce));
    let mut reading = pin!(read_responses(reader, &mut announced, limits.response_bytes_max));
    let cause = tokio::select! {
        cause = &mut writing => cause,
        cause = &mut reading => cause,
    };
    // Before the queues are dropped with all who wait in them, so that they find it.
    lost.get_or_init(|| cause);
}

async fn write_requests(
    mut writer: impl AsyncWrite + Unpin,
    queued: &mut mpsc::Receiver<Outgoing>,
    announce: mpsc::Sender<Waiter>,
) -> Lost {
    let mut taken = Vec::new();
    loop {
        if queued.recv_many(&mut taken, announce.max_capacity()).await == 0 {
            return Lost::ClosedHere;
        }
        let mut burst = Burst::default();
        for outgoing in taken.drain(..) {
            burst.extend(&outgoing.frame);
            if announce.send(outgoing.waiter).await.is_err() {
                return Lost::ClosedHere;
            }
        }
        let written = async {
            writer.write_all_buf(&mut burst).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            return error.into();
        }
    }
}

async fn read_responses(
    reader: impl AsyncRead + Unpin,
    announced: &mut mpsc::Receiver<Waiter>,
    response_bytes_max: usize,
) -> Lost {
    let mut reader = BufReader::with_capacity(READ_BUFFER, reader);
    loop {
        let waiter = tokio::select! {
            biased;
            waiter = announced.recv() => waiter,
            idle = reader.fill_buf() => match idle {
                Err(error) => return error.into(),
                Ok([]) => return Lost::ClosedByBroker,
                // The request may have been announced between the two looks.
                Ok(_) => match announced.try_recv() {
                    Ok(waiter) => Some(waiter),
                    Err(_) => return Lost::Unsolicited,
                },
            },
        };
        let Some(waiter) = waiter else { return Lost::ClosedHere };
        if let Err(cause) = answer(&mut reader, waiter, response_bytes_max).await {
            return cause;
        }
    }
}

/// Reads the next response, hands it to whom it is due, and says why if there cannot be another one.
async fn answer(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    waiter: Waiter,
    response_bytes_max: usize,
) -> Result<(), Lost> {
    let response = match timeout_at(waiter.deadline, read_frame(reader, response_bytes_max)).await {
        Err(_) => Err(Lost::NoAnswer),
        Ok(Err(cause)) => Err(cause),
        Ok(Ok(frame)) => match ResponseHeader::peek_correlation_id(&frame) {
            Some(got) if got != waiter.correlation_id => Err(Lost::OutOfStep {
                expected: waiter.correlation_id,
                got,
            }),
            _ => Ok(frame),
        },
    };
    let outcome = response.as_ref().map(drop).map_err(Lost::clone);
    // A caller that gave up is not there any more; its response is read all the same.
    drop(waiter.reply.send(response));
    outcome
}

/// A frame without its length.
async fn read_frame(reader: &mut BufReader<impl AsyncRead + Unpin>, response_bytes_max: usize) -> Result<Bytes, Lost> {
    let declared = reader.read_i32().await?;
    let length = usize::try_from(declared)
        .ok()
        .filter(|length| (4..=response_bytes_max).contains(length));
    let Some(length) = length else {
        return Err(Lost::ResponseLength {
            bytes: declared,
            max: response_bytes_max,
        });
    };
    let mut frame = BytesMut::new();
    let mut body = reader.take(length as u64);
    while frame.len() < length {
        frame.reserve((length - frame.len()).min(READ_AHEAD));
        if body.read_buf(&mut frame).await? == 0 {
            return Err(Lost::ClosedByBroker);
        }
    }
    Ok(frame.freeze())
}
