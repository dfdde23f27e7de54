//! Files, rotations and crashes, end to end from the disk to the stretches.
