//! Frames over one byte stream: requests go out in the order they were submitted, responses are matched to them in
//! that order, and a caller that gives up leaves the stream in step. What the frames mean is for
//! [`super::Connection`].
//!
//! One task owns the stream. Its writing half takes requests from a bounded queue and announces each to the reading half
//! before its first byte leaves, so a response always finds its request at the head of the line. The number in flight
//! is bounded by permits that only the response gives back. When anything goes wrong the cause is kept, both queues
//! are dropped, and with them everybody who waits.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

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

/// The segments of several frames as one buffer, so that all that waits leaves in few vectored writes.
#[derive(Debug, Default)]
struct Burst {
    queue: VecDeque<Bytes>,
    remaining: usize,
}

impl Burst {
    fn extend(&mut self, frame: &Segments) {
        self.queue.extend(frame.iter().cloned());
        self.remaining += frame.len();
    }
}

impl Buf for Burst {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.queue.front().map_or(&[], |segment| segment)
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining = self.remaining.saturating_sub(count);
        while let Some(segment) = self.queue.front_mut() {
            if count < segment.len() {
                segment.advance(count);
                return;
            }
            count -= segment.len();
            self.queue.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.queue);
        pairs.map(|(slice, segment)| *slice = IoSlice::new(segment)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const LIMITS: Limits = Limits {
        in_flight_max: 3,
        response_bytes_max: 1_000,
    };

    fn pair() -> (Transport, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        (Transport::start(Box::new(ours), LIMITS), theirs)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// A request that is nothing but its own correlation id.
    fn frame(id: i32) -> Segments {
        let mut encoder = crate::kafka::Encoder::new();
        encoder.put_slice(&id.to_be_bytes());
        encoder.finish()
    }

    async fn expect(broker: &mut DuplexStream, id: i32) {
        assert_eq!(broker.read_i32().await.unwrap(), id);
    }

    async fn respond(broker: &mut DuplexStream, id: i32, body: &[u8]) {
        broker.write_i32(4 + i32::try_from(body.len()).unwrap()).await.unwrap();
        broker.write_i32(id).await.unwrap();
        broker.write_all(body).await.unwrap();
    }

    #[tokio::test]
    async fn requests_are_pipelined_and_answered_in_order() {
        let (transport, mut broker) = pair();
        let first = transport.submit(1, frame(1), far()).await.unwrap();
        let second = transport.submit(2, frame(2), far()).await.unwrap();
        assert_eq!(
            (broker.read_i32().await.unwrap(), broker.read_i32().await.unwrap()),
            (1, 2)
        );
        respond(&mut broker, 1, b"one").await;
        respond(&mut broker, 2, b"").await;
        assert_eq!(second.await.unwrap(), b"\0\0\0\x02"[..]);
        assert_eq!(first.await.unwrap(), b"\0\0\0\x01one"[..]);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_the_stream_in_step() {
        let (transport, mut broker) = pair();
        drop(transport.submit(1, frame(1), far()).await.unwrap());
        let second = transport.submit(2, frame(2), far()).await.unwrap();
        expect(&mut broker, 1).await;
        respond(&mut broker, 1, b"nobody waits for this").await;
        expect(&mut broker, 2).await;
        respond(&mut broker, 2, b"two").await;
        assert_eq!(second.await.unwrap(), b"\0\0\0\x02two"[..]);
    }

    #[tokio::test]
    async fn no_more_are_in_flight_than_allowed() {
        let (transport, mut broker) = pair();
        let mut waiting = Vec::new();
        for id in 0..3 {
            waiting.push(transport.submit(id, frame(id), far()).await.unwrap());
        }
        // Giving up does not make room: the broker still owes the response.
        waiting.clear();
        assert!(matches!(
            transport.submit(3, frame(3), soon()).await.map(drop),
            Err(NoResponse::Timeout)
        ));
        expect(&mut broker, 0).await;
        respond(&mut broker, 0, b"").await;
        let last = transport.submit(3, frame(3), far()).await.unwrap();
        for id in 1..4 {
            expect(&mut broker, id).await;
            respond(&mut broker, id, b"x").await;
        }
        assert_eq!(last.await.unwrap(), b"\0\0\0\x03x"[..]);
    }

    #[tokio::test]
    async fn death_in_the_middle_of_a_response_fails_all_who_wait() {
        let (transport, mut broker) = pair();
        let first = transport.submit(1, frame(1), far()).await.unwrap();
        let second = transport.submit(2, frame(2), far()).await.unwrap();
        expect(&mut broker, 1).await;
        broker.write_all(&[0, 0, 0, 9, 0, 0, 0, 1, b'h', b'a']).await.unwrap();
        drop(broker);
        assert!(matches!(first.await, Err(NoResponse::Lost(Lost::ClosedByBroker))));
        assert!(second.await.is_err());
        assert!(transport.submit(3, frame(3), far()).await.is_err());
        assert!(transport.is_closed());
    }

    #[tokio::test]
    async fn a_hostile_length_is_refused_unread() {
        for hostile in [i32::MAX, 1_001, 3, 0, -1] {
            let (transport, mut broker) = pair();
            let response = transport.submit(1, frame(1), far()).await.unwrap();
            expect(&mut broker, 1).await;
            broker.write_i32(hostile).await.unwrap();
            let error = response.await.unwrap_err();
            assert!(
                matches!(error, NoResponse::Lost(Lost::ResponseLength { bytes, .. }) if bytes == hostile),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_response_out_of_turn_ends_the_connection() {
        let (transport, mut broker) = pair();
        let response = transport.submit(1, frame(1), far()).await.unwrap();
        expect(&mut broker, 1).await;
        respond(&mut broker, 2, b"").await;
        let error = response.await.unwrap_err();
        assert!(
            matches!(error, NoResponse::Lost(Lost::OutOfStep { expected: 1, got: 2 })),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_silent_broker_is_given_up() {
        let (transport, _broker) = pair();
        let asked = transport.submit(1, frame(1), soon()).await.unwrap();
        let behind = transport.submit(2, frame(2), far()).await.unwrap();
        assert!(asked.await.is_err());
        assert!(matches!(behind.await, Err(NoResponse::Lost(Lost::NoAnswer))));
    }

    #[tokio::test]
    async fn an_idle_connection_notices_its_end() {
        let (transport, broker) = pair();
        drop(broker);
        while !transport.is_closed() {
            tokio::task::yield_now().await;
        }
        let error = transport.submit(1, frame(1), far()).await.map(drop).unwrap_err();
        assert!(matches!(error, NoResponse::Lost(Lost::ClosedByBroker)), "{error}");
    }
}
