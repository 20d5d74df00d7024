//! Reads Rust source just far enough to tell code, comments and string literals apart.
//!
//! This is no parser: it knows the lexical forms (nested block comments, raw strings, characters against lifetimes)
//! and nothing of the grammar. Rules about what the source may say are in `tidy`.

/// One string literal: the line it starts on (from 1) and its content as written, escapes and all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A source file taken apart. `code` has the same lines as the source, without comments and without the content of
/// string and character literals.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) code: String,
    pub(crate) literals: Vec<Literal>,
    pub(crate) comments: Vec<Literal>,
}

impl Scan {
    /// Lines that hold code, up to an inline test module at the end of the file (tests belong beside the code).
    pub(crate) fn code_lines(&self) -> usize {
        let lines: Vec<&str> = self.code.lines().map(str::trim).collect();
        let end = lines
            .windows(2)
            .position(|pair| matches!(pair, ["#[cfg(test)]", next] if next.starts_with("mod ") && next.ends_with('{')))
            .unwrap_or(lines.len());
        lines.iter().take(end).filter(|line| !line.is_empty()).count()
    }
}

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
    /// The last character of code, to tell `r"…"` from an identifier that ends in `r`.
    last: char,
    scan: Scan,
}

/// Takes one source file apart. Source that does not lex (an unclosed literal) is read to its end.
pub(crate) fn scan(source: &str) -> Scan {
    let mut cursor = Cursor {
        rest: source,
        line: 1,
        last: ' ',
        scan: Scan::default(),
    };
    while !cursor.rest.is_empty() {
        cursor.step();
    }
    cursor.scan
}

impl Cursor<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.comment(end);
        } else if self.rest.starts_with("/*") {
            let end = block_comment_end(self.rest);
            self.comment(end);
        } else if let Some((open, hashes)) = self.raw_string_opening() {
            self.raw_string(open, hashes);
        } else if self.rest.starts_with('"') {
            self.string();
        } else if self.rest.starts_with('\'') {
            self.quote();
        } else {
            self.code(1);
        }
    }

    /// Moves over `count` characters of code.
    fn code(&mut self, count: usize) {
        for character in self.rest.chars().take(count) {
            self.last = character;
            self.scan.code.push(character);
            self.line += usize::from(character == '\n');
        }
        let end = self
            .rest
            .char_indices()
            .nth(count)
            .map_or(self.rest.len(), |(at, _)| at);
        self.rest = self.rest.get(end..).unwrap_or_default();
    }

    /// Moves over `bytes` bytes that are not code, keeping only their line breaks.
    fn skip(&mut self, bytes: usize) -> String {
        let (text, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        let breaks = text.matches('\n').count();
        self.line += breaks;
        self.scan.code.extend(std::iter::repeat_n('\n', breaks));
        self.rest = rest;
        text.to_owned()
    }

    fn comment(&mut self, bytes: usize) {
        let line = self.line;
        let text = self.skip(bytes);
        self.scan.comments.push(Literal { line, text });
    }

    /// The length of `r#"`, `br"`, `cr##"` … and the number of its hashes, when the rest starts with one.
    fn raw_string_opening(&self) -> Option<(usize, usize)> {
        if self.last.is_alphanumeric() || self.last == '_' {
            return None;
        }
        let prefix = ["br", "cr", "r"]
            .into_iter()
            .find(|prefix| self.rest.starts_with(prefix))?;
        let after = self.rest.get(prefix.len()..)?;
        let hashes = after.len() - after.trim_start_matches('#').len();
        after
            .get(hashes..)?
            .starts_with('"')
            .then_some((prefix.len() + hashes + 1, hashes))
    }

    fn raw_string(&mut self, open: usize, hashes: usize) {
        self.skip(open);
        let close = format!("\"{}", "#".repeat(hashes));
        let end = self.rest.find(&close).unwrap_or(self.rest.len());
        self.literal(end, close.len());
    }

    fn string(&mut self) {
        self.skip(1);
        let mut escaped = false;
        let end = self
            .rest
            .find(|character| {
                let closes = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            })
            .unwrap_or(self.rest.len());
        self.literal(end, 1);
    }

    fn literal(&mut self, end: usize, close: usize) {
        let line = self.line;
        self.scan.code.push('"');
        let text = self.skip(end);
        self.skip(close);
        self.scan.code.push('"');
        self.last = '"';
        self.scan.literals.push(Literal { line, text });
    }

    /// A character literal is skipped, a lifetime is code.
    fn quote(&mut self) {
        let mut characters = self.rest.char_indices().skip(1);
        let first = characters.next();
        let second = characters.next();
        match (first, second) {
            (Some((_, '\\')), Some((escaped_at, escaped))) => {
                let from = escaped_at + escaped.len_utf8();
                let close = self
                    .rest
                    .get(from..)
                    .and_then(|rest| rest.find('\''))
                    .map_or(0, |at| at + 1);
                self.skip(from + close);
                self.last = '\'';
            }
            (Some(_), Some((at, '\''))) => {
                self.skip(at + 1);
                self.last = '\'';
            }
            _ => self.code(1),
        }
    }
}

fn block_comment_end(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0_usize;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else if let Some(character) = rest.chars().next() {
            at += character.len_utf8();
        } else {
            break;
        }
    }
    text.len()
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
