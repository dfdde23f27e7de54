//! Frames over a blocking socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use anyhow::Context;
use bytes::Bytes;
use bytestring::ByteString;
use tailrace_shared::kafka::{Request, frame};

/// Versions that every release speaks, with topic names instead of ids.
pub(crate) const PRODUCE: i16 = 9;
pub(crate) const FETCH: i16 = 12;
pub(crate) const METADATA: i16 = 9;
pub(crate) const LIST_OFFSETS: i16 = 7;

const ERRNO_NONE: i16 = 0;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub(crate) fn connect(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        Self { stream }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::of(self.stream.try_clone()?))
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame)
    }

    /// A frame without its length. `into` gives its memory back for the next.
    pub(crate) fn receive(&mut self, mut into: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut length = [0; frame::LENGTH_PREFIX_BYTES];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(io::Error::other)?;
        into.resize(length, 0);
        self.stream.read_exact(&mut into)?;
        Ok(into)
    }

    /// Sends one request and waits for its answer.
    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> anyhow::Result<R::Response> {
        self.send(&encode(request, version)?)?;
        decode::<R>(self.receive(Vec::new())?.into(), version)
    }
}

pub(crate) fn encode<R: Request>(request: &R, version: i16) -> anyhow::Result<Bytes> {
    let client_id = ByteString::from_static("tailrace-bench");
    Ok(frame::encode_request(request, version, 1, Some(&client_id))?.into_bytes())
}

pub(crate) fn decode<R: Request>(frame: Bytes, version: i16) -> anyhow::Result<R::Response> {
    Ok(frame::decode_response::<R::Response>(frame, version)?.1)
}

pub(crate) fn check(error_code: i16, what: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        error_code == ERRNO_NONE,
        "{what} was refused with error code {error_code}"
    );
    Ok(())
}
