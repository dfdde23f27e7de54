//! Adding and removing access control entries.

use super::acl::{AclBinding, AclFilter, AclSet};
use super::change::Change;
use super::commit::{Catalog, Plan};
use super::error::CatalogError;

/// The most entries there may be; each costs memory, and time at each change.
pub const ACLS_MAX: usize = 10_000;

/// No entry was added.
#[derive(Debug, thiserror::Error)]
pub enum CreateAclsError {
    /// More than [`ACLS_MAX`].
    #[error("there are {there} access control entries, and at most {ACLS_MAX} are kept: use prefixed ones")]
    TooMany {
        /// How many there are.
        there: usize,
    },
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Catalog {
    /// Adds entries, all or none; those that are there already stay. They must have been checked.
    pub async fn create_acls(&self, entries: Vec<AclBinding>) -> Result<(), CreateAclsError> {
        let created = self.commit(|view, _| {
            let missing = |entry: &&AclBinding| !view.acls().contains(entry);
            let add: Vec<_> = entries.iter().filter(missing).cloned().collect();
            let there = view.acls().len();
            if there + add.len() > ACLS_MAX {
                return Err(CreateAclsError::TooMany { there });
            }
            Ok(change(add, Vec::new(), ()))
        });
        created.await.map(drop)
    }

    /// Removes what each of the filters picks; says what that was, filter by filter.
    pub async fn delete_acls(&self, filters: &[AclFilter]) -> Result<Vec<Vec<AclBinding>>, CatalogError> {
        let deleted = self.commit(|view, _| {
            let picked: Vec<_> = filters.iter().map(|filter| picked_by(filter, view.acls())).collect();
            let remove = picked.iter().flatten().cloned().collect();
            Ok::<_, CatalogError>(change(Vec::new(), remove, picked))
        });
        let (_, picked) = deleted.await?;
        Ok(picked)
    }
}

fn picked_by(filter: &AclFilter, entries: &AclSet) -> Vec<AclBinding> {
    entries.iter().filter(|entry| filter.picks(entry)).cloned().collect()
}

fn change<T>(add: Vec<AclBinding>, remove: Vec<AclBinding>, outcome: T) -> Plan<T> {
    if add.is_empty() && remove.is_empty() {
        return Plan::Nothing(outcome);
    }
    Plan::Change(Change::AclsChanged { add, remove }, outcome)
}
