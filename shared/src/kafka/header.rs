//! What stands before each request and response.
//!
//! Source: Kafka's `RequestHeader` (versions 1 and 2) and `ResponseHeader` (versions 0 and 1).

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use super::api::ApiKey;
use super::codec::{DecodeError, EncodeError, Format, TaggedFields, Wire, take_tagged_fields};
use super::encoder::Encoder;

/// The old form, in which the fields of a header are even where the header has tagged fields: a broker must be able to
/// read the client id of a request that is newer than itself.
const PLAIN: Format = Format {
    version: 1,
    flexible: false,
};

/// Before each request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHeader {
    /// The number of the API; it may be one that we do not know.
    pub api_key: i16,
    /// The version of the API; it may be one that we do not know.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<ByteString>,
}

impl RequestHeader {
    /// The API, if we know it.
    #[must_use]
    pub fn api(&self) -> Option<ApiKey> {
        ApiKey::from_code(self.api_key)
    }

    fn is_flexible(&self) -> bool {
        self.api().is_some_and(|api| api.is_flexible(self.api_version))
    }

    /// Appends the header, in the version that its API and version ask for.
    ///
    /// # Errors
    /// When the client id is too long.
    pub fn encode_into(&self, out: &mut Encoder) -> Result<(), EncodeError> {
        self.api_key.put(out, PLAIN)?;
        self.api_version.put(out, PLAIN)?;
        self.correlation_id.put(out, PLAIN)?;
        self.client_id
            .put(out, PLAIN)
            .map_err(|error| error.at("RequestHeader", "client_id"))?;
        if self.is_flexible() {
            TaggedFields::default().put(out)?;
        }
        Ok(())
    }

    /// Reads a header off the front of a frame. It succeeds for APIs and versions that we do not know, so that these
    /// can be answered; what then remains of the frame has no meaning.
    ///
    /// # Errors
    /// When the bytes are no request header at all.
    pub fn decode(frame: &mut Bytes) -> Result<Self, DecodeError> {
        let field = |name| move |error: DecodeError| error.at("RequestHeader", name);
        let header = Self {
            api_key: Wire::take(frame, PLAIN).map_err(field("api_key"))?,
            api_version: Wire::take(frame, PLAIN).map_err(field("api_version"))?,
            correlation_id: Wire::take(frame, PLAIN).map_err(field("correlation_id"))?,
            client_id: Wire::take(frame, PLAIN).map_err(field("client_id"))?,
        };
        if header.is_flexible() {
            take_tagged_fields(frame, |_, _| Ok(false)).map_err(field("tagged fields"))?;
        }
        Ok(header)
    }
}

/// Before each response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Appends the header of an answer by `api` in `version`.
    ///
    /// # Errors
    /// None today.
    pub fn encode_into(self, out: &mut Encoder, api: ApiKey, version: i16) -> Result<(), EncodeError> {
        self.correlation_id.put(out, PLAIN)?;
        if api.response_header_version(version) >= 1 {
            TaggedFields::default().put(out)?;
        }
        Ok(())
    }

    /// Reads the header of an answer by `api` in `version`.
    ///
    /// # Errors
    /// When the bytes are no response header.
    pub fn decode(frame: &mut Bytes, api: ApiKey, version: i16) -> Result<Self, DecodeError> {
        let field = |name| move |error: DecodeError| error.at("ResponseHeader", name);
        let correlation_id = Wire::take(frame, PLAIN).map_err(field("correlation_id"))?;
        if api.response_header_version(version) >= 1 {
            take_tagged_fields(frame, |_, _| Ok(false)).map_err(field("tagged fields"))?;
        }
        Ok(Self { correlation_id })
    }

    /// The correlation id alone, for a client that must find the request first to know the version.
    #[must_use]
    pub fn peek_correlation_id(mut frame: &[u8]) -> Option<i32> {
        frame.try_get_i32().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(header: &RequestHeader) -> Bytes {
        let mut out = Encoder::new();
        header.encode_into(&mut out).unwrap();
        out.finish().into_bytes()
    }

    #[test]
    fn request_header_survives_in_both_versions() {
        for (api_version, size) in [(8, 14), (9, 15)] {
            let header = RequestHeader {
                api_key: 0,
                api_version,
                correlation_id: -7,
                client_id: Some("kcat".into()),
            };
            let mut bytes = encoded(&header);
            assert_eq!(bytes.len(), size);
            assert_eq!(RequestHeader::decode(&mut bytes).unwrap(), header);
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn unknown_api_can_be_answered() {
        let header = RequestHeader {
            api_key: 999,
            api_version: 3,
            correlation_id: 5,
            client_id: None,
        };
        let mut bytes = encoded(&header);
        let decoded = RequestHeader::decode(&mut bytes).unwrap();
        assert_eq!((decoded.correlation_id, decoded.api()), (5, None));
    }

    #[test]
    fn newer_api_versions_request_can_be_answered() {
        let mut frame = Bytes::from_static(&[0, 18, 0, 99, 0, 0, 0, 1, 0, 1, b'x', 0, 0xff, 0xff]);
        let header = RequestHeader::decode(&mut frame).unwrap();
        assert_eq!(
            (header.api(), header.api_version, header.correlation_id),
            (Some(ApiKey::ApiVersions), 99, 1)
        );
    }

    #[test]
    fn answer_to_api_versions_has_the_old_header() {
        assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
        assert_eq!(ApiKey::Metadata.response_header_version(8), 0);
        assert_eq!(ApiKey::Metadata.response_header_version(9), 1);
    }

    #[test]
    fn error_names_the_field() {
        let error = RequestHeader::decode(&mut Bytes::from_static(&[0, 0, 0, 9, 0])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "RequestHeader.correlation_id: 4 bytes needed, 1 remain"
        );
    }
}
