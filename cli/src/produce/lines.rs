//! Cuts a stream into lines: any bytes but the newline, which is not part of them.

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt};

const READ_BYTES: usize = 256 << 10;
/// No broker takes a record anywhere near so long by default.
const LINE_BYTES_MAX: usize = 64 << 20;

/// Lines of a stream.
pub(super) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    /// So much of the buffer holds no newline.
    searched: usize,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
        }
    }

    /// The next line; the last one may lack its newline. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(line) = self.cut() {
                return Ok(Some(line));
            }
            if self.ended {
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                bail!("a line is longer than {} MiB; is this a log?", LINE_BYTES_MAX >> 20);
            }
            self.buffer.reserve(READ_BYTES);
            let read = self.input.read_buf(&mut self.buffer).await;
            self.ended = read.context("cannot read the input")? == 0;
        }
    }

    fn cut(&mut self) -> Option<Bytes> {
        let fresh = self.buffer.get(self.searched..)?;
        let Some(at) = memchr(b'\n', fresh) else {
            self.searched = self.buffer.len();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + at + 1);
        line.truncate(line.len() - 1);
        self.searched = 0;
        Some(line.freeze())
    }
}

#[cfg(test)]
mod tests {
    use tokio_test_input::Chunks;

    use super::*;

    /// An input that arrives in given pieces.
    mod tokio_test_input {
        use std::collections::VecDeque;
        use std::io;
        use std::pin::Pin;
        use std::task::{Context, Poll};

        use tokio::io::{AsyncRead, ReadBuf};

        pub(super) struct Chunks(pub(super) VecDeque<Vec<u8>>);

        impl AsyncRead for Chunks {
            fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                if let Some(chunk) = self.0.pop_front() {
                    out.put_slice(&chunk);
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    async fn lines_of(input: &[u8], step: usize) -> Vec<Bytes> {
        let mut lines = Lines::new(Chunks(input.chunks(step).map(<[u8]>::to_vec).collect()));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn lines_are_the_same_however_they_arrive() {
        for step in 1..12 {
            assert_eq!(
                lines_of(b"one\n\n\xfftwo\r\nlast", step).await,
                [&b"one"[..], b"", b"\xfftwo\r", b"last"]
            );
            assert_eq!(lines_of(b"one\n", step).await, [&b"one"[..]]);
            assert_eq!(lines_of(b"", step).await, [&b""[..]; 0]);
        }
    }
}
