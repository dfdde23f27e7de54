//! A commit: what has gathered, joined into frames and laid out as the one buffer that is written, cached and read.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{BLOCK, FRAME_HEADER_BYTES, FrameHeader, Kind, round_up};
use super::commit_buffer::{CommitBuffer, FullBlocks};
use super::frame::{CommittedFrame, Frame, FrameKind, FrameLocation, FrameSink};
use super::position::WalPosition;

/// A frame on its way to the disk, and who wants to know that it got there.
pub(super) struct Pending {
    pub(super) frame: Frame,
    pub(super) payload_bytes: usize,
    pub(super) sink: Option<Arc<dyn FrameSink>>,
}

/// Where a commit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: WalPosition,
    pub(super) offset: u64,
    pub(super) commit: u64,
}

/// A commit as it is written.
pub(super) struct Encoded {
    /// Padded to whole blocks.
    pub(super) bytes: Bytes,
    /// Its frames, without the file header.
    pub(super) frames: Vec<CommittedFrame>,
}

impl Pending {
    pub(super) fn new(frame: Frame, sink: Option<Arc<dyn FrameSink>>) -> Self {
        Self {
            payload_bytes: frame.payload.iter().map(Bytes::len).sum(),
            frame,
            sink,
        }
    }

    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload_bytes)
    }

    /// Whether `next` continues this frame: the same partition's next batches, for the same listener.
    fn is_continued_by(&self, next: &Self, max_frame_bytes: usize) -> bool {
        let same_sink = match (&self.sink, &next.sink) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            _ => false,
        };
        same_sink
            && self.frame.kind == FrameKind::Batches
            && next.frame.kind == FrameKind::Batches
            && self.frame.end == next.frame.start
            && self.payload_bytes + next.payload_bytes <= max_frame_bytes
    }

    fn join(&mut self, next: Self) {
        self.frame.end = next.frame.end;
        self.frame.appended_at = self.frame.appended_at.min(next.frame.appended_at);
        self.frame.payload.extend(next.frame.payload);
        self.payload_bytes += next.payload_bytes;
    }
}

/// Bytes of a frame with such a payload.
pub(super) fn frame_bytes(payload_bytes: usize) -> u64 {
    (FRAME_HEADER_BYTES + payload_bytes) as u64
}

/// The most that a frame may take of a file: as a commit of its own.
pub(super) fn cost(payload_bytes: usize) -> u64 {
    round_up(frame_bytes(payload_bytes))
}

/// Joins each partition's adjacent batches. A partition's frames stay in order; so do frames that were not joined.
pub(super) fn join(pending: impl IntoIterator<Item = Pending>, max_frame_bytes: usize) -> Vec<Pending> {
    let mut joined: Vec<Pending> = Vec::new();
    let mut latest = HashMap::new();
    for next in pending {
        let partition = next.frame.partition;
        let open = latest.get(&partition).and_then(|index: &usize| joined.get_mut(*index));
        match open {
            Some(open) if open.is_continued_by(&next, max_frame_bytes) => open.join(next),
            _ => {
                latest.insert(partition, joined.len());
                joined.push(next);
            }
        }
    }
    joined
}

/// Lays out a commit; with a file header if it is the first of its file.
pub(super) fn encode(
    place: Place,
    file_header: Option<&Bytes>,
    frames: &[Pending],
    buffer: &mut CommitBuffer,
    full_blocks: &FullBlocks,
) -> Encoded {
    let header_bytes = file_header.map_or(0, |payload| frame_bytes(payload.len()));
    let total = round_up(header_bytes + frames.iter().map(Pending::frame_bytes).sum::<u64>());
    let out = buffer.with_room(usize::try_from(total).unwrap_or_default(), full_blocks);
    let mut index = 0;
    if let Some(payload) = file_header {
        FrameHeader::of_file(length(payload.len()), place.commit, frames.is_empty()).encode(
            place.file,
            std::slice::from_ref(payload),
            out,
        );
        index += 1;
    }
    let mut committed = Vec::with_capacity(frames.len());
    for (nth, pending) in frames.iter().enumerate() {
        let frame = &pending.frame;
        let location = FrameLocation {
            incarnation: place.file.incarnation,
            file: place.file.file,
            offset: place.offset + frame_bytes(0) + out.len() as u64,
            len: length(pending.payload_bytes),
        };
        let header = FrameHeader {
            kind: Kind::Content(frame.kind),
            payload_bytes: location.len,
            last_in_commit: nth + 1 == frames.len(),
            commit: place.commit,
            index,
            partition: frame.partition,
            start: frame.start,
            end: frame.end,
            appended_at: frame.appended_at,
        };
        header.encode(place.file, &frame.payload, out);
        committed.push(header.committed(frame.kind, location));
        index += 1;
    }
    out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
    Encoded {
        bytes: out.split().freeze(),
        frames: committed,
    }
}

impl FrameHeader {
    /// The frame as those who wait for it see it.
    pub(super) fn committed(&self, kind: FrameKind, location: FrameLocation) -> CommittedFrame {
        CommittedFrame {
            kind,
            partition: self.partition,
            start: self.start,
            end: self.end,
            appended_at: self.appended_at,
            location,
        }
    }
}

/// Payloads are bounded by `WalOptions::max_frame_bytes`, which fits.
fn length(payload_bytes: usize) -> u32 {
    u32::try_from(payload_bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::topic_partition::TopicPartition;

    struct Deaf;

    impl FrameSink for Deaf {
        fn committed(&self, _: &CommittedFrame) {}
    }

    fn batches(partition: i32, offsets: std::ops::Range<i64>, sink: &Arc<dyn FrameSink>) -> Pending {
        let payload = vec![Bytes::from(vec![b'x'; 10])];
        Pending::new(
            Frame {
                kind: FrameKind::Batches,
                partition: TopicPartition {
                    topic: Uuid::nil(),
                    partition,
                },
                start: offsets.start,
                end: offsets.end,
                appended_at: 1000 - offsets.start,
                payload,
            },
            Some(Arc::clone(sink)),
        )
    }

    fn shape(frames: &[Pending]) -> Vec<(i32, i64, i64)> {
        let shape = |pending: &Pending| {
            let frame = &pending.frame;
            (frame.partition.partition, frame.start, frame.end)
        };
        frames.iter().map(shape).collect()
    }

    #[test]
    fn adjacent_batches_of_a_partition_become_one_frame() {
        let sink: Arc<dyn FrameSink> = Arc::new(Deaf);
        let joined = join(
            [
                batches(0, 0..3, &sink),
                batches(1, 5..6, &sink),
                batches(0, 3..4, &sink),
                batches(1, 7..8, &sink),
            ],
            1000,
        );
        assert_eq!(shape(&joined), [(0, 0, 4), (1, 5, 6), (1, 7, 8)]);
        assert_eq!(joined[0].payload_bytes, 20);
        assert_eq!(joined[0].frame.appended_at, 997);
    }

    #[test]
    fn a_frame_grows_to_its_limit_and_no_further() {
        let sink: Arc<dyn FrameSink> = Arc::new(Deaf);
        let pending = (0..5).map(|offset| batches(0, offset..offset + 1, &sink));
        assert_eq!(shape(&join(pending, 20)), [(0, 0, 2), (0, 2, 4), (0, 4, 5)]);
    }

    #[test]
    fn a_manifest_change_keeps_its_place_between_batches() {
        let sink: Arc<dyn FrameSink> = Arc::new(Deaf);
        let mut change = batches(0, 3..4, &sink);
        change.frame.kind = FrameKind::ManifestChange;
        let joined = join([batches(0, 0..3, &sink), change, batches(0, 3..5, &sink)], 1000);
        assert_eq!(shape(&joined), [(0, 0, 3), (0, 3, 4), (0, 3, 5)]);
    }

    #[test]
    fn frames_with_other_listeners_are_not_joined() {
        let sinks: [Arc<dyn FrameSink>; 2] = [Arc::new(Deaf), Arc::new(Deaf)];
        let joined = join([batches(0, 0..3, &sinks[0]), batches(0, 3..5, &sinks[1])], 1000);
        assert_eq!(joined.len(), 2);
    }

    #[test]
    fn each_frame_is_told_where_its_payload_lies() {
        let sink: Arc<dyn FrameSink> = Arc::new(Deaf);
        let mut frames = [batches(0, 0..3, &sink), batches(1, 5..6, &sink)];
        frames[1].frame.payload = vec![Bytes::from_static(b"he"), Bytes::from_static(b"llo")];
        frames[1].payload_bytes = 5;
        let place = Place {
            file: WalPosition {
                incarnation: 1,
                file: 2,
            },
            offset: 8192,
            commit: 9,
        };
        let encoded = encode(
            place,
            Some(&Bytes::from_static(b"header")),
            &frames,
            &mut CommitBuffer::default(),
            &FullBlocks::for_cache(0),
        );
        assert_eq!(encoded.bytes.len(), 4096);
        let location = encoded.frames[1].location;
        let start = usize::try_from(location.offset - place.offset).unwrap();
        assert_eq!(&encoded.bytes[start..start + location.len as usize], b"hello");

        let mut at = 0;
        for (index, last) in [(0, false), (1, false), (2, true)] {
            let header = FrameHeader::decode(place.file, &encoded.bytes[at..]).unwrap();
            assert_eq!((header.commit, header.index, header.last_in_commit), (9, index, last));
            at += header.frame_bytes();
        }
    }
}
