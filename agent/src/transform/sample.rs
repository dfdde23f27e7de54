//! A share of the events, the same ones whenever they are looked at.

use super::{Condition, Fields};
use crate::position::checksum;

/// Which events are sent.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Which share of them, between 0 and 1.
    pub keep: f64,
    /// Events that agree in this field are all in the sample or none is; without one, each event is for itself.
    pub by: Option<String>,
    /// Only of events that meet this; all others are sent.
    pub of: Option<Condition>,
}

impl Sample {
    pub(super) fn takes(&self, line: &[u8], fields: &Fields<'_>) -> bool {
        if self.of.as_ref().is_some_and(|of| !of.is_met(line, fields)) {
            return true;
        }
        let field = self.by.as_ref().and_then(|name| fields.get(name));
        let hash = match &field {
            Some(field) => checksum(field.text().as_bytes()),
            None => checksum(line),
        };
        f64::from(hash) < self.keep * (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::json;
    use super::*;

    #[test]
    fn about_the_share_that_was_asked_for_and_by_the_field() {
        let sample = Sample {
            keep: 0.25,
            by: Some("trace".to_owned()),
            of: None,
        };
        let takes = |trace: u32, number: u32| {
            let line = format!(r#"{{"trace":"{trace}","number":{number}}}"#);
            sample.takes(line.as_bytes(), &json::object(line.as_bytes()).unwrap())
        };
        let taken = (0..10_000).filter(|trace| takes(*trace, 1)).count();
        assert!((2300..2700).contains(&taken), "{taken}");
        assert!((0..1000).all(|trace| takes(trace, 1) == takes(trace, 2)));
    }
}
