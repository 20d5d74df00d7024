//! Reading pages and bodies as the measurements need it.

use super::{encode, form, joined};

#[test]
fn the_form_with_the_password_is_read_with_its_hidden_fields() {
    let page = "<form action=\"/language\"><input name=\"to\" value=\"de\"></form>\
        <form method=\"post\" action=\"/a?b=1&amp;c=2\"><input type=\"hidden\" name=\"attempt\" value=\"x&#34;y\">\
        <input name=\"username\"><input type=\"password\" name=\"password\"></form>";
    let form = form(page).expect("a form");
    assert_eq!(form.action, "/a?b=1&c=2");
    let fields: Vec<(&str, &str)> = form
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(fields, [("attempt", "x\"y"), ("username", ""), ("password", "")]);
}

#[test]
fn chunks_are_joined_up_to_the_empty_one() {
    assert_eq!(joined("4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n"), "abcdef");
    assert_eq!(joined("0\r\n\r\n"), "");
}

#[test]
fn reserved_characters_are_encoded() {
    assert_eq!(encode("a b&c=d/é~"), "a%20b%26c%3Dd%2F%C3%A9~");
}
