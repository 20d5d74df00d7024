# Das Portal und der Kontobereich.

skip = Zum Inhalt springen
places = Hauptbereiche
applications = Anwendungen
account = Konto
search-applications = Anwendungen suchen
found-applications =
    { $count ->
        [0] Nichts gefunden für „{ $query }“.
        [one] Eine Anwendung für „{ $query }“.
       *[other] { $count } Anwendungen für „{ $query }“.
    }
show-all = Alle anzeigen
no-applications-title = Noch keine Anwendungen
no-applications = Sobald Ihnen jemand Zugang zu einer Anwendung gibt, erscheint sie hier.
nothing-found-title = Nichts gefunden
nothing-found = Versuchen Sie ein kürzeres Wort oder sehen Sie sich alle Anwendungen an.

profile-title = Profil
profile-change = Ändern
email-verified = Bestätigt
email-unverified = Nicht bestätigt
language-browser = Wie der Browser es wünscht

password-title = Passwort
password-lead = Beim Ändern werden Sie überall sonst abgemeldet, und Ihre App-Passwörter werden widerrufen.
password-button = Passwort ändern

app-passwords-title = App-Passwörter
app-passwords-lead = Für Programme, die sich nicht auf einer Seite anmelden können: ein Kalender, ein Sicherungsskript. Jedes bekommt ein eigenes Passwort, das Sie widerrufen können.
app-password-made = App-Passwort „{ $name }“
app-password-made-lead = Kopieren Sie es jetzt. Es wird nicht noch einmal angezeigt.
app-password-made-use = In Programmen, die auch nach einem Benutzernamen fragen, geben Sie { $username } ein.
no-app-passwords-title = Keine App-Passwörter
no-app-passwords = Wenn ein Programm nach einem Passwort fragt, erstellen Sie hier eines, statt ihm Ihr eigenes zu geben.
app-password-over = Abgelaufen
app-password-everywhere = Alle Seiten, die Sie betreten dürfen
app-password-at = Nur { $applications }
app-password-since = Erstellt
app-password-used = Zuletzt benutzt
app-password-unused = Nie benutzt
app-password-expires = Läuft ab
app-password-until = Läuft ab am
app-password-forever = Läuft nicht ab
app-password-revoke = Widerrufen
app-password-revoke-lead = Das Programm, das es benutzt, wird sofort ausgesperrt. Das lässt sich nicht rückgängig machen.
app-password-revoke-button = „{ $name }“ widerrufen
app-password-revoked = Das App-Passwort wurde widerrufen.
app-password-new = App-Passwort erstellen
app-password-name = Wofür ist es?
app-password-name-hint = Zum Beispiel „Kalender auf meinem Telefon“. Unter diesem Namen finden Sie es wieder.
app-password-where = Wo es gilt
app-password-where-every = Alle Seiten, die Sie betreten dürfen
app-password-where-some = Nur diese Anwendungen
app-password-where-missing = Bitte wählen Sie, wo es gilt, und mindestens eine Anwendung.
app-password-days =
    { $days ->
        [365] Nach einem Jahr
       *[other] Nach { $days } Tagen
    }
app-password-never = Nie
app-password-proof = Damit niemand anders eines erstellt, während Sie weg sind.
app-password-button = App-Passwort erstellen
app-passwords-full = Sie haben { $count } App-Passwörter, mehr geht nicht. Widerrufen Sie eines, das Sie nicht brauchen.

sessions-title = Sitzungen
sessions-lead = Browser, in denen Sie angemeldet sind.
session-device = Gerät
session-address = Netzadresse
session-since = Angemeldet
session-seen = Zuletzt gesehen
session-end = Sitzung beenden
session-current = Diese hier
sign-out-everywhere = Überall abmelden
sign-out-everywhere-lead =
    { $count ->
        [one] Das beendet Ihre einzige Sitzung: die, die Sie gerade benutzen.
       *[other] Das beendet alle { $count } Sitzungen, auch die, die Sie gerade benutzen.
    }
sign-out-everywhere-button =
    { $count ->
        [one] 1 Sitzung beenden
       *[other] { $count } Sitzungen beenden
    }

grants-title = Verbundene Apps
grants-lead = Anwendungen, denen Sie etwas erlaubt haben.
grant-since = Seit
grant-until = bis
grant-revoke = Trennen
no-grants-title = Nichts verbunden
no-grants = Wenn eine Anwendung um Ihre Erlaubnis bittet und Sie sie geben, erscheint sie hier.

activity-title = Aktivität
activity-lead = Was mit Ihrem Konto geschehen ist.
no-activity-title = Noch nichts
no-activity = Anmeldungen und Änderungen erscheinen hier.
paging = Seiten
newest = Neueste
older = Ältere

event-sign_in = Angemeldet
event-sign_out = Abgemeldet
event-sessions_ended = Sitzungen beendet
event-refused = Abgelehnt: { $application }
event-refused-plain = Abgelehnt
event-authorized = { $application } betreten
event-tokens_issued = { $application } hat Zugriff bekommen
event-tokens_revoked = Der Zugriff für { $application } wurde widerrufen
event-token_reused = Ein benutztes Token für { $application } kam noch einmal; der Zugriff wurde beendet
event-grant_given = Sie haben { $application } verbunden
event-grant_revoked = { $application } wurde getrennt
event-password_changed = Passwort geändert
event-setup_done = Der erste Administrator wurde angelegt
event-link_issued = Ein Einmal-Link wurde erstellt
event-user_changed = Profil geändert
event-group_changed = Eine Gruppe wurde geändert
event-application_changed = { $application } wurde geändert
event-secret_changed = Ein Geheimnis von { $application } wurde geändert
event-app_password_made = Ein App-Passwort wurde erstellt
event-app_password_revoked = Ein App-Passwort wurde widerrufen
event-key_changed = Ein Signaturschlüssel wurde geändert
event-scope_changed = Ein Scope wurde geändert
event-setting_changed = Eine Einstellung wurde geändert
event-logout_delivered = { $application } weiß, dass Sie sich abgemeldet haben
event-matrix_account = Das Konto am Matrix-Server wurde angelegt oder geändert
event-break_glass = { $application } wurde als Administrator gegen die Regeln betreten
