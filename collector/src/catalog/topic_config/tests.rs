use super::*;

fn config(entries: &[(&str, &str)]) -> TopicConfig {
    TopicConfig::new(entries.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()))).unwrap()
}

#[test]
fn every_default_obeys_its_own_rule_and_keys_are_sorted() {
    for key in KEYS {
        assert_eq!(check(key.name, Some(key.default)), Ok(()), "{}", key.name);
    }
    assert!(KEYS.is_sorted_by(|one, other| one.name < other.name));
}

#[test]
fn an_unknown_key_and_a_bad_value_are_refused_with_their_names() {
    let unknown = TopicConfig::new([("retention.s".to_owned(), "1".to_owned())]).unwrap_err();
    assert_eq!(unknown.key, "retention.s");
    for (key, value) in [
        ("retention.ms", "soon"),
        ("retention.ms", "-2"),
        ("cleanup.policy", "compress"),
        ("cleanup.policy", ""),
        ("max.message.bytes", "2147483648"),
        ("min.cleanable.dirty.ratio", "NaN"),
        ("preallocate", "yes"),
    ] {
        let refused = TopicConfig::new([(key.to_owned(), value.to_owned())]).unwrap_err();
        assert_eq!((refused.key.as_str(), refused.value.as_str()), (key, value));
        assert!(refused.reason.starts_with("must be"), "{refused}");
    }
}

#[test]
fn describe_answers_every_key_with_the_value_in_force_first() {
    let topic = config(&[("retention.ms", "5")]);
    let broker = config(&[("retention.ms", "7"), ("retention.bytes", "9")]);
    let described = describe(&topic, &broker);
    assert_eq!(described.len(), KEYS.len());
    let find = |name| described.iter().find(|entry| entry.key.name == name).unwrap();
    let retention = find("retention.ms");
    assert_eq!((retention.value.as_str(), retention.source), ("5", ConfigSource::Topic));
    let synonyms: Vec<_> = retention.synonyms.iter().map(|s| (s.name, s.value.as_str())).collect();
    let expected = [
        ("retention.ms", "5"),
        ("log.retention.ms", "7"),
        ("log.retention.ms", "604800000"),
    ];
    assert_eq!(synonyms, expected);
    assert_eq!(find("retention.bytes").source, ConfigSource::StaticBroker);
    assert_eq!(find("flush.ms").source, ConfigSource::Default);
}

#[test]
fn settings_are_the_topics_then_the_brokers_then_the_defaults() {
    let topic = config(&[("retention.ms", "-1"), ("cleanup.policy", "compact, delete")]);
    let broker = config(&[("retention.ms", "7"), ("retention.bytes", "9")]);
    let settings = TopicSettings::resolve(&topic, &broker);
    assert_eq!(settings.retention_ms, None);
    assert_eq!(settings.retention_bytes, Some(9));
    assert!(settings.compact && settings.delete && !settings.log_append_time);
    assert_eq!(settings.max_message_bytes, 1_048_588);
}

#[test]
fn unsetting_a_key_takes_it_back_to_its_default() {
    let mut topic = config(&[("retention.ms", "5")]);
    topic.set("retention.ms", None).unwrap();
    assert_eq!(topic, TopicConfig::default());
    assert!(topic.set("nonsense", None).is_err());
}
