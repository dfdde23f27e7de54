//! Access control entries, users' credentials and quotas, as the catalog has them.

use std::sync::Arc;

use tailrace_shared::sasl::Credential;

use super::Broker;
use crate::catalog::acl::{AclBinding, AclFilter, AclSet};
use crate::catalog::{
    AlterCredentialsError, AlterQuotasError, CatalogError, CreateAclsError, CredentialKey, Credentials, QuotaEdit,
    Quotas,
};

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

    /// All users' credentials.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(self.catalog.view().credentials())
    }

    /// Sets and removes credentials, all at once.
    pub async fn alter_credentials(
        &self,
        set: Vec<(CredentialKey, Credential)>,
        remove: Vec<CredentialKey>,
    ) -> Result<(), AlterCredentialsError> {
        self.catalog.alter_credentials(set, remove).await
    }

    /// All quotas.
    #[must_use]
    pub fn quotas(&self) -> Arc<Quotas> {
        Arc::clone(self.catalog.view().quotas())
    }

    /// Makes all the changes at once.
    pub async fn alter_quotas(&self, edits: &[QuotaEdit]) -> Result<(), AlterQuotasError> {
        self.catalog.alter_quotas(edits).await
    }
}
