//! The objects of the series: their names, and the JSON in them with its format number and checksum.

use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

use super::change::Change;
use super::error::CatalogError;
use super::view::{CatalogView, ViewState};

/// The prefix of all objects of the catalog.
pub(super) const PREFIX: &str = "catalog";
const FORMAT: u64 = 1;

/// What an object's name says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// The changes that make this version.
    Changes(u64),
    /// The whole state at this version.
    Snapshot(u64),
}

impl Name {
    pub(super) fn path(self) -> Path {
        match self {
            Self::Changes(version) => Path::from(format!("{PREFIX}/{version:020}.json")),
            Self::Snapshot(version) => Path::from(format!("{PREFIX}/{version:020}.snapshot.json")),
        }
    }

    /// `None` for an object that is not of the catalog.
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let name = path.as_ref().strip_prefix(PREFIX)?.strip_prefix('/')?;
        let (digits, suffix) = name.split_at_checked(20)?;
        let version = digits.parse().ok()?;
        match suffix {
            ".json" => Some(Self::Changes(version)),
            ".snapshot.json" => Some(Self::Snapshot(version)),
            _ => None,
        }
    }

    pub(super) fn version(self) -> u64 {
        match self {
            Self::Changes(version) | Self::Snapshot(version) => version,
        }
    }
}

/// The body of [`Name::Changes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: u64,
    /// By it a writer recognises its own document when the store's answer did not say who won.
    pub(super) token: Uuid,
    pub(super) written_at_ms: TimestampMs,
    pub(super) changes: Vec<Change>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    version: u64,
    state: ViewState,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    format: u64,
    crc32c: String,
    body: Value,
}

pub(super) fn encode_document(document: &Document) -> Result<Vec<u8>, CatalogError> {
    seal(Name::Changes(document.version), document)
}

pub(super) fn decode_document(version: u64, bytes: &[u8]) -> Result<Document, CatalogError> {
    let name = Name::Changes(version);
    let document: Document = unseal(name, bytes)?;
    check_version(name, document.version)?;
    Ok(document)
}

pub(super) fn encode_snapshot(view: &CatalogView) -> Result<Vec<u8>, CatalogError> {
    let snapshot = Snapshot {
        version: view.version(),
        state: ViewState::of(view),
    };
    seal(Name::Snapshot(view.version()), &snapshot)
}

pub(super) fn decode_snapshot(version: u64, bytes: &[u8]) -> Result<CatalogView, CatalogError> {
    let name = Name::Snapshot(version);
    let snapshot: Snapshot = unseal(name, bytes)?;
    check_version(name, snapshot.version)?;
    snapshot
        .state
        .into_view(version)
        .map_err(|misfit| damaged(name, misfit))
}

fn seal(name: Name, body: &impl Serialize) -> Result<Vec<u8>, CatalogError> {
    let body = serde_json::to_value(body).map_err(|error| damaged(name, error))?;
    let envelope = Envelope {
        format: FORMAT,
        crc32c: checksum(&body),
        body,
    };
    serde_json::to_vec_pretty(&envelope).map_err(|error| damaged(name, error))
}

fn unseal<T: DeserializeOwned>(name: Name, bytes: &[u8]) -> Result<T, CatalogError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| damaged(name, error))?;
    match value.get("format").and_then(Value::as_u64) {
        Some(found) if found > FORMAT => {
            return Err(CatalogError::NewerFormat {
                object: name.path().to_string(),
                found,
                known: FORMAT,
            });
        }
        Some(_) => {}
        None => return Err(damaged(name, "it has no format number")),
    }
    let envelope: Envelope = serde_json::from_value(value).map_err(|error| damaged(name, error))?;
    let computed = checksum(&envelope.body);
    if computed != envelope.crc32c {
        let reason = format!("its checksum is {computed}, not {} as it says", envelope.crc32c);
        return Err(damaged(name, reason));
    }
    serde_json::from_value(envelope.body).map_err(|error| damaged(name, error))
}

fn checksum(body: &Value) -> String {
    format!("{:08x}", crc_fast::crc32_iscsi(body.to_string().as_bytes()))
}

fn check_version(name: Name, found: u64) -> Result<(), CatalogError> {
    if found == name.version() {
        return Ok(());
    }
    Err(damaged(name, format!("it says that it is version {found}")))
}

fn damaged(name: Name, reason: impl ToString) -> CatalogError {
    match name {
        Name::Changes(_) => CatalogError::damaged(name.path(), reason),
        Name::Snapshot(_) => CatalogError::Damaged {
            object: name.path().to_string(),
            reason: reason.to_string(),
            remedy: "move this snapshot away: the one before it, and the documents since, hold the same",
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document() -> Document {
        Document {
            version: 7,
            token: Uuid::from_u128(9),
            written_at_ms: 1_795_000_000_000,
            changes: vec![Change::IncarnationClaimed {
                broker_id: 1,
                incarnation: 3,
            }],
        }
    }

    #[test]
    fn names_round_trip_and_strangers_are_ignored() {
        for name in [Name::Changes(7), Name::Snapshot(u64::MAX)] {
            assert_eq!(Name::parse(&name.path()), Some(name));
        }
        for stranger in [
            "catalog/readme.txt",
            "catalog/7.json",
            "catalog/00000000000000000007.tmp",
            "x/y",
        ] {
            assert_eq!(Name::parse(&Path::from(stranger)), None);
        }
        assert!(Name::Changes(7).path() < Name::Snapshot(7).path());
        assert!(Name::Snapshot(7).path() < Name::Changes(8).path());
    }

    #[test]
    fn a_newer_format_is_refused_by_number() {
        let error = decode_document(7, br#"{"format": 2, "anything": []}"#).unwrap_err();
        assert!(
            matches!(error, CatalogError::NewerFormat { found: 2, known: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let text = String::from_utf8(encode_document(&document()).unwrap()).unwrap();
        let error = decode_document(7, text.replacen('{', "{\"extra\": 1,", 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("extra"), "{error}");
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed_or_changes_nothing(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = encode_document(&document()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(decoded) = decode_document(7, &bytes) {
                prop_assert_eq!(decoded, document());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(decode_document(7, &bytes).is_err());
            prop_assert!(decode_snapshot(7, &bytes).is_err());
        }
    }
}
