# Was mehrere Seiten sagen.

language = Sprache
continue = Weiter
allow = Erlauben
deny = Nicht erlauben
save = Speichern
copy = Kopieren
copied = Kopiert
search = Suchen
try-again = Noch einmal versuchen
unknown = Unbekannt
not-given = Nicht angegeben
newer-build = Doorward wurde aktualisiert, seit diese Seite geöffnet wurde.
reload = Seite neu laden
show-password = Passwort anzeigen
this-application = diese Anwendung
an-application = eine Anwendung
code-label = Code:

optional = (freiwillig)
field-username = Benutzername
field-username-or-email = Benutzername oder E-Mail
field-name = Name
field-email = E-Mail
field-password = Passwort
field-current-password = Jetziges Passwort
field-new-password = Neues Passwort
field-new-password-hint = Gut sind ein paar Wörter ohne Zusammenhang. Länge zählt mehr als Sonderzeichen.
field-password-confirm = Neues Passwort, noch einmal
field-password-again = Passwort, noch einmal
field-setup-code = Einrichtungscode
field-setup-code-hint = Er steht im Terminal, in dem der Server gestartet wurde.

problem-required = Bitte füllen Sie dieses Feld aus.
problem-username-taken = Diesen Benutzernamen gibt es schon. Bitte wählen Sie einen anderen.
problem-username-invalid = Bitte nur Buchstaben, Ziffern und . _ - @ + verwenden.
problem-name-taken = Sie haben schon eines mit diesem Namen. Bitte wählen Sie einen anderen.
problem-email-taken = Diese Adresse gehört schon jemandem.
problem-email-invalid = Das sieht nicht nach einer E-Mail-Adresse aus.
problem-password-short = Bitte mindestens { $count } Zeichen verwenden.
problem-password-long = Bitte höchstens { $count } Zeichen verwenden.
problem-password-weak = Dieses Passwort ist leicht zu erraten. Bitte wählen Sie ein längeres oder selteneres.
problem-password-unchanged = Dieses Passwort haben Sie schon. Bitte wählen Sie ein anderes.
password-differs = Die beiden Passwörter sind nicht gleich.
password-current-wrong = Das ist nicht Ihr jetziges Passwort.
problem-too-long = Bitte höchstens { $count } Zeichen verwenden.
problem-setup-code = Dieser Einrichtungscode stimmt nicht. Bitte kopieren Sie ihn aus dem Terminal.
form-problem = Bitte sehen Sie sich die markierten Felder an.

# What the server says in its own words.
field-problem = { $problem }

profile-saved = Gespeichert.
password-saved = Ihr Passwort ist geändert.
notice-password-changed-sign-in = Ihr Passwort ist geändert. Bitte melden Sie sich mit dem neuen an.
session-ended = Die Sitzung ist beendet.
notice-sessions-ended = Alle Sitzungen sind beendet.
grant-revoked = Getrennt. Der gewährte Zugriff ist beendet.
notice-sign-in-again = Bitte melden Sie sich noch einmal an, um fortzufahren.

wait-seconds =
    In { $count ->
        [one] 1 Sekunde
       *[other] { $count } Sekunden
    } können Sie es noch einmal versuchen.
wait-minutes =
    In { $count ->
        [one] 1 Minute
       *[other] { $count } Minuten
    } können Sie es noch einmal versuchen.
wait-hours =
    In { $count ->
        [one] 1 Stunde
       *[other] { $count } Stunden
    } können Sie es noch einmal versuchen.

date-time = { $day }. { $month } { $year }, { $time } Uhr (UTC)
moment-now = gerade eben
moment-minutes =
    { $count ->
        [one] vor 1 Minute
       *[other] vor { $count } Minuten
    }
moment-hours =
    { $count ->
        [one] vor 1 Stunde
       *[other] vor { $count } Stunden
    }
month-1 = Januar
month-2 = Februar
month-3 = März
month-4 = April
month-5 = Mai
month-6 = Juni
month-7 = Juli
month-8 = August
month-9 = September
month-10 = Oktober
month-11 = November
month-12 = Dezember

device-on = { $browser } auf { $system }
device-unknown = Unbekanntes Gerät
