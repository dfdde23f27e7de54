//! Cuts a socket's bytes into request frames, and tells a stranger's protocol from a broken client.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use super::memory::{MemoryPermit, RequestMemory};

/// Size of the length before each frame.
const LENGTH_BYTES: usize = 4;
/// The smallest request: API, version, correlation id.
const FRAME_BYTES_MIN: usize = 8;
/// How far the buffer grows ahead of what has arrived.
const READ_AHEAD_BYTES: usize = 64 * 1024;

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
    #[error("the client sent a part of a request and then nothing for {} s", .0.as_secs())]
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

/// Reads frames off a socket. Cancelling [`FrameReader::next`] loses nothing.
pub(super) struct FrameReader<R> {
    socket: R,
    buffer: BytesMut,
    memory: RequestMemory,
    granted: Option<MemoryPermit>,
    limit: usize,
    stall: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(socket: R, memory: RequestMemory, limit: usize, stall: Duration) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            memory,
            granted: None,
            limit,
            stall,
        }
    }

    /// The next request; none when the client has closed the connection between two requests.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(declared) = self.declared()? {
                if self.granted.is_none() {
                    self.granted = Some(self.memory.acquire(declared).await);
                }
                if self.buffer.len() >= LENGTH_BYTES + declared {
                    self.buffer.advance(LENGTH_BYTES);
                    let bytes = self.buffer.split_to(declared).freeze();
                    return Ok(Some(Frame {
                        bytes,
                        memory: self.granted.take().unwrap_or_default(),
                    }));
                }
                let missing = LENGTH_BYTES + declared - self.buffer.len();
                self.buffer.reserve(missing.min(READ_AHEAD_BYTES));
            } else {
                self.buffer.reserve(4096);
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(FrameError::CutShort)
                };
            }
        }
    }

    /// Reads what there is; in the middle of a frame the client may not be silent for long.
    async fn fill(&mut self) -> Result<usize, FrameError> {
        if self.buffer.is_empty() {
            return Ok(self.socket.read_buf(&mut self.buffer).await?);
        }
        let deadline = Instant::now() + self.stall;
        match timeout_at(deadline, self.socket.read_buf(&mut self.buffer)).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(FrameError::Stalled(self.stall)),
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
        FrameReader::new(bytes, RequestMemory::new(LIMIT), LIMIT, Duration::from_secs(1))
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
        let mut reader = FrameReader::new(server, RequestMemory::new(LIMIT), LIMIT, Duration::from_secs(30));
        assert!(matches!(reader.next().await, Err(FrameError::Stalled(_))));
    }
}
