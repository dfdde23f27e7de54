//! The composition root: opens the broker, starts the listeners, and stops everything in order.
