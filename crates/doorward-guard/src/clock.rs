//! The time of day, in one place.

/// Seconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "a library for other people's services has no clock port; expiry is compared here only"
)]
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Seconds since 1970 of a UTC time stamp like `2026-11-30T19:41:15.123Z`. `None` for anything else: what cannot be read
/// must not be taken for a session that never ends.
pub(crate) fn read(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(digits);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.split(':').map(digits);
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let fits = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fits || date.next().is_some() || time.next().is_some() || digits(fraction).is_none() {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn digits(text: &str) -> Option<i64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Days from 1970-01-01, counting years from March so that the leap day is their last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let in_years = year * 365 + year / 4 - year / 100 + year / 400;
    in_years + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn time_stamps() {
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2000-02-29T12:00:00.000Z"), Some(951_825_600));
        assert_eq!(read("2026-11-30T19:41:15.123Z"), Some(1_796_067_675));
        assert_eq!(read("2100-03-01T00:00:00Z"), Some(4_107_542_400));
        for bad in [
            "",
            "2026-11-30",
            "2026-11-30T19:41:15",
            "2026-11-30T19:41:15+01:00",
            "2026-13-30T19:41:15Z",
            "2026-11-30T19:41:15.Z",
            "+2026-11-30T19:41:15Z",
            "2026-11-30T24:41:15Z",
            "2026-11-30-1T10:41:15Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
