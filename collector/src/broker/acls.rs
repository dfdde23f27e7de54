//! Access control entries, as the catalog has them.

use std::sync::Arc;

use super::Broker;
use crate::catalog::acl::{AclBinding, AclFilter, AclSet};
use crate::catalog::{CatalogError, CreateAclsError};

impl Broker {
    /// All access control entries.
    #[must_use]
    pub fn acls(&self) -> Arc<AclSet> {
        Arc::clone(self.catalog.view().acls())
    }

    /// Adds entries, all or none. They must have been checked.
    pub async fn create_acls(&self, entries: Vec<AclBinding>) -> Result<(), CreateAclsError> {
        self.catalog.create_acls(entries).await
    }

    /// Removes what each of the filters picks; says what that was, filter by filter.
    pub async fn delete_acls(&self, filters: &[AclFilter]) -> Result<Vec<Vec<AclBinding>>, CatalogError> {
        self.catalog.delete_acls(filters).await
    }
}
