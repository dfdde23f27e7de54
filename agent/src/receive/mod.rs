//! Takes what others send: syslog over UDP, TCP and TLS. None of it can be read again, so what has arrived goes to the spool
//! as soon as it takes more; until then it waits where it came from, in the kernel's buffers and at its senders.
//!
//! ```text
//! datagrams, streams (tasks) -- Chunk --> gather (thread) -- Stretch --> pump (task) --> spool
//! ```

mod datagrams;
mod dropped;
mod framing;
mod messages;
mod origins;
mod streams;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tailrace_shared::config::ListenAddr;
use tailrace_shared::tls::TlsServer;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::StretchError;
use crate::frame::Cut;
use crate::gather::Gatherer;
pub use crate::gather::{Seams, Settings};
use crate::records::Template;

use datagrams::Datagrams;
pub use dropped::{SocketNo, datagrams_dropped};
pub use framing::{Framing, cut_datagram};
use messages::Messages;
use origins::Origins;
pub use origins::origin;
use streams::Streams;

/// One `[[syslog]]` of the configuration.
#[derive(Debug)]
pub struct Input {
    /// What its messages become.
    pub records: Template,
    /// Where datagrams arrive.
    pub udp: Option<ListenAddr>,
    /// Where senders connect.
    pub tcp: Option<ListenAddr>,
    /// If they speak TLS there.
    pub tls: Option<Arc<TlsServer>>,
    /// How many may be connected.
    pub connections_max: usize,
    /// Longer messages are split.
    pub max_len: usize,
}

/// A port could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for syslog on {address} ({protocol}): {source}; {} (syslog.{protocol})", address.remedy(source))]
pub struct ListenError {
    /// As configured.
    pub address: ListenAddr,
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// What the operating system said.
    pub source: io::Error,
}

/// Some of what arrived at an input.
#[derive(Debug)]
struct Chunk {
    input: usize,
    bytes: Bytes,
    messages: Vec<Message>,
}

/// One message of a chunk.
#[derive(Debug, Clone)]
struct Message {
    bytes: Range<usize>,
    cut: Cut,
    sender: IpAddr,
}

/// In metrics of what is gathered.
pub const SOURCE: &str = "syslog";

/// How many chunks may wait to be gathered.
const QUEUE_DEPTH: usize = 16;

/// How many messages a chunk may have.
const MESSAGES_MAX: usize = 1024;
/// For how long what has arrived is still taken in when the agent stops: there are senders that never pause.
const DRAIN_FOR: Duration = Duration::from_millis(500);

/// Knows when enough was taken in after the stop.
#[derive(Debug, Default)]
struct Drain {
    stopped_at: Option<Instant>,
}

impl Drain {
    fn is_over(&mut self, stop: &CancellationToken) -> bool {
        stop.is_cancelled() && self.stopped_at.get_or_insert_with(Instant::now).elapsed() > DRAIN_FOR
    }
}

/// Ports that are taken, and inputs that do not take anything from them yet.
pub struct Bound {
    templates: Vec<Template>,
    datagrams: Vec<Datagrams>,
    streams: Vec<Streams>,
}

/// Takes messages, until it is stopped.
pub struct Receiver {
    stop: CancellationToken,
    templates: watch::Sender<Vec<Template>>,
    addresses: Vec<SocketAddr>,
    queue: mpsc::WeakSender<Chunk>,
}

impl Bound {
    /// Takes the ports.
    ///
    /// # Errors
    /// When one of them is taken or may not be used.
    pub async fn new(inputs: Vec<Input>) -> Result<Self, ListenError> {
        let mut bound = Self {
            templates: Vec::with_capacity(inputs.len()),
            datagrams: Vec::new(),
            streams: Vec::new(),
        };
        for (index, input) in inputs.into_iter().enumerate() {
            if let Some(address) = &input.udp {
                let socket = UdpSocket::bind((&*address.host, address.port)).await;
                let socket = socket.map_err(failed("udp", address))?;
                bound.datagrams.push(Datagrams::new(socket, index, &input));
            }
            if let Some(address) = &input.tcp {
                let socket = TcpListener::bind((&*address.host, address.port)).await;
                let socket = socket.map_err(failed("tcp", address))?;
                bound.streams.push(Streams::new(socket, index, &input));
            }
            bound.templates.push(input.records);
        }
        Ok(bound)
    }

    /// Whether nothing is to be received.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// The sockets of which the kernel counts what it drops, and the topics that it would have gone to.
    #[must_use]
    pub fn datagram_sockets(&self) -> Vec<(SocketNo, Arc<str>)> {
        self.datagrams.iter().filter_map(Datagrams::number).collect()
    }

    /// Begins to take messages; what is returned with it gathers them, on a thread of its own.
    ///
    /// # Errors
    /// When the system has no more of what a thread needs to wait with.
    pub fn start(
        self,
        settings: &Settings,
        seams: Seams,
    ) -> io::Result<(Receiver, impl FnOnce() -> Result<(), StretchError> + Send + 'static)> {
        let (sender, chunks) = mpsc::channel(QUEUE_DEPTH);
        let stop = CancellationToken::new();
        let (templates, current) = watch::channel(self.templates);
        let messages = Messages {
            templates: current,
            origins: Origins::new(Arc::clone(&settings.host)),
            clock: Arc::clone(&seams.clock),
            metrics: seams.read_metrics.clone(),
        };
        let gather = Gatherer::new(messages, chunks, SOURCE, settings, seams.clone()).on_a_thread()?;
        let local = |address: io::Result<SocketAddr>| address.ok();
        let udp = self.datagrams.iter().map(Datagrams::local_addr);
        let tcp = self.streams.iter().map(Streams::local_addr);
        let addresses = udp.chain(tcp).filter_map(local).collect();
        for datagrams in self.datagrams {
            tokio::spawn(datagrams.run(sender.clone(), Arc::clone(&seams.clock), stop.clone()));
        }
        for streams in self.streams {
            let (sender, seams, stop) = (sender.clone(), seams.clone(), stop.clone());
            tokio::spawn(async move { streams.run(sender, &seams, stop).await });
        }
        let receiver = Receiver {
            stop,
            templates,
            addresses,
            queue: sender.downgrade(),
        };
        Ok((receiver, gather))
    }
}

impl Receiver {
    /// Other records of the same inputs, from now on.
    pub fn set_templates(&self, templates: Vec<Template>) {
        self.templates
            .send_modify(|running| Template::replace_all(running, templates));
    }

    /// Where messages are taken, the ports known: datagrams first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many chunks wait to be gathered, whenever it is asked.
    pub fn queued(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let queue = self.queue.clone();
        move || {
            queue
                .upgrade()
                .map_or(0, |queue| queue.max_capacity() - queue.capacity())
        }
    }

    /// Takes nothing more. What was taken goes on its way to the spool.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

fn failed(protocol: &'static str, address: &ListenAddr) -> impl FnOnce(io::Error) -> ListenError {
    move |source| ListenError {
        address: address.clone(),
        protocol,
        source,
    }
}
