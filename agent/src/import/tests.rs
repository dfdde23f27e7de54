//! Configurations of other tools, as people write them.

use super::*;

pub(super) fn imported(tool: Tool, text: &str) -> (String, Vec<String>) {
    let Imported { toml, notes } = import(tool, text).unwrap();
    let notes = notes.iter().map(|note| format!("{}: {}", note.line, note.text));
    (toml, notes.collect())
}

#[test]
fn what_filebeat_follows() {
    let (toml, notes) = imported(
        Tool::Filebeat,
        r#"
filebeat.inputs:
- type: filestream
  id: shop
  paths:
    - /var/log/shop/*.log
  prospector.scanner.exclude_files: ['\.gz$', '^/var/log/shop/debug']
  fields: {env: prod}
  tags: [web, eu]
  parsers:
    - multiline:
        type: pattern
        pattern: '^\d{4}-'
        negate: true
        match: after
  exclude_lines: ['^DBG']
- type: log
  enabled: false
  paths: [/var/log/old.log]
- type: tcp
  host: "localhost:9000"
processors:
- add_host_metadata: ~
output.kafka:
  hosts: ["kafka-1:9092", "kafka-2"]
  topic: "logs"
  required_acks: 1
  username: agent
  password: "${KAFKA_PASSWORD:none}"
  sasl.mechanism: SCRAM-SHA-512
  ssl.certificate_authorities: ["/etc/ca.pem"]
logging.level: info
"#,
    );
    let expected = r#"[collector]
bootstrap = ["kafka-1:9092", "kafka-2:9092"]

[collector.tls]
ca = "/etc/ca.pem"

[collector.sasl]
mechanism = "SCRAM-SHA-512"
user = "agent"
password = "${KAFKA_PASSWORD:-none}"

[[files]]
topic = "logs"
include = ["/var/log/shop/*.log"]
exclude = ["*.gz"]
labels = { env = "prod", tags = "web,eu" }
format = "json"
multiline = { max_lines = 500, start = '^\d{4}-', timeout = "5s" }

[files.transform]
drop = [{ matches = "^DBG" }]
"#;
    assert_eq!(toml, expected);
    assert_eq!(
        notes,
        [
            "7: prospector.scanner.exclude_files: \"^/var/log/shop/debug\" is a regular expression; write it as a glob in exclude",
            "17: an input of type log: left out, it is not enabled",
            "20: an input of type tcp: not carried over, it is none of files or journals",
            "22: processors: not carried over",
            "27: output.kafka.required_acks: acknowledged by all replicas, always",
        ]
    );
}

#[test]
fn what_promtail_follows() {
    let (toml, notes) = imported(
        Tool::Promtail,
        r#"
server: {http_listen_port: 9080}
positions: {filename: /tmp/positions.yaml}
clients:
  - url: http://loki:3100/loki/api/v1/push
scrape_configs:
- job_name: system
  static_configs:
  - targets: [localhost]
    labels:
      job: var logs
      env: prod
      __path__: /var/log/*.log
  pipeline_stages:
  - multiline:
      firstline: '^\['
  - drop:
      expression: 'debug'
  - json:
      expressions: {level: level, ts: time}
  - timestamp: {source: ts, format: RFC3339}
  - labels: {level: }
- job_name: journal
  journal: {max_age: 12h}
"#,
    );
    let expected = r#"[collector]
bootstrap = ["collector:9092"]

[[files]]
topic = "var-logs"
include = ["/var/log/*.log"]
labels = { env = "prod", job = "var logs" }
multiline = { start = '^\[', timeout = "3s" }

[files.transform]
drop = [{ matches = "debug" }]
parse = "json"
rename = { time = "ts" }
time = { field = "time" }

[[journald]]
topic = "journal"
name = "journal"
"#;
    assert_eq!(toml, expected);
    assert_eq!(
        notes,
        [
            "5: clients: Promtail sends to Loki; set collector.bootstrap by hand",
            "22: system: pipeline_stages.labels.level: not carried over",
            "23: journal: max_age: all that is in the journal is read here, however old",
        ]
    );
}

#[test]
fn what_is_no_configuration_is_refused() {
    let refused = |tool, text| import(tool, text).unwrap_err().to_string();
    assert!(refused(Tool::Filebeat, "a: [").contains("no YAML"));
    assert!(refused(Tool::Filebeat, "filebeat.inputs: []").contains("filebeat.inputs"));
    assert!(refused(Tool::Promtail, "scrape_configs: []").contains("__path__"));
}

#[test]
fn names_of_topics_are_those_that_kafka_allows() {
    for (name, expected) in [
        ("a b/c", "a-b-c"),
        ("ok.x_1", "ok.x_1"),
        ("///", "logs"),
        ("..", "logs"),
    ] {
        assert_eq!(draft::topic(name), toml::Value::String(expected.to_owned()));
    }
}

#[test]
fn what_vector_follows_in_toml_and_in_yaml() {
    let toml = r#"
data_dir = "/var/lib/vector"

[sources.shop]
type = "file"
include = ["/var/log/shop/*.log"]
exclude = ["/var/log/shop/old-*.log"]
read_from = "end"
ignore_older_secs = 86400
max_line_bytes = 102_400
multiline.start_pattern = '^\['
multiline.mode = "halt_before"
multiline.condition_pattern = '^\['
multiline.timeout_ms = 2000
line_delimiter = "\n"

[sources.metrics]
type = "internal_metrics"

[transforms.parse]
type = "remap"
inputs = ["shop"]
source = ". = parse_json!(.message)"

[sinks.out]
type = "kafka"
inputs = ["parse"]
bootstrap_servers = "a:9092, b:9092"
topic = "{{ app }}"
encoding.codec = "json"
compression = "zstd"
tls.enabled = true
tls.ca_file = "/etc/ca.pem"
"#;
    let (ours, notes) = imported(Tool::Vector, toml);
    let expected = r#"[collector]
bootstrap = ["a:9092", "b:9092"]

[collector.tls]
ca = "/etc/ca.pem"

[[files]]
topic = "shop"
include = ["/var/log/shop/*.log"]
exclude = ["/var/log/shop/old-*.log"]
format = "json"
max_line_bytes = "102400B"
ignore_older = "86400s"
start_at = "end"
multiline = { start = '^\[', timeout = "2000ms" }
"#;
    assert_eq!(ours, expected);
    assert_eq!(
        notes,
        [
            "15: sources.shop.line_delimiter: not carried over",
            "18: sources.metrics: not carried over, it is none of files, journals or syslog",
            "21: transforms.parse.type: not carried over",
            "22: transforms.parse.inputs: not carried over",
            "23: transforms.parse.source: not carried over",
            "29: topic: \"{{ app }}\" depends on the event; each [[files]] has a topic of its own here",
        ]
    );

    let (ours, notes) = imported(
        Tool::Vector,
        "sources:\n  a:\n    type: file\n    include: [/var/log/a.log]\n  b:\n    type: file\n",
    );
    assert!(ours.contains("topic = \"a\"\ninclude = [\"/var/log/a.log\"]"), "{ours}");
    assert_eq!(
        notes,
        [
            "0: there is no sink of type kafka: collector.bootstrap is to be set by hand",
            "6: sources.b: left out, it includes nothing",
        ]
    );
}

#[test]
fn what_rsyslog_follows_in_both_of_its_languages() {
    let (ours, notes) = imported(
        Tool::Rsyslog,
        r#"
module(load="imfile" mode="inotify")
module(load="imtcp" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
$ModLoad imuxsock
$InputFileName /var/log/old.log
$InputFileTag old:
$InputRunFileMonitor
input(type="imfile" File="/var/log/shop/*.log" Tag="shop" startmsg.regex="^[0-9]{4}-"
      ruleset="kafka" addMetadata="on" freshStartTail="on")
input(type="imudp" port="514" Address="*") input(type="imudp" port="515" Address="::1")
$InputTCPServerRun 601   # as of old
input(type="imrelp" port="20514")
ruleset(name="kafka") {
  action(type="omkafka" broker=["a:9092", "b"] topic="logs" confParam=["security.protocol=ssl"])
}
*.* /var/log/syslog
"#,
    );
    let expected = r#"[collector]
bootstrap = ["a:9092", "b:9092"]

[[files]]
topic = "logs"
include = ["/var/log/old.log"]
labels = { tag = "old" }

[[files]]
topic = "logs"
include = ["/var/log/shop/*.log"]
labels = { tag = "shop" }
multiline = { start = "^[0-9]{4}-", timeout = "1h" }
start_at = "end"

[[syslog]]
topic = "logs"
udp = "0.0.0.0:514"

[[syslog]]
topic = "logs"
udp = "[::1]:515"

[[syslog]]
topic = "logs"
tcp = "0.0.0.0:601"
"#;
    assert_eq!(ours, expected);
    assert_eq!(
        notes,
        [
            "3: module: senders speak TLS; write it as tls = { cert = ..., key = ... } of [[syslog]]",
            "9: input: addmetadata: not carried over",
            "12: input of type imrelp: not carried over",
            "14: confParam security.protocol: write it as [collector.tls] and [collector.sasl]",
            "16: *.* /var/log/syslog: not carried over",
        ]
    );
}

#[test]
fn a_container_of_filebeat_keeps_its_stream() {
    let theirs = "filebeat.inputs:\n- type: container\n  stream: stderr\n  paths: [/var/log/containers/*.log]\n";
    let (ours, _) = imported(Tool::Filebeat, theirs);
    assert!(ours.contains("container = true\n"), "{ours}");
    assert!(
        ours.contains("keep = [{ field = \"stream\", is = \"stderr\" }]"),
        "{ours}"
    );
}

#[test]
fn a_time_whose_fields_are_not_found_does_not_come_over() {
    let theirs = r"
scrape_configs:
- static_configs: [{labels: {__path__: /a.log}}]
  pipeline_stages:
  - regex: {expression: '(?P<ts>\d+)(?=x)'}
  - timestamp: {source: ts, format: Unix}
";
    let (ours, notes) = imported(Tool::Promtail, theirs);
    assert!(!ours.contains("[files.transform]"), "{ours}");
    assert!(
        notes.iter().any(|note| note.contains("regex.expression: left out")),
        "{notes:?}"
    );
    assert!(
        notes
            .iter()
            .any(|note| note.contains("timestamp.source: not carried over")),
        "{notes:?}"
    );
}

#[test]
fn docker_inputs_of_filebeat_have_ids_and_no_paths() {
    let (ours, notes) = imported(
        Tool::Filebeat,
        "filebeat.inputs:\n- type: docker\n  containers.ids: ['*']\n  containers.stream: stdout\n  ignore_older: 0\noutput.kafka.hosts: [k]\n",
    );
    let include = "include = [\"/var/lib/docker/containers/*/*-json.log\"]\n";
    assert!(ours.contains(include) && ours.contains("container = true\n"), "{ours}");
    assert!(
        ours.contains("keep = [{ field = \"stream\", is = \"stdout\" }]") && !ours.contains("older"),
        "{ours}"
    );
    assert_eq!(notes, [""; 0]);
}

/// What is made of the first journal, and the notes.
fn journal(tool: Tool, text: &str) -> (String, Vec<String>) {
    let (toml, notes) = imported(tool, text);
    let (_, journal) = toml.split_once("[[journald]]\n").unwrap();
    (journal.to_owned(), notes)
}

#[test]
fn journals_come_over_with_what_is_selected_of_them() {
    let (ours, notes) = journal(
        Tool::Filebeat,
        "filebeat.inputs:\n- type: journald\n  id: everything\n  paths: [/var/log/journal/remote/a.journal]\n  units: [a.service, 'web@*']\n  \
         syslog_identifiers: [sshd]\n  include_matches.match: [\"systemd.unit=b.service\", \"_UID=0\"]\n  seek: tail\n\
         output.kafka: {hosts: [k], topic: logs}\n",
    );
    assert_eq!(
        ours,
        "topic = \"logs\"\ndirectory = \"/var/log/journal/remote\"\nunits = [\"a.service\"]\nidentifiers = \
         [\"sshd\"]\nmatches = [\"_SYSTEMD_UNIT=b.service\", \"_UID=0\"]\nstart_at = \"end\"\nname = \"everything\"\n"
    );
    assert_eq!(
        notes,
        ["2: input journald: units web@*: left out, they are patterns; write them as journald.transform.keep"]
    );

    let (ours, notes) = journal(
        Tool::Vector,
        "sources:\n  system:\n    type: journald\n    include_units: [nginx, docker.socket]\n    exclude_units: [chatter]\n    \
         include_matches:\n      _TRANSPORT: [kernel]\n    journal_directory: /logs\n    since_now: true\n    current_boot_only: false\n\
         sinks:\n  out:\n    type: kafka\n    bootstrap_servers: k:9092\n    topic: logs\n    encoding:\n      codec: json\n",
    );
    assert_eq!(
        ours,
        "topic = \"logs\"\nmatches = [\"_SYSTEMD_UNIT=nginx.service\", \"_SYSTEMD_UNIT=docker.socket\", \"_TRANSPORT=kernel\"]\ndirectory = \
         \"/logs\"\nformat = \"json\"\nstart_at = \"end\"\nname = \"system\"\n\n[journald.transform]\ndrop = [{ field = \"unit\", \
         matches = '^chatter\\.service$' }]\n"
    );
    assert_eq!(notes, [""; 0]);

    let (ours, notes) = journal(
        Tool::Promtail,
        "clients: []\nscrape_configs:\n- job_name: systemd\n  journal:\n    path: /var/log/journal\n    max_age: 12h\n    labels: {job: \
         systemd, unit: x}\n    matches: _SYSTEMD_UNIT=a.service _TRANSPORT=stdout\n  relabel_configs:\n  - source_labels: \
         ['__journal__systemd_unit']\n    target_label: unit\n  - source_labels: ['__journal__hostname']\n    target_label: node\n  \
         pipeline_stages:\n  - drop: {expression: debug}\n",
    );
    assert_eq!(
        ours,
        "topic = \"systemd\"\ndirectory = \"/var/log/journal\"\nmatches = [\"_SYSTEMD_UNIT=a.service\", \"_TRANSPORT=stdout\"]\nlabels = { \
         job = \"systemd\" }\nname = \"systemd\"\n\n[journald.transform]\ndrop = [{ matches = \"debug\" }]\n"
    );
    assert_eq!(
        notes,
        [
            "3: systemd: label unit: left out, that is what a field of entries is called",
            "3: systemd: max_age: all that is in the journal is read here, however old",
            "12: systemd: relabel_configs: __journal__hostname as node: not carried over"
        ]
    );

    let (ours, notes) = journal(
        Tool::FluentBit,
        "[INPUT]\n    Name systemd\n    Tag host.*\n    Path /var/log/journal\n    Systemd_Filter _SYSTEMD_UNIT=docker.service\n    \
         Systemd_Filter _SYSTEMD_UNIT=kubelet.service\n    Read_From_Tail On\n    DB /var/lib/j.db\n    Strip_Underscores On\n[INPUT]\n    Name \
         systemd\n    Systemd_Filter A=1\n    Systemd_Filter B=2\n[OUTPUT]\n    Name kafka\n    Match *\n    Brokers k:9092\n    Topics \
         logs\n    Format raw\n",
    );
    assert_eq!(
        ours,
        "topic = \"logs\"\ndirectory = \"/var/log/journal\"\nmatches = [\"_SYSTEMD_UNIT=docker.service\", \"_SYSTEMD_UNIT=kubelet.service\"]\nstart_at = \
         \"end\"\nname = \"j\"\n\n[[journald]]\ntopic = \"logs\"\nname = \"systemd.1\"\n"
    );
    assert_eq!(
        notes,
        ["11: systemd_filter: left out, it asks for one of several fields; write an input of its own for each"]
    );

    let (ours, notes) = journal(
        Tool::Rsyslog,
        "module(load=\"imjournal\" StateFile=\"imjournal.state\" IgnorePreviousMessages=\"on\" Ratelimit.Burst=\"9\")\naction(type=\"omkafka\" broker=\"k:9092\" topic=\"logs\")\n",
    );
    assert_eq!(ours, "topic = \"logs\"\nstart_at = \"end\"\nname = \"imjournal\"\n");
    assert_eq!(notes, ["1: module imjournal: ratelimit.burst: not carried over"]);
}
