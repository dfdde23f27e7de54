//! Tests of the protocol as a whole: against a second implementation, against hostile bytes, against known bytes.

mod golden;
mod hostile;
mod oracle;
mod rules;

use bytes::{Bytes, BytesMut};

use super::api::Message;

/// The bytes of a message that must be expressible.
fn encoded<M: Message>(message: &M, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message
        .encode(&mut out, version)
        .unwrap_or_else(|error| panic!("{error}: {message:?} in version {version}"));
    out.freeze()
}
