//! RFC 9207: the issuer in every answer.

use doorward_oidc::authorize::{Response, success_redirect};

use crate::support::*;

const ISS: &str = "iss=https%3A%2F%2Fid.example%2Fapplication%2Fo%2Fshop%2F";

#[test]
fn section_2_success_and_error_name_the_issuer_in_every_mode() {
    for mode in ["query", "fragment", "form_post"] {
        let params = good().with("response_mode", mode);
        let success = success_redirect(&accepted(&params, &client()), "c", ISSUER, None);
        let error = returned(&params.without(&["response_type"]), &client()).response();
        for answer in [success, error] {
            match answer {
                Response::Location(location) => assert!(location.ends_with(ISS), "{location}"),
                Response::FormPost { fields, .. } => assert!(fields.contains(&("iss".into(), ISSUER.into()))),
            }
        }
    }
}

#[test]
fn section_4_the_error_answer_has_its_members() {
    let error = returned(&good().without(&["response_type"]), &client());
    let expected = format!(
        "{CALLBACK}?error=invalid_request&error_description=response_type%20is%20missing%3B%20expected%20code&state=s-1&{ISS}"
    );
    assert_eq!(error.response(), Response::Location(expected));
}
