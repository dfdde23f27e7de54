//! Users and the quotas of clients.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::alter_client_quotas::{EntityData, EntryData, OpData};
use tailrace_shared::kafka::messages::alter_user_scram_credentials::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use tailrace_shared::kafka::messages::describe_client_quotas::ComponentData;
use tailrace_shared::kafka::messages::describe_user_scram_credentials::UserName;
use tailrace_shared::kafka::messages::*;

use super::{OK, code};
use crate::support::*;

pub(super) async fn credentials(client: &mut Client, version: i16) {
    let set = |name: &str, iterations| ScramCredentialUpsertion {
        name: text(name),
        mechanism: 1,
        iterations,
        salt: "salt".into(),
        salted_password: vec![7; 32].into(),
    };
    let remove = |name: &str| ScramCredentialDeletion {
        name: text(name),
        mechanism: 1,
    };
    let change = AlterUserScramCredentialsRequest {
        deletions: vec![remove("nobody")],
        upsertions: vec![set("ann", 4096), set("bob", 1)],
    };
    let answer = client.ask(&change, version).await;
    let found = answer.results.iter().map(|result| (&*result.user, result.error_code));
    let expected = [
        ("ann", OK),
        ("bob", code(ErrorCode::UnacceptableCredential)),
        ("nobody", code(ErrorCode::ResourceNotFound)),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let answer = client
        .ask(&DescribeUserScramCredentialsRequest::default(), version)
        .await;
    let found = answer
        .results
        .iter()
        .map(|result| (&*result.user, result.credential_infos[0].iterations));
    assert_eq!(found.collect::<Vec<_>>(), [("ann", 4096)]);
    let change = AlterUserScramCredentialsRequest {
        deletions: vec![remove("ann")],
        upsertions: vec![],
    };
    assert_eq!(client.ask(&change, version).await.results[0].error_code, OK);
    let users = Some(vec![UserName { name: text("ann") }]);
    let answer = client
        .ask(&DescribeUserScramCredentialsRequest { users }, version)
        .await;
    assert_eq!(answer.results[0].error_code, code(ErrorCode::ResourceNotFound));
}

pub(super) async fn quotas(client: &mut Client, version: i16) {
    let part = |kind: &str, name: Option<&str>| EntityData {
        entity_type: text(kind),
        entity_name: name.map(text),
    };
    let set = |entity, key: &str, rate: Option<f64>| EntryData {
        entity,
        ops: vec![OpData {
            key: text(key),
            value: rate.unwrap_or_default().into(),
            remove: rate.is_none(),
        }],
    };
    let ann = || vec![part("user", Some("ann"))];
    let app = || vec![part("client-id", Some("app")), part("user", None)];
    let both = |rate| {
        vec![
            set(ann(), "producer_byte_rate", rate),
            set(app(), "consumer_byte_rate", rate),
            set(ann(), "request_percentage", rate),
        ]
    };
    let invalid = code(ErrorCode::InvalidRequest);
    for (validate_only, rate, there) in [(true, Some(5e9), 0), (false, Some(5e9), 2), (false, None, 0)] {
        let request = AlterClientQuotasRequest {
            entries: both(rate),
            validate_only,
        };
        let answer = client.ask(&request, version).await;
        let codes: Vec<_> = answer.entries.iter().map(|entry| entry.error_code).collect();
        assert_eq!(codes, [OK, OK, invalid]);
        assert_eq!(answer.entries[1].entity, app());
        let component = |kind, match_type, name: Option<&str>| ComponentData {
            entity_type: text(kind),
            match_type,
            match_: name.map(text),
        };
        for (components, strict, expected) in [
            (vec![], false, there),
            (vec![component("user", 2, None)], false, there),
            (vec![component("user", 2, None)], true, there / 2),
            (vec![component("user", 0, Some("ann"))], true, there / 2),
            (vec![component("user", 0, Some("bob"))], false, 0),
            (vec![component("user", 1, None)], false, there / 2),
            (
                vec![component("client-id", 0, Some("app")), component("user", 1, None)],
                true,
                there / 2,
            ),
            (vec![component("ip", 2, None)], false, 0),
        ] {
            let request = DescribeClientQuotasRequest { components, strict };
            let answer = client.ask(&request, version).await;
            assert_eq!(answer.error_code, OK);
            let entries = answer.entries.unwrap();
            assert_eq!(entries.len(), expected, "{request:?}");
            assert!(entries.iter().all(|entry| entry.values[0].value.get() == 5e9));
        }
        for wrong in [
            vec![component("group", 2, None)],
            vec![component("user", 2, None), component("user", 1, None)],
            vec![component("user", 0, None)],
            vec![component("user", 1, Some("ann"))],
            vec![component("user", 3, None)],
        ] {
            let request = DescribeClientQuotasRequest {
                components: wrong,
                strict: false,
            };
            let answer = client.ask(&request, version).await;
            assert_eq!((answer.error_code, answer.entries), (invalid, None));
        }
    }
}
