//! What can be wrong with a message, either way: the reason, and the structure and field where it showed.

/// Where in a message something went wrong: the structure and its field.
type Place = (&'static str, &'static str);

/// Bytes that are not the message they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", place_prefix(*place))]
pub struct DecodeError {
    /// The innermost structure and field that could not be read, if it came to that.
    pub place: Option<Place>,
    /// What is wrong with the bytes.
    pub reason: DecodeReason,
}

/// What is wrong with the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeReason {
    /// The frame ends inside a value of fixed size.
    #[error("{needed} bytes needed, {remaining} remain")]
    Truncated {
        /// Size of the value.
        needed: usize,
        /// What is left of the frame.
        remaining: usize,
    },
    /// A string, byte or array length that the rest of the frame cannot hold.
    #[error("length {declared} does not fit in the {remaining} bytes that remain")]
    LengthBeyondFrame {
        /// The length as declared, in bytes or elements.
        declared: usize,
        /// What is left of the frame.
        remaining: usize,
    },
    /// A length below -1.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// Null where this version allows none.
    #[error("null is not allowed in this version")]
    Null,
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    NotUtf8,
    /// A varint of more than 32 bits.
    #[error("varint of more than 32 bits")]
    VarintTooLong,
    /// A version for which there is no schema.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
    /// Bytes behind the end of a message or of a tagged field.
    #[error("{0} bytes behind the end")]
    TrailingBytes(usize),
}

impl From<DecodeReason> for DecodeError {
    fn from(reason: DecodeReason) -> Self {
        Self { place: None, reason }
    }
}

impl DecodeError {
    /// Names the field, unless a deeper one is named already.
    #[must_use]
    pub fn at(mut self, structure: &'static str, field: &'static str) -> Self {
        self.place.get_or_insert((structure, field));
        self
    }
}

/// A message that the requested version cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", place_prefix(*place))]
pub struct EncodeError {
    /// The innermost structure and field that could not be written, if it came to that.
    pub place: Option<Place>,
    /// Why not.
    pub reason: EncodeReason,
}

/// Why a message cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeReason {
    /// A field is set that the version does not have, and that may not be left out in silence.
    #[error("set, but not part of version {0}")]
    NotInVersion(i16),
    /// Null where this version allows none.
    #[error("null is not allowed in version {0}")]
    Null(i16),
    /// Longer than its length field can say.
    #[error("length {length} is above the limit of {limit}")]
    TooLong {
        /// Actual length, in bytes or elements.
        length: usize,
        /// Largest length that can be written.
        limit: usize,
    },
    /// A version for which there is no schema.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
}

impl From<EncodeReason> for EncodeError {
    fn from(reason: EncodeReason) -> Self {
        Self { place: None, reason }
    }
}

impl EncodeError {
    /// Names the field, unless a deeper one is named already.
    #[must_use]
    pub fn at(mut self, structure: &'static str, field: &'static str) -> Self {
        self.place.get_or_insert((structure, field));
        self
    }
}

fn place_prefix(place: Option<Place>) -> String {
    place
        .map(|(structure, field)| format!("{structure}.{field}: "))
        .unwrap_or_default()
}
