//! Cuts a socket's bytes into request frames, and tells a stranger's protocol from a broken client.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::{Instant, sleep, timeout_at};

use super::memory::{MemoryBudget, MemoryPermit};
use super::peer::Peer;

/// Size of the length before each frame.
const LENGTH_BYTES: usize = 4;
/// The smallest request: API, version, correlation id.
const FRAME_BYTES_MIN: usize = 8;
/// Of a frame that long, the rest gets its room at once when so much of it has arrived: whoever only announces is given
/// no more than this.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// What is read ahead while an earlier request is being answered, to notice that the client has gone.
const PEEK_BYTES: usize = 4096;
/// How often a client is looked after that has sent more than that.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A client must send a frame at least at this rate, for it holds memory that others wait for.
const BYTES_PER_SECOND_MIN: usize = 64 * 1024;

/// Why a connection's bytes can no longer be read as Kafka requests.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("this is an HTTP request; HTTP has a port of its own, see [http] listen")]
    Http,
    #[error("this is a TLS handshake, but the port is plain; set security.protocol=PLAINTEXT in the client")]
    Tls,
    #[error("a frame of {declared} bytes is announced; the limit is {limit} (kafka.request_bytes_max)")]
    TooLarge { declared: i32, limit: usize },
    #[error("a frame of {declared} bytes is announced; no request is that short")]
    TooShort { declared: i32 },
    #[error("the client sent a part of a request and then too little for {} s", .0.as_secs())]
    Stalled(Duration),
    #[error("the client went away in the middle of a request")]
    CutShort,
}

/// A request's bytes without their length, and the memory they were granted.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) memory: MemoryPermit,
}

thread_local! {
    /// Where a socket is read into before it is known how much has come: a connection that waits holds no buffer, and
    /// one call takes several small requests.
    static ARRIVAL: RefCell<Box<[u8; READ_AHEAD_BYTES]>> = RefCell::new(Box::new([0; READ_AHEAD_BYTES]));
}

/// Reads frames off a socket. Cancelling [`FrameReader::next`] loses nothing.
pub(super) struct FrameReader<R> {
    socket: R,
    buffer: BytesMut,
    memory: MemoryBudget,
    granted: Option<MemoryPermit>,
    limit: usize,
    stall: Duration,
}

impl<R: AsyncRead + Peer + Unpin> FrameReader<R> {
    pub(super) fn new(socket: R, memory: MemoryBudget, limit: usize, stall: Duration) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            memory,
            granted: None,
            limit,
            stall,
        }
    }

    /// Where the answers go.
    pub(super) fn socket_mut(&mut self) -> &mut R {
        &mut self.socket
    }

    /// What is taken from now on.
    pub(super) fn limit_to(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// The next request; none when the client has closed the connection between two requests.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut deadline = Instant::now() + self.stall;
        loop {
            if let Some(declared) = self.declared()? {
                if self.granted.is_none() {
                    self.granted = Some(self.memory.acquire(declared).await);
                    let seconds = u64::try_from(declared / BYTES_PER_SECOND_MIN).unwrap_or(u64::MAX);
                    deadline = Instant::now() + self.stall + Duration::from_secs(seconds);
                }
                if self.buffer.len() >= LENGTH_BYTES + declared {
                    return Ok(Some(self.take(declared)));
                }
                let missing = LENGTH_BYTES + declared - self.buffer.len();
                let is_coming = self.buffer.len() >= READ_AHEAD_BYTES;
                self.buffer.reserve(if is_coming {
                    missing
                } else {
                    missing.min(READ_AHEAD_BYTES)
                });
            }
            let begun = !self.buffer.is_empty();
            let read = if begun {
                let stall = self.stall;
                let silence = Instant::now() + stall;
                timeout_at(silence.min(deadline), self.read(READ_AHEAD_BYTES))
                    .await
                    .map_err(|_| FrameError::Stalled(stall))??
            } else {
                let read = self.read(READ_AHEAD_BYTES).await?;
                deadline = Instant::now() + self.stall;
                read
            };
            if read == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(FrameError::CutShort)
                };
            }
        }
    }

    /// Cuts off the frame at the front of the buffer, all of which is there.
    fn take(&mut self, declared: usize) -> Frame {
        let mut bytes = if self.buffer.len() == LENGTH_BYTES + declared {
            std::mem::take(&mut self.buffer)
        } else {
            self.buffer.split_to(LENGTH_BYTES + declared)
        };
        bytes.advance(LENGTH_BYTES);
        Frame {
            bytes: bytes.freeze(),
            memory: self.granted.take().unwrap_or_default(),
        }
    }

    /// Reads what has come, or waits for more; 0 at the end. No more than so much, unless room was made for it.
    async fn read(&mut self, bytes_max: usize) -> io::Result<usize> {
        if self.buffer.capacity() - self.buffer.len() >= READ_AHEAD_BYTES {
            return self.socket.read_buf(&mut self.buffer).await;
        }
        poll_fn(|cx| self.poll_read(cx, bytes_max)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, bytes_max: usize) -> Poll<io::Result<usize>> {
        ARRIVAL.with_borrow_mut(|arrival| {
            let room = arrival.get_mut(..bytes_max).unwrap_or_default();
            let mut arrived = ReadBuf::new(room);
            Pin::new(&mut self.socket).poll_read(cx, &mut arrived).map_ok(|()| {
                self.buffer.extend_from_slice(arrived.filled());
                arrived.filled().len()
            })
        })
    }

    /// Returns when the client has closed its side, and nothing that it sent before is worth waiting for. Reads no more
    /// than a little ahead. Cancelling it loses nothing.
    pub(super) async fn closed(&mut self) {
        while self.buffer.len() < PEEK_BYTES {
            if matches!(self.read(PEEK_BYTES).await, Ok(0) | Err(_)) {
                return;
            }
        }
        while !self.socket.has_left() {
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// The length that the frame at the front of the buffer announces.
    fn declared(&self) -> Result<Option<usize>, FrameError> {
        let Some(&prefix) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let declared = i32::from_be_bytes(prefix);
        match usize::try_from(declared) {
            Ok(length) if length < FRAME_BYTES_MIN => Err(FrameError::TooShort { declared }),
            Ok(length) if length <= self.limit => Ok(Some(length)),
            _ => Err(recognise(prefix).unwrap_or(FrameError::TooLarge {
                declared,
                limit: self.limit,
            })),
        }
    }
}

/// Other protocols' first bytes, read as a length, are far beyond any limit.
fn recognise(prefix: [u8; LENGTH_BYTES]) -> Option<FrameError> {
    match &prefix {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PATC" | b"CONN" | b"PRI " => {
            Some(FrameError::Http)
        }
        [0x16, 0x03, ..] => Some(FrameError::Tls),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;

    fn reader(bytes: &'static [u8]) -> FrameReader<&'static [u8]> {
        FrameReader::new(bytes, MemoryBudget::new(LIMIT), LIMIT, Duration::from_secs(1))
    }

    #[tokio::test]
    async fn frames_come_one_by_one_and_then_the_end() {
        let mut reader = reader(b"\0\0\0\x08abcdefgh\0\0\0\x09123456789");
        assert_eq!(reader.next().await.unwrap().unwrap().bytes, "abcdefgh");
        assert_eq!(reader.next().await.unwrap().unwrap().bytes, "123456789");
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn strangers_are_recognised() {
        assert!(matches!(
            reader(b"GET / HTTP/1.1\r\n").next().await,
            Err(FrameError::Http)
        ));
        assert!(matches!(
            reader(b"\x16\x03\x01\x02\0").next().await,
            Err(FrameError::Tls)
        ));
    }

    #[tokio::test]
    async fn hostile_lengths_are_refused_before_anything_is_allocated() {
        assert!(matches!(
            reader(b"\x7f\xff\xff\xff").next().await,
            Err(FrameError::TooLarge { .. })
        ));
        assert!(matches!(
            reader(b"\xff\xff\xff\xff").next().await,
            Err(FrameError::TooLarge { .. })
        ));
        assert!(matches!(
            reader(b"\0\0\0\x03abc").next().await,
            Err(FrameError::TooShort { .. })
        ));
        let mut silent = reader(b"\0\x0f\xff\xffabc");
        assert!(matches!(silent.next().await, Err(FrameError::CutShort)));
        assert!(silent.buffer.capacity() <= 2 * READ_AHEAD_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_stalls_in_a_frame_is_dropped() {
        let (mut client, server) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut client, b"\0\0\0\x10ab")
            .await
            .unwrap();
        let mut reader = FrameReader::new(server, MemoryBudget::new(LIMIT), LIMIT, Duration::from_secs(30));
        assert!(matches!(reader.next().await, Err(FrameError::Stalled(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_sends_a_frame_byte_by_byte_is_dropped() {
        let (mut client, server) = tokio::io::duplex(64);
        let dripping = tokio::spawn(async move {
            let mut bytes = vec![0, 0, 1, 0];
            bytes.resize(260, 7);
            for byte in bytes {
                if tokio::io::AsyncWriteExt::write_all(&mut client, &[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        let mut reader = FrameReader::new(server, MemoryBudget::new(LIMIT), LIMIT, Duration::from_secs(30));
        assert!(matches!(reader.next().await, Err(FrameError::Stalled(_))));
        dripping.abort();
    }

    #[tokio::test]
    async fn client_that_goes_is_noticed_and_what_it_sent_ahead_is_not_lost() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(server, MemoryBudget::new(LIMIT), LIMIT, Duration::from_secs(30));
        let frame = b"\0\0\0\x08abcdefgh";
        tokio::io::AsyncWriteExt::write_all(&mut client, frame).await.unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(5), reader.closed()).await;
        assert!(waited.is_err(), "it is still there");
        drop(client);
        reader.closed().await;
        assert_eq!(reader.next().await.unwrap().unwrap().bytes, "abcdefgh");
        assert!(reader.next().await.unwrap().is_none());
    }

    mod chunks {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

            /// However the bytes are cut on their way, and however often the reader is interrupted.
            #[test]
            fn frames_come_whole_however_they_are_cut(
                frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 8..300), 0..8),
                cuts in prop::collection::vec(1_usize..200, 1..40),
                capacity in 1_usize..64,
            ) {
                let prefixed = |frame: &Vec<u8>| [&u32::try_from(frame.len()).unwrap().to_be_bytes(), &frame[..]].concat();
                let sent: Vec<u8> = frames.iter().flat_map(prefixed).collect();
                let read = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                    let (mut client, server) = tokio::io::duplex(capacity);
                    tokio::spawn(async move {
                        let mut rest = &sent[..];
                        for cut in cuts.iter().cycle() {
                            if rest.is_empty() {
                                break;
                            }
                            let (now, later) = rest.split_at(rest.len().min(*cut));
                            tokio::io::AsyncWriteExt::write_all(&mut client, now).await.unwrap();
                            tokio::task::yield_now().await;
                            rest = later;
                        }
                    });
                    let stall = Duration::from_secs(30);
                    let mut reader = FrameReader::new(server, MemoryBudget::new(LIMIT), LIMIT, stall);
                    let mut read = Vec::new();
                    loop {
                        tokio::select! {
                            biased;
                            next = reader.next() => match next.unwrap() {
                                Some(frame) => read.push(frame.bytes.to_vec()),
                                None => break,
                            },
                            () = tokio::task::yield_now() => {}
                        }
                    }
                    read
                });
                prop_assert_eq!(read, frames);
            }
        }
    }
}
