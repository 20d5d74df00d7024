# Erster Start und Wiederherstellung.

setup-title = Willkommen
setup-lead = Legen Sie den ersten Administrator an. Das dauert eine Minute und geschieht nur einmal.
setup-button = Administrator anlegen
setup-done-title = Ihre Tür steht
setup-done-lead = { $username } ist der erste Administrator.
setup-step-sign-in = Anmelden
setup-step-enter = Hineingehen
setup-step-enter-lead = Sie sind schon angemeldet.
setup-step-application = Eine Anwendung anbinden
setup-step-application-lead = Führen Sie dies auf dem Server aus. Client-ID und Geheimnis werden einmal angezeigt.
setup-command = Befehl

recover-title = Neues Passwort wählen
recover-lead = Für { $username }. Der Link gilt einmal.
recover-button = Passwort setzen
