//! What the first frame of each file says: which earlier incarnations count, and where each of them ends.

use bytes::{Buf, BufMut, Bytes};

use super::position::WalPosition;

/// The payload of a file header; the same in all files of an incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct FileHeader {
    /// Where the checkpoint said to replay from when this incarnation began: nothing earlier is listed below.
    pub(super) floor: Option<WalPosition>,
    /// The earlier incarnations that still hold frames at or after the floor, ascending.
    pub(super) sealed: Vec<Sealed>,
}

/// What is valid of an earlier incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) incarnation: u64,
    pub(super) first_file: u64,
    pub(super) seal: Seal,
}

/// The end of an incarnation. What lies beyond it is void for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) file: u64,
    pub(super) offset: u64,
    pub(super) commit: u64,
}

const SEALED_BYTES: usize = 5 * 8;

impl FileHeader {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(1 + 16 + 4 + self.sealed.len() * SEALED_BYTES);
        let floor = self.floor.unwrap_or(WalPosition {
            incarnation: 0,
            file: 0,
        });
        out.put_u8(self.floor.is_some().into());
        out.put_u64_le(floor.incarnation);
        out.put_u64_le(floor.file);
        out.put_u32_le(u32::try_from(self.sealed.len()).unwrap_or(u32::MAX));
        for sealed in &self.sealed {
            out.put_u64_le(sealed.incarnation);
            out.put_u64_le(sealed.first_file);
            out.put_u64_le(sealed.seal.file);
            out.put_u64_le(sealed.seal.offset);
            out.put_u64_le(sealed.seal.commit);
        }
        out.into()
    }

    /// `None` if the payload is none that [`FileHeader::encode`] makes.
    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let has_floor = match bytes.try_get_u8().ok()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let floor = WalPosition {
            incarnation: bytes.try_get_u64_le().ok()?,
            file: bytes.try_get_u64_le().ok()?,
        };
        let count = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        if bytes.remaining() != count.checked_mul(SEALED_BYTES)? {
            return None;
        }
        let sealed: Vec<Sealed> = std::iter::from_fn(|| Sealed::decode(&mut bytes)).take(count).collect();
        let ascending = sealed.is_sorted_by(|one, next| one.incarnation < next.incarnation);
        let possible = |sealed: &Sealed| sealed.first_file <= sealed.seal.file && sealed.seal.commit < u64::MAX;
        let forward = sealed.iter().all(possible);
        (ascending && forward).then_some(Self {
            floor: has_floor.then_some(floor),
            sealed,
        })
    }
}

impl Sealed {
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            incarnation: bytes.try_get_u64_le().ok()?,
            first_file: bytes.try_get_u64_le().ok()?,
            seal: Seal {
                file: bytes.try_get_u64_le().ok()?,
                offset: bytes.try_get_u64_le().ok()?,
                commit: bytes.try_get_u64_le().ok()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(incarnation: u64) -> Sealed {
        Sealed {
            incarnation,
            first_file: 2,
            seal: Seal {
                file: 5,
                offset: 8192,
                commit: 17,
            },
        }
    }

    #[test]
    fn a_file_header_comes_back() {
        let floor = WalPosition {
            incarnation: 3,
            file: 2,
        };
        for header in [
            FileHeader::default(),
            FileHeader {
                floor: Some(floor),
                sealed: vec![sealed(3), sealed(9)],
            },
        ] {
            assert_eq!(FileHeader::decode(&header.encode()), Some(header));
        }
    }

    #[test]
    fn incarnations_out_of_order_are_refused() {
        let header = FileHeader {
            floor: None,
            sealed: vec![sealed(9), sealed(3)],
        };
        assert_eq!(FileHeader::decode(&header.encode()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_what_encodes_them_or_to_nothing(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..120),
        ) {
            if let Some(header) = FileHeader::decode(&bytes) {
                let encoded = header.encode();
                prop_assert_eq!(FileHeader::decode(&encoded), Some(header));
            }
        }
    }
}
