# Anmelden, erlauben oder nicht, abmelden.

sign-in-title = Anmelden
sign-in-button = Anmelden
going-to = weiter zu { $application }
signed-in-as = Angemeldet als

select-account-title = Konto wählen
select-account-continue = Weiter als { $name }
select-account-other = Anderes Konto verwenden

consent-title = { $application } verbinden?
consent-lead = { $application } möchte:
consent-returns = Danach geht es weiter zu { $host }.
scope-openid = Wissen, dass Sie es sind
scope-profile = Ihren Namen und Benutzernamen sehen
scope-email = Ihre E-Mail-Adresse sehen
scope-groups = Sehen, zu welchen Gruppen Sie gehören
scope-entitlements = Sehen, was Sie dort dürfen
scope-offline_access = Verbunden bleiben, auch wenn Sie nicht da sind
scope-address = Ihre Postanschrift sehen
scope-phone = Ihre Telefonnummer sehen
scope-other = „{ $scope }“ verwenden

device-title = Gerät verbinden
device-lead = Geben Sie den Code ein, den Ihr Gerät anzeigt.
device-code = Code
device-confirm-title = Dieses Gerät verbinden?
device-confirm-heading = { $application } verbinden?
device-confirm-lead = Zeigt Ihr Gerät genau diesen Code?
device-scopes = { $application } möchte:
device-warning = Erlauben Sie das nur, wenn Sie es selbst begonnen haben. Hat Ihnen jemand den Code geschickt, lehnen Sie ab.
device-done-title = Ihr Gerät ist verbunden
device-done = { $application } macht auf Ihrem Gerät weiter. Sie können diese Seite schließen.
device-denied-title = Nichts wurde verbunden
device-denied = { $application } hat keinen Zugriff bekommen. Sie können diese Seite schließen.

sign-out-title = Abmelden?
sign-out-lead = Für Ihre Anwendungen müssen Sie sich danach wieder anmelden.
sign-out-asked = { $application } bittet darum, Sie auch hier abzumelden.
sign-out-button = Abmelden
sign-out-stay = Angemeldet bleiben
signed-out-title = Sie sind abgemeldet
signed-out-lead = Schließen Sie auf einem gemeinsamen Gerät auch den Browser.
sign-in-again = Wieder anmelden
back-to = Zurück zu { $application }
signing-out-title = Sie werden abgemeldet
signing-out-lead =
    { $count ->
        [one] Eine Anwendung erfährt davon, dann geht es von selbst weiter.
       *[other] { $count } Anwendungen erfahren davon, dann geht es von selbst weiter.
    }
signing-out-frame = Abmeldung bei { $application }

form-post-title = Weiter zu { $application }
form-post-lead = Sie sind angemeldet und auf dem Weg zu { $host }.
