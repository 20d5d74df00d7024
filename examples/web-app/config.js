// Where the other parts are. Use the name `localhost` for all of them: a browser sends the session cookie to every port of
// the same host, and to no other host.
export const DOORWARD = "http://localhost:9000/api/auth";
export const NOTES = "http://localhost:3000";

// The name under which the app's settings at Doorward list Doorward's own OpenID sign-in.
export const OPENID_PROVIDER = "doorward";
