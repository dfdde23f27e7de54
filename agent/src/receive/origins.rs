//! Who sent a message: what is said of all messages of that sender, and the lane that keeps them in order.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::batch::Encoding;
use crate::records::Template;
use crate::stretch::lane_of;

/// How many are remembered. A flood of forged addresses makes the others be made anew, and no more.
const REMEMBERED: usize = 4096;

/// One sender of an input.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) lane: u16,
    pub(super) encoding: Arc<Encoding>,
}

/// How the messages of a sender become records.
#[must_use]
pub fn encoding(template: &Template, host: &str, source_ip: &str) -> Encoding {
    let constants = &[("host", host), ("source_ip", source_ip)];
    Encoding::new(template.format, constants, &template.labels)
}

/// Those that sent something lately.
#[derive(Debug)]
pub(super) struct Origins {
    host: Arc<str>,
    known: HashMap<(usize, IpAddr), Origin>,
}

impl Origins {
    pub(super) fn new(host: Arc<str>) -> Self {
        Self {
            host,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, input: usize, template: &Template, sender: IpAddr) -> Origin {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let origin = self.known.entry((input, sender)).or_insert_with(|| {
            let text = sender.to_string();
            Origin {
                lane: lane_of(&self.host, text.as_ref()),
                encoding: Arc::new(encoding(template, &self.host, &text)),
            }
        });
        origin.clone()
    }

    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}
