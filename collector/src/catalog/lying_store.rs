//! A store for tests that tells less than the truth: it fails puts that landed, fails puts that did not, answers late,
//! and sends a put a second time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[derive(Debug)]
pub(super) struct LyingStore {
    inner: Arc<InMemory>,
    rng: Mutex<StdRng>,
}

impl LyingStore {
    pub(super) fn over(inner: Arc<InMemory>, seed: u64) -> Self {
        Self {
            inner,
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
        }
    }

    fn roll(&self, sides: u32) -> u32 {
        self.rng.lock().random_range(0..sides)
    }

    async fn dawdle(&self) {
        let pause = self.roll(30);
        tokio::time::sleep(Duration::from_millis(pause.into())).await;
    }
}

impl fmt::Display for LyingStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LyingStore")
    }
}

fn timeout() -> Error {
    Error::Generic {
        store: "LyingStore",
        source: "timed out".into(),
    }
}

#[async_trait]
impl ObjectStore for LyingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.dawdle().await;
        let put = || self.inner.put_opts(location, payload.clone(), opts.clone());
        match self.roll(6) {
            // Lost on the way there.
            0 => Err(timeout()),
            // It landed, and the answer was lost.
            1 => {
                let _landed_or_not = put().await;
                Err(timeout())
            }
            // The client library retried a put that had landed.
            2 => {
                let _first = put().await;
                self.dawdle().await;
                put().await
            }
            // It lands long after its sender was told that it failed.
            3 => {
                let (inner, location, payload, opts) = (Arc::clone(&self.inner), location.clone(), payload, opts);
                let late = Duration::from_millis(self.roll(2_000).into());
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    let _landed_or_not = inner.put_opts(&location, payload, opts).await;
                });
                Err(timeout())
            }
            _ => {
                let result = put().await;
                self.dawdle().await;
                result
            }
        }
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.dawdle().await;
        match self.roll(20) {
            0 => Err(timeout()),
            _ => self.inner.get_opts(location, options).await,
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
