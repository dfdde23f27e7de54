//! Delivery against a broker that forgets, refuses and loses answers, over a disk that loses what was not synced.

mod broker;
mod crashes;
mod rules;
mod running;
mod stuck;
mod wire;
mod world;
