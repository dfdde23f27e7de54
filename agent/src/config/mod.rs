//! The configuration file of the agent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use tailrace_shared::client::{Credentials, Security};
use tailrace_shared::config::{ByteSize, ConfigError, HumanDuration, ListenAddr, Secret};
use tailrace_shared::sasl::Mechanism;
use tailrace_shared::telemetry::logging::LogConfig;
use tailrace_shared::tls::{ClientTls, TlsError};

use self::values::{absolute, brokers, labels, some, within};
use crate::batch::Format;
use crate::discover::CONTAINER_FIELDS;
use crate::frame::STREAM;
use crate::spool::{SpoolOptions, WhenFull};
use crate::tail::StartAt;

mod command;
mod journald;
mod multiline;
mod rate_limit;
mod stdin;
mod syslog;
mod topic;
mod transform;
mod values;

pub use command::CommandConfig;
pub use journald::JournaldConfig;
pub use multiline::MultilineConfig;
pub use rate_limit::RateLimitConfig;
pub use stdin::StdinConfig;
pub use syslog::SyslogConfig;
pub use topic::TopicConfig;
pub use transform::TransformConfig;
pub use values::{EncodingName, Glob, TopicName};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// The spool, which is all that the agent keeps, is here. Files below it are never followed.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// The name of this machine in records; by default what the system calls it.
    #[serde(default = "system_host_name")]
    pub host: String,
    /// Where lines are sent.
    pub collector: CollectorConfig,
    /// The operator's HTTP server.
    #[serde(default)]
    pub http: HttpConfig,
    /// What is logged about the agent itself.
    #[serde(default)]
    pub log: LogConfig,
    /// How files are read.
    #[serde(default)]
    pub read: ReadConfig,
    /// Batches on their way.
    #[serde(default, deserialize_with = "spool")]
    pub spool: SpoolConfig,
    /// What is collected. A file that several of these select belongs to the first.
    #[serde(default, deserialize_with = "files")]
    pub files: Vec<FilesConfig>,
    /// What is taken from others that send it.
    #[serde(default, deserialize_with = "syslog::inputs")]
    pub syslog: Vec<SyslogConfig>,
    /// What is read of the journals of systemd.
    #[serde(default, deserialize_with = "journald::inputs")]
    pub journald: Vec<JournaldConfig>,
    /// What is run to read what it writes.
    #[serde(default, deserialize_with = "command::inputs")]
    pub command: Vec<CommandConfig>,
    /// What is made of standard input, if that is read.
    #[serde(default, deserialize_with = "stdin::input")]
    pub stdin: Option<StdinConfig>,
}

/// `[collector]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorConfig {
    /// `host:port` of some of the brokers; the others are learned from them.
    #[serde(deserialize_with = "brokers")]
    pub bootstrap: Vec<String>,
    /// TLS, if the brokers expect it; empty, with the authorities that the system trusts.
    pub tls: Option<ClientTls>,
    /// A login, if the brokers expect one.
    pub sasl: Option<SaslConfig>,
}

/// `[collector.sasl]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaslConfig {
    /// Default `SCRAM-SHA-512`.
    #[serde(default, deserialize_with = "mechanism")]
    pub mechanism: Mechanism,
    /// The user.
    pub user: String,
    /// Its password; better in a file of its own (`password_file`).
    pub password: Secret,
}

fn mechanism<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mechanism, D::Error> {
    match Mechanism::deserialize(deserializer)? {
        Mechanism::OauthBearer => Err(D::Error::custom(
            "an agent has nobody who would renew its token; let it log in with SCRAM-SHA-512, or by its certificate",
        )),
        mechanism => Ok(mechanism),
    }
}

impl CollectorConfig {
    /// What connections need, the files read.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn security(&self) -> Result<Security, TlsError> {
        let login = self.sasl.as_ref().map(|sasl| Credentials {
            mechanism: sasl.mechanism,
            user: sasl.user.clone(),
            password: sasl.password.clone(),
        });
        let tls = self.tls.as_ref().map(ClientTls::load).transpose()?;
        Ok(Security {
            tls: tls.map(Arc::new),
            login,
        })
    }
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Default `127.0.0.1:9601`: only this machine.
    pub listen: ListenAddr,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: ListenAddr::loopback(9601),
        }
    }
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// How much disk it may take. Default 256 MiB.
    pub max_bytes: ByteSize,
    /// Size of one of its files, of which there are at least five. Default 16 MiB.
    pub file_bytes: ByteSize,
    /// `wait`: when it is used up reading waits, and the log files are the buffer. `drop_oldest`: what has waited for longest is given
    /// up, and counted. Default `wait`.
    pub when_full: WhenFull,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        let SpoolOptions {
            max_bytes,
            file_bytes,
            when_full,
        } = SpoolOptions::default();
        Self {
            max_bytes: ByteSize(max_bytes),
            file_bytes: ByteSize(file_bytes),
            when_full,
        }
    }
}

/// `[read]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadConfig {
    /// How often all directories are walked, whatever the system's events say. Default 10 s.
    #[serde(deserialize_with = "within::<10, 3_600_000, _, _>")]
    pub scan_interval: HumanDuration,
    /// The shortest time between two stretches while there is little to read; busy files are looked at twice as often, and
    /// at least every 10 ms. Default 20 ms.
    #[serde(deserialize_with = "within::<0, 60_000, _, _>")]
    pub linger: HumanDuration,
    /// How long an unterminated last line waits for its end before it is sent as it is. Default 5 s.
    #[serde(deserialize_with = "within::<10, 86_400_000, _, _>")]
    pub partial_line_timeout: HumanDuration,
    /// How long a deleted file is kept open after it last grew. Default 10 s.
    #[serde(deserialize_with = "within::<0, 86_400_000, _, _>")]
    pub drain_for: HumanDuration,
    /// How long a deleted file is kept open although not all of it was read, as while the collector is away and the spool is full. After that its
    /// space is free, and what was not read of it is lost, and counted. Default: until it is read.
    pub close_deleted_after: Option<HumanDuration>,
    /// Files kept open, if the process may open so many. Of those that are not, what is written between the last look
    /// and their deletion is lost. Default 8192.
    #[serde(deserialize_with = "within::<1, 10_000_000, _, _>")]
    pub open_files: usize,
    /// `events`, or `poll` where the system's events do not tell what other machines write: NFS and the like. Then quiet
    /// directories are looked at every second, or less often if they hold many names. Default `events`.
    pub watch: WatchMode,
    /// Directories that files have to lie in, wherever links lead; where the kernel has Landlock, the process can open nothing but these and
    /// what it needs itself. Default: any file that is selected and may be read.
    #[serde(deserialize_with = "absolute")]
    pub roots: Vec<PathBuf>,
    /// The largest batch, unless one record is larger. Default 1 MB, which is just below Kafka's `message.max.bytes`.
    #[serde(deserialize_with = "within::<1024, 16_777_216, _, _>")]
    pub batch_bytes: ByteSize,
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self {
            scan_interval: HumanDuration(Duration::from_secs(10)),
            linger: HumanDuration(Duration::from_millis(20)),
            partial_line_timeout: HumanDuration(Duration::from_secs(5)),
            drain_for: HumanDuration(Duration::from_secs(10)),
            close_deleted_after: None,
            open_files: 8192,
            watch: WatchMode::default(),
            roots: Vec::new(),
            batch_bytes: ByteSize(1_000_000),
        }
    }
}

/// How the agent learns that quiet files have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchMode {
    /// The system says so; everything is looked at every now and then all the same.
    #[default]
    Events,
    /// It looks.
    Poll,
}

/// `[[files]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// Where their lines go: the name of a topic, or a table with fields in the name, keys, and how partitions are found.
    pub topic: TopicConfig,
    /// Globs: `*`, `?`, `[…]`, `{a,b}` within a name, `**` for any number of directories. A relative one is taken from
    /// where the agent was started. Rotated names need not be selected: a renamed file is read to its end, and what was
    /// rotated before it was seen is found beside the name that it had.
    #[serde(deserialize_with = "some")]
    pub include: Vec<Glob>,
    /// Globs of what to leave out; one without a slash is for names anywhere. Default none.
    #[serde(default)]
    pub exclude: Vec<Glob>,
    /// Constant record headers, beside `host` and `path`. Default none.
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// `raw` (the line, byte for byte) or `json`. Default `raw`.
    #[serde(default)]
    pub format: Format,
    /// Longer lines are split into records of this size, and lines are joined up to it. Default 1 MB, so that even a line that cannot be compressed
    /// stays below Kafka's `message.max.bytes`.
    #[serde(
        default = "default_max_line_bytes",
        deserialize_with = "within::<64, 16_777_216, _, _>"
    )]
    pub max_line_bytes: ByteSize,
    /// Which lines make one record: `"auto"`, `"java"`, `"python"`, `"go"`, `"indent"`, or a table. Default: each its own.
    #[serde(default, deserialize_with = "multiline::named_or_table")]
    pub multiline: Option<MultilineConfig>,
    /// How much of it may become records in a second: `events_per_second`, `bytes_per_second`, and in `exceeded` whether the rest is to
    /// `wait` or to `drop`. Default: no limit.
    pub rate_limit: Option<RateLimitConfig>,
    /// What is done with events before they are sent. Default: nothing.
    pub transform: Option<TransformConfig>,
    /// What the files are written in, so that records are UTF-8: `auto` (by the byte order mark at the start of each file,
    /// or else UTF-8), `utf-16le`, `latin1`, `gbk`, … Default: lines are bytes, and are sent as they are.
    #[serde(default)]
    pub encoding: EncodingName,
    /// Whether these are logs of containers as the kubelet's runtimes, Podman, or Docker (`json-file`) write them: then a record is
    /// what the container wrote, and has its time, its `stream`, and what the path says: `namespace`, `pod`, `container`
    /// and the like. Default false.
    #[serde(default)]
    pub container: bool,
    /// `beginning`, or `end`: of the files that are there when the agent runs for the first time, only what is written
    /// from then on. Default `beginning`.
    #[serde(default)]
    pub start_at: StartAt,
    /// A file that was not written to for so long, and of which nothing was read yet, is left alone until it is. Default:
    /// none is.
    pub ignore_older: Option<HumanDuration>,
}

impl AgentConfig {
    /// Everything else by default.
    #[must_use]
    pub fn new(data_dir: PathBuf, bootstrap: Vec<String>, files: Vec<FilesConfig>) -> Self {
        Self {
            data_dir,
            host: system_host_name(),
            collector: CollectorConfig {
                bootstrap,
                tls: None,
                sasl: None,
            },
            http: HttpConfig::default(),
            log: LogConfig::default(),
            read: ReadConfig::default(),
            spool: SpoolConfig::default(),
            files,
            syslog: Vec::new(),
            journald: Vec::new(),
            command: Vec::new(),
            stdin: None,
        }
    }

    /// Whether nothing else is collected.
    #[must_use]
    pub fn collects_only_stdin(&self) -> bool {
        self.files.is_empty() && self.syslog.is_empty() && self.journald.is_empty() && self.command.is_empty()
    }

    /// Reads the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config: Self = tailrace_shared::config::load(path)?;
        if config.collects_only_stdin() && config.stdin.is_none() {
            return Err(ConfigError {
                file: path.to_owned(),
                position: None,
                key: String::new(),
                problem: "nothing is collected".to_owned(),
                remedy: Some(
                    "add [[files]] with a topic and what to include, [[journald]] or [stdin] with a topic, or [[syslog]] with a topic \
                     and a port"
                        .to_owned(),
                ),
            });
        }
        Ok(config)
    }
}

impl SpoolConfig {
    /// As the spool has them.
    #[must_use]
    pub fn options(&self) -> SpoolOptions {
        SpoolOptions {
            max_bytes: self.max_bytes.0,
            file_bytes: self.file_bytes.0,
            when_full: self.when_full,
        }
    }
}

impl FilesConfig {
    /// Everything else by default.
    #[must_use]
    pub fn new(topic: TopicName, include: Vec<Glob>) -> Self {
        Self {
            topic: topic.into(),
            include,
            exclude: Vec::new(),
            labels: BTreeMap::new(),
            format: Format::default(),
            max_line_bytes: default_max_line_bytes(),
            multiline: None,
            encoding: EncodingName::default(),
            container: false,
            rate_limit: None,
            transform: None,
            ignore_older: None,
            start_at: StartAt::default(),
        }
    }
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/tailrace/agent")
}

/// As the kernel has it.
#[must_use]
pub fn system_host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

fn default_max_line_bytes() -> ByteSize {
    ByteSize(1_000_000)
}

/// Each as a whole, for some of its settings exclude others.
fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FilesConfig>, D::Error> {
    let files: Vec<FilesConfig> = some(deserializer)?;
    let in_vain = |files: &&FilesConfig| files.container && files.encoding != EncodingName::default();
    if let Some(files) = files.iter().find(in_vain) {
        return Err(D::Error::custom(format!(
            "files.container and files.encoding do not go together (topic \"{}\"): container runtimes write UTF-8; leave \
             out one of them",
            files.topic.as_str()
        )));
    }
    let has_no_stream = |files: &&FilesConfig| {
        let transform = files.transform.as_ref().map(TransformConfig::compiled);
        !files.container && transform.is_some_and(|transform| transform.parse.is_none() && transform.asks_for(STREAM))
    };
    for files in &files {
        let of_file = |name: &str| name == "path";
        let of_container = |name: &str| files.container && (name == STREAM || CONTAINER_FIELDS.contains(&name));
        let known = |name: &str| of_file(name) || of_container(name);
        let checked = files.topic.check(known, &files.labels, files.transform.as_ref());
        checked.map_err(|problem| D::Error::custom(format!("[[files]] {problem}")))?;
    }
    match files.iter().find(has_no_stream) {
        Some(files) => Err(D::Error::custom(format!(
            "files.transform asks for the field `{STREAM}` (topic \"{}\"), which only lines of a container have: say \
             container = true, or with `parse` how fields are found",
            files.topic.as_str()
        ))),
        None => Ok(files),
    }
}

/// As a whole, for the sizes have to go together.
fn spool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SpoolConfig, D::Error> {
    let config = SpoolConfig::deserialize(deserializer)?;
    config.options().check().map_err(D::Error::custom)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentConfig, ConfigError> {
        tailrace_shared::config::parse(Path::new("agent.toml"), text.as_bytes(), &|_| None)
    }

    const MINIMAL: &str = "[collector]\nbootstrap = [\"collector:9092\"]\n[[files]]\ntopic = \"nginx\"\n";

    #[test]
    fn little_needs_to_be_said() {
        let config = parse(&format!("{MINIMAL}include = [\"/var/log/nginx/*.log\"]\n")).unwrap();
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:9601");
        let files = &config.files[0];
        assert_eq!(
            (files.format, files.start_at, files.max_line_bytes.0),
            (Format::Raw, StartAt::Beginning, 1_000_000)
        );
        assert!(!config.host.is_empty());
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_remedy() {
        let cases = [
            ("include = [\"/var/log/[\"]\n", "agent.toml:5", "/var/log/["),
            ("include = [\"\"]\n", "agent.toml:5", "empty pattern"),
            ("include = [\"/a\"]\nexclude = [\"{a/b\"]\n", "agent.toml:6", "{a/b"),
            (
                "include = [\"/a\"]\nlabels = { host = \"x\" }\n",
                "agent.toml:6",
                "another name",
            ),
            (
                "include = [\"/a\"]\nmax_line_bytes = 3\n",
                "agent.toml:6",
                "`3B` is not between 64B and 16MiB",
            ),
            (
                "include = [\"/a\"]\nstart_at = \"middle\"\n",
                "agent.toml:6",
                "beginning",
            ),
            ("inclde = [\"/a\"]\n", "agent.toml:5", "did you mean `include`"),
            (
                "include = [\"/a\"]\n[collector.sasl]\nmechanism = \"OAUTHBEARER\"\nuser = \"a\"\npassword = \"p\"\n",
                "agent.toml:7",
                "renew its token",
            ),
            ("include = [\"/a\"]\nmultiline = \"jva\"\n", "agent.toml:6", "`java`"),
            (
                "include = [\"/a\"]\nmultiline = { start = '(' }\n",
                "agent.toml:6",
                "unclosed group",
            ),
            (
                "include = [\"/a\"]\nmultiline = { start = '' }\n",
                "agent.toml:6",
                "matches every line",
            ),
            (
                "include = [\"/a\"]\nmultiline = { strt = 'a' }\n",
                "agent.toml:6",
                "did you mean `start`",
            ),
            (
                "include = [\"/a\"]\nmultiline = { start = 'a', continuation = 'b' }\n",
                "agent.toml:6",
                "by one of",
            ),
            (
                "include = [\"/a\"]\nmultiline = { timeout = '1s' }\n",
                "agent.toml:6",
                "by one of",
            ),
            (
                "include = [\"/a\"]\nmultiline = { mode = 'go', max_lines = 1 }\n",
                "agent.toml:6",
                "`1` is not between 2 and",
            ),
            (
                "include = [\"/a\"]\nencoding = \"utf-7\"\n",
                "agent.toml:6",
                "write `auto`, `utf-8`",
            ),
            (
                "include = [\"/a\"]\nencoding = \"utf-16le\"\ncontainer = true\n",
                "agent.toml",
                "leave out one of them",
            ),
            (
                "include = [\"/a\"]\ntransform = { drop = [{ field = \"stream\", is = \"stderr\" }] }\n",
                "agent.toml",
                "container = true",
            ),
            (
                "include = [\"/a\"]\nmultiline = 3\n",
                "agent.toml:6",
                "the name of a mode",
            ),
        ];
        for (lines, place, expected) in cases {
            let error = parse(&format!("{MINIMAL}{lines}")).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains(expected), "{lines}{error}");
        }
        for (lines, key, expected) in [
            ("include = []\n", "files.include", "nothing in it"),
            ("include = [\"~/a.log\"]\n", "files.include", "in full"),
            ("include = [\"/a/*/../b\"]\n", "files.include", "without it"),
        ] {
            let error = parse(&format!("{MINIMAL}{lines}")).unwrap_err().to_string();
            assert!(
                error.contains("agent.toml:5") && error.contains(key) && error.contains(expected),
                "{lines}{error}"
            );
        }
        let error = parse(&MINIMAL.replace("nginx", "a b")).unwrap_err().to_string();
        assert!(error.contains("no topic name"), "{error}");
    }

    #[test]
    fn what_would_fail_later_or_do_harm_is_refused_with_its_key_and_value() {
        let cases = [
            (
                "[read]\nscan_interval = \"0s\"",
                "read.scan_interval",
                "`0s` is not between 10ms and 1h",
            ),
            ("[read]\nbatch_bytes = 0", "read.batch_bytes", "`0B`"),
            (
                "[read]\nbatch_bytes = \"100MiB\"",
                "read.batch_bytes",
                "`100MiB` is not between 1KiB and 16MiB",
            ),
            ("[read]\nopen_files = 0", "read.open_files", "`0` is not between 1 and"),
            ("[read]\nlinger = \"1h\"", "read.linger", "1m"),
            (
                "[read]\npartial_line_timeout = \"0s\"",
                "read.partial_line_timeout",
                "10ms",
            ),
            ("[spool]\nmax_bytes = \"16MiB\"", "spool", "five"),
            ("[spool]\nfile_bytes = \"1MB\"", "spool", "4096"),
        ];
        let valid = format!("{MINIMAL}include = [\"/a\"]\n");
        for (lines, key, expected) in cases {
            let error = parse(&format!("{valid}{lines}\n")).unwrap_err().to_string();
            let place = error.contains("agent.toml:6") || error.contains("agent.toml:7");
            let named = error.contains(&format!("(at `{key}"));
            assert!(place && named && error.contains(expected), "{lines}: {error}");
        }
        for (bootstrap, expected) in [
            ("[]", "nothing in it"),
            ("[\"\"]", "collector:9092"),
            ("[\"collector\"]", "collector:9092"),
            ("[\"collector:port\"]", "`collector:port`"),
            ("[\"collector:0\"]", "`collector:0`"),
            ("[\"a:1\", \"http://h:1\"]", "`http://h:1`"),
        ] {
            let text = valid.replace("[\"collector:9092\"]", bootstrap);
            let error = parse(&text).unwrap_err().to_string();
            let place = error.contains("agent.toml:2") && error.contains("collector.bootstrap");
            assert!(place && error.contains(expected), "{bootstrap}: {error}");
        }
        let error = parse("files = []\n[collector]\nbootstrap = [\"a:1\"]\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("agent.toml:1") && error.contains("nothing in it"),
            "{error}"
        );
    }
}
