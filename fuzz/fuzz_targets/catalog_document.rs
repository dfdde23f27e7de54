//! The catalog's documents as a store gives them back: a body of JSON a line, in the order of their versions, of which
//! the target makes objects with checksums; the first byte says whether the first is a snapshot. A catalog must refuse
//! them or open, and the next broker that opens it sees the same.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tailrace_collector::catalog::Catalog;
use tailrace_fuzz::{Input, crc32c};
use tailrace_shared::clock::ManualClock;

fuzz_target!(|input: &[u8]| {
    // Time stands still but for the pauses between attempts, which then take none.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(check(Input(input)));
});

async fn check(mut input: Input<'_>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let is_snapshot = input.byte() == 1;
    for (version, body) in (1..).zip(input.0.split(|byte| *byte == b'\n').take(8)) {
        let name = match version {
            1 if is_snapshot => format!("catalog/{version:020}.snapshot.json"),
            _ => format!("catalog/{version:020}.json"),
        };
        let object = seal(body).unwrap_or_else(|| body.to_vec());
        store
            .put(&Path::from(name), object.into())
            .await
            .expect("memory takes it");
    }
    let Ok(catalog) = open(&store).await else { return };
    let again = open(&store).await.expect("what was opened once can be opened");
    assert_eq!(catalog.view(), again.view());
}

async fn open(store: &Arc<dyn ObjectStore>) -> Result<Catalog, impl std::fmt::Debug> {
    let clock = Arc::new(ManualClock::at(0));
    Catalog::open(Arc::clone(store), clock, StdRng::seed_from_u64(1)).await
}

fn seal(body: &[u8]) -> Option<Vec<u8>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let crc = crc32c(&[body.to_string().as_bytes()]);
    Some(
        json!({ "format": 1, "crc32c": format!("{crc:08x}"), "body": body })
            .to_string()
            .into_bytes(),
    )
}
