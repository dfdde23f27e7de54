//! The composition root: from configuration to a running agent, and its orderly stop.
