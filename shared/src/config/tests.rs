//! What an operator may write, may get wrong, and is then told.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read by Debug, to compare")]
struct Sample {
    data_dir: String,
    #[serde(default)]
    kafka: Kafka,
    #[serde(default)]
    files: Vec<Files>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kafka {
    listen: Option<ListenAddr>,
    password: Option<Secret>,
    retention: Option<HumanDuration>,
    segment: Option<ByteSize>,
    start: Option<Start>,
    auto_create: bool,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Start {
    Beginning,
    End,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    topic: String,
    include: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

fn environment(name: &str) -> Option<String> {
    match name {
        "HOME_DIR" => Some("/home/t".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Sample, ConfigError> {
    parse(Path::new("t.toml"), text.as_bytes(), &environment)
}

fn refused(text: &str) -> ConfigError {
    read(text).unwrap_err()
}

#[test]
fn a_full_file_is_read() {
    let sample = read(
        r#"
data_dir = "${HOME_DIR}/data"
[kafka]
listen = "[::1]:9092"
password = "${PASSWORD:-pa$$word}"
retention = "7d"
segment = "64MiB"
start = "end"
auto_create = true
[[files]]
topic = "nginx"
include = ["${HOME_DIR}/*.log", "$${literal}", "^dollar$"]
labels = { env = "${EMPTY:-prod}", empty = "${EMPTY}" }
"#,
    )
    .unwrap();
    assert_eq!(sample.data_dir, "/home/t/data");
    assert_eq!(sample.kafka.listen.unwrap().to_string(), "[::1]:9092");
    assert_eq!(sample.kafka.password.unwrap().expose(), "pa$$word");
    assert_eq!(sample.kafka.retention.unwrap().as_ms(), 7 * 86_400_000);
    assert_eq!(sample.kafka.segment.unwrap(), ByteSize::mib(64));
    assert_eq!(sample.kafka.start.unwrap(), Start::End);
    assert!(sample.kafka.auto_create);
    assert_eq!(sample.files[0].topic, "nginx");
    assert_eq!(sample.files[0].include, ["/home/t/*.log", "${literal}", "^dollar$"]);
    assert_eq!(sample.files[0].labels["env"], "prod");
    assert_eq!(sample.files[0].labels["empty"], "");
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_valid_one() {
    let error = refused("data_dir = \"/d\"\n\n[[files]]\ntopic = \"a\"\nincldue = []\n");
    let expected = "\
t.toml:5:1: unknown key `incldue` (at `files.incldue`)
  |
5 | incldue = []
  | ^^^^^^^
  = did you mean `include`?";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_key_like_no_other_gets_the_list() {
    let error = refused("data_dir = \"/d\"\n[kafka]\nxyzzy = 1\n");
    assert_eq!(
        error.remedy.unwrap(),
        "valid keys here: `listen`, `password`, `retention`, `segment`, `start`, `auto_create`"
    );
    assert_eq!(error.key, "kafka.xyzzy");
}

#[test]
fn values_of_the_wrong_kind_say_what_was_expected() {
    for (line, column, problem) in [
        (
            "auto_create = \"yes\"",
            15,
            "invalid type: string \"yes\", expected a boolean",
        ),
        (
            "retention = 7",
            13,
            "invalid value: integer `7`, expected a duration with its unit, such as",
        ),
        (
            "retention = \"7 apples\"",
            13,
            "`7 apples` is not a duration with its unit",
        ),
        ("segment = -1", 11, "invalid value: integer `-1`, expected a size"),
        ("segment = \"64 MiBs\"", 11, "`64 MiBs` is not a size"),
        (
            "segment = 1.5",
            11,
            "invalid type: floating point `1.5`, expected a size",
        ),
        ("listen = \"9092\"", 10, "`9092` is not an address to listen on"),
        ("password = \"\"", 12, "the secret is empty"),
        ("start = \"ends\"", 9, "unknown value `ends`"),
    ] {
        let error = refused(&format!("data_dir = \"/d\"\n[kafka]\n{line}\n"));
        assert!(error.problem.starts_with(problem), "{line}: {error}");
        let position = error.position.as_ref().unwrap();
        assert_eq!(
            (position.line, position.column, position.text.as_str()),
            (3, column, line),
            "{error}"
        );
        assert_eq!(error.key, format!("kafka.{}", line.split(' ').next().unwrap()));
    }
}

#[test]
fn missing_and_duplicate_keys_are_named() {
    let error = refused("data_dir = \"/d\"\n[[files]]\ntopic = \"a\"\n");
    assert_eq!(error.problem, "the key `include` is missing");
    assert_eq!(error.position.unwrap().line, 2);
    assert_eq!(error.key, "files");
    assert_eq!(refused("").problem, "the key `data_dir` is missing");
    let error = refused("data_dir = \"/d\"\ndata_dir = \"/e\"\n");
    assert_eq!(error.problem, "the key `data_dir` is set twice");
    assert_eq!(error.position.unwrap().line, 2);
}

#[test]
fn bad_syntax_and_bad_encoding_have_a_place() {
    let error = refused("data_dir = \"/d\"\n[kafka\n");
    assert_eq!(error.position.unwrap().line, 2);
    let error = parse::<Sample>(Path::new("t.toml"), b"data_dir = \"\xff\"", &environment).unwrap_err();
    assert_eq!(error.position.unwrap().column, 13);
}

#[test]
fn references_to_nothing_are_refused() {
    for (value, problem) in [
        ("${UNSET}", "the environment variable `UNSET` is not set"),
        ("${HOME_DIR", "`${` without its `}`"),
        ("${}", "`` cannot be the name of an environment variable"),
        ("${1A}", "`1A` cannot be the name of an environment variable"),
    ] {
        let error = refused(&format!("data_dir = \"{value}\""));
        assert_eq!(error.problem, problem);
        assert_eq!(error.key, "data_dir");
    }
}

#[test]
fn a_secret_is_read_from_its_file_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pw"), "s3cret\n").unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, "data_dir = \"/d\"\n[kafka]\npassword_file = \"pw\"\n").unwrap();
    let sample: Sample = load(&path).unwrap();
    assert!(!format!("{sample:?}").contains("s3cret"));
    assert_eq!(sample.kafka.password.unwrap().expose(), "s3cret");

    std::fs::write(
        &path,
        "data_dir = \"/d\"\n[kafka]\npassword = \"a\"\npassword_file = \"pw\"\n",
    )
    .unwrap();
    assert_eq!(
        load::<Sample>(&path).unwrap_err().problem,
        "both `password` and `password_file` are set"
    );

    std::fs::write(&path, "data_dir = \"/d\"\n[kafka]\npassword_file = \"gone\"\n").unwrap();
    let error = load::<Sample>(&path).unwrap_err();
    assert!(error.problem.contains("gone"), "{error}");
    assert_eq!(error.position.unwrap().line, 3);

    let error = load::<Sample>(&dir.path().join("none.toml")).unwrap_err();
    assert_eq!(error.remedy.unwrap(), "check the path given with --config");
}

#[test]
fn values_are_displayed_as_they_can_be_written() {
    for text in ["64MiB", "1000B", "3GiB", "0B"] {
        assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
    }
    assert_eq!("1.5KiB".parse::<ByteSize>().unwrap().0, 1536);
    assert!("99999999999999999999".parse::<ByteSize>().is_err());
    assert!(ListenAddr::loopback(1).is_loopback());
    assert!(!"0.0.0.0:1".parse::<ListenAddr>().unwrap().is_loopback());
    for wrong in [":1", "a:65536", "::1:1", "[a]:1", "a b:1", "http://a:1"] {
        assert!(wrong.parse::<ListenAddr>().is_err(), "{wrong}");
    }
}

#[test]
fn deep_nesting_is_refused_before_it_can_exhaust_the_stack() {
    for text in [
        "a.".repeat(100_000) + "a = 1",
        "[".repeat(100_000),
        "x = ".to_owned() + &"{a=".repeat(100_000),
    ] {
        assert!(read(&text).is_err());
    }
    let quoted = "\"a\".".repeat(100_000) + "a = 1";
    assert!(read(&quoted).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = parse::<Sample>(Path::new("t"), &bytes, &environment) {
            error.to_string();
        }
    }

    #[test]
    fn no_near_valid_text_makes_it_panic(
        parts in proptest::collection::vec(
            prop::sample::select(vec![
                "data_dir", "[kafka]", "[[files]]", "password_file", " = ", "\"", "${", "}", ":-", "\n", "'", "é", "{",
                "topic", ".", "listen", "\"x\"", "[", "]", ",", "1", "\r\n", "#", "\u{feff}", "\"\"\"", "\\u",
            ]),
            0..24,
        ),
    ) {
        if let Err(error) = read(&parts.concat()) {
            prop_assert!(!error.problem.is_empty());
            prop_assert!(error.to_string().starts_with("t.toml:"));
        }
    }

    #[test]
    fn values_survive_being_written_and_read(bytes in 0..u64::MAX, millis in 0..u64::MAX, port: u16) {
        prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        let duration = HumanDuration::millis(millis);
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        let address = ListenAddr { host: "fe80::1".to_owned(), port };
        prop_assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn no_text_makes_a_value_panic(text in ".{0,40}", number in "[0-9.]{0,25}[a-zA-Z]{0,4}") {
        for text in [text, number] {
            text.parse::<ByteSize>().ok();
            text.parse::<HumanDuration>().ok();
            text.parse::<ListenAddr>().ok();
        }
    }
}
