//! Long polls: a fetch that found too little sleeps on its partitions, and is woken by a commit and not by a timer.

use futures::future::select_all;
use tokio::sync::watch;

/// What those who wait on a partition wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// One past the last committed offset.
    pub high_watermark: i64,
    /// The first offset that may be read.
    pub log_start: i64,
    /// The partition was deleted or the broker stops: nothing more will come.
    pub closed: bool,
}

/// A partition, and the high watermark that it must pass to be of interest.
#[derive(Debug)]
pub struct Awaited {
    /// From [`super::Partition::progress`].
    pub progress: watch::Receiver<Progress>,
    /// The high watermark that the waiter knows.
    pub beyond: i64,
}

impl Awaited {
    async fn wait(&mut self) {
        let beyond = self.beyond;
        // An error says that the partition is gone, which ends the wait as well.
        drop(
            self.progress
                .wait_for(|now| now.closed || now.high_watermark > beyond)
                .await,
        );
    }
}

/// Returns once one of the partitions has gone beyond what is known of it, or was closed. With no partition it never
/// returns: combine it with a timeout.
pub async fn any_beyond(mut awaited: Vec<Awaited>) {
    if awaited.is_empty() {
        return std::future::pending().await;
    }
    select_all(awaited.iter_mut().map(|one| Box::pin(one.wait()))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(high_watermark: i64, closed: bool) -> Progress {
        Progress {
            high_watermark,
            log_start: 0,
            closed,
        }
    }

    #[tokio::test]
    async fn one_commit_wakes_and_other_news_do_not() {
        let (quiet, _keep) = watch::channel(progress(5, false));
        let (busy, _keep) = watch::channel(progress(5, false));
        let awaited = [&quiet, &busy].map(|sender| Awaited {
            progress: sender.subscribe(),
            beyond: 5,
        });
        let waiting = tokio::spawn(any_beyond(awaited.into()));
        quiet.send_replace(Progress {
            log_start: 3,
            ..progress(5, false)
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        busy.send_replace(progress(6, false));
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn closing_wakes() {
        let (partition, _keep) = watch::channel(progress(0, false));
        let awaited = Awaited {
            progress: partition.subscribe(),
            beyond: 0,
        };
        partition.send_replace(progress(0, true));
        any_beyond(vec![awaited]).await;
    }
}
