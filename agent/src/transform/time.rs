//! When an event happened, as it says itself.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::Fields;

/// An event that claims to come from further in the future than this has a wrong clock. Brokers would refuse its batch.
const AHEAD_MAX_MS: i64 = 60 * 60 * 1000;

/// Which field holds the time, and how it is written.
#[derive(Debug, Clone)]
pub struct TimeField {
    /// Its name.
    pub field: String,
    /// How it is written.
    pub format: TimeFormat,
    /// Where the clock hangs, if the time does not say.
    pub zone: TimeZone,
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeFormat {
    /// RFC 3339, the same without its zone or with a space or a comma in it, or seconds, milliseconds, microseconds or
    /// nanoseconds since 1970, whichever that is near to now.
    Usual,
    /// `Nov 27 12:00:01`, of the year that is nearest; or as [`Self::Usual`].
    Syslog,
    /// As `strftime` writes it.
    Pattern(String),
    /// A number of which so many make a second, since 1970.
    Unix {
        /// How many make a second.
        per_second: i64,
    },
}

impl TimeFormat {
    /// As `strftime` writes it.
    ///
    /// # Errors
    /// When there is no such format, or when nothing but the time of day could be read from it.
    pub fn pattern(pattern: &str) -> Result<Self, String> {
        let sample = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        let written = strtime::format(pattern, &sample).map_err(|error| format!("\"{pattern}\": {error}"))?;
        let format = Self::Pattern(pattern.to_owned());
        let read = strtime::parse(pattern, &written).map_err(|error| format!("\"{pattern}\": {error}"))?;
        match read.to_timestamp().is_ok() || read.to_datetime().is_ok() {
            true => Ok(format),
            false => Err(format!("\"{pattern}\" leaves out a part of date and time")),
        }
    }
}

impl TimeField {
    /// Milliseconds since 1970, or why that cannot be told.
    pub(super) fn read(&self, fields: &Fields<'_>, now_ms: i64) -> Result<i64, String> {
        let field = fields.get(&self.field);
        let field = field.ok_or_else(|| format!("time: there is no field \"{}\"", self.field))?;
        let text = field.text();
        let text = text.trim();
        let time_ms = match &self.format {
            TimeFormat::Usual => self.usual(text),
            TimeFormat::Syslog => self.usual(text).or_else(|| self.without_year(text, now_ms)),
            TimeFormat::Pattern(pattern) => self.by_pattern(pattern, text),
            TimeFormat::Unix { per_second } => unix(text, *per_second),
        };
        let time_ms = time_ms.ok_or_else(|| format!("time: \"{}\" is not written as expected", shortened(text)))?;
        if time_ms < 0 {
            return Err(format!(
                "time: \"{}\" is before 1970, which Kafka does not know",
                shortened(text)
            ));
        }
        if not_ahead(time_ms, now_ms) != time_ms {
            return Err(format!(
                "time: \"{}\" is more than an hour in the future",
                shortened(text)
            ));
        }
        Ok(time_ms)
    }

    fn usual(&self, text: &str) -> Option<i64> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time.as_millisecond());
        }
        if let Some(number) = whole(text).filter(|_| text.len() >= 9) {
            let per_second = match number.unsigned_abs() {
                0..100_000_000_000 => 1,
                100_000_000_000..100_000_000_000_000 => 1_000,
                100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
                _ => 1_000_000_000,
            };
            return unix(text, per_second);
        }
        // As log4j and Python write it.
        let text = match text.contains(',') {
            true => Cow::Owned(text.replacen(',', ".", 1)),
            false => Cow::Borrowed(text),
        };
        text.parse::<Timestamp>()
            .map(Timestamp::as_millisecond)
            .ok()
            .or_else(|| self.here(text.parse::<DateTime>().ok()?))
    }

    fn by_pattern(&self, pattern: &str, text: &str) -> Option<i64> {
        let parsed = strtime::parse(pattern, text).ok()?;
        if let Ok(time) = parsed.to_timestamp() {
            return Some(time.as_millisecond());
        }
        self.here(parsed.to_datetime().ok()?)
    }

    /// Of the years around now the one that makes it the nearest.
    fn without_year(&self, text: &str, now_ms: i64) -> Option<i64> {
        let parsed = strtime::parse("%b %e %H:%M:%S", text).ok()?;
        let now = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(self.zone.clone());
        let years = [now.year() - 1, now.year(), now.year() + 1];
        let in_year = |year| {
            let date = Date::new(year, parsed.month()?, parsed.day()?).ok()?;
            self.here(date.to_datetime(parsed.to_time().ok()?))
        };
        let times = years.into_iter().filter_map(in_year);
        times.min_by_key(|time_ms| time_ms.abs_diff(now_ms))
    }

    fn here(&self, time: DateTime) -> Option<i64> {
        let zoned = self.zone.to_zoned(time).ok()?;
        Some(zoned.timestamp().as_millisecond())
    }
}

/// That time, or now if a broker would refuse it.
pub(super) fn not_ahead(time_ms: i64, now_ms: i64) -> i64 {
    match time_ms > now_ms.saturating_add(AHEAD_MAX_MS) {
        true => now_ms,
        false => time_ms,
    }
}

/// A number, perhaps with a fraction, of which so many make a second.
fn unix(text: &str, per_second: i64) -> Option<i64> {
    let (whole_part, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole_part.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if per_second >= 1000 {
        return Some(number.div_euclid(per_second / 1000));
    }
    let digits = fraction.bytes().chain(*b"000").take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let sign = if whole_part.starts_with('-') { -1 } else { 1 };
    number.checked_mul(1000)?.checked_add(sign * thousandths)
}

/// The whole part of what is nothing but a number.
fn whole(text: &str) -> Option<i64> {
    let (whole_part, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole_part.parse().ok().filter(|_| is_number)
}

/// For a message: a line may put anything where its time should be.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::Field;
    use super::*;

    /// 2026-11-27T12:00:01Z
    const NOW: i64 = 1_795_780_801_000;

    fn read_in(zone: &str, format: TimeFormat, text: &str) -> Result<i64, String> {
        let time = TimeField {
            field: "t".to_owned(),
            format,
            zone: TimeZone::get(zone).unwrap(),
        };
        let mut fields = Fields::default();
        fields.put("t".into(), Field::Text(text.into()));
        time.read(&fields, NOW)
    }

    fn pattern(pattern: &str) -> TimeFormat {
        TimeFormat::Pattern(pattern.to_owned())
    }

    #[test]
    fn times_as_they_are_usually_written() {
        for text in [
            "2026-11-27T12:00:01Z",
            "2026-11-27T13:00:01+01:00",
            "2026-11-27 12:00:01",
            "2026-11-27T12:00:01.000",
            "2026-11-27 12:00:01,000",
            "1795780801",
            "1795780801.000",
            "1795780801000",
            "1795780801000000",
            "1795780801000000000",
        ] {
            assert_eq!(read_in("UTC", TimeFormat::Usual, text), Ok(NOW), "{text}");
        }
        assert_eq!(
            read_in("UTC", TimeFormat::Usual, "2026-11-27 12:00:00,25"),
            Ok(NOW - 750)
        );
        assert_eq!(read_in("UTC", TimeFormat::Usual, "1795780800.25"), Ok(NOW - 750));
    }

    #[test]
    fn a_time_without_a_zone_is_of_the_zone_that_is_set() {
        assert_eq!(
            read_in("Europe/Berlin", TimeFormat::Usual, "2026-11-27 13:00:01"),
            Ok(NOW)
        );
        let format = pattern("%d.%m.%Y %H:%M:%S");
        assert_eq!(read_in("Asia/Kolkata", format, "27.11.2026 17:30:01"), Ok(NOW));
        let format = pattern("%d/%b/%Y:%H:%M:%S %z");
        assert_eq!(read_in("Asia/Kolkata", format, "27/Nov/2026:13:00:01 +0100"), Ok(NOW));
        let twice = read_in("Europe/Berlin", TimeFormat::Usual, "2026-10-25 02:30:00");
        assert!(twice.is_ok(), "the hour that there is twice: the first");
        let never = read_in("Europe/Berlin", TimeFormat::Usual, "2026-03-29 02:30:00");
        assert!(never.is_ok(), "the hour that is not there: the clock was wrong by one");
    }

    #[test]
    fn a_time_without_a_year_is_of_the_nearest() {
        assert_eq!(read_in("UTC", TimeFormat::Syslog, "Nov 27 12:00:01"), Ok(NOW));
        assert_eq!(read_in("UTC", TimeFormat::Syslog, "2026-11-27T12:00:01Z"), Ok(NOW));
        let in_december = read_in("UTC", TimeFormat::Syslog, "Dec  1 00:00:00");
        assert!(in_december.unwrap_err().contains("in the future"));
        let leap = read_in("UTC", TimeFormat::Syslog, "Feb 29 00:00:00");
        assert!(leap.unwrap_err().contains("not written as expected"), "none is near");
    }

    #[test]
    fn other_numbers_and_patterns() {
        assert_eq!(read_in("UTC", TimeFormat::Unix { per_second: 1 }, "12.5"), Ok(12_500));
        let before = read_in("UTC", TimeFormat::Unix { per_second: 1 }, "-0.5").unwrap_err();
        assert!(before.contains("before 1970"), "{before}");
        assert_eq!(read_in("UTC", TimeFormat::Unix { per_second: 1_000 }, "12"), Ok(12));
        assert_eq!(
            read_in("UTC", TimeFormat::Unix { per_second: 1_000_000 }, "12999"),
            Ok(12)
        );
    }

    #[test]
    fn what_is_no_time_is_told_and_shortened() {
        for text in [
            "",
            "yesterday",
            "12",
            "2026-13-01T00:00:00Z",
            "1.2.3",
            "99999999999999999999",
        ] {
            let error = read_in("UTC", TimeFormat::Usual, text).unwrap_err();
            assert!(error.contains("not written as expected"), "{text}: {error}");
        }
        let long = read_in("UTC", TimeFormat::Usual, &"x".repeat(1000)).unwrap_err();
        assert!(long.len() < 100, "{long}");
        let ahead = read_in("UTC", TimeFormat::Usual, "2026-11-27T13:00:02Z").unwrap_err();
        assert!(ahead.contains("more than an hour in the future"), "{ahead}");
        let time = TimeField {
            field: "x".to_owned(),
            format: TimeFormat::Usual,
            zone: TimeZone::UTC,
        };
        assert_eq!(
            time.read(&Fields::default(), NOW).unwrap_err(),
            "time: there is no field \"x\""
        );
    }
}
