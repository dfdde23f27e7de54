//! Batches of events, and the records in them.

use std::collections::BTreeMap;

use super::*;

/// Lane 7 is bound to partition 3, and lane 8 too; others to nothing.
struct Bound;

impl Routes for Bound {
    fn route(&self, _topic: &str, lane: u16) -> Route {
        match lane {
            7 | 8 => Route::Partition(3),
            lane => Route::Lane(lane),
        }
    }
}

fn batcher(size: Size) -> Batcher {
    Batcher::new(Arc::new(Bound), size)
}

fn encoding(format: Format) -> Encoding {
    let labels = BTreeMap::from([("env".to_owned(), "\"prod\"".to_owned())]);
    Encoding::new(format, &[("host", "web-1"), ("path", "/log/a")], &labels)
}

fn records(batch: &RoutedBatch) -> Vec<tailrace_shared::record::RecordView> {
    Batches::split(batch.bytes.clone(), usize::MAX)
        .flat_map(|view| view.unwrap().records(usize::MAX).unwrap())
        .map(Result::unwrap)
        .collect()
}

fn values(batch: &RoutedBatch) -> Vec<Bytes> {
    records(batch).into_iter().map(|record| record.value.unwrap()).collect()
}

#[test]
fn lanes_of_one_partition_share_a_batch_and_unbound_lanes_have_their_own() {
    let mut batcher = batcher(Size::default());
    let (topic, other): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let raw = encoding(Format::Raw);
    for (topic, lane) in [(&topic, 7), (&topic, 1), (&topic, 8), (&topic, 2), (&other, 7)] {
        let slot = batcher.slot(topic, lane);
        batcher
            .append(slot, 5, &raw, (None, format!("{topic}{lane}").as_bytes()))
            .unwrap();
    }
    let batches = batcher.finish().unwrap();
    let summary: Vec<_> = batches
        .iter()
        .map(|batch| (&*batch.topic, batch.route, values(batch)))
        .collect();
    assert_eq!(
        summary,
        [
            ("a", Route::Partition(3), vec![Bytes::from("a7"), Bytes::from("a8")]),
            ("a", Route::Lane(1), vec![Bytes::from("a1")]),
            ("a", Route::Lane(2), vec![Bytes::from("a2")]),
            ("b", Route::Partition(3), vec![Bytes::from("b7")]),
        ]
    );
    assert!(batcher.is_empty() && batcher.finish().unwrap().is_empty());
}

#[test]
fn a_raw_record_is_the_line_with_headers() {
    let mut batcher = batcher(Size::default());
    let slot = batcher.slot(&"t".into(), 0);
    batcher
        .append(slot, 5, &encoding(Format::Raw), (None, b"\xff\0line"))
        .unwrap();
    let record = records(&batcher.finish().unwrap()[0]).remove(0);
    assert_eq!(record.value.as_deref(), Some(&b"\xff\0line"[..]));
    assert_eq!(record.timestamp, 5);
    let headers: Vec<_> = record.headers.iter().collect();
    assert_eq!(
        headers,
        [
            (&b"host"[..], Some(&b"web-1"[..])),
            (b"path", Some(b"/log/a")),
            (b"env", Some(b"\"prod\""))
        ]
    );
}

#[test]
fn a_json_record_wraps_the_line() {
    let mut batcher = batcher(Size::default());
    let slot = batcher.slot(&"t".into(), 0);
    batcher
        .append(slot, 5, &encoding(Format::Json), (None, b"say \"hi\" \xff"))
        .unwrap();
    let record = records(&batcher.finish().unwrap()[0]).remove(0);
    let value: serde_json::Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
    let expected = serde_json::json!({
        "message": "say \"hi\" \u{fffd}", "host": "web-1", "path": "/log/a", "env": "\"prod\""
    });
    assert_eq!(value, expected);
    assert!(record.headers.is_empty());
}

fn json_line(line: &'static str) -> Outcome<'static> {
    Outcome {
        timestamp_ms: 7,
        line: line.as_bytes(),
        fields: serde_json::from_str(line).unwrap(),
        is_parsed: true,
        said: &[],
        renamed: &[],
        headers: &[],
        problem: None,
    }
}

#[test]
fn fields_stand_before_what_the_agent_knows_and_keep_their_names() {
    let mut batcher = batcher(Size::default());
    let slot = batcher.slot(&"t".into(), 0);
    let names = ["n".to_owned()];
    let outcome = Outcome {
        headers: &names,
        ..json_line(r#"{"n": 1.0, "host": "other", "m": {"a": []}}"#)
    };
    batcher
        .append_outcome(slot, &encoding(Format::Json), None, &outcome)
        .unwrap();
    let record = records(&batcher.finish().unwrap()[0]).remove(0);
    let expected = r#"{"n":1.0,"host":"other","m":{"a": []},"agent_host":"web-1","path":"/log/a","env":"\"prod\""}"#;
    assert_eq!(record.value.unwrap(), expected);
    assert_eq!(record.timestamp, 7);
    assert_eq!(record.headers.last("n"), Some(&b"1.0"[..]));
}

#[test]
fn fields_become_headers_and_a_problem_is_one_too() {
    let mut batcher = batcher(Size::default());
    let slot = batcher.slot(&"t".into(), 0);
    let names = ["level", "nothing"].map(str::to_owned);
    let outcome = Outcome {
        headers: &names,
        problem: Some("why".to_owned()),
        ..json_line(r#"{"level":"info"}"#)
    };
    batcher
        .append_outcome(slot, &encoding(Format::Raw), None, &outcome)
        .unwrap();
    let record = records(&batcher.finish().unwrap()[0]).remove(0);
    assert_eq!(record.value.as_deref(), Some(outcome.line));
    let headers: Vec<_> = record.headers.iter().skip(3).collect();
    assert_eq!(
        headers,
        [(&b"level"[..], Some(&b"info"[..])), (b"parse_error", Some(b"why"))]
    );
}

/// Bytes that no codec makes smaller.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    std::iter::repeat_with(|| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

#[test]
fn lines_that_compress_worse_than_expected_come_out_in_several_batches_in_order() {
    let size = Size {
        batch_bytes: 10_000,
        stretch_bytes: 100_000,
        ..Size::default()
    };
    let mut batcher = batcher(size);
    let raw = encoding(Format::Raw);
    let topic: Arc<str> = "t".into();
    let slot = batcher.slot(&topic, 0);
    for _ in 0..50 {
        batcher.append(slot, 0, &raw, (None, &[b'a'; 100])).unwrap();
    }
    assert!(!batcher.is_full());
    batcher.finish().unwrap();
    let slot = batcher.slot(&topic, 0);
    let lines: Vec<_> = (0..90).map(|seed| noise(1000, seed)).collect();
    for line in &lines {
        batcher.append(slot, 0, &raw, (None, line)).unwrap();
    }
    let batches = batcher.finish().unwrap();
    assert!(batches.len() > 5 && batches.iter().all(|batch| batch.bytes.len() <= 10_000));
    assert_eq!(batches.iter().flat_map(values).collect::<Vec<_>>(), lines);
    assert_eq!(batches.iter().map(|batch| batch.records).sum::<u32>(), 90);
}

#[test]
fn how_far_lines_will_compress_is_judged_by_the_last_batch_of_their_topic() {
    let mut batcher = batcher(Size {
        batch_bytes: 10_000,
        ..Size::default()
    });
    let raw = encoding(Format::Raw);
    let (plain, noisy): (Arc<str>, Arc<str>) = ("plain".into(), "noisy".into());
    let gathered = |batcher: &mut Batcher, topic: &Arc<str>, line: &dyn Fn(u64) -> Vec<u8>| {
        let slot = batcher.slot(topic, 0);
        (0..80)
            .take_while(|seed| {
                batcher.append(slot, 0, &raw, (None, &line(*seed))).unwrap();
                !batcher.is_full()
            })
            .count()
    };
    let same = |_| vec![b'a'; 1000];
    let other = |seed| noise(1000, seed);
    for _ in 0..2 {
        // Nothing is known yet, or that it cannot be compressed.
        assert_eq!(gathered(&mut batcher, &noisy, &other), 8);
        batcher.finish().unwrap();
        gathered(&mut batcher, &plain, &same);
        batcher.finish().unwrap();
        assert_eq!(gathered(&mut batcher, &plain, &same), 80);
        batcher.finish().unwrap();
    }
}

/// A topic that takes no more than so many bytes.
struct Narrow(usize);

impl Routes for Narrow {
    fn route(&self, _topic: &str, _lane: u16) -> Route {
        Route::Partition(0)
    }

    fn batch_bytes_max(&self, topic: &str) -> Option<usize> {
        (topic == "narrow").then_some(self.0)
    }
}

#[test]
fn a_topic_that_takes_less_gets_smaller_batches() {
    let mut batcher = Batcher::new(Arc::new(Narrow(2000)), Size::default());
    let raw = encoding(Format::Raw);
    let lines: Vec<_> = (0..20).map(|seed| noise(500, seed)).collect();
    for topic in ["narrow", "wide"] {
        let slot = batcher.slot(&topic.into(), 0);
        for line in &lines {
            batcher.append(slot, 0, &raw, (None, line)).unwrap();
        }
    }
    let batches = batcher.finish().unwrap();
    let (wide, narrow): (Vec<_>, Vec<_>) = batches.iter().partition(|batch| batch.topic == "wide");
    assert_eq!(wide.len(), 1);
    assert!(narrow.len() > 5 && narrow.iter().all(|batch| batch.bytes.len() <= 2000));
    assert_eq!(narrow.into_iter().flat_map(values).collect::<Vec<_>>(), lines);
}

#[test]
fn a_stretch_is_full_by_what_was_gathered_or_by_a_batch_that_nears_its_limit() {
    for (batch_bytes, stretch_bytes) in [(1000, 1 << 20), (1 << 20, 1000)] {
        let mut batcher = batcher(Size {
            batch_bytes,
            stretch_bytes,
            ..Size::default()
        });
        let slot = batcher.slot(&"t".into(), 0);
        let mut lines = 0;
        while !batcher.is_full() {
            batcher
                .append(slot, 0, &encoding(Format::Raw), (None, &[b'a'; 50]))
                .unwrap();
            lines += 1;
        }
        assert!((8..=11).contains(&lines), "{lines}");
    }
}
