//! How single values lie on the wire: integers, strings, bytes, arrays, tagged fields, each in the old and in the
//! compact ("flexible", KIP-482) form.
//!
//! Decoding shares the frame's bytes instead of copying them. Every declared length is checked against the bytes that
//! remain before anything is allocated for it.

use std::fmt;

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use uuid::Uuid;

pub use super::codec_error::{DecodeError, DecodeReason, EncodeError, EncodeReason};
use super::encoder::Encoder;

/// The layout that one version of a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The version of the API.
    pub version: i16,
    /// Compact lengths, and a tagged-field section behind each structure.
    pub flexible: bool,
}

/// A value that has a place on the wire.
pub trait Wire: Sized {
    /// The fewest bytes that a value can take: what bounds the length of an array by the bytes that remain.
    fn size_min(format: Format) -> usize;

    /// Appends the value.
    ///
    /// # Errors
    /// When the value cannot be expressed in this version.
    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError>;

    /// Reads a value off the front of `input`.
    ///
    /// # Errors
    /// When the bytes do not hold one.
    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError>;

    /// Whether this is the null that some versions forbid.
    fn is_null(&self) -> bool {
        false
    }
}

fn take_fixed<const N: usize>(input: &mut Bytes) -> Result<[u8; N], DecodeError> {
    let Some(bytes) = input.first_chunk::<N>().copied() else {
        return Err(DecodeReason::Truncated {
            needed: N,
            remaining: input.len(),
        }
        .into());
    };
    input.advance(N);
    Ok(bytes)
}

/// Reads an unsigned varint of at most 32 bits.
pub(crate) fn take_unsigned_varint(input: &mut Bytes) -> Result<u32, DecodeError> {
    let mut value = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let [byte] = take_fixed(input)?;
        let bits = u32::from(byte & 0x7f);
        if shift == 28 && bits > 0x0f {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeReason::VarintTooLong.into())
}

fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Splits `length` bytes off the front, sharing them.
fn take_slice(input: &mut Bytes, length: usize) -> Result<Bytes, DecodeError> {
    if length > input.len() {
        return Err(DecodeReason::LengthBeyondFrame {
            declared: length,
            remaining: input.len(),
        }
        .into());
    }
    Ok(input.split_to(length))
}

/// The width of a length where it is not compact.
#[derive(Clone, Copy)]
pub(super) enum LengthWidth {
    /// Strings: 16 bits.
    Short,
    /// Bytes and arrays: 32 bits.
    Int,
}

impl LengthWidth {
    pub(super) fn size_min(self, format: Format) -> usize {
        match self {
            _ if format.flexible => 1,
            Self::Short => 2,
            Self::Int => 4,
        }
    }

    fn limit(self, format: Format) -> usize {
        match self {
            Self::Short if !format.flexible => 0x7fff,
            _ => 0x7fff_fffe,
        }
    }

    /// Writes a length, or null.
    pub(super) fn put(self, length: Option<usize>, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        let limit = self.limit(format);
        let length = match length {
            None => -1,
            Some(length) if length > limit => return Err(EncodeReason::TooLong { length, limit }.into()),
            Some(length) => i32::try_from(length).unwrap_or(i32::MAX),
        };
        let bytes = length.to_be_bytes();
        match self {
            _ if format.flexible => out.put_unsigned_varint((length + 1).unsigned_abs()),
            Self::Short => {
                let [_, _, high, low] = bytes;
                out.put_slice(&[high, low]);
            }
            Self::Int => out.put_slice(&bytes),
        }
        Ok(())
    }

    /// Reads a length, or null.
    fn take(self, input: &mut Bytes, format: Format) -> Result<Option<usize>, DecodeError> {
        if format.flexible {
            let length_plus_one = take_unsigned_varint(input)?;
            return Ok(length_plus_one.checked_sub(1).map(to_usize));
        }
        let length = match self {
            Self::Short => i16::from_be_bytes(take_fixed(input)?).into(),
            Self::Int => i32::from_be_bytes(take_fixed(input)?),
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| DecodeReason::NegativeLength(length).into()),
        }
    }
}

macro_rules! fixed_size {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            fn size_min(_: Format) -> usize {
                size_of::<$type>()
            }

            fn put(&self, out: &mut Encoder, _: Format) -> Result<(), EncodeError> {
                out.put_slice(&self.to_be_bytes());
                Ok(())
            }

            fn take(input: &mut Bytes, _: Format) -> Result<Self, DecodeError> {
                take_fixed(input).map(Self::from_be_bytes)
            }
        }
    )* };
}

fixed_size!(i8, i16, i32, i64);

/// A floating-point number. Compared bit by bit, so that a message equals itself whatever is in it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Float64(u64);

impl Float64 {
    /// The number; it may be anything, infinite or none at all.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Float64 {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

impl fmt::Debug for Float64 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(formatter)
    }
}

impl Wire for Float64 {
    fn size_min(_: Format) -> usize {
        8
    }

    fn put(&self, out: &mut Encoder, _: Format) -> Result<(), EncodeError> {
        out.put_slice(&self.0.to_be_bytes());
        Ok(())
    }

    fn take(input: &mut Bytes, _: Format) -> Result<Self, DecodeError> {
        take_fixed(input).map(|bytes| Self(u64::from_be_bytes(bytes)))
    }
}

impl Wire for bool {
    fn size_min(_: Format) -> usize {
        1
    }

    fn put(&self, out: &mut Encoder, _: Format) -> Result<(), EncodeError> {
        out.put_slice(&[u8::from(*self)]);
        Ok(())
    }

    fn take(input: &mut Bytes, _: Format) -> Result<Self, DecodeError> {
        let [byte] = take_fixed(input)?;
        Ok(byte != 0)
    }
}

impl Wire for Uuid {
    fn size_min(_: Format) -> usize {
        16
    }

    fn put(&self, out: &mut Encoder, _: Format) -> Result<(), EncodeError> {
        out.put_slice(self.as_bytes());
        Ok(())
    }

    fn take(input: &mut Bytes, _: Format) -> Result<Self, DecodeError> {
        take_fixed(input).map(Self::from_bytes)
    }
}

impl Wire for Option<ByteString> {
    fn size_min(format: Format) -> usize {
        LengthWidth::Short.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        LengthWidth::Short.put(self.as_ref().map(|string| string.len()), out, format)?;
        if let Some(string) = self {
            out.put_payload(string.as_bytes());
        }
        Ok(())
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        let Some(length) = LengthWidth::Short.take(input, format)? else {
            return Ok(None);
        };
        let bytes = take_slice(input, length)?;
        ByteString::try_from(bytes)
            .map(Some)
            .map_err(|_| DecodeReason::NotUtf8.into())
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl Wire for Option<Bytes> {
    fn size_min(format: Format) -> usize {
        LengthWidth::Int.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        LengthWidth::Int.put(self.as_ref().map(Bytes::len), out, format)?;
        if let Some(bytes) = self {
            out.put_payload(bytes);
        }
        Ok(())
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        match LengthWidth::Int.take(input, format)? {
            None => Ok(None),
            Some(length) => take_slice(input, length).map(Some),
        }
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// A structure of a message.
pub(crate) trait Structure: Wire {}

/// A structure that may be null has a byte before it: -1 for null, 1 for what follows.
impl<T: Structure> Wire for Option<T> {
    fn size_min(_: Format) -> usize {
        1
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        match self {
            None => (-1_i8).put(out, format),
            Some(structure) => {
                1_i8.put(out, format)?;
                structure.put(out, format)
            }
        }
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        if i8::take(input, format)? < 0 {
            return Ok(None);
        }
        T::take(input, format).map(Some)
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl<T: Wire> Wire for Option<Vec<T>> {
    fn size_min(format: Format) -> usize {
        LengthWidth::Int.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        match self {
            None => LengthWidth::Int.put(None, out, format),
            Some(elements) => elements.put(out, format),
        }
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        let Some(length) = LengthWidth::Int.take(input, format)? else {
            return Ok(None);
        };
        if length > input.len() / T::size_min(format).max(1) {
            return Err(DecodeReason::LengthBeyondFrame {
                declared: length,
                remaining: input.len(),
            }
            .into());
        }
        let mut elements = Vec::with_capacity(length);
        for _ in 0..length {
            elements.push(T::take(input, format)?);
        }
        Ok(Some(elements))
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

impl Wire for ByteString {
    fn size_min(format: Format) -> usize {
        LengthWidth::Short.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        LengthWidth::Short.put(Some(self.len()), out, format)?;
        out.put_payload(self.as_bytes());
        Ok(())
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        <Option<Self> as Wire>::take(input, format)?.ok_or_else(|| DecodeReason::Null.into())
    }
}

impl Wire for Bytes {
    fn size_min(format: Format) -> usize {
        LengthWidth::Int.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        LengthWidth::Int.put(Some(self.len()), out, format)?;
        out.put_payload(self);
        Ok(())
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        <Option<Self> as Wire>::take(input, format)?.ok_or_else(|| DecodeReason::Null.into())
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn size_min(format: Format) -> usize {
        LengthWidth::Int.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        LengthWidth::Int.put(Some(self.len()), out, format)?;
        self.iter().try_for_each(|element| element.put(out, format))
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        <Option<Self> as Wire>::take(input, format)?.ok_or_else(|| DecodeReason::Null.into())
    }
}

/// The section behind a flexible structure: optional fields, each with its tag and size.
#[derive(Debug, Default)]
pub(crate) struct TaggedFields {
    encoded: Vec<(u32, Bytes)>,
}

impl TaggedFields {
    /// Adds a field; tags come in ascending order.
    pub(crate) fn add<T: Wire>(&mut self, tag: u32, value: &T, format: Format) -> Result<(), EncodeError> {
        let mut encoder = Encoder::contiguous(bytes::BytesMut::new());
        value.put(&mut encoder, format)?;
        self.encoded.push((tag, encoder.into_contiguous().freeze()));
        Ok(())
    }

    /// Appends the section.
    pub(crate) fn put(self, out: &mut Encoder) -> Result<(), EncodeError> {
        out.put_unsigned_varint(u32::try_from(self.encoded.len()).unwrap_or(u32::MAX));
        for (tag, value) in self.encoded {
            let too_long = |_| EncodeReason::TooLong {
                length: value.len(),
                limit: 0xffff_ffff,
            };
            let size = u32::try_from(value.len()).map_err(too_long)?;
            out.put_unsigned_varint(tag);
            out.put_unsigned_varint(size);
            out.put_payload(&value);
        }
        Ok(())
    }
}

/// Reads a tagged-field section. `known` reads the fields it knows and answers whether it did; others are skipped.
pub(crate) fn take_tagged_fields(
    input: &mut Bytes,
    mut known: impl FnMut(u32, &mut Bytes) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let count = take_unsigned_varint(input)?;
    for _ in 0..count {
        let tag = take_unsigned_varint(input)?;
        let size = take_unsigned_varint(input)?;
        let mut value = take_slice(input, to_usize(size))?;
        if known(tag, &mut value)? && !value.is_empty() {
            return Err(DecodeReason::TrailingBytes(value.len()).into());
        }
    }
    Ok(())
}
