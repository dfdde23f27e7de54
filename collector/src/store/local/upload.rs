//! Uploads in parts: each goes to its place in one unnamed file, and completing gives that its name. A part is synced
//! when it is there, so that others who sync have never more than a part to wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::path::Path as Location;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::Directory;
use super::error::{generic, in_background};
use super::write::{Replace, Unnamed};

#[derive(Debug)]
pub(super) struct Upload {
    location: Location,
    object: Option<Arc<Unnamed>>,
    len: u64,
    written: Arc<AtomicU64>,
}

impl Upload {
    pub(super) fn start(directory: &Arc<Directory>, location: Location) -> Result<Self> {
        directory.path_of(&location)?;
        let object = Some(Arc::new(Unnamed::create(directory)?));
        Ok(Self {
            location,
            object,
            len: 0,
            written: Arc::default(),
        })
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let Some(object) = self.object.clone() else {
            return async { Err(generic("the upload is over")) }.boxed();
        };
        let offset = self.len;
        let len = data.content_length() as u64;
        self.len += len;
        let written = Arc::clone(&self.written);
        let write = move || {
            object.write(&data, offset)?;
            object.sync()?;
            drop(object);
            written.fetch_add(len, Ordering::SeqCst);
            Ok(())
        };
        in_background(write).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.written.load(Ordering::SeqCst) != self.len {
            return Err(generic("the upload was completed before all of its parts were written"));
        }
        let object = self
            .object
            .take()
            .and_then(Arc::into_inner)
            .ok_or_else(|| generic("the upload is over"))?;
        let location = self.location.clone();
        in_background(move || object.publish(&location, Replace::Always)).await
    }

    async fn abort(&mut self) -> Result<()> {
        let object = self.object.take();
        in_background(move || {
            drop(object);
            Ok(())
        })
        .await
    }
}
