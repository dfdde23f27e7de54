//! Quotas: how many bytes per second a user, a client id, or one through the other may write and read (KIP-13, KIP-546).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::commit::{Catalog, Plan};
use super::error::CatalogError;

/// The most entities that may have quotas.
pub const QUOTAS_MAX: usize = 10_000;

/// Whom a quota is for: a user, a client id, or both together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaEntity {
    /// The user's name; `None` where it does not matter.
    pub user: Option<QuotaName>,
    /// The client id; `None` where it does not matter.
    pub client_id: Option<QuotaName>,
}

/// One name, or all that have no quota by their name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaName {
    /// Whoever has no quota by name.
    Default,
    /// This one.
    Named(String),
}

/// What a quota limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// What is produced.
    Produce,
    /// What is fetched.
    Fetch,
}

impl QuotaKind {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Produce, Self::Fetch];

    /// Kafka's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
        }
    }

    /// The kind of Kafka's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An entity's quotas, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Of what is produced.
    pub producer_byte_rate: Option<u64>,
    /// Of what is fetched.
    pub consumer_byte_rate: Option<u64>,
}

impl Quota {
    /// The limit of this kind.
    #[must_use]
    pub fn get(&self, kind: QuotaKind) -> Option<u64> {
        match kind {
            QuotaKind::Produce => self.producer_byte_rate,
            QuotaKind::Fetch => self.consumer_byte_rate,
        }
    }

    fn set(&mut self, kind: QuotaKind, value: Option<u64>) {
        match kind {
            QuotaKind::Produce => self.producer_byte_rate = value,
            QuotaKind::Fetch => self.consumer_byte_rate = value,
        }
    }
}

/// All quotas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas(BTreeMap<QuotaEntity, Quota>);

/// The quota that holds for somebody, and with whom it is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many bytes per second.
    pub bytes_per_second: u64,
    /// Each user has its own share.
    pub by_user: bool,
    /// Each client id has its own share.
    pub by_client_id: bool,
}

impl Quotas {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Entities and their quotas.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &Quota)> {
        self.0.iter()
    }

    /// What holds for this user with this client id: of all entities that fit and limit this, Kafka's most specific one.
    #[must_use]
    pub fn limit(&self, kind: QuotaKind, user: &str, client_id: &str) -> Option<Limit> {
        let named = |name: &str| Some(QuotaName::Named(name.to_owned()));
        let (user, client_id, default) = (named(user), named(client_id), Some(QuotaName::Default));
        let by_precedence = [
            (&user, &client_id),
            (&user, &default),
            (&user, &None),
            (&default, &client_id),
            (&default, &default),
            (&default, &None),
            (&None, &client_id),
            (&None, &default),
        ];
        by_precedence.into_iter().find_map(|(user, client_id)| {
            let (user, client_id) = (user.clone(), client_id.clone());
            let (by_user, by_client_id) = (user.is_some(), client_id.is_some());
            let quota = self.0.get(&QuotaEntity { user, client_id })?;
            quota.get(kind).map(|bytes_per_second| Limit {
                bytes_per_second,
                by_user,
                by_client_id,
            })
        })
    }

    /// An entity whose quotas are all gone is gone itself.
    pub(super) fn set(&mut self, QuotaEntry { entity, quota }: QuotaEntry) {
        if quota == Quota::default() {
            self.0.remove(&entity);
        } else {
            self.0.insert(entity, quota);
        }
    }

    fn entry(&self, entity: &QuotaEntity) -> QuotaEntry {
        let quota = self.0.get(entity).copied().unwrap_or_default();
        let entity = entity.clone();
        QuotaEntry { entity, quota }
    }

    pub(super) fn entries(&self) -> Vec<QuotaEntry> {
        self.0.keys().map(|entity| self.entry(entity)).collect()
    }
}

/// One change of one quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaEdit {
    /// Whose.
    pub entity: QuotaEntity,
    /// Which.
    pub kind: QuotaKind,
    /// Bytes per second from now on; `None` takes it away.
    pub value: Option<u64>,
}

/// No quota was changed.
#[derive(Debug, thiserror::Error)]
pub enum AlterQuotasError {
    /// More than [`QUOTAS_MAX`].
    #[error("at most {QUOTAS_MAX} entities may have quotas: use defaults")]
    TooMany,
    /// The catalog could not be changed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Catalog {
    /// Makes all the changes at once, one after another; those that change nothing are fine.
    pub async fn alter_quotas(&self, edits: &[QuotaEdit]) -> Result<(), AlterQuotasError> {
        let altered = self.commit(|view, _| {
            let (before, mut after) = (view.quotas(), Quotas::clone(view.quotas()));
            for edit in edits {
                let mut entry = after.entry(&edit.entity);
                entry.quota.set(edit.kind, edit.value);
                after.set(entry);
            }
            if after == **before {
                return Ok(Plan::Nothing(()));
            }
            if after.0.len() > QUOTAS_MAX.max(before.0.len()) {
                return Err(AlterQuotasError::TooMany);
            }
            let mut entities: Vec<_> = edits.iter().map(|edit| &edit.entity).collect();
            entities.sort();
            entities.dedup();
            let set = entities.into_iter().map(|entity| after.entry(entity)).collect();
            Ok(Plan::Change(Change::QuotasChanged { set }, ()))
        });
        altered.await.map(drop)
    }
}

/// An entity and its quotas as they stand in the catalog's documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuotaEntry {
    entity: QuotaEntity,
    quota: Quota,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<QuotaName> {
        match text {
            "" => None,
            "*" => Some(QuotaName::Default),
            name => Some(QuotaName::Named(name.to_owned())),
        }
    }

    fn quotas(entries: &[(&str, &str, Option<u64>, Option<u64>)]) -> Quotas {
        let mut quotas = Quotas::default();
        for &(user, client_id, producer_byte_rate, consumer_byte_rate) in entries {
            quotas.set(QuotaEntry {
                entity: QuotaEntity {
                    user: name(user),
                    client_id: name(client_id),
                },
                quota: Quota {
                    producer_byte_rate,
                    consumer_byte_rate,
                },
            });
        }
        quotas
    }

    #[test]
    fn the_most_specific_entity_that_limits_this_decides() {
        // In Kafka's order: each holds only where all before it are gone.
        let by_precedence = [
            ("ann", "app"),
            ("ann", "*"),
            ("ann", ""),
            ("*", "app"),
            ("*", "*"),
            ("*", ""),
            ("", "app"),
            ("", "*"),
        ];
        for gone in 0..by_precedence.len() {
            let rest = by_precedence.iter().enumerate().skip(gone);
            let entries: Vec<_> = rest
                .map(|(rate, (user, id))| (*user, *id, Some(rate as u64 + 1), None))
                .collect();
            let limit = quotas(&entries).limit(QuotaKind::Produce, "ann", "app").unwrap();
            let (user, client_id) = by_precedence[gone];
            assert_eq!(limit.bytes_per_second, gone as u64 + 1);
            assert_eq!(
                (limit.by_user, limit.by_client_id),
                (!user.is_empty(), !client_id.is_empty())
            );
            assert_eq!(quotas(&entries).limit(QuotaKind::Fetch, "ann", "app"), None);
        }
    }

    #[test]
    fn an_entity_that_limits_something_else_does_not_stand_in_the_way() {
        let quotas = quotas(&[("ann", "", Some(1), None), ("*", "", Some(2), Some(3))]);
        let limit = |kind, user| quotas.limit(kind, user, "").map(|limit| limit.bytes_per_second);
        assert_eq!(limit(QuotaKind::Produce, "ann"), Some(1));
        assert_eq!(limit(QuotaKind::Fetch, "ann"), Some(3));
        assert_eq!(limit(QuotaKind::Produce, "bob"), Some(2));
    }

    #[test]
    fn an_entry_in_a_document_reads_like_a_sentence() {
        let entry = quotas(&[("ann", "*", Some(1000), None)]).entries().remove(0);
        let json = serde_json::json!({
            "entity": { "user": { "named": "ann" }, "client_id": "default" },
            "quota": { "producer_byte_rate": 1000, "consumer_byte_rate": null },
        });
        assert_eq!(serde_json::to_value(&entry).unwrap(), json);
        assert_eq!(serde_json::from_value::<QuotaEntry>(json).unwrap(), entry);
    }
}
