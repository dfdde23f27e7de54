//! `tail --group`: reads as a member of a consumer group, so that the next run goes on where this one ended, and several
//! share the work. What was printed is committed every second and at the end; after a crash that second is printed again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use bytestring::ByteString;
use tailrace_shared::client::{ClientError, Cluster, GroupMember, GroupOptions, Health, Offsets};
use tailrace_shared::kafka::ErrorCode;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::printer::Printer;
use super::reading::Reading;
use crate::from::From;
use crate::output;
use crate::stop::Stop;

const SESSION_TIMEOUT: Duration = Duration::from_secs(15);
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(30);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(3);
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Why reading an assignment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The partitions are being dealt anew.
    Rebalance,
    /// There is no more to print, or nobody wants it.
    Done,
}

/// A member that prints its share of a topic.
pub(super) struct PrintingMember {
    cluster: Cluster,
    topic: ByteString,
    /// Where to begin in partitions of which the group has committed nothing.
    from: From,
    printer: Printer,
    member: GroupMember,
    heartbeats: Interval,
    /// The coordinator wants this member to join again.
    must_rejoin: bool,
    /// By partition of the assignment.
    committed: BTreeMap<i32, i64>,
}

impl PrintingMember {
    pub(super) fn new(cluster: Cluster, topic: ByteString, group: ByteString, from: From, printer: Printer) -> Self {
        let options = GroupOptions {
            group,
            topics: vec![topic.clone()],
            session_timeout: SESSION_TIMEOUT,
            rebalance_timeout: REBALANCE_TIMEOUT,
        };
        Self {
            member: GroupMember::new(cluster.clone(), options),
            cluster,
            topic,
            from,
            printer,
            heartbeats: every(HEARTBEAT_EVERY),
            must_rejoin: false,
            committed: BTreeMap::new(),
        }
    }

    /// Prints until there is no more to print or the person has had enough; then leaves the group.
    pub(super) async fn run(mut self, mut stop: Stop) -> Result<()> {
        let printed = self.print_assignments(&mut stop).await;
        let left = self.member.leave().await;
        printed?;
        left.context("the last commit stands, but leaving the group failed")
    }

    async fn print_assignments(&mut self, stop: &mut Stop) -> Result<()> {
        loop {
            let positions = tokio::select! {
                positions = self.join() => positions?,
                () = stop.requested() => return Ok(()),
            };
            let mut reading = Reading::new(self.cluster.clone(), self.topic.clone(), positions);
            // After an error nobody knows how much of the last batches was printed, so they are not committed.
            let ended = self.print_assignment(&mut reading, stop).await?;
            let committed = self.commit(&reading).await;
            match ended {
                // Whoever reads on starts at the last commit that stands.
                Ended::Rebalance => {}
                Ended::Done => return committed.context("the next run prints again what was not committed"),
            }
        }
    }

    /// Joins and finds out where to go on.
    async fn join(&mut self) -> Result<BTreeMap<i32, i64>> {
        let assignment = self.member.join().await?;
        self.must_rejoin = false;
        let partitions = assignment.get(&self.topic).cloned().unwrap_or_default();
        let mut committed = self.member.committed(&assignment).await?;
        self.committed = committed.remove(&self.topic).unwrap_or_default();
        let new: Vec<i32> = partitions
            .into_iter()
            .filter(|index| !self.committed.contains_key(index))
            .collect();
        let mut positions = self.from.resolve(&self.cluster, &self.topic, &new).await?;
        positions.extend(self.committed.iter().map(|(index, offset)| (*index, *offset)));
        Ok(positions)
    }

    async fn print_assignment(&mut self, reading: &mut Reading, stop: &mut Stop) -> Result<Ended> {
        let mut commits = every(COMMIT_EVERY);
        let mut closed = pin!(output::closed());
        loop {
            if self.printer.is_done(&reading.positions()) {
                return Ok(Ended::Done);
            }
            if self.must_rejoin {
                return Ok(Ended::Rebalance);
            }
            tokio::select! {
                batches = reading.next() => {
                    let printing = self.printer.print(batches?);
                    alive_during(printing, &mut self.member, &mut self.heartbeats, &mut self.must_rejoin).await??;
                }
                _ = self.heartbeats.tick() => self.must_rejoin = self.member.heartbeat().await? == Health::Rejoin,
                _ = commits.tick() => self.commit(reading).await?,
                () = stop.requested() => return Ok(Ended::Done),
                () = &mut closed => return Ok(Ended::Done),
            }
        }
    }

    /// Commits what was printed since the last commit.
    async fn commit(&mut self, reading: &Reading) -> Result<()> {
        let printed = self.printer.printed(reading.positions());
        if printed == self.committed {
            return Ok(());
        }
        let offsets = Offsets::from([(self.topic.clone(), printed.clone())]);
        match self.member.commit(&offsets).await {
            Ok(()) => self.committed = printed,
            Err(error) if must_rejoin(&error) => self.must_rejoin = true,
            Err(error) if error.is_retriable() => tracing::warn!(%error, "committing failed, trying again"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Sends heartbeats while something else takes its time: a pager may not read for minutes.
async fn alive_during<T>(
    work: impl Future<Output = T>,
    member: &mut GroupMember,
    heartbeats: &mut Interval,
    must_rejoin: &mut bool,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = heartbeats.tick() => *must_rejoin |= member.heartbeat().await? == Health::Rejoin,
        }
    }
}

fn must_rejoin(error: &ClientError) -> bool {
    let codes = [
        ErrorCode::RebalanceInProgress,
        ErrorCode::IllegalGeneration,
        ErrorCode::UnknownMemberId,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
