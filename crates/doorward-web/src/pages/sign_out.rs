//! The way out: signing out, telling the applications, going back; and the page that carries an answer by form.

use super::{Destination, Link, page};

/// Asks whether to sign out. Posts `csrf` and the hidden fields to `/if/flow/sign-out/`.
#[derive(Clone, Debug)]
pub struct SignOut<'a> {
    /// The application that asks for it.
    pub application: Option<Destination<'a>>,
    /// State that the answer carries along, for example `attempt`.
    pub hidden: &'a [(&'a str, &'a str)],
    /// Where "Stay signed in" leads.
    pub stay: Option<Link<'a>>,
}
page!(SignOut, "sign_out.html");

/// Signed out.
#[derive(Clone, Debug)]
pub struct SignedOut<'a> {
    /// Where the application wants people back (`post_logout_redirect_uri`).
    pub back: Option<Link<'a>>,
    /// Name of that application.
    pub application: Option<&'a str>,
    /// Where to sign in again.
    pub sign_in: Option<Link<'a>>,
}
page!(SignedOut, "signed_out.html");

/// Tells the other applications through invisible frames (OpenID Connect Front-Channel Logout 1.0), then goes on.
#[derive(Clone, Debug)]
pub struct FrontChannelLogout<'a> {
    /// Each application's logout address with `iss` and `sid`.
    pub frames: &'a [Link<'a>],
    /// Where to go afterwards.
    pub next: Link<'a>,
}
page!(FrontChannelLogout, "front_channel_logout.html");

/// Carries the answer of the authorization endpoint to the client by form (OAuth 2.0 Form Post Response Mode).
#[derive(Clone, Debug)]
pub struct FormPost<'a> {
    /// The redirect URI.
    pub action: Link<'a>,
    /// Name of the application.
    pub application: &'a str,
    /// The parameters of the answer.
    pub fields: &'a [(&'a str, &'a str)],
}
page!(FormPost, "form_post.html");
