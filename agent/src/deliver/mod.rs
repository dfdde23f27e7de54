//! Sends what the spool holds, at most five unmarked batches per producer id and partition, and marks what was acknowledged.
//!
//! `queue` decides for one partition, `machine` for all; both are pure, and hold the six rules of the design:
//!
//! 1. Each process takes a fresh producer id. What the last one left unmarked goes out first, as it was spooled, under
//!    its old id and sequence; new data waits for it in its own partition only.
//! 2. A batch is sent only while fewer than five of its id and partition lack a durable mark. While it is not known that
//!    the broker knows the id, only one is in flight: a broker that does not may take any sequence for the first.
//! 3. A batch that may be in the log is sent again only after asking: if the broker knows the producer (DescribeProducers),
//!    it drops what it has; if not, the log is read from the last marked offset on. Where neither is allowed the batch is
//!    sent again, and its lines are counted as possibly doubled.
//! 4. What is too large goes out in parts that stand in its place, and what is refused for good goes to the dead-letter
//!    directory; later batches of its id and partition are stamped anew under a fresh id. The same when a topic was made
//!    anew or the cluster is another one; a partition that is no more hands over to one that exists. Parts, moves and
//!    identities are durable before anything is sent under them. Where an operator has to act (access revoked), batches
//!    wait, and it is said.
//! 5. A batch without identity gets one when the topic is known. A lane gets its partition then, for ever.
//! 6. Recovery believes only what is on the disk; that is the spool's part.
//!
//! A part of `queue` each: an `item`, its `identity` and the `binding` that gives it, the `doubt` whether it is in the log,
//! what was `refused`, and how items `leave`. A part of `machine` each: its `effect`s, the `view` of the cluster, what is
//! `spooled`, `lanes` and where they go, `moves` from partitions that are no more, `sizes` that a topic takes, what is
//! `stuck`, and `stats`.
//!
//! Around them: `desk` (where threads meet), `driver`, `sender` and `split` (tasks), `brokers` (the seam), `kafka` (the real
//! ones).

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tailrace_shared::clock::Clock;
use tailrace_shared::disk::Disk;
use tokio::task::{JoinHandle, JoinSet};

use self::desk::Desk;
use self::driver::Driver;
use self::machine::Machine;
use crate::spool::{OnFatal, Opened, Recovered, Spool};
use crate::stretch::Routes;

mod answer;
mod brokers;
mod desk;
mod driver;
mod kafka;
mod machine;
mod queue;
mod reason;
mod sender;
mod split;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use brokers::{Answers, Brokers, Search, Stamped, Unknown};
pub use kafka::KafkaBrokers;
pub use machine::{ClusterView, DeliverStats, Outage, STUCK_AFTER, Stuck, WaitingTopic};
pub use reason::Reason;

/// Limits of delivery, and what it stands on.
#[derive(Debug, Clone)]
pub struct DeliverOptions {
    /// The spool's disk; dead letters go there too.
    pub disk: Arc<dyn Disk>,
    /// Where the spool is.
    pub data_dir: PathBuf,
    /// For backoff and ages.
    pub clock: Arc<dyn Clock>,
    /// Spreads the lanes of different agents over the partitions: a hash of the host's name.
    pub lane_seed: u64,
    /// Bytes of new batches that are kept in memory until they are acknowledged. Others are read from the spool.
    pub memory_bytes: u64,
    /// Bytes of batches that may be on their way at a time.
    pub in_flight_bytes: u64,
}

impl DeliverOptions {
    /// 32 MiB in memory and 32 MiB on their way.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, data_dir: PathBuf, clock: Arc<dyn Clock>, lane_seed: u64) -> Self {
        Self {
            disk,
            data_dir,
            clock,
            lane_seed,
            memory_bytes: 32 << 20,
            in_flight_bytes: 32 << 20,
        }
    }
}

/// Running delivery.
pub struct Deliver {
    desk: Arc<Desk>,
    driver: JoinHandle<()>,
}

impl Deliver {
    /// Starts the spool's commit thread and delivery, in a tokio runtime. `on_fatal` is told of the error after which
    /// nothing can be committed any more, and has to stop the process.
    pub fn start(
        opened: Opened,
        recovered: &Recovered,
        brokers: Arc<dyn Brokers>,
        options: DeliverOptions,
        on_fatal: OnFatal,
    ) -> io::Result<(Arc<Spool>, Self)> {
        let now = options.clock.monotonic();
        let machine = Machine::new(recovered, options.lane_seed, options.in_flight_bytes, now);
        let desk = Arc::new(Desk::new(machine, options.clock, options.memory_bytes));
        let spool = Arc::new(opened.start(Arc::clone(&desk) as _, on_fatal)?);
        desk.attach(Arc::clone(&spool));
        let driver = Driver {
            desk: Arc::clone(&desk),
            brokers,
            disk: options.disk,
            dead_letters: options.data_dir.join("dead-letter"),
            senders: HashMap::new(),
            tasks: JoinSet::new(),
        };
        let driver = tokio::spawn(driver.run());
        Ok((spool, Self { desk, driver }))
    }

    /// Where lanes go, for those who build batches.
    #[must_use]
    pub fn routes(&self) -> Arc<dyn Routes> {
        Arc::clone(&self.desk) as _
    }

    /// Its state now.
    #[must_use]
    pub fn stats(&self) -> DeliverStats {
        self.desk.stats()
    }

    /// Tells its state whenever it is asked, for as long as somebody wants to know.
    pub fn stats_source(&self) -> impl Fn() -> DeliverStats + Send + Sync + 'static {
        let desk = Arc::clone(&self.desk);
        move || desk.stats()
    }

    /// Sends nothing more, and waits for answers to what is on its way, but not longer than this. What is unmarked then
    /// is sent again by the next process. The spool is to be stopped after this, and writes the last marks.
    pub async fn stop(self, within: Duration) {
        const LOOK_EVERY: Duration = Duration::from_millis(10);
        self.desk.stop_sending();
        let idle = async {
            while !self.desk.is_idle() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(within, idle).await.is_err() {
            tracing::info!("stopped with batches on their way: the next start finds out what became of them");
        }
        self.driver.abort();
        // It was aborted: its end is all that matters.
        self.driver.await.ok();
        self.desk.detach();
    }
}
