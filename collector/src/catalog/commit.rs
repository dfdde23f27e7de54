//! The catalog as a broker holds it: the newest view, and the loop by which a change becomes the next version.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use rand::{Rng, RngCore};
use tailrace_shared::clock::{Clock, TimestampMs};
use tokio::sync::{Mutex, watch};

use super::change::Change;
use super::document::Document;
use super::error::CatalogError;
use super::id::{base64url, random_uuid};
use super::series::{Appended, Loaded, Series};
use super::view::CatalogView;

const SNAPSHOT_EVERY: u64 = 64;
const COMMIT_ATTEMPTS: u32 = 64;
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Ids start below this, so that the rest of the positive range is left to grow into.
const FIRST_PRODUCER_ID_MAX: i64 = 1 << 61;

/// The catalog of one cluster, as one broker sees and changes it. Share it behind an `Arc`.
pub struct Catalog {
    clock: Arc<dyn Clock>,
    writer: Mutex<Writer>,
    views: watch::Sender<Arc<CatalogView>>,
    cluster_id: String,
}

struct Writer {
    series: Series,
    loaded: Loaded,
    rng: Box<dyn RngCore + Send>,
}

/// What an operation wants of the view that it was shown.
pub(super) enum Plan<T> {
    /// Nothing: the view already says so.
    Nothing(T),
    /// This change.
    Change(Change, T),
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Catalog")
            .field("cluster_id", &self.cluster_id)
            .field("version", &self.view().version())
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Reads the newest version; in an empty store creates a cluster.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        rng: impl RngCore + Send + 'static,
    ) -> Result<Self, CatalogError> {
        let series = Series::new(store);
        let loaded = series.catch_up(&Loaded::default()).await?;
        let mut catalog = Self {
            clock,
            views: watch::Sender::new(Arc::clone(&loaded.view)),
            writer: Mutex::new(Writer {
                series,
                loaded,
                rng: Box::new(rng),
            }),
            cluster_id: String::new(),
        };
        let (view, ()) = catalog.commit(create_cluster).await?;
        view.cluster_id().clone_into(&mut catalog.cluster_id);
        Ok(catalog)
    }

    /// The newest version known here. What other brokers did since shows after [`Catalog::refresh`].
    #[must_use]
    pub fn view(&self) -> Arc<CatalogView> {
        Arc::clone(&self.views.borrow())
    }

    /// Follows [`Catalog::view`] as it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<CatalogView>> {
        self.views.subscribe()
    }

    /// The cluster's id, 22 characters.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Reads what other brokers wrote since.
    pub async fn refresh(&self) -> Result<Arc<CatalogView>, CatalogError> {
        let mut writer = self.writer.lock().await;
        self.catch_up(&mut writer).await?;
        Ok(Arc::clone(&writer.loaded.view))
    }

    pub(super) fn now_ms(&self) -> TimestampMs {
        self.clock.now_ms()
    }

    /// Makes what `plan` wants the next version. It is asked again whenever another broker was faster, and once more on
    /// a fresh view before its refusal is believed, so it must not remember an earlier answer.
    pub(super) async fn commit<T, E: From<CatalogError>>(
        &self,
        mut plan: impl FnMut(&CatalogView, &mut dyn RngCore) -> Result<Plan<T>, E>,
    ) -> Result<(Arc<CatalogView>, T), E> {
        let mut writer = self.writer.lock().await;
        let mut view_is_fresh = false;
        for attempt in 0..COMMIT_ATTEMPTS {
            let Writer { loaded, rng, .. } = &mut *writer;
            let (change, outcome) = match plan(&loaded.view, rng) {
                Ok(Plan::Nothing(outcome)) => return Ok((Arc::clone(&loaded.view), outcome)),
                Ok(Plan::Change(change, outcome)) => (change, outcome),
                Err(refusal) if view_is_fresh => return Err(refusal),
                Err(_) => {
                    self.catch_up(&mut writer).await?;
                    view_is_fresh = true;
                    continue;
                }
            };
            if self.append(&mut writer, change).await? {
                return Ok((Arc::clone(&writer.loaded.view), outcome));
            }
            let pause = PAUSE_MAX
                .min(Duration::from_millis(1) * attempt)
                .mul_f64(writer.rng.random());
            tokio::time::sleep(pause).await;
            self.catch_up(&mut writer).await?;
            view_is_fresh = true;
        }
        Err(E::from(CatalogError::Contended {
            attempts: COMMIT_ATTEMPTS,
        }))
    }

    /// True if the change is now the newest version; false if another took its number.
    async fn append(&self, writer: &mut Writer, change: Change) -> Result<bool, CatalogError> {
        let document = Document {
            version: writer.loaded.view.version() + 1,
            token: random_uuid(&mut writer.rng),
            written_at_ms: self.clock.now_ms(),
            changes: vec![change],
        };
        let next = writer.loaded.view.after(&document.changes);
        let next = next.map_err(|misfit| CatalogError::damaged("(not yet written)", misfit))?;
        if writer.series.append(&document).await? == Appended::Lost {
            return Ok(false);
        }
        writer.loaded.view = Arc::new(next);
        self.publish(writer);
        snapshot_if_due(writer).await;
        Ok(true)
    }

    async fn catch_up(&self, writer: &mut Writer) -> Result<(), CatalogError> {
        writer.loaded = writer.series.catch_up(&writer.loaded).await?;
        self.publish(writer);
        Ok(())
    }

    fn publish(&self, writer: &Writer) {
        self.views.send_if_modified(|shown| {
            let newer = writer.loaded.view.version() > shown.version();
            if newer {
                *shown = Arc::clone(&writer.loaded.view);
            }
            newer
        });
    }
}

fn create_cluster(view: &CatalogView, rng: &mut dyn RngCore) -> Result<Plan<()>, CatalogError> {
    if view.version() > 0 {
        return Ok(Plan::Nothing(()));
    }
    let created = Change::ClusterCreated {
        cluster_id: base64url(random_uuid(rng)),
        first_producer_id: rng.random_range(0..FIRST_PRODUCER_ID_MAX),
    };
    Ok(Plan::Change(created, ()))
}

/// Snapshots only make opening cheaper, so a failure is reported and tried again with the next version.
async fn snapshot_if_due(writer: &mut Writer) {
    let view = Arc::clone(&writer.loaded.view);
    if view.version() - writer.loaded.snapshot < SNAPSHOT_EVERY {
        return;
    }
    if let Err(error) = writer.series.put_snapshot(&view).await {
        tracing::warn!(%error, "no catalog snapshot was written");
        return;
    }
    writer.loaded.snapshot = view.version();
    if let Err(error) = writer.series.collect_below(view.version()).await {
        tracing::warn!(%error, "superseded catalog documents were not collected");
    }
}
