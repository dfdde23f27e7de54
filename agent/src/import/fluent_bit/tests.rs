//! Configurations of Fluent Bit, as people write them.

use super::super::Tool;
use super::super::tests::imported;

#[test]
fn what_fluent_bit_follows() {
    let (ours, notes) = imported(
        Tool::FluentBit,
        r#"
@SET dir=/var/log
[SERVICE]
    Flush 1
    Parsers_File parsers.conf
@INCLUDE more.conf

[PARSER]
    Name shop
    Format regex
    Regex /^(?<time>\S+) (?<level>\w+) (?<text>.*)$/
    Time_Key time
    Time_Format %Y-%m-%dT%H:%M:%S.%L%z

[MULTILINE_PARSER]
    name stack
    type regex
    flush_timeout 1500
    rule "start_state" "/^\d{4}-/" "cont"
    rule "cont" "/^\s+at /" "cont"

[INPUT]
    Name              tail
    Tag               kube.*
    Path              /var/log/containers/*.log
    Exclude_Path      *.gz,/var/log/containers/agent-*.log
    multiline.parser  docker, cri
    DB                /var/lib/fluent-bit/kube.db
    Mem_Buf_Limit     5MB
    Skip_Long_Lines   On

[INPUT]
    Name tail
    Tag shop.web
    Path /srv/shop/*.log, /srv/shop/old.txt
    Read_from_Head On
    Ignore_Older 86400
    Parser shop
    multiline.parser stack
    Path_Key filename

[INPUT]
    Name cpu

[FILTER]
    Name kubernetes
    Match kube.*
    Merge_Log On

[FILTER]
    Name grep
    Match shop.*
    Exclude level ^DEBUG$

[FILTER]
    Name record_modifier
    Match *
    Record env ${ENV}
    Record host ${HOSTNAME}

[FILTER]
    Name lua
    Match other
    script a.lua

[OUTPUT]
    Name kafka
    Match kube.*
    Brokers kafka-1:9092,kafka-2
    Topics pods
    rdkafka.security.protocol SASL_SSL
    rdkafka.ssl.ca.location /etc/ca.pem
    rdkafka.sasl.mechanism PLAIN
    rdkafka.sasl.username agent
    rdkafka.sasl.password ${PASSWORD}
    rdkafka.compression.codec zstd

[OUTPUT]
    Name kafka
    Match shop.*
    Brokers kafka-1:9092
    Topics shop,more
    Format raw
    Raw_Log_Key log

[OUTPUT]
    Name stdout
    Match *
"#,
    );
    let expected = r#"[collector]
bootstrap = ["kafka-1:9092", "kafka-2:9092"]

[collector.tls]
ca = "/etc/ca.pem"

[collector.sasl]
mechanism = "PLAIN"
user = "agent"
password = "${PASSWORD}"

[[files]]
topic = "pods"
format = "json"
include = ["/var/log/containers/*.log"]
exclude = ["*.gz", "/var/log/containers/agent-*.log"]
start_at = "end"
container = true
labels = { env = "${ENV}" }

[[files]]
topic = "shop"
include = ["/srv/shop/*.log", "/srv/shop/old.txt"]
ignore_older = "86400s"
multiline = { continuation = '^\s+at ', timeout = "1500ms" }
labels = { env = "${ENV}" }

[files.transform]
parse = { regex = '^(?<time>\S+) (?<level>\w+) (?<text>.*)$' }
time = { field = "time", format = "%Y-%m-%dT%H:%M:%S%.f%z" }
drop = [{ field = "level", matches = "^DEBUG$" }]
"#;
    assert_eq!(ours, expected);
    assert_eq!(
        notes,
        [
            "2: @set: not carried over",
            "6: @include more.conf: ask for that file by itself",
            "30: skip_long_lines: lines longer than max_line_bytes are split, and nothing is skipped",
            "40: path_key: the path is `path` here, and not `filename`",
            "43: an input of type cpu: not carried over, it is none of files, journals or syslog",
            "46: filter kubernetes: namespace, pod and container come from the path; pod labels do not come over",
            "59: host: left out, the agent sets `host` itself",
            "62: filter lua: left out, it matches no input that came over",
            "67: the line itself is the member `message` here, and not `log`",
            "79: topics: only the first; each [[files]] has a topic of its own here",
            "87: an output of type stdout: not carried over",
        ]
    );
}

#[test]
fn what_fluent_bit_follows_in_its_newer_language() {
    let (ours, notes) = imported(
        Tool::FluentBit,
        r#"
service:
  flush: 1
pipeline:
  inputs:
    - name: tail
      tag: app
      path: /var/log/app/*.log
      read_from_head: true
      multiline.parser: java, python
      processors:
        logs:
          - name: sql
    - Name: tail
      Path: /var/log/nginx/access.log
      Parser: nginx
      read_from_head: on
    - name: syslog
      mode: udp
      port: 514
  filters:
    - name: modify
      match: '*'
      add:
        - team web
        - tier front
      rename: a b
    - name: modify
      match: tail.1
      rename: c d
  outputs:
    - name: kafka
      match: '*'
      brokers: kafka:9092
      format: msgpack
"#,
    );
    let expected = r#"[collector]
bootstrap = ["kafka:9092"]

[[files]]
topic = "app"
format = "json"
include = ["/var/log/app/*.log"]
multiline = "auto"
labels = { team = "web", tier = "front" }

[[files]]
topic = "tail.1"
format = "json"
include = ["/var/log/nginx/access.log"]
labels = { team = "web", tier = "front" }

[files.transform]
parse = "nginx"
rename = { a = "b", c = "d" }

[[syslog]]
topic = "syslog.0"
format = "json"
udp = "0.0.0.0:514"
labels = { team = "web", tier = "front" }

[syslog.transform]
parse = "syslog"
rename = { a = "b" }
"#;
    assert_eq!(ours, expected);
    assert_eq!(
        notes,
        [
            "12: input tail: processors.logs: not carried over",
            "27: rename: left out, there are no fields where nothing is parsed",
            "35: format msgpack: json here",
        ]
    );
}

#[test]
fn what_fluent_bit_does_under_a_condition_is_left_out() {
    let (ours, notes) = imported(
        Tool::FluentBit,
        "[INPUT]\n  Name tail\n  Path /a.log\n  Ignore_Older 0s\n  Docker_Mode on\n  generic.encoding GBK\n[FILTER]\n  Name modify\n  Match *\n  Condition Key_exists x\n  Add y z\n\
         [FILTER]\n  Name grep\n  Match *\n  Logical_Op or\n  Regex log a\n  Regex log b\n\
         [FILTER]\n  Name grep\n  Match *\n  Regex $kubernetes['x'] a\n\
         [OUTPUT]\n  Name kafka\n  Match *\n  Brokers k\n  Format raw\n[OUTPUT]\n  Name kafka\n  Match tail.*\n  Brokers other\n",
    );
    assert!(
        !ours.contains("labels") && !ours.contains("transform") && !ours.contains("older") && !ours.contains("other"),
        "{ours}"
    );
    assert_eq!(
        notes,
        [
            "6: encoding: left out, container runtimes write UTF-8",
            "8: filter modify: left out, it has a condition",
            "13: filter grep: left out, how its conditions go together cannot be said here",
            "21: filter grep: left out, there is no field \"kubernetes['x']\" here",
            "28: an output of type kafka: left out, an agent sends to one cluster",
        ]
    );
}
