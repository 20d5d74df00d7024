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
password-lead = Beim Ändern werden Sie überall sonst abgemeldet.
password-button = Passwort ändern

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
event-key_changed = Ein Signaturschlüssel wurde geändert
event-scope_changed = Ein Scope wurde geändert
event-setting_changed = Eine Einstellung wurde geändert
event-logout_delivered = { $application } weiß, dass Sie sich abgemeldet haben
