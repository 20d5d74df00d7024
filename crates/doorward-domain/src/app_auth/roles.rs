//! Roles and what they allow, as apps ask for it (contract sections 5.6 and 5.7): a statement is a resource and what may be done to
//! it. Several roles of one person stand in one text, with commas.

/// A resource and what may be done to it.
pub type Statement = (&'static str, &'static [&'static str]);

/// What a call asks for: a resource and everything that it wants to do to it.
pub type Wanted = Vec<(String, Vec<String>)>;

/// Who made an organization, and whoever gets as far as that.
pub const OWNER: &str = "owner";
/// Who runs an organization.
pub const ADMIN: &str = "admin";
/// Who is in an organization.
pub const MEMBER: &str = "member";
/// Who is in an app.
pub const USER: &str = "user";

/// Most roles of one person.
const MOST: usize = 10;

const OWNERS: &[Statement] = &[
    ("organization", &["update", "delete"]),
    ("member", &["create", "update", "delete"]),
    ("invitation", &["create", "cancel"]),
    ("team", &["create", "update", "delete"]),
    ("ac", &["create", "read", "update", "delete"]),
];
const ADMINS: &[Statement] = &[
    ("organization", &["update"]),
    ("member", &["create", "update", "delete"]),
    ("invitation", &["create", "cancel"]),
    ("team", &["create", "update", "delete"]),
    ("ac", &["create", "read", "update", "delete"]),
];
const MEMBERS: &[Statement] = &[
    ("organization", &[]),
    ("member", &[]),
    ("invitation", &[]),
    ("team", &[]),
    ("ac", &["read"]),
];
/// What an app's administrators may do.
pub const APP_ADMINS: &[Statement] = &[
    (
        "user",
        &[
            "create",
            "list",
            "set-role",
            "ban",
            "impersonate",
            "delete",
            "set-password",
            "set-email",
            "get",
            "update",
        ],
    ),
    ("session", &["list", "revoke", "delete"]),
];
const NOTHING: &[Statement] = &[];

/// What a role of an organization allows; `None` for a role that there is not.
#[must_use]
pub fn of_organization(role: &str) -> Option<&'static [Statement]> {
    match role {
        OWNER => Some(OWNERS),
        ADMIN => Some(ADMINS),
        MEMBER => Some(MEMBERS),
        _ => None,
    }
}

/// The single roles in a text.
pub fn each(roles: &str) -> impl Iterator<Item = &str> {
    roles.split(',').map(str::trim).filter(|role| !role.is_empty())
}

/// Is this role among them?
#[must_use]
pub fn has(roles: &str, wanted: &str) -> bool {
    each(roles).any(|role| role == wanted)
}

/// Does one of the roles of an organization allow this?
#[must_use]
pub fn may(roles: &str, resource: &str, action: &str) -> bool {
    each(roles)
        .filter_map(of_organization)
        .any(|allowed| covers(allowed, resource, [action]))
}

fn covers<'a>(allowed: &[Statement], resource: &str, actions: impl IntoIterator<Item = &'a str>) -> bool {
    allowed
        .iter()
        .find(|(known, _)| *known == resource)
        .is_some_and(|(_, known)| actions.into_iter().all(|action| known.contains(&action)))
}

/// Does one of the roles allow everything that is wanted? Wanting nothing is not allowed.
#[must_use]
pub fn allows<'r>(roles: impl IntoIterator<Item = &'r [Statement]>, wanted: &Wanted) -> bool {
    let whole = |allowed: &[Statement]| {
        !wanted.is_empty()
            && wanted
                .iter()
                .all(|(resource, actions)| covers(allowed, resource, actions.iter().map(String::as_str)))
    };
    roles.into_iter().any(whole)
}

/// Does the text of roles of an organization allow everything that is wanted?
#[must_use]
pub fn organization_allows(roles: &str, wanted: &Wanted) -> bool {
    allows(each(roles).filter_map(of_organization), wanted)
}

/// What a role of an app allows: everything to its administrators, nothing to others.
#[must_use]
pub fn of_app(admin: bool) -> &'static [Statement] {
    if admin { APP_ADMINS } else { NOTHING }
}

/// Roles as one text: known ones, each once, at least one. `Err` has those that are not known.
///
/// # Errors
/// The names of unknown roles, joined with `, `.
pub fn joined<'a>(
    roles: impl IntoIterator<Item = &'a str>,
    known: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut kept: Vec<&str> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for role in roles.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
        if !known(role) {
            unknown.push(role.chars().filter(|c| !c.is_control()).take(50).collect());
        } else if !kept.contains(&role) {
            kept.push(role);
        }
        if unknown.len() + kept.len() > MOST {
            break;
        }
    }
    if !unknown.is_empty() || kept.is_empty() {
        return Err(unknown.join(", "));
    }
    Ok(kept.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(resource: &str, actions: &[&str]) -> Wanted {
        vec![(
            resource.to_owned(),
            actions.iter().map(|action| (*action).to_owned()).collect(),
        )]
    }

    #[test]
    fn section_5_6_statements() {
        for (roles, resource, action, yes) in [
            ("owner", "organization", "delete", true),
            ("admin", "organization", "delete", false),
            ("admin", "organization", "update", true),
            ("member", "organization", "update", false),
            ("member", "ac", "read", true),
            ("member,admin", "member", "update", true),
            ("member, admin", "member", "update", true),
            ("captain", "ac", "read", false),
            ("", "ac", "read", false),
            ("owner", "boats", "sail", false),
            ("owner", "organization", "sail", false),
        ] {
            assert_eq!(may(roles, resource, action), yes, "{roles} {resource} {action}");
            assert_eq!(organization_allows(roles, &wanted(resource, &[action])), yes);
        }
        let mut both = wanted("organization", &["update"]);
        both.extend(wanted("ac", &["read"]));
        assert!(organization_allows("owner", &both));
        both.extend(wanted("organization", &["delete"]));
        assert!(
            !organization_allows("member,admin", &both),
            "one role has to allow all of it"
        );
        assert!(
            !organization_allows("owner", &Vec::new()),
            "nothing is not something"
        );
    }

    #[test]
    fn section_5_7_statements() {
        assert!(allows([of_app(true)], &wanted("user", &["ban", "delete"])));
        assert!(!allows([of_app(true)], &wanted("user", &["impersonate-admins"])));
        assert!(!allows([of_app(false)], &wanted("user", &["ban"])));
        assert!(!allows([of_app(true)], &wanted("boats", &["sail"])));
    }

    #[test]
    fn only_known_roles_are_joined() {
        let known = |role: &str| of_organization(role).is_some();
        assert_eq!(joined(["admin", "member"], known), Ok("admin,member".to_owned()));
        assert_eq!(
            joined(["admin,member,admin"], known),
            Ok("admin,member".to_owned())
        );
        assert_eq!(joined(["captain", "member"], known), Err("captain".to_owned()));
        assert_eq!(joined([""], known), Err(String::new()));
        assert_eq!(joined([], known), Err(String::new()));
        assert!(joined(std::iter::repeat_n("x", 1000), known).unwrap_err().len() < 100);
    }
}
