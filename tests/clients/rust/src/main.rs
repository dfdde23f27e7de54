//! The scenario of tests/clients/scenario.py with rskafka, which has neither groups nor configurations nor an idempotent
//! producer.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, OauthBearerCredentials, SaslConfig};
use rskafka::record::Record;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn Error>>;

const TOPIC: &str = "suite";
const PATIENCE: Duration = Duration::from_secs(60);
const PATIENCE_MS: i32 = 60_000;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let client = match connect(&arguments, "SCRAM-SHA-512").await {
        Ok(client) => client,
        Err(error) => {
            println!("fail create: {error}");
            std::process::exit(1);
        }
    };
    let mut failed = report("create", create(&client).await);
    let codecs = [
        ("none", Compression::NoCompression),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    let mut sent = Vec::new();
    for (name, codec) in codecs {
        let values: Vec<String> = (0..200).map(|number| format!("{name}-{number}")).collect();
        failed |= report(&format!("produce-{name}"), produce(&client, &values, codec).await);
        sent.extend(values);
    }
    failed |= report("consume", consume(&client, &sent).await);
    if arguments.len() > 1 {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] {
            failed |= report(&format!("login-{mechanism}"), log_in(&arguments, mechanism).await);
        }
    }
    std::process::exit(i32::from(failed));
}

/// Whether it failed.
fn report(step: &str, outcome: Outcome) -> bool {
    match &outcome {
        Ok(()) => println!("ok {step}"),
        Err(error) => println!("fail {step}: {}", error.to_string().replace('\n', " ")),
    }
    outcome.is_err()
}

async fn connect(arguments: &[String], mechanism: &str) -> Result<Client, Box<dyn Error>> {
    let builder = ClientBuilder::new(vec![arguments[0].clone()]);
    let builder = match &arguments[1..] {
        [authority, user, password, token] => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(authority)?)?;
            let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            let login = Credentials::new(user.clone(), password.clone());
            let token = token.clone();
            let sasl = match mechanism {
                "PLAIN" => SaslConfig::Plain(login),
                "SCRAM-SHA-256" => SaslConfig::ScramSha256(login),
                "SCRAM-SHA-512" => SaslConfig::ScramSha512(login),
                _ => SaslConfig::Oauthbearer(OauthBearerCredentials {
                    callback: Arc::new(move || {
                        let token = token.clone();
                        Box::pin(async move { Ok(token) })
                    }),
                    authz_id: None,
                    bearer_kvs: Vec::new(),
                }),
            };
            builder.tls_config(Arc::new(tls)).sasl_config(sasl)
        }
        _ => builder,
    };
    Ok(timeout(PATIENCE, builder.build()).await??)
}

async fn log_in(arguments: &[String], mechanism: &str) -> Outcome {
    let values: Vec<String> = (0..10).map(|number| format!("login-{number}")).collect();
    let client = connect(arguments, mechanism).await?;
    produce(&client, &values, Compression::NoCompression).await
}

async fn create(client: &Client) -> Outcome {
    client
        .controller_client()?
        .create_topic(TOPIC, 2, 1, PATIENCE_MS)
        .await?;
    // Apache Kafka answers before its brokers know of the topic.
    for _ in 0..600 {
        let topics = client.list_topics().await?;
        if topics
            .iter()
            .any(|topic| topic.name == TOPIC && topic.partitions.len() == 2)
        {
            return Ok(());
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err("there are not two partitions".into())
}

async fn produce(client: &Client, values: &[String], codec: Compression) -> Outcome {
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Retry).await?;
    let record = |value: &String| Record {
        key: None,
        value: Some(value.clone().into_bytes()),
        headers: BTreeMap::new(),
        timestamp: chrono::Utc::now(),
    };
    let offsets = partition.produce(values.iter().map(record).collect(), codec).await?;
    let expected: Vec<i64> = (offsets[0]..).take(values.len()).collect();
    if offsets == expected {
        Ok(())
    } else {
        Err(format!("offsets {offsets:?}").into())
    }
}

async fn consume(client: &Client, sent: &[String]) -> Outcome {
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Retry).await?;
    let mut values = Vec::new();
    while values.len() < sent.len() {
        let offset = i64::try_from(values.len())?;
        let fetched = timeout(PATIENCE, partition.fetch_records(offset, 1..1_000_000, 1_000)).await?;
        let records = fetched?.0.into_iter().map(|read| read.record.value.unwrap_or_default());
        values.extend(records.map(String::from_utf8).collect::<Result<Vec<_>, _>>()?);
    }
    if values == sent {
        Ok(())
    } else {
        Err(format!("{} values, or others", values.len()).into())
    }
}
