//! How often one network may ask one route of an app (contract section 3.3): fixed windows.

/// So many calls in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Calls.
    pub most: u32,
    /// Window in seconds.
    pub seconds: u32,
}

const fn rule(most: u32, seconds: u32) -> Rule {
    Rule { most, seconds }
}

/// The rule of a path below the door's base.
#[must_use]
pub fn rule_of(path: &str) -> Rule {
    const MAIL: Rule = rule(3, 60);
    let starts = |prefix: &str| path.starts_with(prefix);
    if path == "/sign-in/email-otp"
        || starts("/email-otp/")
        || path == "/request-password-reset"
        || starts("/forget-password")
        || path == "/send-verification-email"
    {
        return MAIL;
    }
    if starts("/sign-in/magic-link") || starts("/magic-link/verify") {
        return rule(5, 60);
    }
    if starts("/phone-number") {
        return rule(10, 60);
    }
    if path == "/device" {
        return rule(5, 1800);
    }
    if [
        "/sign-in",
        "/sign-up",
        "/change-password",
        "/change-email",
        "/two-factor/",
    ]
    .iter()
    .any(|prefix| starts(prefix))
    {
        return rule(3, 10);
    }
    rule(100, 10)
}

/// A window under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it began, in milliseconds.
    pub began: i64,
    /// Calls so far.
    pub count: u32,
}

impl Window {
    /// Counts a call at `now` (milliseconds). `Err`: seconds until the window ends.
    ///
    /// # Errors
    /// The seconds to wait when the rule is used up.
    pub fn count(&mut self, rule: Rule, now: i64) -> Result<(), u32> {
        let length = i64::from(rule.seconds) * 1000;
        if now < self.began || now - self.began >= length {
            *self = Self { began: now, count: 1 };
            return Ok(());
        }
        if self.count >= rule.most {
            let left = (self.began + length - now + 999) / 1000;
            return Err(u32::try_from(left).unwrap_or(rule.seconds).max(1));
        }
        self.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_3_3_rules_of_paths() {
        for (path, most, seconds) in [
            ("/get-session", 100, 10),
            ("/sign-in/email", 3, 10),
            ("/sign-up/email", 3, 10),
            ("/two-factor/verify-totp", 3, 10),
            ("/sign-in/email-otp", 3, 60),
            ("/email-otp/verify-email", 3, 60),
            ("/forget-password/email-otp", 3, 60),
            ("/sign-in/magic-link", 5, 60),
            ("/magic-link/verify", 5, 60),
            ("/device", 5, 1800),
            ("/device/token", 100, 10),
        ] {
            assert_eq!(rule_of(path), rule(most, seconds), "{path}");
        }
    }

    #[test]
    fn a_window_lets_so_many_pass_and_says_when_it_ends() {
        let mut window = Window { began: 0, count: 0 };
        let three = rule(3, 10);
        for at in [0, 1, 2] {
            assert_eq!(window.count(three, at), Ok(()));
        }
        assert_eq!(window.count(three, 3), Err(10));
        assert_eq!(window.count(three, 9_001), Err(1));
        assert_eq!(window.count(three, 10_000), Ok(()));
    }
}
