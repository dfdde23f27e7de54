//! What a value of the configuration may be, beyond its type: what would fail later, or do harm, is refused with the line
//! that it is in.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use tailrace_shared::config::{ByteSize, HumanDuration, ListenAddr};

use crate::batch::RESERVED_LABELS;
use crate::discover::{Pattern, exclusions};
use crate::frame::Charset;
use crate::routing::{TOPIC_LEN_MAX, is_topic_letter};

/// A name that Kafka allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TopicName(String);

impl TopicName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_well_spelt = !name.is_empty() && name.len() <= TOPIC_LEN_MAX && name.chars().all(is_topic_letter);
        if !is_well_spelt || name == "." || name == ".." {
            return Err(format!(
                "\"{name}\" is no topic name: use 1 to {TOPIC_LEN_MAX} of the characters a-z A-Z 0-9 . _ -"
            ));
        }
        Ok(Self(name))
    }
}

/// A glob that can be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Glob(String);

impl Glob {
    /// The pattern that matches this path and no other.
    pub fn literal(path: &str) -> Result<Self, String> {
        Self::try_from(globset::escape(path))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("an empty pattern matches nothing".to_owned());
        }
        if pattern.starts_with("~/") {
            return Err(format!(
                "`~` is not expanded in \"{pattern}\": write the directory in full, such as /home/me{}",
                pattern.trim_start_matches('~')
            ));
        }
        let root = Path::new("/");
        Pattern::parse(&pattern, root)
            .and_then(|_| exclusions(std::slice::from_ref(&pattern), root))
            .map_err(|error| error.to_string())?;
        Ok(Self(pattern))
    }
}

/// The name of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct EncodingName(pub Charset);

impl TryFrom<String> for EncodingName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Charset::named(&name).map(Self)
    }
}

/// Where a broker listens.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct BrokerAddr(String);

impl TryFrom<String> for BrokerAddr {
    type Error = String;

    fn try_from(address: String) -> Result<Self, String> {
        match address.parse::<ListenAddr>() {
            Ok(parsed) if parsed.port != 0 => Ok(Self(address)),
            _ => Err(format!(
                "`{address}` is no broker's address: write its host and port, such as \"collector:9092\""
            )),
        }
    }
}

/// A number with limits; durations are in milliseconds.
pub(super) trait Measured: DeserializeOwned + Display {
    fn from_number(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Measured for ByteSize {
    fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn number(&self) -> u64 {
        self.0
    }
}

impl Measured for HumanDuration {
    fn from_number(number: u64) -> Self {
        Self(Duration::from_millis(number))
    }

    fn number(&self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Measured for usize {
    fn from_number(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }

    fn number(&self) -> u64 {
        *self as u64
    }
}

pub(super) fn within<'de, const MIN: u64, const MAX: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Measured,
    D: Deserializer<'de>,
{
    let value = T::deserialize(deserializer)?;
    if (MIN..=MAX).contains(&value.number()) {
        return Ok(value);
    }
    let (min, max) = (T::from_number(MIN), T::from_number(MAX));
    Err(D::Error::custom(format!("`{value}` is not between {min} and {max}")))
}

/// A list that says something.
pub(super) fn some<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    match list.is_empty() {
        true => Err(D::Error::custom("there is nothing in it: add at least one")),
        false => Ok(list),
    }
}

/// What a string names, or a table describes. Errors are those of what was written.
pub(super) fn name_or_table<'de, N, T, V, D>(deserializer: D, expecting: &'static str) -> Result<V, D::Error>
where
    N: Deserialize<'de> + Into<V>,
    T: Deserialize<'de> + TryInto<V, Error = String>,
    D: Deserializer<'de>,
{
    struct Either<N, T, V>(&'static str, PhantomData<(N, T, V)>);

    impl<'de, N, T, V> Visitor<'de> for Either<N, T, V>
    where
        N: Deserialize<'de> + Into<V>,
        T: Deserialize<'de> + TryInto<V, Error = String>,
    {
        type Value = V;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<V, E> {
            N::deserialize(name.to_owned().into_deserializer()).map(Into::into)
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<V, M::Error> {
            let table = T::deserialize(MapAccessDeserializer::new(map))?;
            table.try_into().map_err(M::Error::custom)
        }
    }

    deserializer.deserialize_any(Either::<N, T, V>(expecting, PhantomData))
}

/// Directories by their whole names.
pub(super) fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths: Vec<PathBuf> = some(deserializer)?;
    match paths.iter().find(|path| !path.is_absolute()) {
        Some(path) => Err(D::Error::custom(format!(
            "`{}` is not the whole name of a directory, such as \"/var/log\"",
            path.display()
        ))),
        None => Ok(paths),
    }
}

pub(super) fn brokers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let brokers: Vec<BrokerAddr> = some(deserializer)?;
    Ok(brokers.into_iter().map(|broker| broker.0).collect())
}

pub(super) fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
    match RESERVED_LABELS.iter().find(|name| labels.contains_key(**name)) {
        Some(name) => Err(D::Error::custom(format!(
            "the agent sets `{name}` itself; give the label another name"
        ))),
        None => Ok(labels),
    }
}
