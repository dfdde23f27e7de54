//! DescribeClientQuotas 0-1 (KIP-546): the quotas of the entities that a filter picks.

use std::collections::BTreeSet;

use tailrace_shared::kafka::messages::describe_client_quotas::{ComponentData, EntityData, EntryData, ValueData};
use tailrace_shared::kafka::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::quota_wire::{CLIENT_ID, IP, USER};
use super::refusal::{Refusal, outcome};
use crate::catalog::acl::{Operation, Resource};
use crate::catalog::{Quota, QuotaEntity, QuotaKind, QuotaName, Quotas};
use crate::kafka::context::{Call, Context};

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;

pub(in crate::kafka) async fn describe_client_quotas(
    context: &Context,
    call: &Call,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let allowed = context
        .authorize(call, Operation::DescribeConfigs, Resource::CLUSTER)
        .map_err(|code| Refusal::new(code, "DescribeConfigs is not allowed on the cluster"));
    let picked = allowed
        .and_then(|()| check(&request.components))
        .map(|()| pick(&request, &context.broker.quotas()));
    let entries = picked.as_ref().ok().cloned();
    let (error_code, error_message) = outcome(picked.map(drop));
    DescribeClientQuotasResponse {
        error_code,
        error_message,
        entries,
        ..Default::default()
    }
}

fn check(components: &[ComponentData]) -> Result<(), Refusal> {
    let mut kinds = BTreeSet::new();
    for component in components {
        let kind = &*component.entity_type;
        if ![USER, CLIENT_ID, IP].contains(&kind) {
            return Err(Refusal::invalid(format!(
                "{kind:?} is no entity; there are user and client-id"
            )));
        }
        if !kinds.insert(kind) {
            return Err(Refusal::invalid(format!("{kind} is there twice")));
        }
        match (component.match_type, &component.match_) {
            (EXACT, Some(_)) | (DEFAULT | ANY, None) => {}
            (EXACT, None) => return Err(Refusal::invalid("an exact match needs a name")),
            (DEFAULT | ANY, Some(_)) => return Err(Refusal::invalid("only an exact match has a name")),
            (other, _) => return Err(Refusal::invalid(format!("there is no match type {other}"))),
        }
    }
    Ok(())
}

fn pick(request: &DescribeClientQuotasRequest, quotas: &Quotas) -> Vec<EntryData> {
    let component = |kind: &str| {
        let mut components = request.components.iter();
        components.find(|component| component.entity_type == *kind)
    };
    let (user, client_id) = (component(USER), component(CLIENT_ID));
    if component(IP).is_some() {
        // No address has quotas.
        return Vec::new();
    }
    let picks = |entity: &QuotaEntity| {
        matches(user, entity.user.as_ref(), request.strict)
            && matches(client_id, entity.client_id.as_ref(), request.strict)
    };
    let picked = quotas.iter().filter(|(entity, _)| picks(entity));
    picked.map(|(entity, quota)| entry(entity, quota)).collect()
}

fn matches(component: Option<&ComponentData>, name: Option<&QuotaName>, strict: bool) -> bool {
    let Some(component) = component else {
        return name.is_none() || !strict;
    };
    match (component.match_type, name) {
        (_, None) => false,
        (EXACT, Some(QuotaName::Named(name))) => component.match_.as_deref() == Some(name),
        (DEFAULT, Some(QuotaName::Default)) => true,
        (match_type, Some(_)) => match_type == ANY,
    }
}

fn entry(entity: &QuotaEntity, quota: &Quota) -> EntryData {
    let parts = [(USER, &entity.user), (CLIENT_ID, &entity.client_id)];
    let part = |(kind, name): (&'static str, &Option<QuotaName>)| {
        name.as_ref().map(|name| EntityData {
            entity_type: kind.into(),
            // On the wire no name is the default.
            entity_name: match name {
                QuotaName::Default => None,
                QuotaName::Named(name) => Some(name.as_str().into()),
            },
        })
    };
    EntryData {
        entity: parts.into_iter().filter_map(part).collect(),
        values: QuotaKind::ALL
            .into_iter()
            .filter_map(|kind| value(kind, quota))
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "Kafka's protocol has no other form for it")]
fn value(kind: QuotaKind, quota: &Quota) -> Option<ValueData> {
    quota.get(kind).map(|rate| ValueData {
        key: kind.name().into(),
        value: (rate as f64).into(),
    })
}
