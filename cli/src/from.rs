//! `--from`: where in a topic to begin, as people write it, and as offsets.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use bytestring::ByteString;
use tailrace_shared::client::{Cluster, OffsetSpec, list_offsets};
use tailrace_shared::clock::{Clock, SystemClock, TimestampMs};

/// A place to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// The first record that is still there.
    Beginning,
    /// What comes from now on.
    End,
    /// This offset, in each partition.
    Offset(i64),
    /// The first record of this time or later.
    At(TimestampMs),
    /// The first record that is at most so old.
    Ago(Duration),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(offset) = text.parse::<u64>().map(i64::try_from) {
            return offset
                .map(Self::Offset)
                .map_err(|_| "offsets have at most 63 bits".to_owned());
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(time.as_millisecond()));
        }
        humantime::parse_duration(text).map(Self::Ago).map_err(|_| {
            "write `beginning`, `end`, an offset such as 4711, how long ago such as 15m or 2h, or a time such as \
             2026-01-31T14:00:00Z"
                .to_owned()
        })
    }
}

impl From {
    /// The offsets to begin at in these partitions. An offset that does not exist gives way to the nearest that does.
    pub(crate) async fn resolve(
        self,
        cluster: &Cluster,
        topic: &ByteString,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>> {
        let spec = match self {
            Self::Beginning => OffsetSpec::Earliest,
            Self::End => OffsetSpec::Latest,
            Self::At(time) => OffsetSpec::At(time),
            Self::Ago(duration) => OffsetSpec::At(before_now(duration)),
            Self::Offset(offset) => return nearest(offset, cluster, topic, partitions).await,
        };
        Ok(list_offsets(cluster, topic, partitions, spec).await?)
    }
}

fn before_now(duration: Duration) -> TimestampMs {
    let ago = TimestampMs::try_from(duration.as_millis()).unwrap_or(TimestampMs::MAX);
    SystemClock::new().now_ms().saturating_sub(ago)
}

async fn nearest(wanted: i64, cluster: &Cluster, topic: &ByteString, partitions: &[i32]) -> Result<BTreeMap<i32, i64>> {
    let starts = list_offsets(cluster, topic, partitions, OffsetSpec::Earliest).await?;
    let ends = list_offsets(cluster, topic, partitions, OffsetSpec::Latest).await?;
    let mut positions = BTreeMap::new();
    for (partition, end) in ends {
        let start = starts.get(&partition).copied().unwrap_or(0);
        let offset = wanted.clamp(start.min(end), end);
        if offset != wanted {
            eprintln!("tailrace: partition {partition} has offsets {start} to {end}; taking {offset}");
        }
        positions.insert(partition, offset);
    }
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (text, meant) in [
            ("beginning", From::Beginning),
            ("end", From::End),
            ("0", From::Offset(0)),
            ("4711", From::Offset(4711)),
            ("15m", From::Ago(minutes(15))),
            ("1h 30m", From::Ago(minutes(90))),
            ("2026-01-31T14:00:00Z", From::At(1_769_868_000_000)),
            ("2026-01-31T15:00:00.5+01:00", From::At(1_769_868_000_500)),
        ] {
            assert_eq!(text.parse(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for text in [
            "",
            "-1",
            "yesterday",
            "2026-01-31T14:00:00",
            "99999999999999999999999",
            "9223372036854775808",
        ] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
        assert!("soon".parse::<From>().unwrap_err().contains("15m"));
    }
}
