//! Variable-length integers as records use them: seven bits a byte, least significant first; signed ones are zigzagged
//! first so that small negative numbers stay short. Readers take a slice and give back the rest of it.

/// Length in bytes of an unsigned value.
#[must_use]
pub const fn len_u64(value: u64) -> usize {
    // One byte per started group of seven significant bits; zero still takes one.
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Length in bytes of a signed value.
#[must_use]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag(value))
}

/// Appends an unsigned value.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Appends a signed value. A 32-bit value has the same bytes as the same number in 64 bits.
#[inline]
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, zigzag(value));
}

/// Reads an unsigned value of at most 64 bits; `None` where the bytes end early or say more than fits.
#[must_use]
pub fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    take(bytes, 10)
}

/// Reads an unsigned value of at most 32 bits (five bytes).
#[must_use]
pub fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = take(bytes, 5)?;
    Some((u32::try_from(value).ok()?, rest))
}

/// Reads a zigzagged value of at most 64 bits.
#[must_use]
pub fn take_i64(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (value, rest) = take_u64(bytes)?;
    Some((unzigzag(value), rest))
}

/// Reads a zigzagged value of at most 32 bits (five bytes).
#[must_use]
pub fn take_i32(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (value, rest) = take_u32(bytes)?;
    // The zigzag of a 32-bit number fits 32 bits, so the other way round it fits as well.
    Some((i32::try_from(unzigzag(u64::from(value))).ok()?, rest))
}

/// A length as the signed number that is written for it.
#[inline]
pub(super) fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn take(bytes: &[u8], bytes_max: usize) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    let mut rest = bytes;
    for group in 0..bytes_max {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        let bits = u64::from(byte & 0x7f);
        let shift = group * 7;
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some((value, rest));
        }
    }
    None
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_i64(&mut out, value);
        out
    }

    #[test]
    fn known_values_have_their_known_bytes() {
        assert_eq!(encoded(0), [0x00]);
        assert_eq!(encoded(-1), [0x01]);
        assert_eq!(encoded(1), [0x02]);
        assert_eq!(encoded(63), [0x7e]);
        assert_eq!(encoded(-64), [0x7f]);
        assert_eq!(encoded(64), [0x80, 0x01]);
        assert_eq!(encoded(i64::from(i32::MAX)), [0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(encoded(i64::from(i32::MIN)), [0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(encoded(i64::MIN).len(), 10);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(take_u64(&[]), None);
        assert_eq!(take_u64(&[0x80, 0x80]), None);
        assert_eq!(take_u32(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None, "33 bits");
        assert_eq!(take_u32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None, "six bytes");
        assert_eq!(
            take_u64(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
            None,
            "65 bits"
        );
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value: i64, narrow: i32, tail: Vec<u8>) {
            let mut bytes = encoded(value);
            prop_assert_eq!(bytes.len(), len_i64(value));
            bytes.extend_from_slice(&tail);
            prop_assert_eq!(take_i64(&bytes), Some((value, &tail[..])));

            let mut bytes = encoded(narrow.into());
            bytes.extend_from_slice(&tail);
            prop_assert_eq!(take_i32(&bytes), Some((narrow, &tail[..])));
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let (wide, narrow) = (take_i64(&bytes), take_i32(&bytes));
            prop_assert!(narrow.is_none() || narrow.map(|(v, _)| i64::from(v)) == wide.map(|(v, _)| v));
        }
    }
}
