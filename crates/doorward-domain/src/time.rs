//! Points in time and lengths of time. Time is always an argument here; nothing reads a clock.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }
    /// From whole seconds since the Unix epoch (a `NumericDate`, RFC 7519 section 2).
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// This point plus a length of time, saturating.
    #[must_use]
    pub const fn plus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_add(lifetime.millis()))
    }
    /// This point minus a length of time, saturating.
    #[must_use]
    pub const fn minus(self, lifetime: Lifetime) -> Self {
        Self(self.0.saturating_sub(lifetime.millis()))
    }
    /// Milliseconds from `earlier` to this point; negative when `earlier` is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds and `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Timestamp {
    type Err = String;
    /// Reads RFC 3339.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|at| Self(at.as_millisecond()))
            .map_err(|_| format!("`{text}` is not a time; expected RFC 3339 such as 2026-11-22T10:00:00Z"))
    }
}

/// A length of time with millisecond resolution, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lifetime(i64);

impl Lifetime {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64)
    }
    /// From seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds as i64 * 1000)
    }
    /// From minutes.
    #[must_use]
    pub const fn from_minutes(minutes: u32) -> Self {
        Self(minutes as i64 * 60_000)
    }
    /// From hours.
    #[must_use]
    pub const fn from_hours(hours: u32) -> Self {
        Self(hours as i64 * 3_600_000)
    }
    /// From days.
    #[must_use]
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * 86_400_000)
    }
    /// Milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }
    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0 / 1000
    }
    /// As the standard library's duration.
    #[must_use]
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.unsigned_abs())
    }
}

const UNITS: [(&str, &str, i64); 6] = [
    ("w", "weeks", 604_800_000),
    ("d", "days", 86_400_000),
    ("h", "hours", 3_600_000),
    ("m", "minutes", 60_000),
    ("s", "seconds", 1_000),
    ("ms", "milliseconds", 1),
];
/// Longest accepted length of time: 100 years.
const LONGEST: i64 = 100 * 366 * 86_400_000;

impl FromStr for Lifetime {
    type Err = String;
    /// Reads `90s`, `1h30m`, `14d`, and the form `hours=1;minutes=30` that authentik uses.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_lifetime(text.trim()).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a length of time; expected for example 30s, 10m, 1h30m, 14d or minutes=10"
            )
        })
    }
}

fn parse_lifetime(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 100 {
        return None;
    }
    let mut total: i64 = 0;
    let mut add = |count: &str, unit: i64| -> Option<()> {
        let count: i64 = count.parse().ok().filter(|n| *n >= 0)?;
        total = total
            .checked_add(count.checked_mul(unit)?)
            .filter(|sum| *sum <= LONGEST)?;
        Some(())
    };
    if text.contains('=') {
        for part in text.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, count) = part.split_once('=')?;
            let (_, _, unit) = UNITS.iter().find(|(_, long, _)| *long == name.trim())?;
            add(count.trim(), *unit)?;
        }
        return Some(total);
    }
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (count, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, tail) = tail.split_at_checked(letters)?;
        let (_, _, unit) = UNITS.iter().find(|(short, _, _)| *short == name)?;
        add(count, *unit)?;
        rest = tail;
    }
    Some(total)
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut left = self.0;
        for (short, _, unit) in UNITS {
            let count = left / unit;
            left %= unit;
            if count > 0 {
                write!(f, "{count}{short}")?;
            }
        }
        Ok(())
    }
}
impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for Lifetime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_read_both_spellings_and_print_the_short_one() {
        for (text, millis, printed) in [
            ("30s", 30_000, "30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("minutes=10", 600_000, "10m"),
            ("weeks=1;days=1", 691_200_000, "1w1d"),
            ("250ms", 250, "250ms"),
            ("0s", 0, "0s"),
        ] {
            let lifetime: Lifetime = text.parse().unwrap();
            assert_eq!(lifetime.millis(), millis, "{text}");
            assert_eq!(lifetime.to_string(), printed);
        }
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "1y",
            "minutes=-1",
            "99999999999d",
            "1h 30m",
            "minutes",
        ] {
            assert!(bad.parse::<Lifetime>().is_err(), "{bad}");
        }
    }

    #[test]
    fn timestamps_print_utc_milliseconds() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            "1970-01-01T00:00:01.500Z".parse::<Timestamp>().unwrap().millis(),
            1500
        );
    }
}
