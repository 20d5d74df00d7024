//! Invitations into an organization: to an address, for 48 hours, used once, by the person who proved to own the address.

use serde_json::json;

use doorward_domain::app_auth::roles;
use doorward_domain::user::User;
use doorward_domain::{AppRecordId, Lifetime, Timestamp, UserId};
use doorward_store::{AppRecord, Conn};

use super::members::{self, Member, caller_in, member_in};
use super::{NO_ORGANIZATION, Organization, Which, maybe_text, record_in, text, time};
use crate::app_auth::{AppError, AppResult, Door};
use crate::ports::Letter;
use crate::sessions::Visit;
use crate::{Doorward, Origin};

pub(crate) const INVITATION: &str = "invitation";
/// How long an invitation stands.
const LIFETIME: Lifetime = Lifetime::from_hours(48);
/// How long nothing is sent once more.
const RESEND_AFTER: Lifetime = Lifetime::from_minutes(1);
/// Most that stand at once in an organization.
pub(crate) const MOST_PENDING: usize = 100;
/// Decided ones beyond this many are forgotten, the oldest first.
const MOST_KEPT: usize = 500;

const NOT_FOUND: AppError = AppError::Code("INVITATION_NOT_FOUND");
pub(crate) const PENDING: &str = "pending";

/// An invitation.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Identifier.
    pub id: AppRecordId,
    /// Into which organization.
    pub organization: AppRecordId,
    /// To whom, lower case.
    pub email: String,
    /// As what.
    pub role: String,
    /// Into which team besides.
    pub team: Option<String>,
    /// `pending`, `accepted`, `rejected` or `canceled`.
    pub status: String,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub inviter: String,
}

/// What is asked of an invitation.
#[derive(Clone, Debug)]
pub struct NewInvitation<'a> {
    /// To whom, lower case.
    pub email: &'a str,
    /// As what.
    pub roles: &'a [String],
    /// Into which team besides.
    pub team: Option<&'a str>,
    /// Is one that stands to be sent once more?
    pub resend: bool,
}

fn invitation_of(record: &AppRecord) -> Option<Invitation> {
    let content = &record.content;
    Some(Invitation {
        id: record.id,
        organization: record.parent?,
        email: text(content, "email"),
        role: text(content, "role"),
        team: maybe_text(content, "team"),
        status: text(content, "status"),
        expires_at: time(content, "expires")?,
        created_at: record.created_at,
        inviter: text(content, "inviter"),
    })
}

/// The invitations of an organization.
pub(crate) async fn all_in(conn: &Conn, organization: AppRecordId) -> AppResult<Vec<Invitation>> {
    let records = conn.app_records_within(organization, INVITATION).await?;
    Ok(records.iter().filter_map(invitation_of).collect())
}

fn set(record: &mut AppRecord, name: &str, value: serde_json::Value) {
    if let Some(map) = record.content.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// Only one invitation to an address stands in an organization; found by the address first.
pub(crate) fn name_key(email: &str, organization: AppRecordId) -> String {
    format!("{email} {organization}")
}

impl Doorward {
    /// Invites an address into an organization and writes to it, when a mail server is set and the caller's own address is proved.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_invite(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
        new: &NewInvitation<'_>,
        origin: &Origin,
    ) -> AppResult<Invitation> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let none = AppError::Code("MEMBER_NOT_FOUND");
        let (id, caller) = caller_in(&tx, door, visit, organization, none).await?;
        if !roles::may(&caller.role, "invitation", "create") {
            return Err(AppError::Code(
                "YOU_ARE_NOT_ALLOWED_TO_INVITE_USERS_TO_THIS_ORGANIZATION",
            ));
        }
        let known = |role: &str| roles::of_organization(role).is_some();
        let role = roles::joined(new.roles.iter().map(String::as_str), known)
            .map_err(|role| AppError::Said("", format!("ROLE_NOT_FOUND: {role}")))?;
        if roles::has(&role, roles::OWNER) && !roles::has(&caller.role, roles::OWNER) {
            return Err(AppError::Code(
                "YOU_ARE_NOT_ALLOWED_TO_INVITE_USER_WITH_THIS_ROLE",
            ));
        }
        if let Some(user) = tx.user_by_email(door.realm(), new.email).await?
            && member_in(&tx, door, id, user.id).await?.is_some()
        {
            return Err(AppError::Code("USER_IS_ALREADY_A_MEMBER_OF_THIS_ORGANIZATION"));
        }
        if let Some(team) = new.team {
            let found = super::teams::team_in(&tx, door, id, team).await?;
            found.ok_or(AppError::Code("TEAM_NOT_FOUND"))?;
        }
        let Some(home) = tx.app_record(id).await? else {
            return Err(NO_ORGANIZATION);
        };
        let key = name_key(new.email, id);
        let standing = tx.app_record_named(door.application.id, INVITATION, &key).await?;
        let mut record = match standing {
            Some(mut record) if invitation_of(&record).is_none_or(|known| known.expires_at <= now) => {
                // It ran out by itself and makes room.
                record.name = None;
                tx.save_app_record(&record).await?;
                self.app_record(door, INVITATION, now)
            }
            Some(_) if !new.resend => {
                return Err(AppError::Code("USER_IS_ALREADY_INVITED_TO_THIS_ORGANIZATION"));
            }
            Some(record) => record,
            None => self.app_record(door, INVITATION, now),
        };
        let is_new = record.content.is_null();
        // Nobody fills somebody's mailbox: not from an address that is not theirs, and not the same every second.
        let proved = visit.person.user.email_verified_at.is_some();
        let writes = self.sends_mail() && proved && (is_new || record.updated_at.plus(RESEND_AFTER) <= now);
        if is_new {
            self.make_room(&tx, id, now).await?;
            record.parent = Some(id);
            record.name = Some(key);
            record.content = json!({
                "email": new.email, "role": role, "team": new.team, "status": PENDING,
                "expires": now.plus(LIFETIME).millis(), "inviter": caller.user.to_string(),
            });
            tx.add_app_record(&record).await?;
        } else {
            set(&mut record, "expires", json!(now.plus(LIFETIME).millis()));
            record.updated_at = now;
            tx.save_app_record(&record).await?;
        }
        let invitation = invitation_of(&record).ok_or(NOT_FOUND)?;
        if writes {
            let letter = letter(
                door,
                &visit.person.user,
                &text(&home.content, "name"),
                &invitation,
            );
            self.queue_mail(&tx, &letter, now).await?;
        }
        let details = json!({
            "what": "invited", "organization": id.to_string(), "invitation": record.id.to_string(), "role": invitation.role,
        });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        Ok(invitation)
    }

    /// Keeps the number of invitations within bounds.
    async fn make_room(
        &self,
        tx: &doorward_store::Tx,
        organization: AppRecordId,
        now: Timestamp,
    ) -> AppResult<()> {
        let records = tx.app_records_within(organization, INVITATION).await?;
        let stands = |record: &AppRecord| {
            invitation_of(record).is_some_and(|known| known.status == PENDING && known.expires_at > now)
        };
        let (standing, decided): (Vec<&AppRecord>, Vec<&AppRecord>) =
            records.iter().partition(|record| stands(record));
        if standing.len() >= MOST_PENDING {
            return Err(AppError::Code("INVITATION_LIMIT_REACHED"));
        }
        let beyond = decided.len().saturating_sub(MOST_KEPT - 1);
        for record in decided.iter().take(beyond) {
            tx.remove_app_record(record.id).await?;
        }
        Ok(())
    }

    /// The caller accepts or rejects an invitation. Accepting makes a member, and the organization the session's.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_answer_invitation(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        accept: bool,
        origin: &Origin,
    ) -> AppResult<(Invitation, Option<Member>)> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let Some(found) = record_in(&tx, door, INVITATION, id).await? else {
            return Err(NOT_FOUND);
        };
        let organization = found.parent.ok_or(NOT_FOUND)?;
        tx.lock_app_record(organization).await?;
        // Read again, now that nobody else decides about it.
        let Some(mut record) = tx.app_record(found.id).await? else {
            return Err(NOT_FOUND);
        };
        let invitation = standing(&record, now)?;
        let user = &visit.person.user;
        let Some(user) = tx.user(user.id).await?.filter(User::is_usable) else {
            return Err(AppError::Code("UNAUTHORIZED"));
        };
        check_receiver(
            &invitation,
            &user,
            // differs: better-auth 1.7 asks for a proved address only where it is set so.
            "EMAIL_VERIFICATION_REQUIRED_BEFORE_ACCEPTING_OR_REJECTING_INVITATION",
        )?;
        let mut member = None;
        let mut team = None;
        if accept {
            self.check_inviter(&tx, door, &invitation).await?;
            if tx.app_records_within(organization, members::MEMBER).await?.len() >= members::MOST {
                return Err(AppError::Code("ORGANIZATION_MEMBERSHIP_LIMIT_REACHED"));
            }
            member = Some(
                self.put_member(&tx, door, organization, user.id, &invitation.role)
                    .await?,
            );
            if let Some(wanted) = &invitation.team
                && let Some(found) = super::teams::team_in(&tx, door, organization, wanted).await?
            {
                self.put_team_member(&tx, door, found.id, user.id, now).await?;
                team = Some(found.id);
            }
        }
        let status = if accept { "accepted" } else { "rejected" };
        set(&mut record, "status", json!(status));
        record.name = None;
        record.updated_at = now;
        tx.save_app_record(&record).await?;
        let details = json!({
            "what": format!("invitation {status}"), "organization": organization.to_string(), "invitation": record.id.to_string(),
        });
        self.note_in_app(&tx, door, user.id, details, origin).await?;
        tx.commit().await?;
        if accept {
            self.app_enter_organization(visit, Some(organization), team)
                .await?;
        }
        Ok((invitation_of(&record).ok_or(NOT_FOUND)?, member))
    }

    /// differs: an invitation stands for its inviter, and falls when the inviter could not make it any more: whoever is removed or
    /// loses a role leaves no way in behind.
    async fn check_inviter(&self, conn: &Conn, door: &Door, invitation: &Invitation) -> AppResult<()> {
        let gone = AppError::Code("INVITER_IS_NO_LONGER_A_MEMBER_OF_THE_ORGANIZATION");
        let Ok(inviter) = invitation.inviter.parse::<UserId>() else {
            return Err(gone);
        };
        let Some(member) = member_in(conn, door, invitation.organization, inviter).await? else {
            return Err(gone);
        };
        let may_make_owners = roles::has(&member.role, roles::OWNER);
        let asks_owner = roles::has(&invitation.role, roles::OWNER);
        if !roles::may(&member.role, "invitation", "create") || (asks_owner && !may_make_owners) {
            return Err(gone);
        }
        Ok(())
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_cancel_invitation(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
        origin: &Origin,
    ) -> AppResult<Invitation> {
        let now = self.now();
        let tx = self.store()?.begin().await?;
        let Some(found) = record_in(&tx, door, INVITATION, id).await? else {
            return Err(NOT_FOUND);
        };
        let organization = found.parent.ok_or(NOT_FOUND)?;
        let none = AppError::Code("MEMBER_NOT_FOUND");
        let (_, caller) = caller_in(&tx, door, visit, &organization.to_string(), none).await?;
        if !roles::may(&caller.role, "invitation", "cancel") {
            return Err(AppError::Code("YOU_ARE_NOT_ALLOWED_TO_CANCEL_THIS_INVITATION"));
        }
        let Some(mut record) = tx.app_record(found.id).await? else {
            return Err(NOT_FOUND);
        };
        if invitation_of(&record).is_none_or(|known| known.status != PENDING) {
            return Err(NOT_FOUND);
        }
        set(&mut record, "status", json!("canceled"));
        record.name = None;
        record.updated_at = now;
        tx.save_app_record(&record).await?;
        let details = json!({
            "what": "invitation canceled", "organization": organization.to_string(), "invitation": record.id.to_string(),
        });
        self.note_in_app(&tx, door, caller.user, details, origin).await?;
        tx.commit().await?;
        invitation_of(&record).ok_or(NOT_FOUND)
    }

    /// An invitation to the caller, where it leads, and the address of who made it.
    ///
    /// # Errors
    /// Codes of the wire contract.
    pub async fn app_invitation(
        &self,
        door: &Door,
        visit: &Visit,
        id: &str,
    ) -> AppResult<(Invitation, Organization, String)> {
        let conn = self.store()?.read();
        let Some(record) = record_in(&conn, door, INVITATION, id).await? else {
            return Err(NOT_FOUND);
        };
        let invitation = standing(&record, self.now())?;
        check_receiver(
            &invitation,
            &visit.person.user,
            "EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION",
        )?;
        self.check_inviter(&conn, door, &invitation).await?;
        let which = invitation.organization.to_string();
        let found = self.find_organization(&conn, door, Which::Id(&which)).await?;
        let organization = found.ok_or(NO_ORGANIZATION)?;
        let inviter = match invitation.inviter.parse() {
            Ok(id) => conn.user(id).await?.and_then(|user| user.email),
            Err(_) => None,
        };
        Ok((invitation, organization, inviter.unwrap_or_default()))
    }

    /// The invitations of an organization that the caller is in.
    ///
    /// # Errors
    /// `YOU_ARE_NOT_ALLOWED_TO_LIST_INVITATIONS`.
    pub async fn app_invitations(
        &self,
        door: &Door,
        visit: &Visit,
        organization: &str,
    ) -> AppResult<Vec<Invitation>> {
        let (organization, _) = self
            .app_organization(door, visit, Which::Id(organization))
            .await
            .map_err(|error| match error {
                AppError::Code(_) => AppError::Code("YOU_ARE_NOT_ALLOWED_TO_LIST_INVITATIONS"),
                error => error,
            })?;
        all_in(&self.store()?.read(), organization.id).await
    }

    /// Invitations to the caller that stand, with the organizations' names.
    ///
    /// # Errors
    /// `EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION`.
    pub async fn app_own_invitations(
        &self,
        door: &Door,
        visit: &Visit,
    ) -> AppResult<Vec<(Invitation, String)>> {
        let user = &visit.person.user;
        let proved = user.email_verified_at.is_some();
        let Some(email) = user.email.as_deref().filter(|_| proved) else {
            return Err(AppError::Code("EMAIL_VERIFICATION_REQUIRED_FOR_INVITATION"));
        };
        let now = self.now();
        let conn = self.store()?.read();
        let records = conn
            .app_records_begin(door.application.id, INVITATION, &format!("{email} "))
            .await?;
        let mut found = Vec::new();
        for record in records.iter().take(MOST_PENDING) {
            let Ok(invitation) = standing(record, now) else {
                continue;
            };
            if invitation.email != email {
                continue;
            }
            let home = conn.app_record(invitation.organization).await?;
            let name = home.map(|home| text(&home.content, "name")).unwrap_or_default();
            found.push((invitation, name));
        }
        Ok(found)
    }
}

/// The invitation, when it stands.
fn standing(record: &AppRecord, now: Timestamp) -> AppResult<Invitation> {
    invitation_of(record)
        .filter(|known| known.status == PENDING && now < known.expires_at)
        .ok_or(NOT_FOUND)
}

/// Only the person whose proved address it names.
fn check_receiver(invitation: &Invitation, user: &User, unproved: &'static str) -> AppResult<()> {
    if user.email.as_deref() != Some(invitation.email.as_str()) {
        return Err(AppError::Code("YOU_ARE_NOT_THE_RECIPIENT_OF_THE_INVITATION"));
    }
    if user.email_verified_at.is_none() {
        return Err(AppError::Code(unproved));
    }
    Ok(())
}

fn letter(door: &Door, inviter: &User, organization: &str, invitation: &Invitation) -> Letter {
    let app = &door.application.name;
    let name = &inviter.name;
    let link = format!("{}/accept-invitation/{}", door.settings().origin(), invitation.id);
    Letter {
        to: invitation.email.clone(),
        subject: format!("{name} invites you to {organization} at {app}"),
        text: format!(
            "{name} invites you to join {organization} at {app}. Sign in with this address and open the link within 48 hours:\n\n\
             {link}\n\nIf you do not know what this is about, do nothing.\n"
        ),
    }
}
