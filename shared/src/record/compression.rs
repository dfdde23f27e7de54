//! The five codecs of the format, in both directions. Decompression takes the most it may produce, for the bytes come
//! from outside and a kilobyte can unfold to gigabytes.
//!
//! Two codecs have their own framing: LZ4 is the LZ4 *frame* format with independent blocks, and snappy is either one raw
//! block (librdkafka) or a chain of blocks behind a magic header (xerial's snappy-java, which most clients copy).

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::BatchError;

/// A codec of the record section; the discriminants are the wire's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Compression {
    /// Records as they are.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy, raw or in xerial's framing.
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    /// RFC 8878. Our default.
    #[default]
    Zstd = 4,
}

impl Compression {
    /// All codecs, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of a wire code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The wire code of the codec.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name that configuration files use, which is also Kafka's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The level to use where none is configured. Log lines gain nothing from zstd's higher levels but cost.
    #[must_use]
    pub const fn default_level(self) -> i32 {
        match self {
            Self::Gzip => 6,
            Self::Zstd => 1,
            Self::None | Self::Snappy | Self::Lz4 => 0,
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Compression {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.name() == name)
            .ok_or_else(|| UnknownCodec { name: name.to_owned() })
    }
}

/// A codec name that is none of the five.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression {name:?}: use one of none, gzip, snappy, lz4, zstd")]
pub struct UnknownCodec {
    name: String,
}

/// Compresses many inputs with one codec, keeping zstd's tables between them.
pub struct Compressor {
    codec: Compression,
    level: i32,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// A compressor for a codec. `level` is gzip's (0 to 9) or zstd's; the other codecs have none.
    pub fn new(codec: Compression, level: i32) -> io::Result<Self> {
        let zstd = match codec {
            Compression::Zstd => Some(zstd::bulk::Compressor::new(level)?),
            _ => None,
        };
        Ok(Self { codec, level, zstd })
    }

    /// The codec it was made for.
    #[must_use]
    pub fn codec(&self) -> Compression {
        self.codec
    }

    /// Appends the compressed input to `out`.
    pub fn compress_into(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match (self.codec, &mut self.zstd) {
            (Compression::Zstd, Some(zstd)) => {
                out.reserve(zstd::zstd_safe::compress_bound(input.len()));
                let end = out.len() as u64;
                let mut cursor = io::Cursor::new(out);
                cursor.set_position(end);
                zstd.compress_to_buffer(input, &mut cursor)?;
                Ok(())
            }
            (Compression::None | Compression::Zstd, _) => out.write_all(input),
            (Compression::Gzip, _) => {
                let level = flate2::Compression::new(u32::try_from(self.level.clamp(0, 9)).unwrap_or_default());
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                encoder.write_all(input)?;
                encoder.finish().map(drop)
            }
            (Compression::Lz4, _) => {
                let frame = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, out);
                encoder.write_all(input)?;
                encoder.finish().map(drop).map_err(io::Error::other)
            }
            (Compression::Snappy, _) => compress_xerial(input, out),
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Compressor")
            .field("codec", &self.codec)
            .field("level", &self.level)
            .finish()
    }
}

/// Compresses one input.
pub fn compress(codec: Compression, level: i32, input: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Compressor::new(codec, level)?.compress_into(input, &mut out)?;
    Ok(out)
}

/// Decompresses to at most `max` bytes; more is [`BatchError::UncompressedTooLarge`]. `None` copies nothing.
pub fn decompress(codec: Compression, input: &Bytes, max: usize) -> Result<Bytes, BatchError> {
    let output = match codec {
        Compression::None if input.len() > max => Err(Refusal::TooLarge),
        Compression::None => return Ok(input.clone()),
        Compression::Gzip => read_capped(flate2::bufread::MultiGzDecoder::new(&input[..]), input.len(), max),
        Compression::Snappy => decompress_snappy(input, max),
        Compression::Lz4 => read_capped(lz4_flex::frame::FrameDecoder::new(&input[..]), input.len(), max),
        Compression::Zstd => decompress_zstd(input, max),
    };
    output.map(Bytes::from).map_err(|refusal| match refusal {
        Refusal::TooLarge => BatchError::UncompressedTooLarge { codec, max },
        Refusal::Malformed(reason) => BatchError::Decompress { codec, reason },
    })
}

enum Refusal {
    TooLarge,
    Malformed(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<snap::Error> for Refusal {
    fn from(error: snap::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Reads to the end, but one byte over the cap is enough to know.
fn read_capped(reader: impl Read, input_len: usize, max: usize) -> Result<Vec<u8>, Refusal> {
    let mut output = Vec::with_capacity(input_len.saturating_mul(4).min(max));
    reader.take((max as u64).saturating_add(1)).read_to_end(&mut output)?;
    if output.len() > max {
        Err(Refusal::TooLarge)
    } else {
        Ok(output)
    }
}

/// A stream may ask its decoder for a window of up to 2 GiB. Clients' encoders ask for 8 MiB at most at their common
/// levels, so more is granted only as far as the output may grow.
fn decompress_zstd(input: &[u8], max: usize) -> Result<Vec<u8>, Refusal> {
    const WINDOW_LOG_ALWAYS: u32 = 23;
    const WINDOW_LOG_MAX: u32 = 27;
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    let window_log = max.checked_ilog2().unwrap_or(0) + 1;
    decoder.window_log_max(window_log.clamp(WINDOW_LOG_ALWAYS, WINDOW_LOG_MAX))?;
    read_capped(decoder, input.len(), max)
}

const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, then version 1 and the lowest compatible version 1, both as big-endian 32-bit numbers.
const XERIAL_HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_BLOCK: usize = 32 * 1024;
/// The longest that snappy unfolds: a copy of 64 bytes takes three.
const SNAPPY_RATIO_MAX: usize = 64;

fn compress_xerial(input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = snap::raw::Encoder::new();
    out.extend_from_slice(XERIAL_HEADER);
    for block in input.chunks(XERIAL_BLOCK) {
        let compressed = encoder.compress_vec(block)?;
        let length = u32::try_from(compressed.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    Ok(())
}

fn decompress_snappy(input: &[u8], max: usize) -> Result<Vec<u8>, Refusal> {
    let mut output = Vec::new();
    if !input.starts_with(XERIAL_MAGIC) {
        append_snappy_block(input, &mut output, max)?;
        return Ok(output);
    }
    let truncated = || Refusal::Malformed("the xerial framing ends early".to_owned());
    let mut rest = input.get(XERIAL_HEADER.len()..).ok_or_else(truncated)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or_else(truncated)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| truncated())?;
        let (block, after) = after.split_at_checked(length).ok_or_else(truncated)?;
        append_snappy_block(block, &mut output, max)?;
        rest = after;
    }
    Ok(output)
}

fn append_snappy_block(block: &[u8], output: &mut Vec<u8>, max: usize) -> Result<(), Refusal> {
    let declared = snap::raw::decompress_len(block)?;
    if declared > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(Refusal::Malformed(format!(
            "{} bytes cannot hold the {declared} they declare",
            block.len()
        )));
    }
    let start = output.len();
    if declared > max.saturating_sub(start) {
        return Err(Refusal::TooLarge);
    }
    output.resize(start + declared, 0);
    snap::raw::Decoder::new().decompress(block, output.get_mut(start..).unwrap_or_default())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAP: usize = 1 << 20;

    fn bomb(codec: Compression) -> Bytes {
        compress(codec, codec.default_level(), &vec![0; 64 << 20])
            .unwrap()
            .into()
    }

    #[test]
    fn a_bomb_is_stopped_at_the_cap() {
        for codec in Compression::ALL {
            assert_eq!(
                decompress(codec, &bomb(codec), CAP),
                Err(BatchError::UncompressedTooLarge { codec, max: CAP }),
                "{codec}"
            );
        }
    }

    #[test]
    fn the_cap_itself_is_allowed() {
        let input = vec![7; CAP];
        for codec in Compression::ALL {
            let compressed = Bytes::from(compress(codec, codec.default_level(), &input).unwrap());
            assert_eq!(decompress(codec, &compressed, CAP).unwrap(), input, "{codec}");
            assert!(decompress(codec, &compressed, CAP - 1).is_err(), "{codec}");
        }
    }

    #[test]
    fn raw_snappy_is_understood() {
        let input = b"what librdkafka sends, what librdkafka sends, what librdkafka sends";
        let raw = snap::raw::Encoder::new().compress_vec(input).unwrap();
        assert_eq!(decompress(Compression::Snappy, &raw.into(), CAP).unwrap(), input[..]);
    }

    #[test]
    fn xerial_snappy_has_its_golden_bytes() {
        let golden = Bytes::from_static(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07\x05\x10hello");
        assert_eq!(compress(Compression::Snappy, 0, b"hello").unwrap(), golden);
        assert_eq!(decompress(Compression::Snappy, &golden, CAP).unwrap(), b"hello"[..]);
    }

    #[test]
    fn a_snappy_length_that_lies_allocates_nothing() {
        // The preamble says 4 GiB - 1.
        let lie = Bytes::from_static(b"\xff\xff\xff\xff\x0f");
        assert!(matches!(
            decompress(Compression::Snappy, &lie, usize::MAX),
            Err(BatchError::Decompress { .. })
        ));
    }

    #[test]
    fn concatenated_zstd_frames_are_one_section() {
        let mut frames = compress(Compression::Zstd, 1, b"one ").unwrap();
        frames.extend(compress(Compression::Zstd, 1, b"two").unwrap());
        assert_eq!(
            decompress(Compression::Zstd, &frames.into(), CAP).unwrap(),
            b"one two"[..]
        );
    }

    #[test]
    fn names_and_codes_come_back() {
        for codec in Compression::ALL {
            assert_eq!(Compression::from_code(codec.code()), Some(codec));
            assert_eq!(codec.name().parse(), Ok(codec));
        }
        assert_eq!(Compression::from_code(5), None);
        assert!("brotli".parse::<Compression>().is_err());
    }

    proptest! {
        #[test]
        fn every_codec_returns_its_input(input in prop::collection::vec(any::<u8>(), 0..100_000)) {
            for codec in Compression::ALL {
                let compressed = Bytes::from(compress(codec, codec.default_level(), &input).unwrap());
                prop_assert_eq!(decompress(codec, &compressed, CAP).unwrap(), &input[..]);
            }
        }

        #[test]
        fn damaged_input_never_panics_nor_exceeds_the_cap(
            input in prop::collection::vec(0u8..4, 0..5_000),
            at: prop::sample::Index,
            flip in 1u8..,
            cap in 0usize..6_000,
        ) {
            for codec in Compression::ALL {
                let mut damaged = compress(codec, codec.default_level(), &input).unwrap();
                if !damaged.is_empty() {
                    let at = at.index(damaged.len());
                    damaged[at] ^= flip;
                }
                if let Ok(output) = decompress(codec, &damaged.into(), cap) {
                    prop_assert!(output.len() <= cap);
                }
            }
        }

        #[test]
        fn random_input_never_panics(input in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let input = Bytes::from(input);
            for codec in Compression::ALL {
                if let Ok(output) = decompress(codec, &input, 4_096) {
                    prop_assert!(output.len() <= 4_096);
                }
            }
        }
    }
}
