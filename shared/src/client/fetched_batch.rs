//! A batch as a consumer gets it: whole, with the records before the asked offset still to be left out.

use crate::record::{BatchError, BatchView, RecordView};

/// A batch as fetched. It may begin before the offset that was asked for.
#[derive(Debug, Clone)]
pub struct FetchedBatch {
    /// Where it comes from.
    pub partition: i32,
    /// End of the partition as the broker knew it.
    pub high_watermark: i64,
    /// The batch as a whole.
    pub batch: BatchView,
    pub(super) from_offset: i64,
    pub(super) uncompressed_max: usize,
}

impl FetchedBatch {
    /// The records from the asked offset on. Transaction markers hold none.
    pub fn records(&self) -> Result<impl Iterator<Item = Result<RecordView, BatchError>> + use<>, BatchError> {
        let is_data = !self.batch.header.attributes.is_control();
        let from_offset = self.from_offset;
        let records = is_data.then(|| self.batch.records(self.uncompressed_max)).transpose()?;
        let wanted = move |record: &Result<RecordView, BatchError>| {
            record.as_ref().map_or(true, |record| record.offset >= from_offset)
        };
        Ok(records.into_iter().flatten().filter(wanted))
    }
}
