//! Administration: users, groups, applications, scopes, settings. The command line and later the console call these.

pub mod applications;
pub mod groups;
pub mod scopes;
pub mod settings;
pub mod users;
