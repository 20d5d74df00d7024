# The portal and the account area.

skip = Skip to content
places = Main
applications = Applications
account = Account
search-applications = Search applications
found-applications =
    { $count ->
        [0] Nothing found for “{ $query }”.
        [one] One application for “{ $query }”.
       *[other] { $count } applications for “{ $query }”.
    }
show-all = Show all
no-applications-title = No applications yet
no-applications = As soon as somebody gives you access to an application, it appears here.
nothing-found-title = Nothing found
nothing-found = Try a shorter word, or look at all applications.

profile-title = Profile
profile-change = Change
email-verified = Verified
email-unverified = Not verified
language-browser = As the browser asks

password-title = Password
password-lead = Changing it signs you out everywhere else and revokes your app passwords.
password-button = Change password

app-passwords-title = App passwords
app-passwords-lead = For programs that cannot sign in on a page: a calendar, a backup script. Each gets a password of its own that you can revoke.
app-password-made = App password “{ $name }”
app-password-made-lead = Copy it now. It is not shown again.
app-password-made-use = In programs that ask for a user name too, type { $username }.
no-app-passwords-title = No app passwords
no-app-passwords = When a program asks for a password, make one here instead of giving it your own.
app-password-over = Expired
app-password-everywhere = Every site that you may enter
app-password-at = Only { $applications }
app-password-since = Made
app-password-used = Last used
app-password-unused = Never used
app-password-expires = Expires
app-password-until = Expires
app-password-forever = Does not expire
app-password-revoke = Revoke
app-password-revoke-lead = The program that uses it is locked out at once. This cannot be undone.
app-password-revoke-button = Revoke “{ $name }”
app-password-revoked = The app password was revoked.
app-password-new = Make an app password
app-password-name = What is it for?
app-password-name-hint = For example “Calendar on my phone”. You find it by this name.
app-password-where = Where it works
app-password-where-every = Every site that you may enter
app-password-where-some = Only these applications
app-password-where-missing = Please choose where it works, and at least one application.
app-password-days =
    { $days ->
        [365] After one year
       *[other] After { $days } days
    }
app-password-never = Never
app-password-proof = So that nobody else makes one while you are away.
app-password-button = Make app password
app-passwords-full = You have { $count } app passwords, and that is the limit. Revoke one that you do not need.

sessions-title = Sessions
sessions-lead = Browsers in which you are signed in.
session-device = Device
session-address = Network address
session-since = Signed in
session-seen = Last seen
session-end = End session
session-current = This one
sign-out-everywhere = Sign out everywhere
sign-out-everywhere-lead =
    { $count ->
        [one] This ends your only session, the one you are using now.
       *[other] This ends all { $count } sessions, also the one you are using now.
    }
sign-out-everywhere-button =
    { $count ->
        [one] End 1 session
       *[other] End { $count } sessions
    }

grants-title = Connected apps
grants-lead = Applications that you allowed something.
grant-since = Since
grant-until = until
grant-revoke = Disconnect
no-grants-title = Nothing connected
no-grants = When an application asks for your permission and you allow it, it appears here.

activity-title = Activity
activity-lead = What happened with your account.
no-activity-title = Nothing yet
no-activity = Sign-ins and changes will appear here.
paging = Pages
newest = Newest
older = Older

event-sign_in = Signed in
event-sign_out = Signed out
event-sessions_ended = Sessions ended
event-refused = Refused: { $application }
event-refused-plain = Refused
event-authorized = Entered { $application }
event-tokens_issued = { $application } was given access
event-tokens_revoked = Access of { $application } was revoked
event-token_reused = A used token of { $application } came again; its access was ended
event-grant_given = You connected { $application }
event-grant_revoked = { $application } was disconnected
event-password_changed = Password changed
event-setup_done = The first administrator was made
event-link_issued = A one-time link was made
event-user_changed = Profile changed
event-group_changed = A group changed
event-application_changed = { $application } changed
event-secret_changed = A secret of { $application } changed
event-app_password_made = An app password was made
event-app_password_revoked = An app password was revoked
event-key_changed = A signing key changed
event-scope_changed = A scope changed
event-setting_changed = A setting changed
event-logout_delivered = { $application } was told that you signed out
event-matrix_account = The account at the Matrix server was made or changed
event-break_glass = As administrator, { $application } was entered against its rules
