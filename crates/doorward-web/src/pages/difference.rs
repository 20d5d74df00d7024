//! Where two addresses part, for the refusal page that shows the given one beside the nearest registered one.

/// One of two texts, cut where they differ: `same`, `differs`, `same` again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marked<'a> {
    /// What both begin with.
    pub(crate) before: &'a str,
    /// What only this one has; may be empty.
    pub(crate) only_here: &'a str,
    /// What both end with.
    pub(crate) after: &'a str,
}

/// Cuts both texts around the one stretch in which they differ. Linear in the length of the shorter one.
#[must_use]
pub(crate) fn difference<'a>(left: &'a str, right: &'a str) -> (Marked<'a>, Marked<'a>) {
    let shared = |a: &mut dyn Iterator<Item = char>, b: &mut dyn Iterator<Item = char>| -> usize {
        a.zip(b)
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum()
    };
    let start = shared(&mut left.chars(), &mut right.chars());
    let (before, left_rest) = left.split_at_checked(start).unwrap_or(("", left));
    let (_, right_rest) = right.split_at_checked(start).unwrap_or(("", right));
    let end = shared(&mut left_rest.chars().rev(), &mut right_rest.chars().rev());
    let cut = |rest: &'a str| {
        let (only_here, after) = rest
            .split_at_checked(rest.len().saturating_sub(end))
            .unwrap_or((rest, ""));
        Marked {
            before,
            only_here,
            after,
        }
    };
    (cut(left_rest), cut(right_rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(left: &str, right: &str) -> (String, String) {
        let (a, b) = difference(left, right);
        let show = |m: Marked<'_>| format!("{}[{}]{}", m.before, m.only_here, m.after);
        (show(a), show(b))
    }

    #[test]
    fn the_stretch_that_differs_is_found() {
        for (left, right, shown_left, shown_right) in [
            (
                "https://g.example/cb/",
                "https://g.example/cb",
                "https://g.example/cb[/]",
                "https://g.example/cb[]",
            ),
            (
                "http://g.example/cb",
                "https://g.example/cb",
                "http[]://g.example/cb",
                "http[s]://g.example/cb",
            ),
            ("a", "b", "[a]", "[b]"),
            ("same", "same", "same[]", "same[]"),
            ("", "x", "[]", "[x]"),
            ("aaa", "aa", "aa[a]", "aa[]"),
            ("grün", "grau", "gr[ün]", "gr[au]"),
            ("xä", "xö", "x[ä]", "x[ö]"),
        ] {
            assert_eq!(
                parts(left, right),
                (shown_left.to_owned(), shown_right.to_owned())
            );
        }
    }
}
