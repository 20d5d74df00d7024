//! Links between documents lead somewhere: to a file that is there, and to a heading that it has.

use super::Problem;
use crate::workspace::Workspace;

/// A link as written, and the line it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) line: usize,
    pub(super) target: String,
}

pub(super) fn problems(workspace: &Workspace, files: &[String]) -> Result<Vec<Problem>, String> {
    let mut problems = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".md")) {
        for link in links(&workspace.read(path)?) {
            if let Some(text) = broken(workspace, path, &link.target)? {
                problems.push(Problem::new(path, link.line, text));
            }
        }
    }
    Ok(problems)
}

/// Why a link leads nowhere; nothing when it leads somewhere or out of the repository.
fn broken(workspace: &Workspace, from: &str, target: &str) -> Result<Option<String>, String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(None);
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = (if file.is_empty() {
        Some(from.to_owned())
    } else {
        resolve(from, file)
    }) else {
        return Ok(Some(format!("link to `{target}` leaves the repository")));
    };
    if !workspace.path(&path).exists() {
        return Ok(Some(format!("link to `{target}`: there is no {path}")));
    }
    if anchor.is_empty() || !path.ends_with(".md") {
        return Ok(None);
    }
    let known = headings(&workspace.read(&path)?);
    Ok((!known.iter().any(|heading| heading == anchor))
        .then(|| format!("link to `{target}`: {path} has no heading `#{anchor}`")))
}

/// The path of a link relative to the root, from the file it stands in; nothing when it climbs out.
pub(super) fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Inline links of a Markdown text, outside code blocks and code spans.
pub(super) fn links(markdown: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (at, line) in prose(markdown) {
        let text = without_code_spans(line);
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, tail)) = after.split_once(')') else {
                break;
            };
            let target = target.split_whitespace().next().unwrap_or_default();
            if !target.is_empty() {
                links.push(Link {
                    line: at,
                    target: target.to_owned(),
                });
            }
            rest = tail;
        }
    }
    links
}

/// The anchors of the headings, as the usual Markdown hosts make them.
pub(super) fn headings(markdown: &str) -> Vec<String> {
    prose(markdown)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| {
            line.trim_start_matches('#')
                .trim()
                .chars()
                .filter_map(|letter| match letter {
                    ' ' => Some('-'),
                    '-' | '_' => Some(letter),
                    _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

/// Lines outside fenced code, numbered from 1.
fn prose(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(markdown.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect()
}
