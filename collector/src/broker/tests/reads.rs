//! What a consumer gets of that which is not in memory any more, and not in segments yet.

use super::machine::{Machine, batch, create_topic, open_batches, partition, read_all};
use crate::partition::ReadLimits;

const BATCHES: usize = 60;

#[tokio::test]
async fn frames_in_the_files_of_the_wal_are_read_many_at_once_and_within_every_limit() {
    let mut machine = Machine::new(41);
    let mut options = machine.options().unwrap();
    options.wal.cache_bytes = 0;
    options.wal.file_bytes = 1 << 20;
    let broker = crate::broker::Broker::open(options).await.unwrap();
    create_topic(&broker, 1, &[]).await;
    let partition = partition(&broker, 0);
    let mut bytes = 0;
    for number in 0..BATCHES {
        let one = batch(&[number.to_string()], 1);
        bytes = one.bytes.len();
        partition.append(vec![one]).await.unwrap();
    }
    let limits = ReadLimits {
        max_bytes: 10 * bytes + 1,
        at_least_one: true,
    };
    let read = open_batches(partition.read(7, limits).await.unwrap().batches);
    let values: Vec<_> = read.into_iter().flat_map(|batch| batch.values).collect();
    let expected: Vec<_> = (7..17).map(|number: i32| number.to_string()).collect();
    assert_eq!(values, expected);
    for step_bytes in [1, bytes, 3 * bytes, 1 << 20] {
        let all = read_all(&partition, step_bytes).await;
        assert_eq!(all.len(), BATCHES);
        assert!(all.iter().zip(0..).all(|(found, offset)| found.base_offset == offset));
    }
    broker.shut_down().await.unwrap();
}
