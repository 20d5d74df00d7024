//! Rules and records of Doorward, without I/O.
//!
//! Lives here: ids, time stamps, people, groups, applications and their audience, clients, sessions, attempts of a
//! sign-in flow, throttling, grants and tokens as records, events, and the decisions over them.
//!
//! Must not live here: async code, a clock, randomness, HTTP types, SQL. Every function takes `now` and minted values
//! as arguments.

pub mod access;
pub mod app_auth;
pub mod app_password;
pub mod application;
pub mod attempt;
pub mod claim;
pub mod client;
pub mod directory;
pub mod event;
pub mod group;
pub mod id;
pub mod key;
pub mod network;
pub mod refusal;
pub mod session;
pub mod site;
pub mod text;
pub mod throttle;
pub mod time;
pub mod token;
pub mod token_api;
pub mod user;

pub use id::{
    AccountId, AppPasswordId, AppRecordId, ApplicationId, EventId, FamilyId, GrantId, GroupId, Id, JobId,
    KeyId, ScopeId, SecretId, SessionId, UserId,
};
pub use refusal::{Code, Reason};
pub use time::{Lifetime, Timestamp};

/// JSON object of operator-defined attributes on users and groups.
pub type Attributes = serde_json::Map<String, serde_json::Value>;
