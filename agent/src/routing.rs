//! Where records go: to which topic, under which key, and how a partition is found. What is the same for all events of one origin
//! (a file, a sender, a journal, a command) is settled once; the rest is asked of each event.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;

use crate::batch::{Batcher, Encoding, Format, Labels, Slot};
use crate::stretch::lane_of_key;
use crate::transform::{Field, Fields};

/// The longest name that Kafka allows.
pub const TOPIC_LEN_MAX: usize = 249;

/// Whether a topic's name may have this character.
#[must_use]
pub fn is_topic_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-')
}

/// A text in which `{name}` stands for a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldText(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

impl FieldText {
    /// Reads one.
    ///
    /// # Errors
    /// When a brace is open, stands alone, or has no name in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("\"{text}\" has {what}: a field is written as `{{name}}`");
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after
                .split_once('}')
                .ok_or_else(|| wrong("a brace that is not closed"))?;
            if before.contains('}') || name.contains('{') {
                return Err(wrong("a brace too many"));
            }
            if name.is_empty() {
                return Err(wrong("braces with nothing in them"));
            }
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(Part::Field(name.to_owned()));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(wrong("a brace too many"));
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        Ok(Self(parts))
    }

    /// The fields that it asks for.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// What stands between them.
    pub fn letters(&self) -> impl Iterator<Item = char> {
        let texts = self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.chars()),
            Part::Field(_) => None,
        });
        texts.flatten()
    }

    /// With what is known already in its place.
    fn with(&self, known: impl Fn(&str) -> Option<String>) -> Self {
        let settle = |part: &Part| match part {
            Part::Field(name) => known(name).map_or_else(|| part.clone(), Part::Text),
            Part::Text(_) => part.clone(),
        };
        Self(self.0.iter().map(settle).collect())
    }

    /// Whether it asks for none.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.fields().next().is_none()
    }

    /// The text for an event. `None` if it has not all of the fields, or one of them is empty or null.
    fn fill(&self, event: &EventFields<'_>) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) if text.is_empty() => return None,
                Part::Text(text) => filled.push_str(text),
                Part::Field(name) => match event.text(name)? {
                    text if text.is_empty() => return None,
                    text => filled.push_str(&text),
                },
            }
        }
        Some(filled)
    }
}

/// What an event says itself, and what is said of it where it comes from, which comes first.
struct EventFields<'a> {
    fields: &'a Fields<'a>,
    said: &'a [(&'a str, &'a str)],
}

impl EventFields<'_> {
    fn text(&self, name: &str) -> Option<String> {
        if let Some((_, text)) = self.said.iter().find(|(said, _)| *said == name) {
            return Some((*text).to_owned());
        }
        let field = self.fields.get(name).filter(|field| *field != Field::Json("null"))?;
        Some(field.text().into_owned())
    }
}

/// Topics whose names have fields in them.
#[derive(Debug, Clone)]
pub struct Topics {
    text: FieldText,
    otherwise: Arc<str>,
    max: usize,
    /// All that were used, for they may not become too many, under what brokers take for the same name.
    known: Arc<Mutex<HashMap<String, Arc<str>>>>,
}

impl Topics {
    /// At most `max` of them; `otherwise` takes what would make more, and what has not all of the fields.
    #[must_use]
    pub fn new(text: FieldText, otherwise: Arc<str>, max: usize) -> Self {
        Self {
            text,
            otherwise,
            max,
            known: Arc::default(),
        }
    }

    /// `None` for the other one.
    fn of(&self, event: &EventFields<'_>) -> Option<Arc<str>> {
        let name = sanitised(&self.text.fill(event)?)?;
        // Kafka refuses a topic that differs from another in these only.
        let same = name.replace('.', "_");
        let mut known = self.known.lock();
        if let Some(known) = known.get(&same) {
            return Some(Arc::clone(known)).filter(|known| **known == *name);
        }
        if known.len() >= self.max {
            return None;
        }
        let name: Arc<str> = name.into();
        known.insert(same, Arc::clone(&name));
        Some(name)
    }
}

/// A name that Kafka allows, and that is none of those that brokers keep to themselves.
fn sanitised(name: &str) -> Option<String> {
    let legal = |letter: char| if is_topic_letter(letter) { letter } else { '_' };
    let name: String = name.chars().take(TOPIC_LEN_MAX).map(legal).collect();
    let is_reserved = name.starts_with("__") || matches!(&*name, "." | "..");
    (!is_reserved).then_some(name)
}

/// A topic, or topics.
#[derive(Debug, Clone)]
pub enum Topic {
    /// Always this one.
    One(Arc<str>),
    /// By fields.
    Of(Topics),
}

/// How a record finds its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionBy {
    /// All of a file, a sender, a journal or a command go to the same one, so that their order holds.
    #[default]
    Source,
    /// All with the same key go to the same one; those without one, as `source` has it.
    Key,
    /// Every batch goes to another one, so that all get as much: no order holds.
    RoundRobin,
}

/// Where the records of an input go.
#[derive(Debug, Clone)]
pub struct Routing {
    /// To which topic.
    pub topic: Topic,
    /// Their key, if they have one. Those that have not all of its fields have none.
    pub key: Option<FieldText>,
    /// To which partition.
    pub partition: PartitionBy,
}

impl Routing {
    /// To this topic, and no more.
    #[must_use]
    pub fn to(topic: Arc<str>) -> Self {
        Self {
            topic: Topic::One(topic),
            key: None,
            partition: PartitionBy::Source,
        }
    }

    fn with(&self, known: impl Fn(&str) -> Option<String>) -> Self {
        Self {
            topic: match &self.topic {
                Topic::One(topic) => Topic::One(Arc::clone(topic)),
                Topic::Of(topics) => Topic::Of(Topics {
                    text: topics.text.with(&known),
                    ..topics.clone()
                }),
            },
            key: self.key.as_ref().map(|key| key.with(&known)),
            partition: self.partition,
        }
    }

    fn is_settled(&self) -> bool {
        let topic = match &self.topic {
            Topic::One(_) => true,
            Topic::Of(topics) => topics.text.is_settled(),
        };
        topic && self.key.as_ref().is_none_or(FieldText::is_settled)
    }

    fn destination(&self, event: &EventFields<'_>, lane: u16) -> Destination {
        let (topic, is_otherwise) = match &self.topic {
            Topic::One(topic) => (Arc::clone(topic), false),
            Topic::Of(topics) => match topics.of(event) {
                Some(topic) => (topic, false),
                None => (Arc::clone(&topics.otherwise), true),
            },
        };
        let key = self.key.as_ref().and_then(|key| key.fill(event));
        let lane = match (self.partition, &key) {
            (PartitionBy::RoundRobin, _) => None,
            (PartitionBy::Key, Some(key)) => Some(lane_of_key(key.as_bytes())),
            (PartitionBy::Key, None) | (PartitionBy::Source, _) => Some(lane),
        };
        Destination {
            topic,
            lane,
            key,
            is_otherwise,
        }
    }
}

/// Where one record goes.
#[derive(Debug)]
pub struct Destination {
    topic: Arc<str>,
    /// None where every batch has another one.
    lane: Option<u16>,
    /// Its key.
    pub key: Option<String>,
    /// Whether that is for want of a field, or because there are too many topics already.
    pub is_otherwise: bool,
}

impl Destination {
    /// The batch that is open for it.
    pub fn slot(&self, batcher: &mut Batcher) -> Slot {
        let lane = self.lane.unwrap_or_else(|| batcher.lane_in_turn());
        batcher.slot(&self.topic, lane)
    }
}

/// What the events of one file, sender, journal or command have in common.
#[derive(Debug)]
pub struct Origin {
    /// How they become records.
    pub encoding: Encoding,
    routing: Routing,
    lane: u16,
    /// Where all of them go, if that does not depend on the event.
    settled: Option<Destination>,
}

impl Origin {
    /// One of which the agent knows `constants`, and the configuration says `labels`; its order is kept in `lane`. Where neither says
    /// one of `withheld`, no event may.
    #[must_use]
    pub fn new(
        routing: &Routing,
        format: Format,
        constants: &[(&str, &str)],
        labels: &Labels,
        withheld: &[&str],
        lane: u16,
    ) -> Self {
        let constant = |name: &str| {
            constants
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| *value)
        };
        let withheld = |name: &str| withheld.contains(&name).then(String::new);
        let known = |name: &str| {
            let known = constant(name).map(str::to_owned);
            known.or_else(|| labels.get(name).cloned()).or_else(|| withheld(name))
        };
        let routing = routing.with(known);
        let settled = routing.is_settled();
        let nothing = EventFields {
            fields: &Fields::default(),
            said: &[],
        };
        Self {
            encoding: Encoding::new(format, constants, labels),
            settled: settled.then(|| routing.destination(&nothing, lane)),
            routing,
            lane,
        }
    }

    /// Where all of its events go, if that is the same for all.
    #[must_use]
    pub fn settled(&self) -> Option<&Destination> {
        self.settled.as_ref()
    }

    /// Where an event with these fields goes, of which that is said.
    #[must_use]
    pub fn destination(&self, fields: &Fields<'_>, said: &[(&str, &str)]) -> Destination {
        self.routing.destination(&EventFields { fields, said }, self.lane)
    }
}

#[cfg(test)]
mod tests;
