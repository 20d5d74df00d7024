//! Templates: `<<name>>` is replaced; alone on its line, by several lines with the same indentation.

/// Fills a template. A line that consists of a name whose value is empty disappears.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    for line in template.lines() {
        let bare = line.trim_start();
        let indent = line.get(..line.len() - bare.len()).unwrap_or_default();
        let alone = bare
            .strip_prefix("<<")
            .and_then(|rest| rest.strip_suffix(">>"))
            .and_then(|name| value(values, name));
        if let Some(block) = alone {
            for inner in block.lines() {
                if !inner.is_empty() {
                    text.push_str(indent);
                    text.push_str(inner);
                }
                text.push('\n');
            }
        } else {
            within(line, values, &mut text);
            text.push('\n');
        }
    }
    text
}

fn value<'a>(values: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let found = values.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value)
}

/// Values are not looked into again: what a site is called cannot name a part of the template.
fn within(line: &str, values: &[(&str, &str)], text: &mut String) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("<<") {
        text.push_str(before);
        let known = after
            .split_once(">>")
            .and_then(|(name, tail)| value(values, name).map(|value| (value, tail)));
        if let Some((value, tail)) = known {
            text.push_str(value);
            rest = tail;
        } else {
            text.push_str("<<");
            rest = after;
        }
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn values_go_where_their_names_stand() {
        assert_eq!(
            fill("a <<x>> b<<y>>\n", &[("x", "1"), ("y", "<<x>>")]),
            "a 1 b<<x>>\n"
        );
        assert_eq!(fill("{\n  <<x>>\n}\n", &[("x", "1\n\n2")]), "{\n  1\n\n  2\n}\n");
        assert_eq!(fill("{\n  <<x>>\n}\n", &[("x", "")]), "{\n}\n");
        assert_eq!(fill("1 << 2 <<no>>\n", &[]), "1 << 2 <<no>>\n");
    }
}
