//! A name for the browser behind a `User-Agent` header that its owner recognises: "Firefox on Linux".
//!
//! Pure reading of one string. Never used for a decision: the header is whatever the other side likes to send.

/// How much of the header is read, in bytes; real ones are shorter than 300.
const LONGEST: usize = 512;

/// What a `User-Agent` header says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DeviceName {
    /// Browser or program, for example `Firefox`.
    pub browser: Option<&'static str>,
    /// Operating system, for example `Linux`.
    pub system: Option<&'static str>,
    /// Something held in the hand.
    pub handheld: bool,
}

/// Marks of browsers. Order matters: most browsers also claim to be the ones below them.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("OPT/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("YaBrowser/", "Yandex Browser"),
    ("Epiphany/", "GNOME Web"),
    ("Falkon/", "Falkon"),
    ("FxiOS/", "Firefox"),
    ("Focus/", "Firefox Focus"),
    ("Seamonkey/", "SeaMonkey"),
    ("SeaMonkey/", "SeaMonkey"),
    ("Thunderbird/", "Thunderbird"),
    ("Firefox/", "Firefox"),
    ("HeadlessChrome/", "Chrome (headless)"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("; wv)", "Android app"),
    ("Electron/", "Desktop app"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "Python"),
    ("Go-http-client/", "Go"),
    ("okhttp/", "Android app"),
];

/// Marks of systems with whether it is held in the hand. Order matters: Android also says Linux, phones also say Mac OS X.
const SYSTEMS: &[(&str, &str, bool)] = &[
    ("iPhone", "iPhone", true),
    ("iPad", "iPad", true),
    ("iPod", "iPod", true),
    ("Android", "Android", true),
    ("Windows Phone", "Windows Phone", true),
    ("Windows", "Windows", false),
    ("CrOS", "ChromeOS", false),
    ("Mac OS X", "macOS", false),
    ("Macintosh", "macOS", false),
    ("KaiOS", "KaiOS", true),
    ("Linux", "Linux", false),
    ("FreeBSD", "FreeBSD", false),
    ("OpenBSD", "OpenBSD", false),
    ("NetBSD", "NetBSD", false),
];

impl DeviceName {
    /// Reads a `User-Agent` header (RFC 9110 section 10.1.5).
    #[must_use]
    pub fn read(user_agent: &str) -> Self {
        let end = user_agent.floor_char_boundary(LONGEST);
        let text = user_agent.get(..end).unwrap_or_default();
        let browser = BROWSERS
            .iter()
            .find(|(mark, _)| text.contains(mark))
            .map(|(_, name)| *name);
        let system = SYSTEMS.iter().find(|(mark, _, _)| text.contains(mark));
        Self {
            browser,
            system: system.map(|(_, name, _)| *name),
            handheld: system.is_some_and(|(_, _, handheld)| *handheld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_browsers_are_named_as_their_owners_call_them() {
        for (header, browser, system, handheld) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
                "Firefox",
                "Linux",
                false,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "Chrome",
                "Windows",
                false,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.2903.51",
                "Edge",
                "Windows",
                false,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "Safari",
                "macOS",
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                "Safari",
                "iPhone",
                true,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0 Mobile/15E148 Safari/604.1",
                "Chrome",
                "iPhone",
                true,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
                "Samsung Internet",
                "Android",
                true,
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0",
                "Firefox",
                "Android",
                true,
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "Chrome",
                "ChromeOS",
                false,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
                "Chrome (headless)",
                "Linux",
                false,
            ),
        ] {
            let expected = DeviceName {
                browser: Some(browser),
                system: Some(system),
                handheld,
            };
            assert_eq!(DeviceName::read(header), expected, "{header}");
        }
    }

    #[test]
    fn half_known_and_unknown_programs_say_only_what_is_known() {
        assert_eq!(
            DeviceName::read("curl/8.5.0"),
            DeviceName {
                browser: Some("curl"),
                ..DeviceName::default()
            }
        );
        assert_eq!(
            DeviceName::read("Something/1.0 (OpenBSD)"),
            DeviceName {
                system: Some("OpenBSD"),
                ..DeviceName::default()
            }
        );
        assert_eq!(DeviceName::read(""), DeviceName::default());
        assert_eq!(
            DeviceName::read("<script>alert(1)</script>"),
            DeviceName::default()
        );
    }

    #[test]
    fn only_the_beginning_of_an_endless_header_is_read() {
        let padded = "ä".repeat(LONGEST) + "Firefox/133.0";
        assert_eq!(DeviceName::read(&padded), DeviceName::default());
    }
}
