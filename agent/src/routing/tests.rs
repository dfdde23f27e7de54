//! What becomes of fields in the name of a topic, and in a key.

use super::*;
use crate::stretch::partition_of_key_lane;

fn text(text: &str) -> FieldText {
    FieldText::parse(text).unwrap()
}

fn topics(name: &str, max: usize) -> Routing {
    Routing {
        topic: Topic::Of(Topics::new(text(name), "rest".into(), max)),
        ..Routing::to("unused".into())
    }
}

fn origin(routing: &Routing, constants: &[(&str, &str)], lane: u16) -> Origin {
    Origin::new(routing, Format::Raw, constants, &Labels::default(), &[], lane)
}

fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.put((*name).into(), Field::Text((*value).into()));
    }
    fields
}

fn topic(origin: &Origin, pairs: &[(&str, &str)]) -> String {
    let destination = origin.destination(&fields(pairs), &[]);
    assert_eq!(destination.is_otherwise, &*destination.topic == "rest");
    destination.topic.to_string()
}

#[test]
fn what_the_agent_knows_settles_a_topic_and_an_event_cannot_change_it() {
    let by_pod = origin(&topics("logs-{namespace}", 9), &[("namespace", "shop")], 0);
    assert_eq!(&*by_pod.settled().unwrap().topic, "logs-shop");
    assert_eq!(topic(&by_pod, &[("namespace", "bank")]), "logs-shop");
    let by_event = origin(&topics("logs-{namespace}", 9), &[], 0);
    assert!(by_event.settled().is_none());
    assert_eq!(topic(&by_event, &[("namespace", "bank")]), "logs-bank");
}

#[test]
fn what_is_said_of_an_event_comes_before_what_it_says_itself() {
    let by_unit = origin(&topics("logs-{unit}", 9), &[], 0);
    let said = [("unit", "sshd.service")];
    let destination = by_unit.destination(&fields(&[("unit", "nginx.service")]), &said);
    assert_eq!(&*destination.topic, "logs-sshd.service");
    let routing = topics("logs-{namespace}", 9);
    let withheld = Origin::new(&routing, Format::Raw, &[], &Labels::default(), &["namespace"], 0);
    assert!(withheld.settled().unwrap().is_otherwise, "a path that does not tell it");
}

#[test]
fn of_names_that_brokers_take_for_one_only_the_first_is_used() {
    let any = origin(&topics("{a}", 9), &[], 0);
    assert_eq!(topic(&any, &[("a", "x.y")]), "x.y");
    assert_eq!(topic(&any, &[("a", "x_y")]), "rest");
    assert_eq!(topic(&any, &[("a", "x.y")]), "x.y");
}

#[test]
fn what_lacks_a_field_goes_to_the_other_topic() {
    let both = origin(&topics("{a}.{b}", 9), &[], 0);
    assert_eq!(topic(&both, &[("a", "x"), ("b", "y")]), "x.y");
    for lacking in [&[("a", "x")][..], &[("a", "x"), ("b", "")], &[]] {
        assert_eq!(topic(&both, lacking), "rest");
    }
    let of_nothing = origin(&topics("{label}", 9), &[("label", "")], 0);
    assert!(of_nothing.settled().unwrap().is_otherwise);
}

#[test]
fn names_are_made_such_that_brokers_take_them() {
    let any = origin(&topics("{a}", 99), &[], 0);
    for (value, expected) in [
        ("Web 1/ä", "Web_1__"),
        ("..", "rest"),
        (".", "rest"),
        ("__consumer_offsets", "rest"),
        ("  x", "rest"),
        ("_x", "_x"),
    ] {
        assert_eq!(topic(&any, &[("a", value)]), expected, "{value}");
    }
    assert_eq!(topic(&any, &[("a", &"x".repeat(300))]).len(), TOPIC_LEN_MAX);
}

#[test]
fn there_are_no_more_topics_than_there_may_be_whatever_their_origin() {
    let routing = topics("{a}", 2);
    let (one, other) = (origin(&routing, &[], 0), origin(&routing, &[], 1));
    assert_eq!(topic(&one, &[("a", "x")]), "x");
    assert_eq!(topic(&other, &[("a", "y")]), "y");
    assert_eq!(topic(&one, &[("a", "z")]), "rest");
    assert_eq!(topic(&one, &[("a", "y")]), "y");
}

#[test]
fn records_of_one_key_have_one_lane_whatever_their_origin() {
    let routing = Routing {
        key: Some(text("{user}")),
        partition: PartitionBy::Key,
        ..Routing::to("t".into())
    };
    let (one, other) = (origin(&routing, &[], 3), origin(&routing, &[], 4));
    let lane = |origin: &Origin, pairs: &[(&str, &str)]| origin.destination(&fields(pairs), &[]).lane.unwrap();
    assert_eq!(lane(&one, &[("user", "ann")]), lane(&other, &[("user", "ann")]));
    assert_ne!(lane(&one, &[("user", "ann")]), lane(&one, &[("user", "bob")]));
    assert_eq!((lane(&one, &[]), lane(&other, &[])), (3, 4), "without a key");
    let theirs = tailrace_shared::murmur2::partition_of(b"ann", 12);
    assert_eq!(partition_of_key_lane(lane(&one, &[("user", "ann")]), 12), Some(theirs));
}

#[test]
fn a_key_need_not_say_where_a_record_goes() {
    let routing = Routing {
        key: Some(text("{host}/{user}")),
        ..Routing::to("t".into())
    };
    let of_host = origin(&routing, &[("host", "web-1")], 5);
    let destination = of_host.destination(&fields(&[("user", "ann")]), &[]);
    assert_eq!(
        (destination.key.as_deref(), destination.lane),
        (Some("web-1/ann"), Some(5))
    );
    assert_eq!(of_host.destination(&fields(&[]), &[]).key, None);
}

#[test]
fn what_goes_in_turn_has_another_lane_in_each_stretch() {
    struct Everywhere;
    impl crate::stretch::Routes for Everywhere {
        fn route(&self, _topic: &str, lane: u16) -> crate::stretch::Route {
            crate::stretch::Route::Lane(lane)
        }
    }
    let routing = Routing {
        partition: PartitionBy::RoundRobin,
        ..Routing::to("t".into())
    };
    let origin = origin(&routing, &[], 5);
    let mut batcher = Batcher::new(Arc::new(Everywhere), crate::batch::Size::default());
    let mut partitions = std::collections::BTreeMap::new();
    for _ in 0..240 {
        for _ in 0..3 {
            let slot = origin.settled().unwrap().slot(&mut batcher);
            batcher.append(slot, 0, &origin.encoding, (None, b"x")).unwrap();
        }
        let batches = batcher.finish().unwrap();
        assert_eq!(batches.len(), 1, "one batch of a stretch");
        let crate::stretch::Route::Lane(lane) = batches[0].route else {
            panic!("{:?}", batches[0].route);
        };
        *partitions.entry(partition_of_key_lane(lane, 48)).or_insert(0) += 1;
    }
    assert!(
        partitions.len() == 48 && partitions.values().all(|batches| *batches == 5),
        "{partitions:?}"
    );
}
