//! Topics, producer id blocks and incarnations: versioned documents in the store, each written with put-if-absent.
