//! What happened: one record per sign-in, refusal, token, consent and change, written in the same transaction.

use serde::{Deserialize, Serialize};

use crate::client::words;
use crate::refusal::{Code, Reason};
use crate::{ApplicationId, EventId, SessionId, Timestamp, UserId};

words! {
    /// What sort of event.
    EventKind {
        /// A session began.
        SignIn = "sign_in",
        /// A session was ended by its owner or a client's logout.
        SignOut = "sign_out",
        /// Sessions were ended by somebody else or all at once.
        SessionsEnded = "sessions_ended",
        /// Something was refused; `reason` says which rule.
        Refused = "refused",
        /// A code was issued to a client.
        Authorized = "authorized",
        /// Tokens were issued.
        TokensIssued = "tokens_issued",
        /// A token or family was revoked.
        TokensRevoked = "tokens_revoked",
        /// A used code or refresh token came again.
        TokenReused = "token_reused",
        /// The user allowed a client something.
        GrantGiven = "grant_given",
        /// The user or an administrator took it back.
        GrantRevoked = "grant_revoked",
        /// A password was set or changed.
        PasswordChanged = "password_changed",
        /// The first administrator was made.
        SetupDone = "setup_done",
        /// A one-time link was made.
        LinkIssued = "link_issued",
        /// A user was made, changed, deleted or restored.
        UserChanged = "user_changed",
        /// A group was made, changed, deleted or restored.
        GroupChanged = "group_changed",
        /// An application was made, changed, deleted or restored.
        ApplicationChanged = "application_changed",
        /// A client secret was made or expired by hand.
        SecretChanged = "secret_changed",
        /// An app password was made.
        AppPasswordMade = "app_password_made",
        /// App passwords were revoked: one by hand, or all when the password changed.
        AppPasswordRevoked = "app_password_revoked",
        /// A signing key was made or withdrawn.
        KeyChanged = "key_changed",
        /// A custom scope was made, changed or deleted.
        ScopeChanged = "scope_changed",
        /// A setting in the database changed.
        SettingChanged = "setting_changed",
        /// An administrator entered a site whose rules would not have let them in.
        BreakGlass = "break_glass",
        /// A logout token was delivered, or given up.
        LogoutDelivered = "logout_delivered",
        /// An account at the Matrix server was made, given up, or switched off.
        MatrixAccount = "matrix_account",
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Identifier; sorts by time.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// Which rule refused, for refusals.
    pub reason: Option<Reason>,
    /// Short code shown to the person, for refusals.
    pub code: Option<Code>,
    /// Whom it concerns.
    pub user_id: Option<UserId>,
    /// Which application it concerns.
    pub application_id: Option<ApplicationId>,
    /// In which session.
    pub session_id: Option<SessionId>,
    /// Client address.
    pub ip: Option<String>,
    /// Inputs of the decision or the change, without secrets.
    pub details: serde_json::Value,
}
