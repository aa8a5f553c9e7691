package portal

// text is a text in each language. %s and %d are filled by the page.
type text struct{ EN, DE string }

// texts are all words of the portal, by key. A test finds keys that are missing, and those that nobody uses.
var texts = map[string]text{
	"layout.skip":     {"Skip to the page", "Zum Inhalt springen"},
	"layout.home":     {"Your certificates", "Ihre Zertifikate"},
	"layout.sessions": {"Where you are signed in", "Wo Sie angemeldet sind"},
	"layout.signout":  {"Sign out", "Abmelden"},
	"layout.language": {"Language", "Sprache"},
	"language.en":     {"English", "English"},
	"language.de":     {"Deutsch", "Deutsch"},

	"signin.title":     {"Sign in", "Anmelden"},
	"signin.lead":      {"With the name and password that you also use at work.", "Mit dem Namen und Passwort, die Sie auch sonst bei der Arbeit verwenden."},
	"signin.login":     {"Name", "Name"},
	"signin.password":  {"Password", "Passwort"},
	"signin.button":    {"Sign in", "Anmelden"},
	"signin.failed":    {"That did not work", "Das hat nicht geklappt"},
	"signin.elsewhere": {"Sign in with %s", "Anmelden mit %s"},
	"signin.provider":  {"your organisation’s account", "dem Konto Ihrer Organisation"},
	"signin.or":        {"or with name and password", "oder mit Namen und Passwort"},
	"signin.about": {"Here you get the certificates with which you sign your mail, and with which others send you mail that nobody else can read.",
		"Hier bekommen Sie die Zertifikate, mit denen Sie Ihre E-Mail unterschreiben und mit denen andere Ihnen E-Mail schicken, die sonst niemand lesen kann."},

	"signedout.title": {"You are signed out", "Sie sind abgemeldet"},
	"signedout.again": {"Sign in again", "Wieder anmelden"},

	"home.title":    {"Your certificates", "Ihre Zertifikate"},
	"home.lead":     {"For mail to and from %s", "Für E-Mail an und von %s"},
	"card.sign":     {"Your signing certificate", "Ihr Zertifikat zum Unterschreiben"},
	"card.read":     {"Your encryption certificate", "Ihr Zertifikat zum Verschlüsseln"},
	"about.sign":    {"With it you sign your mail, so that others see that it comes from you. Its key is only on your own devices.", "Damit unterschreiben Sie Ihre E-Mail, und andere sehen, dass sie von Ihnen kommt. Der Schlüssel dazu ist nur auf Ihren Geräten."},
	"about.read":    {"With it others encrypt mail to you. A copy of its key is kept safely for you, so that your mail stays readable when a device is lost.", "Damit verschlüsseln andere E-Mail an Sie. Eine Kopie des Schlüssels ist für Sie sicher verwahrt, damit Ihre E-Mail lesbar bleibt, wenn ein Gerät verloren geht."},
	"state.none":    {"You have none yet", "Sie haben noch keines"},
	"state.good":    {"Valid", "Gültig"},
	"state.ending":  {"Ends soon", "Läuft bald ab"},
	"state.ended":   {"Has ended", "Abgelaufen"},
	"state.revoked": {"Revoked", "Widerrufen"},
	"card.until":    {"until", "bis"},
	"card.days":     {"%d days left", "noch %d Tage"},
	"card.details":  {"Serial number and issuer", "Seriennummer und Aussteller"},
	"card.serial":   {"Serial number", "Seriennummer"},
	"card.issuer":   {"Issuer", "Aussteller"},
	"next.none":     {"The program sealpost-agent gets it for you, or ask your registrar.", "Das Programm sealpost-agent besorgt es für Sie, oder fragen Sie Ihre Registrierungsstelle."},

	"sessions.title":  {"Where you are signed in", "Wo Sie angemeldet sind"},
	"sessions.lead":   {"If you do not know one of these, sign out everywhere else, and change your password.", "Wenn Sie eine davon nicht kennen, melden Sie sich überall sonst ab und ändern Sie Ihr Passwort."},
	"sessions.here":   {"this one", "diese hier"},
	"sessions.since":  {"Since", "Seit"},
	"sessions.agent":  {"Browser", "Browser"},
	"sessions.others": {"Sign out everywhere else", "Überall sonst abmelden"},

	"error.title":     {"That did not work", "Das hat nicht geklappt"},
	"error.not-found": {"There is no such page", "Diese Seite gibt es nicht"},
	"error.home":      {"Go to your certificates", "Zu Ihren Zertifikaten"},
	"error.retry":     {"Nothing was lost. Try again in a moment.", "Es ist nichts verloren. Versuchen Sie es gleich noch einmal."},
	"error.request":   {"If you ask for help, give this number:", "Wenn Sie um Hilfe bitten, nennen Sie diese Nummer:"},

	"fault.unknown-page":                  {"There is no page at this address. Perhaps it has moved, or the address is not complete.", "Unter dieser Adresse gibt es keine Seite. Vielleicht ist sie umgezogen, oder die Adresse ist nicht vollständig."},
	"fault.form-invalid":                  {"The form could not be read. Go back and send it again.", "Das Formular war nicht lesbar. Gehen Sie zurück und senden Sie es noch einmal."},
	"fault.wrong-credentials":             {"The name or the password is not right.", "Der Name oder das Passwort stimmt nicht."},
	"fault.person-disabled":               {"Your account is locked. Ask whoever looks after accounts in your organisation.", "Ihr Konto ist gesperrt. Fragen Sie, wer sich bei Ihnen um Konten kümmert."},
	"fault.identity-provider-unavailable": {"The service at which you sign in does not answer. Try again in a moment.", "Der Dienst, bei dem Sie sich anmelden, antwortet nicht. Versuchen Sie es gleich noch einmal."},
	"fault.identity-provider-refused":     {"Signing in was not completed. Begin again.", "Die Anmeldung kam nicht zu ihrem Ende. Beginnen Sie noch einmal."},
	"fault.address-unverified":            {"Your mail address is not verified where you sign in. Ask whoever looks after accounts in your organisation.", "Ihre Mailadresse ist dort, wo Sie sich anmelden, nicht geprüft. Fragen Sie, wer sich bei Ihnen um Konten kümmert."},
	"fault.not-in-directory":              {"You are signed in, and the organisation’s directory knows nobody of your address. Ask whoever looks after accounts in your organisation.", "Sie sind angemeldet, doch das Verzeichnis Ihrer Organisation kennt niemanden mit Ihrer Adresse. Fragen Sie, wer sich bei Ihnen um Konten kümmert."},
	"fault.too-many-failures":             {"There were too many attempts that failed. Wait a minute, then try again.", "Es gab zu viele Versuche, die nicht gelangen. Warten Sie eine Minute und versuchen Sie es dann noch einmal."},
}
