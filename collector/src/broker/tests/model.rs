//! What a partition must hold: the batches that were acknowledged, each once and in order, and perhaps some of those
//! whose answer a crash has taken.

use std::collections::HashMap;

use super::machine::Found;

/// A batch that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) values: Vec<String>,
    pub(super) appended_at: i64,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    /// Acknowledged, by base offset.
    acknowledged: Vec<(i64, Sent)>,
    /// Sent and never answered, by first value.
    in_doubt: HashMap<String, Sent>,
    /// Nothing below this may be missed.
    pub(super) log_start_max: i64,
}

impl Model {
    pub(super) fn acknowledge(&mut self, base_offset: i64, sent: Sent) {
        self.in_doubt.remove(&sent.values[0]);
        self.acknowledged.push((base_offset, sent));
        self.acknowledged.sort_by_key(|(base_offset, _)| *base_offset);
    }

    pub(super) fn doubt(&mut self, sent: Sent) {
        self.in_doubt.insert(sent.values[0].clone(), sent);
    }

    pub(super) fn acknowledged(&self) -> &[(i64, Sent)] {
        &self.acknowledged
    }

    /// Retention or a request took everything below an offset, as far as it may.
    pub(super) fn forget_below(&mut self, log_start: i64) {
        self.acknowledged
            .retain(|(base_offset, sent)| base_offset + sent.len() > log_start);
    }

    /// Compares with all that a broker gives, and takes over what it found of the batches in doubt.
    pub(super) fn check(&mut self, log_start: i64, found: &[Found]) {
        for pair in found.windows(2) {
            let end = pair[0].base_offset + i64::try_from(pair[0].values.len()).unwrap();
            assert_eq!(pair[1].base_offset, end, "offsets are dense");
        }
        let mut expected = self
            .acknowledged
            .iter()
            .filter(|(base, sent)| base + sent.len() > log_start)
            .peekable();
        let mut landed = Vec::new();
        for batch in found {
            match expected.peek() {
                Some((base_offset, sent)) if *base_offset == batch.base_offset => {
                    assert_eq!(sent.values, batch.values, "at offset {base_offset}");
                    expected.next();
                }
                _ => {
                    let sent = self.in_doubt.get(&batch.values[0]);
                    let sent = sent.unwrap_or_else(|| panic!("{batch:?} was never sent, or is there twice"));
                    assert_eq!(sent.values, batch.values);
                    landed.push((batch.base_offset, sent.clone()));
                }
            }
        }
        assert_eq!(
            expected.next(),
            None,
            "acknowledged and lost; the log starts at {log_start}"
        );
        for (base_offset, sent) in landed {
            self.acknowledge(base_offset, sent);
        }
    }

    /// What is in doubt no longer can come.
    pub(super) fn settle(&mut self) {
        self.in_doubt.clear();
    }
}

impl Sent {
    pub(super) fn len(&self) -> i64 {
        i64::try_from(self.values.len()).unwrap()
    }
}
