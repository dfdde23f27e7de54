//! Hints that a file may have changed. Every hint may be missed or doubled: a slow scan reconciles.
