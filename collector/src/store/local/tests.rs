//! What the local store promises, on the real disk and on one that loses power at every operation.

use std::collections::BTreeMap;
use std::future::Future;

use object_store::{Error, GetRange, ObjectStoreExt, PutMode, memory::InMemory};
use tailrace_shared::disk::RealDisk;
use tailrace_shared::disk::sim::{PowerLoss, SimDisk};

use super::*;

const ROOT: &str = "/data/store";

fn key(key: &str) -> Location {
    Location::from(key)
}

fn payload(len: usize, seed: u8) -> PutPayload {
    let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap() ^ seed).collect();
    PutPayload::from(bytes)
}

fn bytes(payload: &PutPayload) -> Bytes {
    payload.clone().into()
}

fn create() -> PutOptions {
    PutOptions::from(PutMode::Create)
}

async fn keys(store: &dyn ObjectStore, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(key);
    let listed: Vec<ObjectMeta> = store.list(prefix.as_ref()).try_collect().await.unwrap();
    let mut keys: Vec<_> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
    keys.sort();
    keys
}

/// What any object store does that the layers above rely on.
async fn conforms(store: &dyn ObjectStore) {
    let (a, b, deep) = (key("a"), key("dir/b"), key("dir/sub/c"));
    assert!(matches!(store.get(&a).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.head(&deep).await, Err(Error::NotFound { .. })));
    assert!(keys(store, Some("dir")).await.is_empty());

    store.put(&a, "one".into()).await.unwrap();
    store.put(&a, "replaced".into()).await.unwrap();
    assert_eq!(store.get(&a).await.unwrap().bytes().await.unwrap(), "replaced");
    store.put_opts(&b, "bee".into(), create()).await.unwrap();
    let error = store.put_opts(&b, "late".into(), create()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }));
    assert_eq!(store.get(&b).await.unwrap().bytes().await.unwrap(), "bee");
    store.put(&deep, PutPayload::default()).await.unwrap();
    assert_eq!(store.get(&deep).await.unwrap().bytes().await.unwrap(), "");
    assert_eq!(store.head(&a).await.unwrap().size, 8);
    assert!(matches!(store.get(&key("dir")).await, Err(Error::NotFound { .. })));

    assert_eq!(store.get_range(&a, 2..5).await.unwrap(), "pla");
    assert_eq!(store.get_range(&a, 2..500).await.unwrap(), "placed");
    assert_eq!(store.get_ranges(&a, &[0..1, 7..8]).await.unwrap(), ["r", "d"]);
    assert!(store.get_range(&a, 8..9).await.is_err());
    let suffix = GetOptions {
        range: Some(GetRange::Suffix(3)),
        ..GetOptions::default()
    };
    assert_eq!(store.get_opts(&a, suffix).await.unwrap().bytes().await.unwrap(), "ced");

    assert_eq!(keys(store, None).await, ["a", "dir/b", "dir/sub/c"]);
    assert_eq!(keys(store, Some("dir")).await, ["dir/b", "dir/sub/c"]);
    assert!(keys(store, Some("di")).await.is_empty());
    assert!(keys(store, Some("a")).await.is_empty());
    let listed = store.list_with_delimiter(Some(&key("dir"))).await.unwrap();
    assert_eq!(listed.common_prefixes, [key("dir/sub")]);
    assert!(listed.objects.iter().map(|meta| &meta.location).eq([&b]));

    store.copy(&a, &key("copy")).await.unwrap();
    assert!(matches!(
        store.copy_if_not_exists(&a, &b).await,
        Err(Error::AlreadyExists { .. })
    ));
    store.rename(&key("copy"), &key("moved/copy")).await.unwrap();
    assert!(matches!(
        store.rename(&key("copy"), &b).await,
        Err(Error::NotFound { .. })
    ));
    assert_eq!(
        store.get(&key("moved/copy")).await.unwrap().bytes().await.unwrap(),
        "replaced"
    );

    store.delete(&deep).await.unwrap();
    store.delete(&key("nowhere/at/all")).await.unwrap();
    assert!(
        store
            .list_with_delimiter(Some(&key("dir")))
            .await
            .unwrap()
            .common_prefixes
            .is_empty()
    );
    let moved = stream::iter([Ok(a), Ok(key("moved/copy")), Ok(b)]).boxed();
    let gone: Vec<Location> = store.delete_stream(moved).try_collect().await.unwrap();
    assert_eq!(gone.len(), 3);
    assert!(keys(store, None).await.is_empty());
}

async fn uploads_in_parts(store: &dyn ObjectStore) {
    let at = key("large");
    let mut upload = store.put_multipart(&at).await.unwrap();
    let (first, second) = (upload.put_part(payload(70_000, 1)), upload.put_part(payload(5, 2)));
    futures::future::try_join(second, first).await.unwrap();
    assert!(keys(store, None).await.is_empty());
    upload.complete().await.unwrap();
    let expected = [bytes(&payload(70_000, 1)), bytes(&payload(5, 2))].concat();
    assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), expected);
    let mut upload = store.put_multipart(&at).await.unwrap();
    upload.put_part(payload(5, 3)).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(store.head(&at).await.unwrap().size, 70_005);
}

fn open(disk: &SimDisk) -> LocalStore {
    LocalStore::open(Arc::new(disk.clone()), Path::new(ROOT)).unwrap()
}

#[tokio::test]
async fn it_conforms_on_both_disks_as_the_reference_does() {
    conforms(&InMemory::new()).await;
    uploads_in_parts(&InMemory::new()).await;
    let dir = tempfile::tempdir().unwrap();
    for (name, disk) in [
        ("real", Arc::new(RealDisk) as Arc<dyn Disk>),
        ("sim", Arc::new(SimDisk::new(1))),
    ] {
        let root = dir.path().join(name);
        let root = if name == "sim" { Path::new(ROOT) } else { &root };
        let store = LocalStore::open(Arc::clone(&disk), root).unwrap();
        conforms(&store).await;
        uploads_in_parts(&store).await;
        assert!(disk.list(&root.join(write::TEMP_DIR)).unwrap().is_empty());
        drop(store);
        assert_eq!(keys(&LocalStore::open(disk, root).unwrap(), None).await, ["large"]);
    }
}

#[tokio::test]
async fn objects_of_many_chunks_are_streamed() {
    let store = open(&SimDisk::new(1));
    let large = payload(20 << 20, 0);
    store.put(&key("a"), large.clone()).await.unwrap();
    let chunks: Vec<Bytes> = store
        .get(&key("a"))
        .await
        .unwrap()
        .into_stream()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(chunks.len(), 3);
    assert!(chunks.concat() == bytes(&large));
    let (start, end) = (7_usize << 20, 17_usize << 20);
    let part = store.get_range(&key("a"), start as u64..end as u64).await.unwrap();
    assert!(part == bytes(&large).slice(start..end));
}

#[tokio::test]
async fn an_object_deleted_while_it_is_read_is_read_to_its_end() {
    let store = open(&SimDisk::new(1));
    let large = payload(20 << 20, 0);
    store.put(&key("a"), large.clone()).await.unwrap();
    let reading = store.get(&key("a")).await.unwrap();
    store.delete(&key("a")).await.unwrap();
    assert!(reading.bytes().await.unwrap() == bytes(&large));
}

#[tokio::test]
async fn one_of_many_creators_wins() {
    let store = open(&SimDisk::new(1));
    let tries = (0..16_u8).map(|number| {
        let store = store.clone();
        async move {
            store
                .put_opts(&key("dir/one"), vec![number].into(), create())
                .await
                .map(|_| number)
        }
    });
    let won: Vec<u8> = futures::future::join_all(tries).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!(store.get(&key("dir/one")).await.unwrap().bytes().await.unwrap(), won);
}

#[tokio::test]
async fn keys_cannot_leave_the_directory_nor_enter_the_reserved_one() {
    let store = open(&SimDisk::new(1));
    for outside in ["../escaped", "/etc/passwd", "a/../../b", "./c"] {
        store.put(&key(outside), "x".into()).await.unwrap();
    }
    let listed = keys(&store, None).await;
    assert_eq!(listed, ["%2E%2E/escaped", "%2E/c", "a/%2E%2E/%2E%2E/b", "etc/passwd"]);
    for refused in [".tmp", ".tmp/0", ""] {
        assert!(store.put(&key(refused), "x".into()).await.is_err(), "{refused:?}");
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    disk.set_capacity(1000);
    store.put(&key("a"), payload(600, 1)).await.unwrap();
    store.put(&key("b"), payload(600, 2)).await.unwrap_err();
    assert_eq!(disk.space(Path::new("/")).unwrap().free_bytes, 400);
    assert_eq!(keys(&store, None).await, ["a"]);
}

#[tokio::test]
async fn a_failed_sync_fails_the_put_and_a_second_try_is_durable() {
    let disk = SimDisk::new(1);
    let store = open(&disk);
    disk.fail_next_sync();
    store.put(&key("a"), "one".into()).await.unwrap_err();
    assert!(keys(&store, None).await.is_empty());
    store.put(&key("a"), "two".into()).await.unwrap();
    let store = open(&disk.power_off(PowerLoss::DropAll));
    assert_eq!(store.get(&key("a")).await.unwrap().bytes().await.unwrap(), "two");
}

type Objects = BTreeMap<String, Bytes>;

async fn contents(store: &LocalStore) -> Objects {
    let mut objects = Objects::new();
    for name in keys(store, None).await {
        let object = store.get(&key(&name)).await.unwrap().bytes().await.unwrap();
        objects.insert(name, object);
    }
    objects
}

/// A step of the history that is cut at every point, and what it makes of the objects.
enum Step {
    Put(&'static str, u8),
    Create(&'static str, u8),
    Upload(&'static str, u8),
    Copy(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Delete(&'static str),
}

const HISTORY: [Step; 10] = [
    Step::Put("a", 1),
    Step::Create("dir/b", 2),
    Step::Put("a", 3),
    Step::Create("dir/sub/c", 4),
    Step::Rename("dir/b", "moved/b"),
    Step::Copy("a", "dir/copy"),
    Step::Delete("a"),
    Step::Upload("dir/sub/large", 5),
    Step::Rename("dir/copy", "dir/sub/c"),
    Step::Delete("moved/b"),
];

impl Step {
    async fn run(&self, store: &LocalStore) -> Result<()> {
        match *self {
            Self::Put(at, seed) => store.put(&key(at), payload(2000, seed)).await.map(|_| ()),
            Self::Create(at, seed) => store
                .put_opts(&key(at), payload(2000, seed), create())
                .await
                .map(|_| ()),
            Self::Upload(at, seed) => {
                let mut upload = store.put_multipart(&key(at)).await?;
                upload.put_part(payload(2000, seed)).await?;
                upload.complete().await.map(|_| ())
            }
            Self::Copy(from, to) => store.copy(&key(from), &key(to)).await,
            Self::Rename(from, to) => store.rename(&key(from), &key(to)).await,
            Self::Delete(at) => store.delete(&key(at)).await,
        }
    }

    fn apply(&self, objects: &mut Objects) {
        match *self {
            Self::Put(at, seed) | Self::Create(at, seed) | Self::Upload(at, seed) => {
                objects.insert(at.to_owned(), bytes(&payload(2000, seed)));
            }
            Self::Copy(from, to) => {
                objects.insert(to.to_owned(), objects[from].clone());
            }
            Self::Rename(from, to) => {
                let moved = objects.remove(from).unwrap();
                objects.insert(to.to_owned(), moved);
            }
            Self::Delete(at) => {
                objects.remove(at);
            }
        }
    }
}

/// Runs the history until a step fails: the objects before that step and after it.
async fn run_history(store: &LocalStore) -> [Objects; 2] {
    let mut before = Objects::new();
    for step in &HISTORY {
        let mut after = before.clone();
        step.apply(&mut after);
        if step.run(store).await.is_err() {
            return [before, after];
        }
        before = after;
    }
    [before.clone(), before]
}

async fn at_every_cut<F: Future<Output = ()>>(check: impl Fn(SimDisk, u64) -> F) {
    let whole = SimDisk::new(0);
    let store = open(&whole);
    let opened = whole.operations();
    run_history(&store).await;
    for cut in 0..whole.operations() - opened {
        for seed in 0..8 {
            check(SimDisk::new(seed), cut).await;
        }
    }
}

#[tokio::test]
async fn what_was_put_survives_a_power_cut_at_any_operation() {
    at_every_cut(|disk, cut| async move {
        let store = open(&disk);
        disk.cut_after(cut);
        let possible = run_history(&store).await;
        let disk = disk.restart();
        let found = contents(&open(&disk)).await;
        assert!(possible.contains(&found), "cut at {cut}: {:?}", found.keys());
        assert!(disk.list(&Path::new(ROOT).join(write::TEMP_DIR)).unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_seen_after_a_kill_survives_a_power_cut_later() {
    at_every_cut(|disk, cut| async move {
        let store = open(&disk);
        disk.kill_after(cut);
        let possible = run_history(&store).await;
        let disk = disk.restart();
        let found = contents(&open(&disk)).await;
        assert!(possible.contains(&found), "killed at {cut}: {:?}", found.keys());
        let later = contents(&open(&disk.power_off(PowerLoss::DropAll))).await;
        assert_eq!(found, later, "killed at {cut}");
    })
    .await;
}
