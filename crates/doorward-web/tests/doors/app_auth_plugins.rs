//! Plugins at the doors of apps: each test is named after what it shows; numbers are of the contract. Organizations.
#![expect(
    clippy::too_many_lines,
    reason = "each test is one story, told from beginning to end"
)]

use doorward_core::Origin;
use doorward_core::app_auth::settings::DoorChange;
use doorward_domain::Lifetime;
use doorward_testkit::{App, each_app};
use http::StatusCode;
use serde_json::{Value, json};

use crate::app_auth::{browser, get, open, post, sign_up};
use crate::http_client::{Client, Got};

pub(crate) fn told(got: &Got) -> (u16, String) {
    let body: Value = serde_json::from_str(&got.body).unwrap_or_default();
    let code = body.get("code").and_then(Value::as_str).unwrap_or_default();
    (got.status.as_u16(), code.to_owned())
}

pub(crate) fn says(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

pub(crate) fn id_of(value: &Value) -> String {
    value
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no id in {value}"))
        .to_owned()
}

/// A door on which everything here is on.
pub(crate) fn all() -> DoorChange {
    let on = ["organization", "admin", "api-key", "passkey"];
    DoorChange {
        plugins: Some(on.map(str::to_owned).to_vec()),
        ..DoorChange::default()
    }
}

/// Somebody with an account, in an own browser.
pub(crate) async fn somebody(app: &App, name: &str) -> (Client, String) {
    // Lists are in the order of time.
    app.wait_seconds(1);
    let mut client = browser(app);
    let made = sign_up(&mut client, name).await;
    (client, id_of(made.get("user").expect("a user")))
}

pub(crate) async fn prove(app: &App, user: &str) {
    let id = user.parse().expect("an id");
    let record = app.doorward.app_user(id).await.expect("a database");
    let email = record.and_then(|user| user.email).expect("an address");
    let now = app.doorward.now();
    app.doorward
        .app_prove_email(id, &email, None, now, &Origin::default())
        .await
        .expect("a proof");
}

pub(crate) async fn ok(client: &mut Client, path: &str, body: Value) -> Value {
    let got = post(client, path, body).await;
    assert_eq!(got.status, StatusCode::OK, "{path}: {}", got.body);
    got.json()
}

pub(crate) async fn see(client: &mut Client, path: &str) -> Value {
    let got = get(client, path).await;
    assert_eq!(got.status, StatusCode::OK, "{path}: {}", got.body);
    got.json()
}

/// Somebody who is a member of an organization.
async fn joined(
    app: &App,
    owner: &mut Client,
    organization: &str,
    name: &str,
    role: &str,
) -> (Client, String) {
    let (mut client, user) = somebody(app, name).await;
    prove(app, &user).await;
    let body =
        json!({ "email": format!("{name}@example.org"), "role": role, "organizationId": organization });
    let invitation = id_of(&ok(owner, "/organization/invite-member", body).await);
    ok(
        &mut client,
        "/organization/accept-invitation",
        json!({ "invitationId": invitation }),
    )
    .await;
    (client, user)
}

#[tokio::test]
async fn section_5_6_organizations_are_made_changed_and_deleted() {
    each_app(async |app| {
        open(&app, all()).await;
        let mut nobody = browser(&app);
        let got = post(
            &mut nobody,
            "/organization/create",
            json!({ "name": "X", "slug": "x" }),
        )
        .await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::UNAUTHORIZED, ""));
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        assert_eq!(
            see(&mut anna, "/organization/get-full-organization").await,
            Value::Null
        );
        assert_eq!(see(&mut anna, "/organization/list").await, json!([]));
        let new = json!({ "name": "Harbour", "slug": "harbour", "metadata": { "tier": 2 } });
        let made = ok(&mut anna, "/organization/create", new).await;
        let id = id_of(&made);
        assert_eq!(
            (&made["members"][0]["role"], &made["members"][0]["userId"]),
            (&json!("owner"), &json!(anna_id))
        );
        let session = see(&mut anna, "/get-session").await["session"].clone();
        assert_eq!(session["activeOrganizationId"], id.as_str());
        assert!(session["activeTeamId"].is_string());
        for (body, code, text) in [
            (
                json!({ "name": "Other", "slug": "harbour" }),
                "ORGANIZATION_ALREADY_EXISTS",
                "Organization already exists",
            ),
            (
                json!({ "name": "", "slug": "e" }),
                "VALIDATION_ERROR",
                "[body.name] Too small: expected string to have >=1 characters",
            ),
            (
                json!({}),
                "VALIDATION_ERROR",
                "[body.name] Invalid input: expected string, received undefined; \
                 [body.slug] Invalid input: expected string, received undefined",
            ),
        ] {
            let got = post(&mut anna, "/organization/create", body).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST);
            assert_eq!(got.json(), json!({ "code": code, "message": text }));
        }
        let second = json!({ "name": "Meadow", "slug": "meadow", "keepCurrentActiveOrganization": true });
        let meadow = id_of(&ok(&mut anna, "/organization/create", second).await);
        assert_eq!(
            see(&mut anna, "/get-session").await["session"]["activeOrganizationId"],
            id.as_str()
        );
        assert_eq!(
            see(&mut anna, "/organization/list")
                .await
                .as_array()
                .unwrap()
                .len(),
            2
        );
        assert_eq!(
            ok(&mut anna, "/organization/check-slug", json!({ "slug": "free" })).await,
            json!({ "status": true })
        );
        let taken = post(
            &mut anna,
            "/organization/check-slug",
            json!({ "slug": "harbour" }),
        )
        .await;
        assert_eq!(told(&taken), says(400, "ORGANIZATION_SLUG_ALREADY_TAKEN"));
        let full = see(&mut anna, "/organization/get-full-organization").await;
        assert_eq!(full["metadata"], json!({ "tier": 2 }));
        assert_eq!(full["members"][0]["user"]["email"], "anna@example.org");
        assert_eq!(
            (&full["teams"][0]["name"], &full["teams"][0]["memberCount"]),
            (&json!("Harbour"), &json!(1))
        );
        let by_slug = see(
            &mut anna,
            "/organization/get-full-organization?organizationSlug=meadow",
        )
        .await;
        assert_eq!(by_slug["id"], meadow.as_str());
        let unknown = get(
            &mut anna,
            "/organization/get-full-organization?organizationId=unknown",
        )
        .await;
        assert_eq!(told(&unknown), says(400, "ORGANIZATION_NOT_FOUND"));
        let got = post(
            &mut anna,
            "/organization/set-active",
            json!({ "organizationId": meadow }),
        )
        .await;
        assert!(
            got.header("set-cookie").contains("session_token="),
            "{:?}",
            got.headers
        );
        assert_eq!(got.json()["slug"], "meadow");
        let got = post(
            &mut anna,
            "/organization/set-active",
            json!({ "organizationId": "unknown" }),
        )
        .await;
        assert_eq!(told(&got), says(403, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"));
        assert_eq!(
            ok(
                &mut anna,
                "/organization/set-active",
                json!({ "organizationId": null })
            )
            .await,
            Value::Null
        );
        let got = post(
            &mut anna,
            "/organization/update",
            json!({ "data": { "name": "X" } }),
        )
        .await;
        assert_eq!(told(&got), says(400, "ORGANIZATION_NOT_FOUND"));
        let change =
            json!({ "organizationId": id, "data": { "name": "Harbour Two", "metadata": { "tier": 3 } } });
        let changed = ok(&mut anna, "/organization/update", change).await;
        assert_eq!(
            (&changed["name"], &changed["slug"]),
            (&json!("Harbour Two"), &json!("harbour"))
        );
        let got = post(
            &mut anna,
            "/organization/update",
            json!({ "organizationId": id, "data": { "slug": "meadow" } }),
        )
        .await;
        assert_eq!(told(&got), says(400, "ORGANIZATION_SLUG_ALREADY_TAKEN"));
        // Somebody else sees and changes nothing.
        let (mut eve, _) = somebody(&app, "eve").await;
        let here = format!("organizationId={id}");
        for (path, status, code) in [
            (
                "get-full-organization",
                403,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
            (
                "get-organization",
                403,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
            ("list-members", 403, "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION"),
            ("list-invitations", 403, "YOU_ARE_NOT_ALLOWED_TO_LIST_INVITATIONS"),
            (
                "list-teams",
                403,
                "YOU_ARE_NOT_ALLOWED_TO_ACCESS_THIS_ORGANIZATION",
            ),
            (
                "get-active-member-role",
                403,
                "YOU_ARE_NOT_A_MEMBER_OF_THIS_ORGANIZATION",
            ),
        ] {
            let got = get(&mut eve, &format!("/organization/{path}?{here}")).await;
            assert_eq!(told(&got), says(status, code), "{path}");
        }
        for (path, body, status, code) in [
            (
                "set-active",
                json!({ "organizationId": id }),
                403,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
            (
                "update",
                json!({ "organizationId": id, "data": { "name": "Eve" } }),
                400,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
            (
                "delete",
                json!({ "organizationId": id }),
                400,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
            (
                "invite-member",
                json!({ "email": "x@example.org", "role": "member", "organizationId": id }),
                400,
                "MEMBER_NOT_FOUND",
            ),
            (
                "create-team",
                json!({ "name": "T", "organizationId": id }),
                403,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
            ("leave", json!({ "organizationId": id }), 400, "MEMBER_NOT_FOUND"),
            (
                "has-permission",
                json!({ "organizationId": id, "permissions": { "ac": ["read"] } }),
                401,
                "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION",
            ),
        ] {
            let got = post(&mut eve, &format!("/organization/{path}"), body).await;
            assert_eq!(told(&got), says(status, code), "{path}");
        }
        assert_eq!(
            ok(
                &mut anna,
                "/organization/delete",
                json!({ "organizationId": meadow })
            )
            .await["slug"],
            "meadow"
        );
        let got = post(
            &mut anna,
            "/organization/delete",
            json!({ "organizationId": meadow }),
        )
        .await;
        assert_eq!(told(&got), says(400, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"));
        assert_eq!(
            see(&mut anna, "/organization/list")
                .await
                .as_array()
                .unwrap()
                .len(),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn section_5_6_an_invitation_is_for_the_proved_address_once_and_for_48_hours() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        prove(&app, &anna_id).await;
        let home = id_of(
            &ok(
                &mut anna,
                "/organization/create",
                json!({ "name": "Invite", "slug": "invite" }),
            )
            .await,
        );
        let invite =
            |email: &str, role: Value| json!({ "email": email, "role": role, "organizationId": home });
        let sent = ok(
            &mut anna,
            "/organization/invite-member",
            invite("Bob@example.org", json!("member")),
        )
        .await;
        assert_eq!(
            (&sent["email"], &sent["status"], &sent["teamId"]),
            (&json!("bob@example.org"), &json!("pending"), &Value::Null)
        );
        app.doorward.run_due_jobs().await.unwrap();
        let letters = app.inbox.letters();
        let letter = letters.last().unwrap();
        assert_eq!(letter.to, "bob@example.org");
        assert!(letter.text.contains(&id_of(&sent)));
        for (body, status, code) in [
            (
                invite("bob@example.org", json!("member")),
                400,
                "USER_IS_ALREADY_INVITED_TO_THIS_ORGANIZATION",
            ),
            (
                invite("anna@example.org", json!("member")),
                400,
                "USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION",
            ),
            (invite("x@example.org", json!("captain")), 400, ""),
            (invite("nobody", json!("member")), 400, "INVALID_EMAIL"),
            (
                json!({ "role": "member", "organizationId": home }),
                400,
                "VALIDATION_ERROR",
            ),
        ] {
            let got = post(&mut anna, "/organization/invite-member", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        let got = post(
            &mut anna,
            "/organization/invite-member",
            invite("x@example.org", json!("captain")),
        )
        .await;
        assert_eq!(got.json(), json!({ "message": "ROLE_NOT_FOUND: captain" }));
        let mut again = invite("bob@example.org", json!("member"));
        again["resend"] = json!(true);
        assert_eq!(
            id_of(&ok(&mut anna, "/organization/invite-member", again).await),
            id_of(&sent)
        );
        app.doorward.run_due_jobs().await.unwrap();
        assert_eq!(app.inbox.letters().len(), 1, "not again within a minute");
        let many = ok(
            &mut anna,
            "/organization/invite-member",
            invite("many@example.org", json!(["admin", "member"])),
        )
        .await;
        assert_eq!(many["role"], "admin,member");
        let list = see(
            &mut anna,
            &format!("/organization/list-invitations?organizationId={home}"),
        )
        .await;
        assert_eq!(list.as_array().unwrap().len(), 2);

        let answer = json!({ "invitationId": id_of(&sent) });
        let (mut eve, eve_id) = somebody(&app, "eve").await;
        prove(&app, &eve_id).await;
        for path in ["accept-invitation", "reject-invitation"] {
            let got = post(&mut eve, &format!("/organization/{path}"), answer.clone()).await;
            assert_eq!(
                told(&got),
                says(403, "YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION")
            );
        }
        let got = get(
            &mut eve,
            &format!("/organization/get-invitation?id={}", id_of(&sent)),
        )
        .await;
        assert_eq!(
            told(&got),
            says(403, "YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION")
        );
        let got = post(
            &mut browser(&app),
            "/organization/accept-invitation",
            answer.clone(),
        )
        .await;
        assert_eq!(told(&got), says(401, "UNAUTHORIZED"));
        // Whoever only claims the address gets nothing.
        let (mut bob, bob_id) = somebody(&app, "bob").await;
        let got = post(&mut bob, "/organization/accept-invitation", answer.clone()).await;
        assert_eq!(
            told(&got),
            says(
                403,
                "EMAIL_VERIFICATION_REQUIRED_BEFORE_ACCEPTING_OR_REJECTING_INVITATION"
            )
        );
        let got = get(&mut bob, "/organization/list-user-invitations").await;
        assert_eq!(
            told(&got),
            says(403, "EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION")
        );
        assert_eq!(
            got.json()["message"],
            "Email verification required to view or list invitations for the session email"
        );
        let got = get(
            &mut bob,
            &format!("/organization/get-invitation?id={}", id_of(&sent)),
        )
        .await;
        assert_eq!(
            told(&got),
            says(403, "EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION")
        );
        prove(&app, &bob_id).await;
        let mine = see(&mut bob, "/organization/list-user-invitations").await;
        assert_eq!(
            (mine.as_array().unwrap().len(), &mine[0]["organizationName"]),
            (1, &json!("Invite"))
        );
        let seen = see(
            &mut bob,
            &format!("/organization/get-invitation?id={}", id_of(&sent)),
        )
        .await;
        assert_eq!(
            (&seen["organizationSlug"], &seen["inviterEmail"]),
            (&json!("invite"), &json!("anna@example.org"))
        );
        // Twice at once makes one member.
        let (mut one, mut two) = (bob.clone(), bob.clone());
        let (first, second) = tokio::join!(
            post(&mut one, "/organization/accept-invitation", answer.clone()),
            post(&mut two, "/organization/accept-invitation", answer.clone())
        );
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
        let members = see(
            &mut bob,
            &format!("/organization/list-members?organizationId={home}"),
        )
        .await;
        assert_eq!(members["total"], 2);
        assert_eq!(
            see(&mut bob, "/get-session").await["session"]["activeOrganizationId"],
            home.as_str()
        );
        assert_eq!(
            told(&post(&mut bob, "/organization/accept-invitation", answer).await),
            says(400, "INVITATION_NOT_FOUND")
        );

        let sent = ok(
            &mut anna,
            "/organization/invite-member",
            invite("eve@example.org", json!("member")),
        )
        .await;
        let answer = json!({ "invitationId": id_of(&sent) });
        let rejected = ok(&mut eve, "/organization/reject-invitation", answer.clone()).await;
        assert_eq!(
            (&rejected["invitation"]["status"], &rejected["member"]),
            (&json!("rejected"), &Value::Null)
        );
        assert_eq!(
            told(&post(&mut eve, "/organization/accept-invitation", answer).await),
            says(400, "INVITATION_NOT_FOUND")
        );
        let sent = ok(
            &mut anna,
            "/organization/invite-member",
            invite("eve@example.org", json!("member")),
        )
        .await;
        let answer = json!({ "invitationId": id_of(&sent) });
        let got = post(&mut bob, "/organization/cancel-invitation", answer.clone()).await;
        assert_eq!(
            told(&got),
            says(403, "YOU_ARE_NOT_ALLOWED_TO_CANCEL_THIS_INVITATION")
        );
        let canceled = ok(&mut anna, "/organization/cancel-invitation", answer.clone()).await;
        assert_eq!(canceled["status"], "canceled");
        assert_eq!(
            told(&post(&mut eve, "/organization/accept-invitation", answer).await),
            says(400, "INVITATION_NOT_FOUND")
        );
        let got = post(
            &mut bob,
            "/organization/invite-member",
            invite("y@example.org", json!("member")),
        )
        .await;
        assert_eq!(
            told(&got),
            says(403, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION")
        );
        let sent = ok(
            &mut anna,
            "/organization/invite-member",
            invite("eve@example.org", json!("member")),
        )
        .await;
        app.clock.advance(Lifetime::from_hours(48));
        let answer = json!({ "invitationId": id_of(&sent) });
        assert_eq!(
            told(&post(&mut eve, "/organization/accept-invitation", answer).await),
            says(400, "INVITATION_NOT_FOUND")
        );
        // What ran out makes room for a new one.
        let anew = ok(
            &mut anna,
            "/organization/invite-member",
            invite("eve@example.org", json!("member")),
        )
        .await;
        assert_ne!(id_of(&anew), id_of(&sent));
    })
    .await;
}

#[tokio::test]
async fn section_5_6_roles_hold_and_the_last_owner_stays() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut anna, anna_id) = somebody(&app, "anna").await;
        let home = id_of(
            &ok(
                &mut anna,
                "/organization/create",
                json!({ "name": "Members", "slug": "members" }),
            )
            .await,
        );
        let (mut bob, bob_id) = joined(&app, &mut anna, &home, "bob", "member").await;
        let (mut cleo, _) = joined(&app, &mut anna, &home, "cleo", "admin").await;
        let list = see(
            &mut anna,
            &format!("/organization/list-members?organizationId={home}"),
        )
        .await;
        let of = |user: &str| {
            id_of(
                list["members"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|one| one["userId"] == user)
                    .unwrap(),
            )
        };
        let (anna_m, bob_m) = (of(&anna_id), of(&bob_id));
        let page = see(
            &mut anna,
            &format!("/organization/list-members?organizationId={home}&limit=1&offset=1"),
        )
        .await;
        assert_eq!(
            (&page["members"][0]["userId"], &page["total"]),
            (&json!(bob_id), &json!(3))
        );
        let admins = see(
            &mut anna,
            &format!("/organization/list-members?organizationId={home}&filterField=role&filterValue=admin"),
        )
        .await;
        assert_eq!(admins["total"], 1);
        assert_eq!(
            see(&mut anna, "/organization/get-active-member").await["id"],
            anna_m.as_str()
        );
        assert_eq!(
            see(&mut bob, "/organization/get-active-member-role").await,
            json!({ "role": "member" })
        );
        let mut all = [anna.clone(), bob.clone(), cleo.clone()];
        for (at, asks, yes) in [
            (0, json!({ "organization": ["update"] }), true),
            (1, json!({ "organization": ["update"] }), false),
            (2, json!({ "organization": ["delete"] }), false),
            (2, json!({ "member": ["delete"], "invitation": ["create"] }), true),
            (0, json!({ "boats": ["sail"] }), false),
        ] {
            let got = ok(
                &mut all[at],
                "/organization/has-permission",
                json!({ "permissions": asks, "organizationId": home }),
            )
            .await;
            assert_eq!(got, json!({ "error": null, "success": yes }));
        }
        let role =
            |member: &str, role: Value| json!({ "memberId": member, "role": role, "organizationId": home });
        let cleo_m = id_of(&see(&mut cleo, "/organization/get-active-member").await);
        for (at, body, status, code) in [
            (
                1,
                role(&bob_m, json!("admin")),
                403,
                "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER",
            ),
            // An admin makes nobody an owner, not even themselves, and does not touch one.
            (
                2,
                role(&cleo_m, json!("owner")),
                403,
                "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER",
            ),
            (
                2,
                role(&bob_m, json!("member,owner")),
                403,
                "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER",
            ),
            (
                2,
                role(&anna_m, json!("member")),
                403,
                "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_MEMBER",
            ),
            (0, role(&bob_m, json!("captain")), 400, "ROLE_NOT_FOUND"),
            (0, role("unknown", json!("admin")), 400, "MEMBER_NOT_FOUND"),
            (
                0,
                role(&anna_m, json!("member")),
                400,
                "YOU_CANNOT_LEAVE_THE_ORGANIZATION_WITHOUT_AN_OWNER",
            ),
        ] {
            let got = post(&mut all[at], "/organization/update-member-role", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        let invite = json!({ "email": "z@example.org", "role": ["member", "owner"], "organizationId": home });
        let got = post(&mut cleo, "/organization/invite-member", invite).await;
        assert_eq!(
            told(&got),
            says(403, "YOU_ARE_NOT_ALLOWED_TO_INVITE_USER_WITH_THIS_ROLE")
        );
        let changed = ok(
            &mut anna,
            "/organization/update-member-role",
            role(&bob_m, json!(["member", "admin"])),
        )
        .await;
        assert_eq!(changed["role"], "member,admin");
        ok(
            &mut anna,
            "/organization/update-member-role",
            role(&bob_m, json!("member")),
        )
        .await;
        let whom = |whom: &str| json!({ "memberIdOrEmail": whom, "organizationId": home });
        for (at, body, status, code) in [
            (1, whom(&cleo_m), 401, "YOU_ARE_NOT_ALLOWED_TO_DELETE_THIS_MEMBER"),
            (
                2,
                whom("anna@example.org"),
                400,
                "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER",
            ),
            (
                0,
                whom("anna@example.org"),
                400,
                "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER",
            ),
            (0, whom("unknown"), 400, "MEMBER_NOT_FOUND"),
        ] {
            let got = post(&mut all[at], "/organization/remove-member", body).await;
            assert_eq!(told(&got), says(status, code), "{}", got.body);
        }
        let got = post(
            &mut anna,
            "/organization/leave",
            json!({ "organizationId": home }),
        )
        .await;
        assert_eq!(
            told(&got),
            says(400, "YOU_CANNOT_LEAVE_THE_ORGANIZATION_AS_THE_ONLY_OWNER")
        );
        // An invitation falls with the power of who made it.
        let (mut dora, dora_id) = somebody(&app, "dora").await;
        prove(&app, &dora_id).await;
        let invite = json!({ "email": "dora@example.org", "role": "admin", "organizationId": home });
        let sent = id_of(&ok(&mut cleo, "/organization/invite-member", invite).await);
        ok(
            &mut anna,
            "/organization/update-member-role",
            role(&cleo_m, json!("member")),
        )
        .await;
        let got = post(
            &mut dora,
            "/organization/accept-invitation",
            json!({ "invitationId": sent }),
        )
        .await;
        assert_eq!(
            told(&got),
            says(400, "INVITER_IS_NO_LONGER_A_MEMBER_OF_THE_ORGANIZATION")
        );
        // Who is removed is out at once, in the session too.
        assert_eq!(
            see(&mut bob, "/get-session").await["session"]["activeOrganizationId"],
            home.as_str()
        );
        let gone = ok(&mut anna, "/organization/remove-member", whom("bob@example.org")).await;
        assert_eq!(gone["member"]["user"]["name"], "bob");
        assert_eq!(
            see(&mut bob, "/get-session").await["session"]["activeOrganizationId"],
            Value::Null
        );
        let got = get(
            &mut bob,
            &format!("/organization/get-full-organization?organizationId={home}"),
        )
        .await;
        assert_eq!(told(&got), says(403, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"));
        let left = ok(
            &mut cleo,
            "/organization/leave",
            json!({ "organizationId": home }),
        )
        .await;
        assert_eq!(left["user"]["email"], "cleo@example.org");
        let got = post(
            &mut cleo,
            "/organization/leave",
            json!({ "organizationId": home }),
        )
        .await;
        assert_eq!(told(&got), says(400, "MEMBER_NOT_FOUND"));
        let got = get(&mut cleo, "/organization/get-active-member").await;
        assert_eq!(told(&got), says(400, "NO_ACTIVE_ORGANIZATION"));
    })
    .await;
}

#[tokio::test]
async fn section_5_6_teams() {
    each_app(async |app| {
        open(&app, all()).await;
        let (mut anna, _) = somebody(&app, "anna").await;
        let home = id_of(&ok(&mut anna, "/organization/create", json!({ "name": "Teams", "slug": "teams" })).await);
        let (mut bob, bob_id) = joined(&app, &mut anna, &home, "bob", "member").await;
        app.wait_seconds(1);
        let blue = ok(&mut anna, "/organization/create-team", json!({ "name": "Blue", "organizationId": home })).await;
        let blue = id_of(&blue);
        let got = post(&mut bob, "/organization/create-team", json!({ "name": "Mine", "organizationId": home })).await;
        assert_eq!(told(&got), says(403, "YOU_ARE_NOT_ALLOWED_TO_CREATE_TEAMS_IN_THIS_ORGANIZATION"));
        let list = see(&mut anna, &format!("/organization/list-teams?organizationId={home}")).await;
        assert_eq!(list.as_array().unwrap().len(), 2);
        let first = id_of(&list[0]);
        let rename = json!({ "teamId": blue, "data": { "name": "Deep Blue" } });
        assert_eq!(ok(&mut anna, "/organization/update-team", rename.clone()).await["name"], "Deep Blue");
        let got = post(&mut bob, "/organization/update-team", rename).await;
        assert_eq!(told(&got), says(403, "YOU_ARE_NOT_ALLOWED_TO_UPDATE_THIS_TEAM"));
        let got = post(&mut anna, "/organization/update-team", json!({ "teamId": "unknown", "data": { "name": "X" } })).await;
        assert_eq!(told(&got), says(400, "TEAM_NOT_FOUND"));
        let place = json!({ "teamId": blue, "userId": bob_id });
        let got = post(&mut bob, "/organization/add-team-member", place.clone()).await;
        assert_eq!(told(&got), says(403, "YOU_ARE_NOT_ALLOWED_TO_CREATE_A_NEW_TEAM_MEMBER"));
        let got = post(&mut anna, "/organization/set-active-team", json!({ "teamId": blue })).await;
        assert_eq!(told(&got), says(403, "USER_IS_NOT_A_MEMBER_OF_THE_TEAM"));
        let added = ok(&mut anna, "/organization/add-team-member", place.clone()).await;
        assert_eq!(ok(&mut anna, "/organization/add-team-member", place.clone()).await, added, "once is enough");
        let got = post(&mut anna, "/organization/add-team-member", json!({ "teamId": blue, "userId": "unknown" })).await;
        assert_eq!(told(&got), says(400, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"));
        // Somebody of another organization cannot be pulled in, and another organization's team is not there.
        let (mut eve, eve_id) = somebody(&app, "eve").await;
        let theirs = id_of(&ok(&mut eve, "/organization/create", json!({ "name": "Eve", "slug": "eve" })).await);
        let got = post(&mut anna, "/organization/add-team-member", json!({ "teamId": blue, "userId": eve_id })).await;
        assert_eq!(told(&got), says(400, "USER_IS_NOT_A_MEMBER_OF_THE_ORGANIZATION"));
        for (path, body) in [
            ("add-team-member", json!({ "teamId": blue, "userId": eve_id })),
            ("set-active-team", json!({ "teamId": blue })),
            ("update-team", json!({ "teamId": blue, "data": { "name": "X" } })),
            ("remove-team", json!({ "teamId": blue, "organizationId": theirs })),
            ("invite-member", json!({ "email": "q@example.org", "role": "member", "organizationId": theirs, "teamId": blue })),
        ] {
            let got = post(&mut eve, &format!("/organization/{path}"), body).await;
            assert_eq!(told(&got), says(400, "TEAM_NOT_FOUND"), "{path}");
        }
        let got = get(&mut eve, &format!("/organization/list-team-members?teamId={blue}")).await;
        assert_eq!(told(&got), says(400, "USER_IS_NOT_A_MEMBER_OF_THE_TEAM"));

        let got = post(&mut bob, "/organization/set-active-team", json!({ "teamId": blue })).await;
        assert_eq!(got.json()["name"], "Deep Blue");
        assert!(got.header("set-cookie").contains("session_token="));
        assert_eq!(see(&mut bob, "/get-session").await["session"]["activeTeamId"], blue.as_str());
        assert_eq!(see(&mut bob, "/organization/list-team-members").await.as_array().unwrap().len(), 1);
        assert_eq!(see(&mut bob, "/organization/list-user-teams").await[0]["id"], blue.as_str());
        let gone = ok(&mut anna, "/organization/remove-team-member", place.clone()).await;
        assert_eq!(gone, json!({ "message": "Team member removed successfully." }));
        assert_eq!(see(&mut bob, "/get-session").await["session"]["activeTeamId"], Value::Null);
        let got = post(&mut anna, "/organization/remove-team-member", place).await;
        assert_eq!(told(&got), says(400, "USER_IS_NOT_A_MEMBER_OF_THE_TEAM"));
        // Into a team by invitation.
        let (mut dora, dora_id) = somebody(&app, "dora").await;
        prove(&app, &dora_id).await;
        let invite = json!({ "email": "dora@example.org", "role": "member", "organizationId": home, "teamId": blue });
        let sent = id_of(&ok(&mut anna, "/organization/invite-member", invite).await);
        let got = post(&mut dora, "/organization/accept-invitation", json!({ "invitationId": sent })).await;
        assert!(got.header("set-cookie").contains("session_token="));
        assert_eq!(see(&mut dora, "/organization/list-user-teams").await[0]["id"], blue.as_str());
        let remove = json!({ "teamId": blue, "organizationId": home });
        let got = post(&mut bob, "/organization/remove-team", remove.clone()).await;
        assert_eq!(told(&got), says(403, "YOU_ARE_NOT_ALLOWED_TO_DELETE_TEAMS_IN_THIS_ORGANIZATION"));
        let gone = ok(&mut anna, "/organization/remove-team", remove.clone()).await;
        assert_eq!(gone, json!({ "message": "Team removed successfully." }));
        assert_eq!(told(&post(&mut anna, "/organization/remove-team", remove).await), says(400, "TEAM_NOT_FOUND"));
        let last = json!({ "teamId": first, "organizationId": home });
        assert_eq!(told(&post(&mut anna, "/organization/remove-team", last).await), says(400, "UNABLE_TO_REMOVE_LAST_TEAM"));
        let got = post(&mut anna, "/organization/create-role", json!({ "role": "captain", "permission": {} })).await;
        assert_eq!((got.status, got.body.as_str()), (StatusCode::NOT_FOUND, ""), "roles of its own are off");
    })
    .await;
}
