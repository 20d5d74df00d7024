//! How words are found in a source.

use super::words;

#[test]
fn each_word_has_the_documentation_before_it() {
    let source = "words! {\n    /// Doc.\n    Other {\n        A = \"x\",\n    }\n}\nwords! {\n    Kind {\n        /// One\n        \
        /// thing.\n        First = \"first\",\n        /// Another.\n        Second = \"second\",\n    }\n}\n";
    let words: Vec<(String, String)> = words(source, "Kind");
    let words: Vec<(&str, &str)> = words
        .iter()
        .map(|(word, meaning)| (word.as_str(), meaning.as_str()))
        .collect();
    assert_eq!(words, [("first", "One thing."), ("second", "Another.")]);
}
