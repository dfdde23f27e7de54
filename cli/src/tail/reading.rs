//! Reading on through what happens to a topic meanwhile: retention may overtake a slow reader, and a topic may be
//! deleted and come back shorter.

use std::collections::BTreeMap;

use anyhow::Result;
use bytestring::ByteString;
use tailrace_shared::client::{ClientError, Cluster, FetchOptions, FetchedBatch, Fetcher, OffsetSpec, list_offsets};
use tailrace_shared::kafka::ErrorCode;

/// Partitions of a topic that are being read.
pub(crate) struct Reading {
    cluster: Cluster,
    topic: ByteString,
    fetcher: Fetcher,
}

impl Reading {
    /// From these offsets on, by partition.
    pub(crate) fn new(cluster: Cluster, topic: ByteString, positions: BTreeMap<i32, i64>) -> Self {
        let fetcher = Fetcher::new(cluster.clone(), topic.clone(), positions, FetchOptions::default());
        Self {
            cluster,
            topic,
            fetcher,
        }
    }

    /// The next offset to be handed out, by partition.
    pub(crate) fn positions(&self) -> BTreeMap<i32, i64> {
        self.fetcher.positions()
    }

    /// The next batches; none from time to time. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Vec<FetchedBatch>> {
        if self.positions().is_empty() {
            // There is nothing to wait for.
            return std::future::pending().await;
        }
        match self.fetcher.next().await {
            Ok(batches) => Ok(batches),
            Err(error) if error.code() == Some(ErrorCode::OffsetOutOfRange) => self.relocate(error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on at the first record there is, and says what was skipped.
    async fn relocate(&mut self, error: ClientError) -> Result<Vec<FetchedBatch>> {
        let positions = self.positions();
        let partitions: Vec<i32> = positions.keys().copied().collect();
        let starts = list_offsets(&self.cluster, &self.topic, &partitions, OffsetSpec::Earliest).await?;
        let ends = list_offsets(&self.cluster, &self.topic, &partitions, OffsetSpec::Latest).await?;
        let mut moved = false;
        for (partition, position) in positions {
            let (Some(start), Some(end)) = (starts.get(&partition), ends.get(&partition)) else {
                continue;
            };
            let topic = &self.topic;
            if position < *start {
                let missed = start.saturating_sub(position);
                eprintln!(
                    "tailrace: partition {partition} of {topic}: {missed} offsets were deleted before they were read"
                );
            } else if position > *end {
                eprintln!(
                    "tailrace: partition {partition} of {topic} now ends at {end}; reading it from its beginning"
                );
            } else {
                continue;
            }
            self.fetcher.seek(partition, *start);
            moved = true;
        }
        match moved {
            true => Ok(Vec::new()),
            false => Err(error.into()),
        }
    }
}
