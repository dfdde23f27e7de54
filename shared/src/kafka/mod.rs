//! The Kafka wire protocol: one schema per message, and the codec derived from it.
//!
//! A message is declared once, in [`messages`], with Kafka's own notation for the versions of each field; the macro of
//! `schema` derives both directions. [`codec`] knows how a single value lies on the wire, [`encoder`] how to write a
//! large answer without copying its records, [`header`] and [`frame`] what stands before a message, and [`api`] is the
//! table of all APIs.
//!
//! Bytes from the network are hostile: a declared length is believed only as far as bytes remain, so decoding a frame
//! allocates no more than a small multiple of the frame.

#[macro_use]
mod schema;

pub mod api;
pub mod codec;
mod codec_error;
pub mod encoder;
pub mod error;
pub mod frame;
pub mod header;
pub mod messages;
mod records;
#[cfg(any(test, feature = "sample"))]
#[allow(clippy::indexing_slicing, reason = "only tests use it")]
pub mod sample;
#[cfg(test)]
mod tests;

pub use api::{ApiKey, Message, Request};
pub use codec::{DecodeError, EncodeError};
pub use encoder::{Encoder, Segments};
pub use error::ErrorCode;
pub use header::{RequestHeader, ResponseHeader};
pub use records::Records;
