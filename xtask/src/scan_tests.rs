//! What counts as code, comment and literal.

use super::{Literal, scan};

fn texts(source: &str) -> Vec<String> {
    scan(source)
        .literals
        .into_iter()
        .map(|literal| literal.text)
        .collect()
}

#[test]
fn comments_are_not_code_and_keep_their_lines() {
    let scan = scan("a // one \"two\"\n/* three\n/* four */ five */ b\n");
    assert_eq!(scan.code, "a \n\n b\n");
    assert!(scan.literals.is_empty());
    assert_eq!(scan.comments.len(), 2);
    assert_eq!(scan.comments.last().map(|comment| comment.line), Some(2));
}

#[test]
fn strings_end_at_the_first_quote_that_is_not_escaped() {
    assert_eq!(
        texts(r#"let a = "x \" y \\"; let b = "z";"#),
        [r#"x \" y \\"#, "z"]
    );
}

#[test]
fn raw_strings_end_at_their_own_number_of_hashes() {
    assert_eq!(
        texts(r####"r#"a "b" c"# r"d" br##"e"#f"## for"g""####),
        [r#"a "b" c"#, "d", r##"e"#f"##, "g"]
    );
}

#[test]
fn a_slash_slash_inside_a_string_does_not_start_a_comment() {
    let scan = scan("let url = \"http://x\"; next();\n");
    assert_eq!(scan.code, "let url = \"\"; next();\n");
    assert_eq!(
        scan.literals,
        [Literal {
            line: 1,
            text: "http://x".to_owned()
        }]
    );
}

#[test]
fn quotes_as_characters_open_no_string_and_lifetimes_stay_code() {
    let scan = scan("fn f<'a>(x: &'a str) { y('\"', '\\'', '\\u{1F}', 'é') }\n");
    assert_eq!(scan.code, "fn f<'a>(x: &'a str) { y(, , , ) }\n");
    assert!(scan.literals.is_empty());
}

#[test]
fn a_literal_over_several_lines_reports_its_first_line_and_keeps_the_count() {
    let scan = scan("\n\"one\ntwo\"\n\"three\"\n");
    let lines: Vec<usize> = scan.literals.iter().map(|literal| literal.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn an_inline_test_module_at_the_end_is_not_counted_but_a_tests_file_reference_is() {
    assert_eq!(
        scan("//! doc\n\nfn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\n").code_lines(),
        1
    );
    assert_eq!(scan("fn a() {}\n#[cfg(test)]\nmod tests;\n").code_lines(), 3);
}

#[test]
fn source_that_does_not_end_its_literal_is_read_to_the_end() {
    assert_eq!(texts("\"open"), ["open"]);
    assert_eq!(texts("r#\"open\""), ["open\""]);
    assert_eq!(scan("/* open /* deeper */").comments.len(), 1);
    assert_eq!(scan("'").code, "'");
}
