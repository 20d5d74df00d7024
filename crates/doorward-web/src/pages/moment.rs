//! Points in time as people read them, in UTC; the module in the browser turns exact ones into the reader's own zone.

use doorward_domain::Timestamp;

use crate::locale::{Language, Value};

/// A point in time, ready for a `<time>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339, for the `datetime` attribute.
    pub(crate) machine: String,
    /// "22 November 2026, 22:26 UTC".
    pub(crate) exact: String,
    /// "3 minutes ago" within the last day, else the same as `exact`.
    pub(crate) near: String,
    /// Whether `near` is relative.
    pub(crate) is_near: bool,
}

const DAY: i64 = 86_400;

impl Moment {
    pub(crate) fn new(language: Language, at: Timestamp, now: Timestamp) -> Self {
        let machine = at.to_string();
        let exact = exact(language, at).unwrap_or_else(|| machine.clone());
        let ago = now.seconds().saturating_sub(at.seconds());
        let near = match ago {
            0..60 => Some(language.text("moment-now", &[])),
            60..3600 => Some(count(language, "moment-minutes", ago / 60)),
            3600..DAY => Some(count(language, "moment-hours", ago / 3600)),
            _ => None,
        };
        Self {
            machine,
            is_near: near.is_some(),
            near: near.map_or_else(|| exact.clone(), std::borrow::Cow::into_owned),
            exact,
        }
    }
}

fn count(language: Language, key: &str, count: i64) -> std::borrow::Cow<'static, str> {
    language.text(key, &[("count", Value::Count(count.unsigned_abs()))])
}

/// `None` outside the years that a calendar has.
fn exact(language: Language, at: Timestamp) -> Option<String> {
    let zoned = jiff::Timestamp::from_millisecond(at.millis())
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC);
    let month = language.text(&format!("month-{}", zoned.month()), &[]);
    let text = language.text(
        "date-time",
        &[
            ("day", Value::from(zoned.day().to_string())),
            ("month", Value::from(month)),
            ("year", Value::from(zoned.year().to_string())),
            (
                "time",
                Value::from(format!("{:02}:{:02}", zoned.hour(), zoned.minute())),
            ),
        ],
    );
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(language: Language, ago: i64) -> Moment {
        let now = 1_795_386_360; // 2026-11-22T22:26:00Z
        Moment::new(
            language,
            Timestamp::from_seconds(now - ago),
            Timestamp::from_seconds(now),
        )
    }

    #[test]
    fn the_last_day_is_told_by_distance() {
        for (ago, near) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (86_399, "23 hours ago"),
        ] {
            let moment = moment(Language::English, ago);
            assert_eq!(moment.near, near);
            assert!(moment.is_near);
        }
    }

    #[test]
    fn everything_else_is_told_exactly() {
        let old = moment(Language::English, 200 * DAY);
        assert_eq!(old.machine, "2026-05-06T22:26:00.000Z");
        assert_eq!(old.near, "6 May 2026, 22:26 UTC");
        assert!(!old.is_near);
        assert_eq!(
            moment(Language::German, 200 * DAY).exact,
            "6. Mai 2026, 22:26 Uhr (UTC)"
        );
        assert!(!moment(Language::English, -5).is_near, "the future is not near");
    }

    #[test]
    fn impossible_times_still_print() {
        let end = Moment::new(
            Language::English,
            Timestamp::from_millis(i64::MAX),
            Timestamp::from_seconds(0),
        );
        assert!(end.exact.ends_with("ms"));
    }
}
