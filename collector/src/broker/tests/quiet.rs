//! A broker that is left alone gives back what it holds.

use std::time::Duration;

use super::machine::{Machine, batch, create_topic, partition, read_all};
use crate::broker::{Broker, MaintenanceIntervals};

const BATCHES: usize = 48;
/// Less than that is left where it is, and it is a small part of what all batches take.
const LITTLE: u64 = 8 << 20;
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_quiet_broker_moves_its_wal_into_segments_and_keeps_little_in_memory() {
    let mut machine = Machine::new(31);
    let mut options = machine.options().unwrap();
    // Nothing but the quiet closes a file.
    options.wal.file_bytes = 32 << 20;
    options.wal.cache_bytes = 32 << 20;
    options.wal.max_frame_bytes = 1 << 20;
    options.wal.commit_bytes_max = 1 << 20;
    options.maintenance = Some(MaintenanceIntervals {
        roll: HOUR,
        quiet: Duration::from_millis(20),
        retention: HOUR,
        compaction: HOUR,
        retry: Duration::from_millis(20),
    });
    let broker = Broker::open(options).await.unwrap();
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    for _ in 0..BATCHES {
        let appended = partition.append(vec![batch(&[incompressible(512 << 10)], 1)]).await;
        appended.unwrap();
    }
    let until_at_rest = async {
        while broker.wal_stats().cache_bytes.max(broker.wal_stats().backlog_bytes) > LITTLE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let patience = tokio::time::timeout(Duration::from_secs(60), until_at_rest).await;
    assert!(patience.is_ok(), "{:?}", broker.wal_stats());
    assert_eq!(read_all(&partition, 1 << 20).await.len(), BATCHES);
}

fn incompressible(len: usize) -> String {
    let mut state = 0x9E37_79B9_u32;
    let digit = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(b' ' + (state % 95) as u8)
    };
    std::iter::repeat_with(digit).take(len).collect()
}
