# First start and recovery.

setup-title = Welcome
setup-lead = Make the first administrator. It takes a minute and happens only once.
setup-button = Create administrator
setup-done-title = Your door is ready
setup-done-lead = { $username } is the first administrator.
setup-step-sign-in = Sign in
setup-step-enter = Go in
setup-step-enter-lead = You are signed in already.
setup-step-application = Connect an application
setup-step-application-lead = Run this on the server. It prints the client id and secret once.
setup-command = Command

recover-title = Choose a new password
recover-lead = For { $username }. The link works once.
recover-button = Set password
