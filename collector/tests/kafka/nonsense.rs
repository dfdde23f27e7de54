//! Requests of every API that are well formed and make no sense: each is answered, in its own version, and costs
//! nobody else anything.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailrace_shared::kafka::frame::decode_response;
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::sample::{Random, Sample};
use tailrace_shared::kafka::{ApiKey, Request};
use tokio::time::timeout;

use super::support::*;

const REQUESTS: usize = 3_000;
/// Who is not answered by then may be waiting for records or members that never come, and goes.
const PATIENCE: Duration = Duration::from_millis(100);

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Answered,
    Pending,
    Closed,
}

async fn send<R: Request + Sample>(client: &mut Client, random: &mut Random, version: i16) -> Outcome {
    let request = R::sample(random, R::format(version).unwrap(), false);
    let correlation_id = client.send(&request, version).await;
    match timeout(PATIENCE, client.frame()).await {
        Err(_) => Outcome::Pending,
        Ok(None) => Outcome::Closed,
        Ok(Some(frame)) => {
            let decoded = decode_response::<R::Response>(frame, version);
            let (header, _) = decoded.unwrap_or_else(|error| panic!("{version} {request:?}: {error}"));
            assert_eq!(header.correlation_id, correlation_id);
            Outcome::Answered
        }
    }
}

macro_rules! send_to_each {
    ($( $api:ident = $code:literal, $request:ident, $response:ident; )*) => {
        async fn send_to(api: ApiKey, client: &mut Client, random: &mut Random, version: i16) -> Outcome {
            match api {
                $( ApiKey::$api => send::<$request>(client, random, version).await, )*
            }
        }
    };
}

tailrace_shared::for_each_kafka_api!(send_to_each);

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_and_change_nobody_elses_records() {
    let server = Server::start_with(|config| {
        config.acls.enabled = true;
        config.acls.super_users.insert("User:ANONYMOUS".to_owned());
    })
    .await;
    let (mut steady, _) = server.with_topic("kept").await;
    steady.create_topic("logs").await;
    steady.produce("kept", 0, batch(&[b"one", b"two"])).await;
    let before = steady.fetch("kept", 0, 0).await;
    let spoken = steady.newest(&ApiVersionsRequest::default()).await.api_keys;

    let mut random = StdRng::seed_from_u64(1);
    let mut answered: BTreeMap<ApiKey, usize> = BTreeMap::new();
    let mut client = server.client().await;
    for _ in 0..REQUESTS {
        let api = &spoken[random.random_range(0..spoken.len())];
        let version = random.random_range(api.min_version..=api.max_version);
        let api = ApiKey::from_code(api.api_key).unwrap();
        match send_to(api, &mut client, &mut random, version).await {
            Outcome::Answered => *answered.entry(api).or_default() += 1,
            Outcome::Pending => client = server.client().await,
            Outcome::Closed => {
                // Only a Produce with acks=0 has no other way to be refused.
                assert_eq!(api, ApiKey::Produce, "version {version}");
                client = server.client().await;
            }
        }
    }
    assert_eq!(answered.len(), spoken.len(), "{answered:?}");
    assert_eq!(steady.fetch("kept", 0, 0).await, before);
    assert_eq!(steady.produce("kept", 0, batch(&[b"three"])).await.base_offset, 2);
}
