# What several pages say.

language = Language
continue = Continue
allow = Allow
deny = Don’t allow
save = Save
copy = Copy
copied = Copied
search = Search
try-again = Try again
unknown = Unknown
not-given = Not given
newer-build = Doorward was updated since this page was opened.
reload = Load this page again
show-password = Show password
this-application = this application
an-application = an application
code-label = Code:

optional = (optional)
field-username = User name
field-username-or-email = User name or email
field-name = Name
field-email = Email
field-password = Password
field-current-password = Current password
field-new-password = New password
field-new-password-hint = A few unrelated words make a good one. Length matters more than symbols.
field-password-confirm = New password, once more
field-password-again = Password, once more
field-setup-code = Set-up code
field-setup-code-hint = Printed in the terminal where the server started.

problem-required = Please fill this in.
problem-username-taken = This user name is taken. Please choose another one.
problem-username-invalid = Please use letters, digits and . _ - @ + only.
problem-name-taken = You have another one of this name. Please choose another name.
problem-email-taken = This address belongs to somebody already.
problem-email-invalid = This does not look like an email address.
problem-password-short = Please use at least { $count } characters.
problem-password-long = Please use at most { $count } characters.
problem-password-weak = This password is easy to guess. Please choose a longer or less common one.
problem-password-unchanged = This is the password you already have. Please choose another one.
password-differs = The two passwords are not the same.
password-current-wrong = This is not your current password.
problem-too-long = Please use at most { $count } characters.
problem-setup-code = This set-up code is not right. Please copy it from the terminal.
form-problem = Please look at the marked fields.

# What the server says in its own words.
field-problem = { $problem }

profile-saved = Saved.
password-saved = Your password is changed.
notice-password-changed-sign-in = Your password is changed. Please sign in with the new one.
session-ended = The session has ended.
notice-sessions-ended = All sessions have ended.
grant-revoked = Disconnected. Access that was given has ended.
notice-sign-in-again = Please sign in once more to continue.

wait-seconds =
    You can try again in { $count ->
        [one] 1 second
       *[other] { $count } seconds
    }.
wait-minutes =
    You can try again in { $count ->
        [one] 1 minute
       *[other] { $count } minutes
    }.
wait-hours =
    You can try again in { $count ->
        [one] 1 hour
       *[other] { $count } hours
    }.

date-time = { $day } { $month } { $year }, { $time } UTC
moment-now = just now
moment-minutes =
    { $count ->
        [one] 1 minute ago
       *[other] { $count } minutes ago
    }
moment-hours =
    { $count ->
        [one] 1 hour ago
       *[other] { $count } hours ago
    }
month-1 = January
month-2 = February
month-3 = March
month-4 = April
month-5 = May
month-6 = June
month-7 = July
month-8 = August
month-9 = September
month-10 = October
month-11 = November
month-12 = December

device-on = { $browser } on { $system }
device-unknown = Unknown device
