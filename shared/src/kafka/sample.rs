//! Random messages for tests: the schema macro fills each field with a value that the version can express. Some names are
//! those that a test has given to something, so that not every message speaks of what is not there.

use bytes::Bytes;
use bytestring::ByteString;
use rand::Rng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::codec::{Float64, Format};

/// The seeded source of random values.
pub type Random = StdRng;

/// Elements of a random array at most.
const ELEMENTS_MAX: usize = 3;

/// Names that are drawn more often than others.
pub const NAMES: [&str; 6] = ["logs", "members", "consumer", "range", "retention.ms", "ann"];

/// A type of field that knows random values of itself.
pub trait Sample: Sized {
    /// A value valid in this format, null only if that is allowed.
    fn sample(random: &mut Random, format: Format, nullable: bool) -> Self;
}

macro_rules! sample_integer {
    ($($type:ty),*) => { $(
        impl Sample for $type {
            fn sample(random: &mut Random, _: Format, _: bool) -> Self {
                // Small values and -1 are often defaults, which is where tagged fields are left out.
                match random.random_range(0..4) {
                    0 => 0,
                    1 => -1,
                    2 => random.random_range(0..100),
                    _ => random.random(),
                }
            }
        }
    )* };
}

sample_integer!(i8, i16, i32, i64);

impl Sample for Float64 {
    fn sample(random: &mut Random, _: Format, _: bool) -> Self {
        [0.0, -1.0, random.random(), f64::MAX][random.random_range(0..4)].into()
    }
}

impl Sample for bool {
    fn sample(random: &mut Random, _: Format, _: bool) -> Self {
        random.random()
    }
}

impl Sample for Uuid {
    fn sample(random: &mut Random, _: Format, _: bool) -> Self {
        if random.random() {
            Self::nil()
        } else {
            Self::from_u128(random.random())
        }
    }
}

impl Sample for ByteString {
    fn sample(random: &mut Random, _: Format, _: bool) -> Self {
        if random.random_ratio(1, 3) {
            return NAMES[random.random_range(0..NAMES.len())].into();
        }
        let letters = ['a', '-', '0', 'é', '漢', '\u{1f980}'];
        let length = if random.random_ratio(1, 16) {
            200
        } else {
            random.random_range(0..8)
        };
        (0..length)
            .map(|_| letters[random.random_range(0..letters.len())])
            .collect::<String>()
            .into()
    }
}

impl Sample for Bytes {
    fn sample(random: &mut Random, _: Format, _: bool) -> Self {
        let length = if random.random_ratio(1, 16) {
            5000
        } else {
            random.random_range(0..20)
        };
        (0..length).map(|_| random.random::<u8>()).collect::<Vec<u8>>().into()
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(random: &mut Random, format: Format, _: bool) -> Self {
        (0..random.random_range(0..=ELEMENTS_MAX))
            .map(|_| T::sample(random, format, false))
            .collect()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(random: &mut Random, format: Format, nullable: bool) -> Self {
        if nullable && random.random_ratio(1, 3) {
            None
        } else {
            Some(T::sample(random, format, false))
        }
    }
}
