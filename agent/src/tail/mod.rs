//! Reads raw bytes by offset from handles that it owns; drains rotated files; notices truncation.
