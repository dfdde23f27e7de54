//! Frames over a stream whose other end misbehaves.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use tokio::time::Instant;

use crate::client::Lost;
use crate::client::transport::{Limits, NoResponse, Transport};
use crate::kafka::{Encoder, Segments};

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
    let mut encoder = Encoder::new();
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
