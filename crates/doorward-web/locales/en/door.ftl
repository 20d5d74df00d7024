# Signing in, saying yes or no, signing out.

sign-in-title = Sign in
sign-in-button = Sign in
going-to = to continue to { $application }
signed-in-as = Signed in as

select-account-title = Choose an account
select-account-continue = Continue as { $name }
select-account-other = Use another account

consent-title = Connect { $application }?
consent-lead = { $application } would like to:
consent-returns = Afterwards you go to { $host }.
scope-openid = Know that it is you
scope-profile = See your name and user name
scope-email = See your email address
scope-groups = See which groups you belong to
scope-entitlements = See what you may do there
scope-offline_access = Stay connected while you are away
scope-address = See your postal address
scope-phone = See your phone number
scope-other = Use “{ $scope }”

device-title = Connect a device
device-lead = Type the code that your device shows.
device-code = Code
device-confirm-title = Connect this device?
device-confirm-heading = Connect { $application }?
device-confirm-lead = Is this the code that your device shows?
device-scopes = { $application } would like to:
device-warning = Only allow this if you started it yourself. If somebody sent you this code, don’t.
device-done-title = Your device is connected
device-done = { $application } continues on your device. You can close this page.
device-denied-title = Nothing was connected
device-denied = { $application } did not get access. You can close this page.

sign-out-title = Sign out?
sign-out-lead = You will need to sign in again to use your applications.
sign-out-asked = { $application } asks to sign you out here, too.
sign-out-button = Sign out
sign-out-stay = Stay signed in
signed-out-title = You are signed out
signed-out-lead = On a shared device, close the browser as well.
sign-in-again = Sign in again
back-to = Back to { $application }
signing-out-title = Signing you out
signing-out-lead =
    { $count ->
        [one] One application is being told, then you go on by yourself.
       *[other] { $count } applications are being told, then you go on by yourself.
    }
signing-out-frame = Sign-out at { $application }

form-post-title = Continue to { $application }
form-post-lead = You are signed in and on your way to { $host }.
