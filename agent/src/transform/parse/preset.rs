//! Logs that everybody has: how their lines look, where their time is, and which of their fields are numbers.

use serde::Deserialize;

use super::super::TimeFormat;
use super::Parser;
use super::syslog::OLDER;
use crate::line_regex::LineRegex;

/// A kind of log that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// A JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// nginx's access log: `combined`, its default.
    Nginx,
    /// nginx's error log.
    NginxError,
    /// Apache's access log: `common`, `combined`, with or without the virtual host before it.
    Apache,
    /// Messages of RFC 5424 or RFC 3164, and the lines of `/var/log/syslog`.
    Syslog,
}

const ACCESS: &str = concat!(
    r"^(?:(?<vhost>[^\s:]+:\d+) )?(?<client>\S+) \S+ (?<user>\S+) \[(?<time>[^\]]+)\] ",
    r#""(?:(?<method>[A-Z]+) (?<url>\S+)(?: (?<protocol>[^\s"]+))?|(?<request>(?:[^"\\]|\\.)*))" "#,
    r"(?<status>\d{3}) (?<bytes>\d+|-)",
    r#"(?: "(?<referrer>(?:[^"\\]|\\.)*)" "(?<agent>(?:[^"\\]|\\.)*)")?"#,
);
const NGINX_ERROR: &str = concat!(
    r"(?s)^(?<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?<level>\w+)\] (?<pid>\d+)#(?<tid>\d+): ",
    r"(?:\*(?<connection>\d+) )?(?<message>.*)$",
);
impl Preset {
    /// How its lines are parsed.
    #[must_use]
    pub fn parser(self) -> Parser {
        let pattern = match self {
            Self::Json => return Parser::Json,
            Self::Logfmt => return Parser::Logfmt,
            Self::Nginx | Self::Apache => ACCESS,
            Self::NginxError => NGINX_ERROR,
            Self::Syslog => OLDER,
        };
        let parser = match self {
            Self::Syslog => Parser::Syslog,
            _ => Parser::Pattern,
        };
        // A test compiles each of them.
        LineRegex::new(pattern).map_or(Parser::Json, parser)
    }

    /// The format of its field `time`.
    #[must_use]
    pub fn time(self) -> Option<TimeFormat> {
        let format = match self {
            Self::Json | Self::Logfmt => return None,
            Self::Nginx | Self::Apache => "%d/%b/%Y:%H:%M:%S %z",
            Self::NginxError => "%Y/%m/%d %H:%M:%S",
            Self::Syslog => return Some(TimeFormat::Syslog),
        };
        Some(TimeFormat::Pattern(format.to_owned()))
    }

    /// Its fields that are numbers.
    #[must_use]
    pub fn numbers(self) -> &'static [&'static str] {
        match self {
            Self::Json | Self::Logfmt => &[],
            Self::Nginx | Self::Apache => &["status", "bytes"],
            Self::NginxError => &["pid", "tid", "connection"],
            Self::Syslog => &["pid"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(preset: Preset, line: &str) -> Vec<String> {
        let fields = preset.parser().parse(line.as_bytes()).unwrap();
        fields
            .iter()
            .map(|(name, field)| format!("{name}={}", field.text()))
            .collect()
    }

    #[test]
    fn access_logs() {
        let line = r#"203.0.113.9 - ann [27/Nov/2026:12:00:01 +0100] "GET /a?b=c HTTP/1.1" 200 1534 "-" "Mozilla/5.0 (\"x\")""#;
        let expected = [
            "client=203.0.113.9",
            "user=ann",
            "time=27/Nov/2026:12:00:01 +0100",
            "method=GET",
            "url=/a?b=c",
            "protocol=HTTP/1.1",
            "status=200",
            "bytes=1534",
            "referrer=-",
            "agent=Mozilla/5.0 (\\\"x\\\")",
        ];
        assert_eq!(all(Preset::Nginx, line), expected);
        let line = r#"example.org:443 ::1 - - [27/Nov/2026:12:00:01 +0100] "\x16\x03" 400 -"#;
        let expected = [
            "vhost=example.org:443",
            "client=::1",
            "user=-",
            "time=27/Nov/2026:12:00:01 +0100",
            "request=\\x16\\x03",
            "status=400",
            "bytes=-",
        ];
        assert_eq!(all(Preset::Apache, line), expected);
    }

    #[test]
    fn error_logs_of_nginx() {
        let line = "2026/11/27 12:00:01 [error] 31#32: *7 open() \"/a\" failed (2: No such file), client: ::1";
        let expected = [
            "time=2026/11/27 12:00:01",
            "level=error",
            "pid=31",
            "tid=32",
            "connection=7",
            "message=open() \"/a\" failed (2: No such file), client: ::1",
        ];
        assert_eq!(all(Preset::NginxError, line), expected);
    }

    #[test]
    fn every_preset_has_a_parser_of_its_own() {
        for preset in [Preset::Nginx, Preset::NginxError, Preset::Apache] {
            assert!(matches!(preset.parser(), Parser::Pattern(_)), "{preset:?}");
        }
        assert!(matches!(Preset::Syslog.parser(), Parser::Syslog(_)));
    }
}
