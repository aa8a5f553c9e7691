package portal

// kerberosTexts are those of signing in with the computer's login.
var kerberosTexts = map[string]text{
	"signin.kerberos":    {"Sign in with this computer’s login", "Mit der Anmeldung dieses Computers anmelden"},
	"kerberos.title":     {"Your browser did not show who you are", "Ihr Browser hat nicht gezeigt, wer Sie sind"},
	"kerberos.lead":      {"You can come in without a password where this computer knows you and the browser may say so. If this page stays, one of these is missing:", "Sie kommen ohne Passwort herein, wenn dieser Computer Sie kennt und der Browser das sagen darf. Bleibt diese Seite stehen, fehlt eines davon:"},
	"kerberos.login":     {"You are signed in to this computer with your account at work. If that was long ago, lock the screen and unlock it.", "Sie sind an diesem Computer mit Ihrem Konto der Organisation angemeldet. Ist das lange her, sperren und entsperren Sie den Bildschirm."},
	"kerberos.address":   {"You reach this page by the address that your organisation told you, not by another one.", "Sie haben diese Seite unter der Adresse aufgerufen, die Ihre Organisation nennt, nicht unter einer anderen."},
	"kerberos.browser":   {"The browser may sign you in here. Whoever looks after computers in your organisation can allow that.", "Der Browser darf Sie hier anmelden. Das kann erlauben, wer sich bei Ihnen um die Computer kümmert."},
	"kerberos.otherwise": {"Sign in another way", "Anders anmelden"},

	"fault.kerberos-ticket":           {"What this computer showed was not accepted. Sign in with your name and password; if it happens again, tell whoever looks after computers in your organisation.", "Was dieser Computer gezeigt hat, wurde nicht angenommen. Melden Sie sich mit Namen und Passwort an; geschieht es wieder, sagen Sie es denen, die sich bei Ihnen um die Computer kümmern."},
	"fault.kerberos-ticket-expired":   {"This computer’s login has run out. Lock the screen and unlock it, then try again.", "Die Anmeldung dieses Computers ist abgelaufen. Sperren und entsperren Sie den Bildschirm, dann versuchen Sie es noch einmal."},
	"fault.kerberos-clock":            {"The clock of this computer is wrong by several minutes. Set it, then try again.", "Die Uhr dieses Computers geht um mehrere Minuten falsch. Stellen Sie sie, dann versuchen Sie es noch einmal."},
	"fault.kerberos-replay":           {"That was sent before. Try again.", "Das wurde schon einmal gesendet. Versuchen Sie es noch einmal."},
	"fault.kerberos-ntlm":             {"This computer has no login that counts here. Sign in with your name and password.", "Dieser Computer hat keine Anmeldung, die hier gilt. Melden Sie sich mit Namen und Passwort an."},
	"fault.kerberos-realm":            {"You are signed in to this computer at another organisation than this one.", "Sie sind an diesem Computer bei einer anderen Organisation angemeldet als dieser."},
	"fault.kerberos-no-person":        {"It is a computer that is signed in there, not a person.", "Dort ist ein Computer angemeldet, keine Person."},
	"fault.kerberos-not-in-directory": {"You are signed in to this computer, and the organisation’s directory knows nobody of that name. Ask whoever looks after accounts in your organisation.", "Sie sind an diesem Computer angemeldet, doch das Verzeichnis Ihrer Organisation kennt niemanden mit diesem Namen. Fragen Sie, wer sich bei Ihnen um Konten kümmert."},
	"fault.kerberos-busy":             {"Too many sign in at this moment. Try again in a moment.", "Im Augenblick melden sich zu viele an. Versuchen Sie es gleich noch einmal."},
}
