//! What a broker claims for itself and no other may ever have: incarnations and blocks of producer ids.

use std::ops::Range;

use super::change::Change;
use super::commit::{Catalog, Plan};
use super::error::CatalogError;

const PRODUCER_ID_BLOCK: i64 = 1000;

impl Catalog {
    /// A number for this start of the broker, higher than any claimed before by any broker of the cluster.
    pub async fn claim_incarnation(&self, broker_id: i32) -> Result<u64, CatalogError> {
        let claimed = self.commit(|view, _| {
            let incarnation = view.last_incarnation() + 1;
            let change = Change::IncarnationClaimed { broker_id, incarnation };
            Ok::<_, CatalogError>(Plan::Change(change, incarnation))
        });
        Ok(claimed.await?.1)
    }

    /// A block of producer ids that no broker of the cluster was given before.
    pub async fn claim_producer_ids(&self) -> Result<Range<i64>, CatalogError> {
        let claimed = self.commit(|view, _| {
            let start = view.next_producer_id();
            let end = start.checked_add(PRODUCER_ID_BLOCK);
            let end = end.ok_or(CatalogError::ProducerIdsExhausted)?;
            Ok::<_, CatalogError>(Plan::Change(Change::ProducerIdsClaimed { start, end }, start..end))
        });
        Ok(claimed.await?.1)
    }
}
