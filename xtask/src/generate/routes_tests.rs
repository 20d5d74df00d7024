//! How rows are found in the router.

use super::rows;

#[test]
fn a_row_is_read_on_one_line_and_on_several() {
    let source = "const A: &str = \"x\";\nvec![\n    row(\"/a/\", BOTH, Browser, f::a),\n    // \"no\"\n    row(\n        \
        \"/b\",\n        GET,\n        Anyone,\n        f::b,\n    )\n    .cors(),\n    arrow(\"/c\", GET, Person, f::c),\n]\n";
    let rows = rows(source);
    let rows: Vec<[&str; 3]> = rows
        .iter()
        .map(|row| row.each_ref().map(String::as_str))
        .collect();
    assert_eq!(
        rows,
        [
            [
                "/a/",
                "GET, POST",
                "any browser: leads to a sign-in or answers one"
            ],
            ["/b", "GET", "anyone"]
        ]
    );
}
