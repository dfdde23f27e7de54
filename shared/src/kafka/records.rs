//! Record batches of a fetch answer, in the pieces in which they were read: they go to the socket one behind the other,
//! and no answer is copied to make one piece of it.

use bytes::{Bytes, BytesMut};

use super::codec::{DecodeError, EncodeError, Format, LengthWidth, Wire};
use super::encoder::Encoder;

/// Bytes in pieces; how they are cut makes no difference on the wire, nor when two are compared.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pieces: Vec<Bytes>,
}

impl Records {
    /// Bytes of all pieces together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there is not a byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All in one piece; copies only where there are several. What was decoded is one.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        if self.pieces.len() <= 1 {
            return self.pieces.pop().unwrap_or_default();
        }
        let mut joined = BytesMut::with_capacity(self.len());
        self.pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        joined.freeze()
    }
}

impl IntoIterator for Records {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        Self {
            pieces: pieces.into_iter().collect(),
        }
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self { pieces }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self { pieces: vec![bytes] }
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.pieces.iter().flatten().eq(other.pieces.iter().flatten())
    }
}

impl Wire for Option<Records> {
    fn size_min(format: Format) -> usize {
        LengthWidth::Int.size_min(format)
    }

    fn put(&self, out: &mut Encoder, format: Format) -> Result<(), EncodeError> {
        LengthWidth::Int.put(self.as_ref().map(Records::len), out, format)?;
        let pieces = self.iter().flat_map(|records| &records.pieces);
        pieces.for_each(|piece| out.put_payload(piece));
        Ok(())
    }

    fn take(input: &mut Bytes, format: Format) -> Result<Self, DecodeError> {
        let bytes = <Option<Bytes> as Wire>::take(input, format)?;
        Ok(bytes.map(Records::from))
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}

#[cfg(any(test, feature = "sample"))]
impl super::sample::Sample for Records {
    fn sample(random: &mut super::sample::Random, format: Format, nullable: bool) -> Self {
        Vec::sample(random, format, nullable).into()
    }
}
