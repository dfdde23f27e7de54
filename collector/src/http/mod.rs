//! The collector's HTTP side: health, metrics, and what operators look at.
