//! What the kernel drops because a socket's buffer is full, as `/proc` shows it.

use std::collections::HashMap;
use std::fs;
use std::os::fd::AsFd;

use rustix::fs::fstat;

/// By what `/proc` names a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketNo(u64);

/// The number of an open socket.
pub(super) fn number_of(socket: impl AsFd) -> Option<SocketNo> {
    fstat(socket).ok().map(|stat| SocketNo(stat.st_ino))
}

/// How many datagrams each UDP socket of this network namespace has lost since it was opened.
#[must_use]
pub fn datagrams_dropped() -> HashMap<SocketNo, u64> {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"].map(fs::read_to_string);
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    lines.filter_map(drops_of).collect()
}

/// The tenth column is the socket's number, and the last one what it has dropped; the first line has their names.
fn drops_of(line: &str) -> Option<(SocketNo, u64)> {
    let mut columns = line.split_ascii_whitespace();
    let number = columns.nth(9)?.parse().ok()?;
    Some((SocketNo(number), columns.next_back()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_full_buffer_shows_in_the_kernels_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let number = number_of(&socket).unwrap();
        assert_eq!(datagrams_dropped().get(&number), Some(&0));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2000 {
            sender.send_to(&[0; 1000], socket.local_addr().unwrap()).unwrap();
        }
        assert!(datagrams_dropped()[&number] > 0);
    }
}
