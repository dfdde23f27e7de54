//! Whether somebody is still at the other end of a socket, which can be told before all that they sent is read.

use futures::FutureExt;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A socket's other end.
pub(super) trait Peer {
    /// Whether it has closed its side, or the connection has failed.
    fn has_left(&self) -> bool;
}

impl Peer for TcpStream {
    fn has_left(&self) -> bool {
        match self.ready(Interest::READABLE).now_or_never() {
            Some(Ok(ready)) => ready.is_read_closed(),
            Some(Err(_)) => true,
            None => false,
        }
    }
}

impl Peer for TlsStream<TcpStream> {
    fn has_left(&self) -> bool {
        self.get_ref().0.has_left()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::net::TcpListener;

    use super::*;

    /// What stands for a socket in tests: it tells nothing before its end is read.
    impl Peer for DuplexStream {
        fn has_left(&self) -> bool {
            false
        }
    }

    impl Peer for &[u8] {
        fn has_left(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn who_leaves_is_missed_before_all_that_it_sent_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, _) = listener.accept().await.unwrap();
        client.write_all(b"two bytes, and more").await.unwrap();
        socket.read_exact(&mut [0; 2]).await.unwrap();
        assert!(!socket.has_left());
        drop(client);
        while !socket.has_left() {
            tokio::task::yield_now().await;
        }
        let mut rest = String::new();
        socket.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "o bytes, and more");
    }
}
