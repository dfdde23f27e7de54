//! AlterClientQuotas 0-1 (KIP-546): sets and removes quotas; durable when it is answered. What is wrong for one entity
//! changes nothing of that entity. Only what is enforced can be set.

use tailrace_shared::kafka::messages::alter_client_quotas::{EntityData, EntryData, EntryResult, OpData};
use tailrace_shared::kafka::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use super::quota_wire::{CLIENT_ID, IP, USER};
use super::refusal::{Refusal, outcome};
use crate::catalog::acl::{Operation, Resource};
use crate::catalog::{QuotaEdit, QuotaEntity, QuotaKind, QuotaName};
use crate::kafka::context::{Call, Context};

/// Longer names are refused.
const NAME_BYTES_MAX: usize = 1024;

pub(in crate::kafka) async fn alter_client_quotas(
    context: &Context,
    call: &Call,
    request: AlterClientQuotasRequest,
) -> AlterClientQuotasResponse {
    let allowed = context
        .authorize(call, Operation::AlterConfigs, Resource::CLUSTER)
        .map_err(|code| Refusal::new(code, "AlterConfigs is not allowed on the cluster"));
    let decode = |entry: &EntryData| allowed.clone().and_then(|()| edits(entry));
    let decoded: Vec<Result<Vec<QuotaEdit>, Refusal>> = request.entries.iter().map(decode).collect();
    let altered = if request.validate_only {
        Ok(())
    } else {
        let good: Vec<QuotaEdit> = decoded.iter().flatten().flatten().cloned().collect();
        let altered = context.broker.alter_quotas(&good).await;
        altered.map_err(Refusal::from)
    };
    let result = |(entry, decoded): (EntryData, Result<_, Refusal>)| {
        let (error_code, error_message) = outcome(decoded.map(drop).and(altered.clone()));
        EntryResult {
            error_code,
            error_message,
            entity: entry.entity,
        }
    };
    AlterClientQuotasResponse {
        entries: request.entries.into_iter().zip(decoded).map(result).collect(),
        ..Default::default()
    }
}

fn edits(entry: &EntryData) -> Result<Vec<QuotaEdit>, Refusal> {
    let entity = entity(&entry.entity)?;
    let edit = |op: &OpData| {
        let (kind, value) = (kind(&op.key)?, if op.remove { None } else { Some(rate(op)?) });
        let entity = entity.clone();
        Ok(QuotaEdit { entity, kind, value })
    };
    entry.ops.iter().map(edit).collect()
}

fn entity(parts: &[EntityData]) -> Result<QuotaEntity, Refusal> {
    let mut entity = QuotaEntity {
        user: None,
        client_id: None,
    };
    for part in parts {
        let place = match &*part.entity_type {
            USER => &mut entity.user,
            CLIENT_ID => &mut entity.client_id,
            IP => {
                return Err(Refusal::invalid(
                    "there are no quotas for addresses here; kafka.connections_per_address_max of the collector's \
                     configuration file bounds their connections",
                ));
            }
            other => {
                let message = format!("{other:?} is no entity; there are user and client-id");
                return Err(Refusal::invalid(message));
            }
        };
        if place.replace(name(part)?).is_some() {
            return Err(Refusal::invalid(format!("{} is there twice", part.entity_type)));
        }
    }
    if entity.user.is_none() && entity.client_id.is_none() {
        return Err(Refusal::invalid("an entity is a user, a client-id, or both"));
    }
    Ok(entity)
}

fn name(part: &EntityData) -> Result<QuotaName, Refusal> {
    match part.entity_name.as_deref() {
        None => Ok(QuotaName::Default),
        Some(name) if name.is_empty() || name.len() > NAME_BYTES_MAX => {
            let kind = &part.entity_type;
            let message = format!("the name of a {kind} has 1 to {NAME_BYTES_MAX} bytes; the default is null");
            Err(Refusal::invalid(message))
        }
        Some(name) => Ok(QuotaName::Named(name.to_owned())),
    }
}

fn kind(key: &str) -> Result<QuotaKind, Refusal> {
    QuotaKind::from_name(key).ok_or_else(|| {
        let message = format!("{key:?} is not enforced here; producer_byte_rate and consumer_byte_rate are");
        Refusal::invalid(message)
    })
}

/// Kafka's clients send a whole number of bytes as a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is whole and at least 1; beyond u64 it saturates, and nothing is as fast as that"
)]
fn rate(op: &OpData) -> Result<u64, Refusal> {
    let value = op.value.get();
    if value >= 1.0 && value.fract() == 0.0 {
        return Ok(value as u64);
    }
    let message = format!(
        "{}={value} is not a whole number of bytes per second, at least 1",
        op.key
    );
    Err(Refusal::invalid(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(parts: &[(&str, Option<&str>)], key: &str, value: f64) -> EntryData {
        let part = |(kind, name): &(&str, Option<&str>)| EntityData {
            entity_type: (*kind).into(),
            entity_name: name.map(Into::into),
        };
        EntryData {
            entity: parts.iter().map(part).collect(),
            ops: vec![OpData {
                key: key.into(),
                value: value.into(),
                remove: false,
            }],
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        const RATE: &str = "producer_byte_rate";
        let ann = [(USER, Some("ann"))];
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (entry, reason) in [
            (entry(&[], RATE, 1.0), "a user, a client-id, or both"),
            (
                entry(&[(USER, None), (USER, Some("ann"))], RATE, 1.0),
                "user is there twice",
            ),
            (entry(&[(USER, Some(""))], RATE, 1.0), "1 to 1024 bytes"),
            (entry(&[(CLIENT_ID, Some(&long))], RATE, 1.0), "1 to 1024 bytes"),
            (entry(&[(IP, None)], RATE, 1.0), "connections_per_address_max"),
            (entry(&[("group", None)], RATE, 1.0), "\"group\" is no entity"),
            (
                entry(&ann, "request_percentage", 1.0),
                "\"request_percentage\" is not enforced",
            ),
            (entry(&ann, RATE, 0.5), "producer_byte_rate=0.5 is not a whole"),
            (entry(&ann, RATE, 1.5), "is not a whole"),
            (entry(&ann, RATE, -3.0), "is not a whole"),
            (entry(&ann, RATE, f64::NAN), "is not a whole"),
            (entry(&ann, RATE, f64::INFINITY), "is not a whole"),
        ] {
            let refusal = edits(&entry).unwrap_err();
            assert!(refusal.message.contains(reason), "{}", refusal.message);
        }
        assert_eq!(edits(&entry(&ann, RATE, 1e300)).unwrap()[0].value, Some(u64::MAX));
    }
}
