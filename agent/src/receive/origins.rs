//! Who sent a message: what is said of all messages of that sender, and the lane that keeps them in order.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::records::Template;
use crate::routing::Origin;
use crate::stretch::lane_of;

/// How many are remembered. A flood of forged addresses makes the others be made anew, and no more.
const REMEMBERED: usize = 4096;

/// What the messages of a sender have in common.
#[must_use]
pub fn origin(template: &Template, host: &str, source_ip: &str) -> Origin {
    let lane = lane_of(host, source_ip.as_ref());
    template.origin(&[("host", host), ("source_ip", source_ip)], lane)
}

/// Those that sent something lately.
#[derive(Debug)]
pub(super) struct Origins {
    host: Arc<str>,
    known: HashMap<(usize, IpAddr), Arc<Origin>>,
}

impl Origins {
    pub(super) fn new(host: Arc<str>) -> Self {
        Self {
            host,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, input: usize, template: &Template, sender: IpAddr) -> Arc<Origin> {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let known = self.known.entry((input, sender));
        let known = known.or_insert_with(|| Arc::new(origin(template, &self.host, &sender.to_string())));
        Arc::clone(known)
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}
