//! RFC 8628: device authorization.

use doorward_domain::token::{DeviceRecord, DeviceState};
use doorward_oidc::device::{self, DeviceRequest, Poll};
use doorward_oidc::{ErrorCode, Params};

use crate::support::*;

fn record(state: DeviceState) -> DeviceRecord {
    DeviceRecord {
        user_code: "BCDFGHJK".into(),
        application_id: application(1),
        scopes: scopes("openid"),
        resources: [].into(),
        created_at: now(),
        expires_at: later(600),
        interval: 5,
        last_polled_at: None,
        state,
        family_id: None,
    }
}

#[test]
fn section_3_1_the_request_is_read() {
    let read = |query: &str| DeviceRequest::read(&Params::parse(query).unwrap());
    assert_eq!(
        read("client_id=tv&scope=openid+profile").unwrap().scopes,
        Some(scopes("openid profile"))
    );
    assert_eq!(read("client_id=tv").unwrap().scopes, None);
    assert_eq!(
        read("scope=a&scope=b").unwrap_err().code,
        ErrorCode::InvalidRequest
    );
    assert_eq!(read("scope=%5c").unwrap_err().code, ErrorCode::InvalidScope);
}

#[test]
fn section_3_2_the_answer() {
    let body = device::device_response("dev-1", "BCDFGHJK", "https://id.example/device");
    let expected = serde_json::json!({ "device_code": "dev-1", "user_code": "BCDF-GHJK",
        "verification_uri": "https://id.example/device",
        "verification_uri_complete": "https://id.example/device?code=BCDF-GHJK", "expires_in": 600, "interval": 5 });
    assert_eq!(body, expected);
    let grouped = device::device_response("dev-1", "BCDF-GHJK", "https://id.example/device");
    assert_eq!(grouped, expected, "whichever form the code is stored in");
}

#[test]
fn section_3_5_every_state_has_its_answer() {
    for (state, app, at, expected) in [
        (
            DeviceState::Pending,
            1,
            now(),
            Err(ErrorCode::AuthorizationPending),
        ),
        (DeviceState::Approved, 1, now(), Ok(Poll::Ready)),
        (DeviceState::Denied, 1, now(), Err(ErrorCode::AccessDenied)),
        (DeviceState::Used, 1, now(), Err(ErrorCode::InvalidGrant)),
        (DeviceState::Used, 1, later(600), Err(ErrorCode::InvalidGrant)),
        (DeviceState::Pending, 1, later(600), Err(ErrorCode::ExpiredToken)),
        (DeviceState::Approved, 1, later(600), Err(ErrorCode::ExpiredToken)),
        (DeviceState::Approved, 1, later(599), Ok(Poll::Ready)),
        (DeviceState::Approved, 2, now(), Err(ErrorCode::InvalidGrant)),
    ] {
        let polled = device::poll(&record(state), application(app), at).map_err(|error| error.code);
        assert_eq!(polled, expected, "{state:?}");
    }
}

#[test]
fn section_3_5_polling_too_fast_slows_down_by_five_seconds() {
    let mut record = record(DeviceState::Pending);
    record.last_polled_at = Some(now());
    assert_eq!(
        device::poll(&record, application(1), later(4)).unwrap_err().code,
        ErrorCode::SlowDown
    );
    assert_eq!(device::interval_after(&record, later(4)), 10);
    assert_eq!(
        device::poll(&record, application(1), later(5)).unwrap_err().code,
        ErrorCode::AuthorizationPending
    );
    assert_eq!(device::interval_after(&record, later(5)), 5);
    record.interval = 10;
    assert_eq!(
        device::poll(&record, application(1), later(9)).unwrap_err().code,
        ErrorCode::SlowDown
    );
    record.interval = 60;
    assert_eq!(
        device::interval_after(&record, later(1)),
        60,
        "it does not grow without end"
    );
    record.interval = u32::MAX;
    assert_eq!(device::interval_after(&record, later(1)), u32::MAX);
    record.interval = 5;
    record.state = DeviceState::Approved;
    assert!(
        device::poll(&record, application(1), later(1)).is_ok(),
        "an answer that is there is given"
    );
}

#[test]
fn section_6_1_user_codes_are_typed_as_people_type() {
    for typed in [
        "BCDFGHJK",
        "bcdf-ghjk",
        " BCDF GHJK ",
        "b c d f g h j k",
        "BCDF\u{2013}GHJK",
    ] {
        assert_eq!(
            device::normalise_user_code(typed).as_deref(),
            Some("BCDFGHJK"),
            "{typed}"
        );
    }
    for bad in [
        "",
        "BCDF",
        "BCDFGHJKL",
        "ACDFGHJK",
        "1CDFGHJK",
        "BCDF'GHJK",
        &"B".repeat(200),
    ] {
        assert_eq!(device::normalise_user_code(bad), None, "{bad}");
    }
    assert_eq!(device::show_user_code("BCDFGHJK"), "BCDF-GHJK");
    assert_eq!(
        device::show_user_code("BCDF-GHJK"),
        "BCDF-GHJK",
        "a grouped code is not grouped again"
    );
}
