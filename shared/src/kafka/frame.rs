//! Whole frames: four bytes of length, a header, a message.

use bytes::Bytes;
use bytestring::ByteString;

use super::api::{Message, Request};
use super::codec::{DecodeError, EncodeError, EncodeReason};
use super::encoder::{Encoder, Segments};
use super::header::{RequestHeader, ResponseHeader};

/// Size of the length before each frame; the length does not count itself.
pub const LENGTH_PREFIX_BYTES: usize = 4;

/// The frame of a request.
///
/// # Errors
/// When `version` cannot express the request.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&ByteString>,
) -> Result<Segments, EncodeError> {
    let header = RequestHeader {
        api_key: R::API.code(),
        api_version: version,
        correlation_id,
        client_id: client_id.cloned(),
    };
    let mut out = begin();
    header.encode_into(&mut out)?;
    request.encode_into(&mut out, version)?;
    end(out)
}

/// The frame of a response.
///
/// # Errors
/// When `version` cannot express the response.
pub fn encode_response<R: Message>(response: &R, version: i16, correlation_id: i32) -> Result<Segments, EncodeError> {
    let mut out = begin();
    ResponseHeader { correlation_id }.encode_into(&mut out, R::API, version)?;
    response.encode_into(&mut out, version)?;
    end(out)
}

/// Reads a response, header and all, out of a frame without its length.
///
/// # Errors
/// When the frame is not such a response.
pub fn decode_response<R: Message>(mut frame: Bytes, version: i16) -> Result<(ResponseHeader, R), DecodeError> {
    let header = ResponseHeader::decode(&mut frame, R::API, version)?;
    Ok((header, R::decode_exact(frame, version)?))
}

fn begin() -> Encoder {
    let mut out = Encoder::new();
    out.put_slice(&[0; LENGTH_PREFIX_BYTES]);
    out
}

fn end(mut out: Encoder) -> Result<Segments, EncodeError> {
    let length = out.len() - LENGTH_PREFIX_BYTES;
    let declared = i32::try_from(length).map_err(|_| EncodeReason::TooLong {
        length,
        limit: 0x7fff_ffff,
    })?;
    out.patch_front(declared.to_be_bytes());
    Ok(out.finish())
}
