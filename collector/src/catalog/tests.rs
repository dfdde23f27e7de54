//! The catalog as brokers use it: alone, many on one store, and over a store that lies.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::join_all;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tailrace_shared::clock::ManualClock;
use tailrace_shared::disk::sim::{PowerLoss, SimDisk};
use uuid::Uuid;

use super::change::Change;
use super::document::{Document, Name, encode_document};
use super::lying_store::LyingStore;
use super::series::{Appended, KEPT, Series};
use super::*;
use crate::store::LocalStore;

async fn open(store: &Arc<InMemory>, seed: u64) -> Catalog {
    try_open(Arc::clone(store) as Arc<dyn ObjectStore>, seed).await.unwrap()
}

async fn try_open(store: Arc<dyn ObjectStore>, seed: u64) -> Result<Catalog, CatalogError> {
    let clock = Arc::new(ManualClock::at(1_795_000_000_000));
    Catalog::open(store, clock, StdRng::seed_from_u64(seed)).await
}

fn topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: 4,
        configs: vec![],
    }
}

fn quota_of(user: &str, value: Option<u64>) -> QuotaEdit {
    QuotaEdit {
        entity: QuotaEntity {
            user: Some(QuotaName::Named(user.to_owned())),
            client_id: None,
        },
        kind: QuotaKind::Produce,
        value,
    }
}

async fn names(store: &InMemory) -> BTreeSet<Name> {
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    objects
        .iter()
        .filter_map(|object| Name::parse(&object.location))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn reopening_finds_everything_as_it_was() {
    let store = Arc::new(InMemory::new());
    let catalog = open(&store, 1).await;
    let nginx = catalog.create_topic(topic("nginx")).await.unwrap();
    let gone = catalog.create_topic(topic("gone")).await.unwrap();
    catalog.delete_topic(gone.id).await.unwrap();
    catalog.grow_topic(nginx.id, 8).await.unwrap();
    let edit = |configs: &mut TopicConfig| configs.set("retention.ms", Some("5"));
    catalog.alter_topic(nginx.id, edit).await.unwrap();
    catalog.claim_incarnation(1).await.unwrap();
    catalog.claim_producer_ids().await.unwrap();
    let ann = quota_of("ann", Some(1000));
    catalog
        .alter_quotas(&[ann.clone(), quota_of("bob", Some(1))])
        .await
        .unwrap();
    catalog
        .alter_quotas(&[quota_of("bob", None), quota_of("nobody", None)])
        .await
        .unwrap();

    let again = open(&store, 2).await;
    assert_eq!(*again.view(), *catalog.view());
    assert_eq!(again.cluster_id().len(), 22);
    let found = again.view().topic("nginx").cloned().unwrap();
    assert_eq!((found.id, found.partitions), (nginx.id, 8));
    assert_eq!(found.configs.get("retention.ms"), Some("5"));
    let quotas = again
        .view()
        .quotas()
        .iter()
        .map(|(entity, _)| entity.clone())
        .collect::<Vec<_>>();
    assert_eq!(quotas, [ann.entity]);
    assert_eq!(again.view().incarnations().collect::<Vec<_>>(), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn refusals_name_their_reason() {
    let store = Arc::new(InMemory::new());
    let catalog = open(&store, 1).await;
    let first = catalog.create_topic(topic("a.b")).await.unwrap();
    let again = catalog.create_topic(topic("a.b")).await.unwrap_err();
    assert!(matches!(again, CreateTopicError::Exists(existing) if existing.id == first.id));
    let colliding = catalog.create_topic(topic("a_b")).await.unwrap_err();
    assert!(matches!(colliding, CreateTopicError::InvalidName(reason) if reason.contains("a.b")));
    let none = NewTopic {
        partitions: 0,
        ..topic("x")
    };
    assert!(matches!(
        catalog.create_topic(none).await,
        Err(CreateTopicError::InvalidPartitions(0))
    ));
    let unknown = NewTopic {
        configs: vec![("x.y".to_owned(), "1".to_owned())],
        ..topic("x")
    };
    assert!(matches!(
        catalog.create_topic(unknown).await,
        Err(CreateTopicError::InvalidConfig(_))
    ));
    assert!(matches!(
        catalog.grow_topic(first.id, 4).await,
        Err(GrowTopicError::InvalidPartitions { current: 4, .. })
    ));
    let nobody = Uuid::from_u128(1);
    assert!(matches!(
        catalog.delete_topic(nobody).await,
        Err(DeleteTopicError::Unknown(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn quotas_are_bounded() {
    let catalog = open(&Arc::new(InMemory::new()), 1).await;
    let users: Vec<_> = (0..=QUOTAS_MAX)
        .map(|user| quota_of(&user.to_string(), Some(1)))
        .collect();
    let refused = catalog.alter_quotas(&users).await;
    assert!(matches!(refused, Err(AlterQuotasError::TooMany)), "{refused:?}");
    catalog.alter_quotas(&users[1..]).await.unwrap();
    let swapped = [quota_of("1", None), quota_of("0", Some(1))];
    catalog.alter_quotas(&swapped).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_name_deleted_by_another_broker_can_be_created_here() {
    let store = Arc::new(InMemory::new());
    let (here, there) = (open(&store, 1).await, open(&store, 2).await);
    let old = here.create_topic(topic("nginx")).await.unwrap();
    there.refresh().await.unwrap();
    there.delete_topic(old.id).await.unwrap();
    let new = here.create_topic(topic("nginx")).await.unwrap();
    assert_ne!(new.id, old.id);
}

#[tokio::test(start_paused = true)]
async fn a_wiped_store_starts_elsewhere_in_the_producer_ids() {
    let one = open(&Arc::new(InMemory::new()), 1).await;
    let other = open(&Arc::new(InMemory::new()), 2).await;
    assert_ne!(one.cluster_id(), other.cluster_id());
    let (one, other) = (
        one.claim_producer_ids().await.unwrap(),
        other.claim_producer_ids().await.unwrap(),
    );
    assert!(one.start.abs_diff(other.start) > 1_000_000_000);
}

/// Every broker creates topics of its own, fights for a common one, and claims; nothing may be lost or given twice.
async fn brokers_race(stores: Vec<Arc<dyn ObjectStore>>, truth: &Arc<InMemory>, rounds: usize) {
    let brokers = (0_i32..).zip(stores).map(|(index, store)| async move {
        let catalog = open_stubbornly(store, index.unsigned_abs().into()).await;
        let mut claims = (vec![], vec![], 0);
        for round in 0..rounds {
            claims.0.push(stubbornly(|| catalog.claim_incarnation(index)).await);
            claims.1.push(stubbornly(|| catalog.claim_producer_ids()).await.start);
            create_stubbornly(&catalog, &format!("own-{index}-{round}")).await;
            claims.2 += usize::from(create_stubbornly(&catalog, &format!("common-{round}")).await);
        }
        claims
    });
    let brokers: Vec<_> = brokers.map(tokio::spawn).collect();
    let count = brokers.len();
    let claims: Vec<_> = join_all(brokers).await.into_iter().map(Result::unwrap).collect();

    let incarnations: BTreeSet<_> = claims.iter().flat_map(|claim| &claim.0).collect();
    let producers: BTreeSet<_> = claims.iter().flat_map(|claim| &claim.1).collect();
    assert_eq!((incarnations.len(), producers.len()), (count * rounds, count * rounds));
    for claim in &claims {
        assert!(claim.0.is_sorted(), "a broker's incarnations only rise");
    }
    let winners: usize = claims.iter().map(|claim| claim.2).sum();
    assert!(winners <= rounds, "a topic is created by one broker at most");
    let view = open(truth, 99).await.view();
    assert_eq!(view.topics().count(), count * rounds + rounds);
}

async fn open_stubbornly(store: Arc<dyn ObjectStore>, seed: u64) -> Catalog {
    loop {
        match try_open(Arc::clone(&store), seed).await {
            Ok(catalog) => return catalog,
            Err(CatalogError::Store { .. } | CatalogError::Contended { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn stubbornly<T, F: Future<Output = Result<T, CatalogError>>>(operation: impl Fn() -> F) -> T {
    loop {
        match operation().await {
            Ok(value) => return value,
            Err(CatalogError::Store { .. } | CatalogError::Contended { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// True if this call created it.
async fn create_stubbornly(catalog: &Catalog, name: &str) -> bool {
    loop {
        match catalog.create_topic(topic(name)).await {
            Ok(_) => return true,
            Err(CreateTopicError::Exists(_)) => return false,
            Err(CreateTopicError::Catalog(CatalogError::Store { .. } | CatalogError::Contended { .. })) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn brokers_racing_on_an_honest_store_lose_no_change() {
    let truth = Arc::new(InMemory::new());
    let stores = (0..8).map(|_| Arc::clone(&truth) as Arc<dyn ObjectStore>).collect();
    brokers_race(stores, &truth, 12).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_racing_on_a_lying_store_lose_no_change() {
    for seed in 0..8 {
        let truth = Arc::new(InMemory::new());
        let liar =
            |index: u64| Arc::new(LyingStore::over(Arc::clone(&truth), seed * 100 + index)) as Arc<dyn ObjectStore>;
        brokers_race((0..5).map(liar).collect(), &truth, 8).await;
    }
}

#[tokio::test(start_paused = true)]
async fn old_documents_are_collected_and_opening_needs_few() {
    let store = Arc::new(InMemory::new());
    let catalog = open(&store, 1).await;
    catalog.alter_quotas(&[quota_of("ann", Some(1))]).await.unwrap();
    for _ in 0..600 {
        catalog.claim_incarnation(1).await.unwrap();
    }
    let names = names(&store).await;
    let newest_snapshot = names
        .iter()
        .rev()
        .find(|name| matches!(name, Name::Snapshot(_)))
        .unwrap()
        .version();
    assert!(newest_snapshot > 512);
    assert!(names.iter().all(|name| name.version() > newest_snapshot - KEPT));
    assert_eq!(*open(&store, 2).await.view(), *catalog.view());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_slept_through_a_collection_catches_up() {
    let store = Arc::new(InMemory::new());
    let (sleeper, busy) = (open(&store, 1).await, open(&store, 2).await);
    for _ in 0..600 {
        busy.claim_incarnation(2).await.unwrap();
    }
    assert_eq!(sleeper.claim_incarnation(1).await.unwrap(), 601);
}

#[tokio::test(start_paused = true)]
async fn a_put_that_lands_on_a_collected_number_is_void() {
    let store = Arc::new(InMemory::new());
    let busy = open(&store, 1).await;
    for _ in 0..600 {
        busy.claim_incarnation(1).await.unwrap();
    }
    let late = Document {
        version: 5,
        token: Uuid::from_u128(5),
        written_at_ms: 0,
        changes: vec![Change::IncarnationClaimed {
            broker_id: 9,
            incarnation: 4,
        }],
    };
    let series = Series::new(Arc::clone(&store) as Arc<dyn ObjectStore>);
    assert_eq!(series.append(&late).await.unwrap(), Appended::Lost);
    assert_eq!(open(&store, 2).await.view().last_incarnation(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_writer_told_that_its_number_is_taken_believes_only_the_token_that_stands_there() {
    let store = Arc::new(InMemory::new());
    open(&store, 1).await;
    let mine = |token| Document {
        version: 2,
        token: Uuid::from_u128(token),
        written_at_ms: 0,
        changes: vec![],
    };
    let landed = encode_document(&mine(5)).unwrap();
    store.put(&Name::Changes(2).path(), landed.into()).await.unwrap();
    let series = Series::new(Arc::clone(&store) as Arc<dyn ObjectStore>);
    assert_eq!(series.append(&mine(5)).await.unwrap(), Appended::Won);
    assert_eq!(series.append(&mine(6)).await.unwrap(), Appended::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_missing_document_is_damage_that_names_the_object() {
    let store = Arc::new(InMemory::new());
    let catalog = open(&store, 1).await;
    for _ in 0..5 {
        catalog.claim_incarnation(1).await.unwrap();
    }
    store.delete(&Name::Changes(3).path()).await.unwrap();
    let error = try_open(store, 2).await.unwrap_err();
    assert!(
        matches!(&error, CatalogError::Damaged { object, .. } if object.contains("03.json")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_document_that_does_not_fit_is_damage() {
    let store = Arc::new(InMemory::new());
    open(&store, 1).await;
    let misfit = Document {
        version: 2,
        token: Uuid::from_u128(5),
        written_at_ms: 0,
        changes: vec![Change::TopicDeleted { id: Uuid::from_u128(1) }],
    };
    let path: Path = Name::Changes(2).path();
    store
        .put(&path, encode_document(&misfit).unwrap().into())
        .await
        .unwrap();
    let error = try_open(store, 2).await.unwrap_err();
    assert!(error.to_string().contains("there is no topic"), "{error}");
}

/// What a broker was told before its power failed.
#[derive(Default)]
struct Told {
    cluster_id: Option<String>,
    topics: Vec<Arc<TopicMeta>>,
    incarnation: u64,
    producer_ids: i64,
}

async fn work_until_it_fails(disk: &SimDisk, seed: u64, told: &mut Told) -> Result<(), Box<dyn std::error::Error>> {
    let store = LocalStore::open(Arc::new(disk.clone()), std::path::Path::new("/data/store"))?;
    let catalog = try_open(Arc::new(store), seed).await?;
    let cluster_id = catalog.cluster_id().to_owned();
    assert_eq!(told.cluster_id.get_or_insert_with(|| cluster_id.clone()), &cluster_id);
    let incarnation = catalog.claim_incarnation(1).await?;
    assert!(incarnation > told.incarnation, "an incarnation is never used again");
    told.incarnation = incarnation;
    for topic in &told.topics {
        assert_eq!(catalog.view().topic_by_id(topic.id), Some(topic));
    }
    let producer_ids = catalog.claim_producer_ids().await?;
    assert!(
        producer_ids.start >= told.producer_ids,
        "a producer id is never given twice"
    );
    told.producer_ids = producer_ids.end;
    let name = format!("topic-{incarnation}");
    told.topics.push(catalog.create_topic(topic(&name)).await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn after_a_power_failure_at_any_moment_everything_confirmed_is_still_there() {
    for seed in 0..4 {
        let mut disk = SimDisk::new(seed);
        let mut told = Told::default();
        let mut failures = 0;
        for cut in 0..60 {
            disk.cut_after(cut);
            failures += usize::from(work_until_it_fails(&disk, seed * 1000 + cut, &mut told).await.is_err());
            disk = disk.power_off([PowerLoss::DropAll, PowerLoss::Random, PowerLoss::KeepAll][failures % 3]);
        }
        work_until_it_fails(&disk, seed, &mut told).await.unwrap();
        assert!(failures > 10 && told.topics.len() > 5, "{failures} of 60 failed");
    }
}
