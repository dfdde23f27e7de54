//! Syslog over UDP (RFC 5426): a message is a datagram. What the kernel has no room for it drops; that is all that can be lost
//! on this machine before the spool, and it is counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::sockopt::{set_socket_recv_buffer_size, socket_recv_buffer_size};
use tailrace_shared::clock::Clock;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::dropped::{SocketNo, number_of};
use super::{Chunk, Drain, Input, MESSAGES_MAX, Message, cut_datagram};
use crate::rate_limit::RateLimit;

/// The largest there can be.
const DATAGRAM_LEN_MAX: usize = 65_535;
/// So much is taken at once.
const CHUNK_LEN: usize = 64 << 10;
/// Asked of the kernel for what arrives while the spool takes no more; it gives no more than `net.core.rmem_max`.
const KERNEL_BUFFER_LEN: usize = 8 << 20;

/// After an error; to try again at once would only spin.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// A port that takes datagrams.
pub(super) struct Datagrams {
    socket: UdpSocket,
    input: usize,
    topic: Arc<str>,
    limit: Arc<RateLimit>,
    max_len: usize,
}

impl Datagrams {
    pub(super) fn new(socket: UdpSocket, index: usize, input: &Input) -> Self {
        // The kernel gives twice what it is asked for, to have room for what it notes of each datagram.
        let given = set_socket_recv_buffer_size(&socket, KERNEL_BUFFER_LEN)
            .and_then(|()| socket_recv_buffer_size(&socket))
            .map_or(0, |len| len / 2);
        if given < KERNEL_BUFFER_LEN {
            tracing::info!(
                bytes = given,
                wanted = KERNEL_BUFFER_LEN,
                "the kernel gives less room for datagrams than is wanted; net.core.rmem_max is the most that it gives"
            );
        }
        Self {
            socket,
            input: index,
            topic: Arc::clone(&input.records.topic),
            limit: Arc::clone(&input.records.limit),
            max_len: input.max_len,
        }
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn number(&self) -> Option<(SocketNo, Arc<str>)> {
        Some((number_of(&self.socket)?, Arc::clone(&self.topic)))
    }

    /// Takes datagrams until `stop`, and then what has arrived before; or until nobody takes chunks.
    pub(super) async fn run(self, chunks: Sender<Chunk>, clock: Arc<dyn Clock>, stop: CancellationToken) {
        let mut buffer = BytesMut::new();
        let mut drain = Drain::default();
        while !drain.is_over(&stop) {
            let readable = tokio::select! {
                () = stop.cancelled() => Ok(()),
                readable = self.readable(&*clock) => readable,
            };
            match readable.and_then(|()| self.take(&mut buffer)) {
                Ok(chunk) if chunk.messages.is_empty() && stop.is_cancelled() => return,
                Ok(chunk) if chunk.messages.is_empty() => {}
                Ok(chunk) => {
                    if chunks.send(chunk).await.is_err() {
                        return;
                    }
                }
                Err(_) if stop.is_cancelled() => return,
                Err(error) => {
                    tracing::warn!(%error, topic = %self.topic, "cannot read datagrams; trying again");
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    async fn readable(&self, clock: &dyn Clock) -> io::Result<()> {
        self.limit.ready(clock).await;
        self.socket.readable().await
    }

    /// What is there, up to a chunk.
    fn take(&self, buffer: &mut BytesMut) -> io::Result<Chunk> {
        let mut messages = Vec::new();
        buffer.reserve(CHUNK_LEN + DATAGRAM_LEN_MAX);
        for _ in 0..MESSAGES_MAX {
            if buffer.len() >= CHUNK_LEN {
                break;
            }
            let start = buffer.len();
            let sender = match self.socket.try_recv_buf_from(buffer) {
                Ok((_, sender)) => sender.ip().to_canonical(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if messages.is_empty() => return Err(error),
                Err(_) => break,
            };
            let datagram = buffer.get(start..).unwrap_or_default();
            cut_datagram(datagram, self.max_len, |range, cut| {
                messages.push(Message {
                    bytes: start + range.start..start + range.end,
                    cut,
                    sender,
                });
            });
        }
        Ok(Chunk {
            input: self.input,
            bytes: buffer.split().freeze(),
            messages,
        })
    }
}
